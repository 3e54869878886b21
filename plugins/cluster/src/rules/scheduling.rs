//! Pods that no node takes.

use super::pods::{describe, fault, severity};
use crate::finding::Found;
use crate::object::{Object, items, key, text, time};
use crate::snapshot::Snapshot;

/// Seconds that the scheduler may take.
const PATIENCE: i64 = 60;

/// Words of the scheduler's message, each with its rule and cause. The first that is there counts.
const REASONS: [(&str, &str, &str); 14] = [
    (
        "unbound immediate persistentvolumeclaim",
        "unschedulable-volume",
        "a volume claim of the pod is not bound to a volume",
    ),
    ("persistentvolumeclaim \"", "unschedulable-volume", "a volume claim that the pod names does not exist"),
    (
        "volume node affinity conflict",
        "unschedulable-volume",
        "its volume lies in a zone, or on a node, where the pod may not run",
    ),
    ("binding volumes:", "unschedulable-volume", "a volume for a claim of the pod did not come in time"),
    ("exceed max volume count", "unschedulable-volume", "the nodes can attach no more volumes"),
    (
        "free ports for the requested pod ports",
        "host-port-conflict",
        "another pod holds the hostPort on every node that it could run on",
    ),
    ("insufficient cpu", "unschedulable-resources", "it requests more CPU than any node has left"),
    ("insufficient memory", "unschedulable-resources", "it requests more memory than any node has left"),
    ("insufficient ", "unschedulable-resources", "it requests more of a resource than any node has left"),
    ("too many pods", "unschedulable-resources", "the nodes hold as many pods as they may"),
    (
        "pod topology spread constraints",
        "unschedulable-affinity",
        "its topology spread constraints allow no node",
    ),
    (
        "affinity",
        "unschedulable-affinity",
        "no node has the labels, or the neighbours, that the pod asks for",
    ),
    ("untolerated taint", "unschedulable-taint", "the nodes have taints that the pod does not tolerate"),
    ("were unschedulable", "unschedulable-cordoned", "the nodes that would fit are cordoned"),
];

pub(super) fn pending(snapshot: &Snapshot, pod: &Object) -> Option<Found> {
    let condition = pod.condition("PodScheduled");
    let said = condition.map(|condition| text(condition, "/message")).unwrap_or_default();
    let age = snapshot.age(time(&pod.value, "/metadata/creationTimestamp"));
    if condition.is_some_and(|condition| text(condition, "/reason") == "SchedulingGated") {
        return None;
    }
    let found =
        |rule: &str| fault(snapshot, pod, rule, severity(snapshot, pod)).condition(pod, "PodScheduled");
    if said.is_empty() {
        let scheduler = text(&pod.value, "/spec/schedulerName");
        return age.is_some_and(|age| age > PATIENCE).then(|| {
            found("no-scheduler")
                .says(
                    format!("Pod {} waits, and no scheduler has looked at it", pod.name),
                    format!("no scheduler named {scheduler} is running"),
                )
                .shows(pod, ".spec.schedulerName", scheduler)
                .step("kubectl -n kube-system get pods")
        });
    }
    let lower = said.to_lowercase();
    let counted = |words: &str| lower.contains(words);
    let (_, rule, cause) = REASONS.iter().find(|(words, ..)| counted(words)).copied().unwrap_or((
        "",
        "unschedulable",
        "no node fits; the scheduler's message says why",
    ));
    let mut due: Vec<String> = Vec::new();
    if rule == "unschedulable-volume" {
        for volume in items(&pod.value, "/spec/volumes") {
            let claim = text(volume, "/persistentVolumeClaim/claimName");
            if !claim.is_empty() {
                due.push(key("PersistentVolumeClaim", &pod.namespace, claim));
            }
        }
    }
    if rule == "unschedulable-taint" && counted("node.kubernetes.io/") || rule == "unschedulable-cordoned" {
        due.extend(snapshot.kind("Node").map(Object::key));
    }
    let mut found = found(rule).says(format!("Pod {} waits: no node takes it", pod.name), cause).due(due);
    if let Some(event) =
        snapshot.warnings(pod).find(|event| text(&event.value, "/reason") == "FailedScheduling")
    {
        found = found.event(event);
    }
    Some(match rule {
        "unschedulable-resources" => {
            found.step(describe(pod)).step("kubectl describe nodes | grep -A 8 'Allocated resources'")
        }
        "unschedulable-volume" => found.step(format!("kubectl -n {} describe pvc", pod.namespace)),
        _ => found
            .step(describe(pod))
            .step("kubectl get nodes --show-labels")
            .step("kubectl describe nodes | grep Taints"),
    })
}
