//! Pods: at most one fault each, the one nearest to the cause; pods of one workload with the same fault are one finding.

use std::collections::HashMap;

use super::{containers, scheduling, volumes};
use crate::Severity::{Critical, Info, Warning};
use crate::finding::Found;
use crate::object::{Object, at, fields, int, items, key, text, time};
use crate::snapshot::Snapshot;

/// Seconds that a pod may take to end beyond its grace period, and to get its volumes and network.
const PATIENCE: i64 = 120;

/// A finding at the workload of a pod, about the pod as well.
pub(super) fn fault(snapshot: &Snapshot, pod: &Object, rule: &str, severity: crate::Severity) -> Found {
    let (kind, name) = snapshot.workload(pod);
    let owner = pod.owner().map(|(kind, name)| key(kind, &pod.namespace, name));
    Found::new(rule, severity, &kind, &pod.namespace, &name).about([pod.key()]).about(owner)
}

/// `kubectl -n NAMESPACE describe pod NAME`.
pub(super) fn describe(pod: &Object) -> String {
    format!("kubectl -n {} describe pod {}", pod.namespace, pod.name)
}

pub(super) fn find(snapshot: &Snapshot, all: &mut Vec<Found>) {
    let mut known: HashMap<(String, String), usize> = HashMap::new();
    for pod in snapshot.kind("Pod") {
        let Some(found) = diagnose(snapshot, pod) else { continue };
        let place = (found.finding.id.clone(), found.finding.kind.clone());
        match known.get(&place).and_then(|index| all.get_mut(*index)) {
            Some(first) => {
                first.about.extend(found.about);
                first.due.extend(found.due);
            }
            None => {
                known.insert(place, all.len());
                all.push(found);
            }
        }
    }
}

fn diagnose(snapshot: &Snapshot, pod: &Object) -> Option<Found> {
    let node = snapshot.get("Node", "", text(&pod.value, "/spec/nodeName"));
    if let Some(deleted) = time(&pod.value, "/metadata/deletionTimestamp") {
        // The moment at which it should have ended: the API adds the grace period to it.
        let late = snapshot.age(Some(deleted)).is_some_and(|age| age > PATIENCE);
        return late.then(|| terminating(snapshot, pod)).flatten();
    }
    match text(&pod.value, "/status/phase") {
        "Succeeded" => return None,
        "Failed" => return failed(snapshot, pod),
        _ => {}
    }
    if text(&pod.value, "/spec/nodeName").is_empty() {
        return scheduling::pending(snapshot, pod);
    }
    // What stands on a lost node is told with the node.
    if node.is_some_and(super::nodes::is_lost) {
        return None;
    }
    containers::find(snapshot, pod)
        .or_else(|| volumes::find(snapshot, pod))
        .or_else(|| containers::probes(snapshot, pod))
}

fn terminating(snapshot: &Snapshot, pod: &Object) -> Option<Found> {
    let finalizers: Vec<&str> =
        items(&pod.value, "/metadata/finalizers").iter().filter_map(serde_json::Value::as_str).collect();
    let node = text(&pod.value, "/spec/nodeName");
    let cause = if finalizers.is_empty() {
        format!(
            "the kubelet of node {node} has not confirmed that its containers ended: the node may be unreachable, or a process cannot be killed"
        )
    } else {
        format!("the controller that owns finalizer {} has not removed it", finalizers.join(", "))
    };
    let mut found = Found::at("stuck-terminating", Warning, pod)
        .says(format!("Pod {} was deleted and does not go away", pod.name), cause)
        .shows(pod, ".metadata.deletionTimestamp", text(&pod.value, "/metadata/deletionTimestamp"));
    for finalizer in &finalizers {
        found = found.shows(pod, ".metadata.finalizers", finalizer);
    }
    if let Some(event) = snapshot.warnings(pod).next() {
        found = found.event(event);
    }
    let found = found.step(format!("kubectl -n {} get pod {} -o yaml", pod.namespace, pod.name));
    Some(match finalizers.is_empty() {
        true => found.due([key("Node", "", node)]).step(format!("kubectl describe node {node}")),
        false => found.step("kubectl get pods -A | grep -i controller"),
    })
}

fn failed(snapshot: &Snapshot, pod: &Object) -> Option<Found> {
    let (reason, message) = (text(&pod.value, "/status/reason"), text(&pod.value, "/status/message"));
    let node = text(&pod.value, "/spec/nodeName");
    let found = |rule, severity| {
        fault(snapshot, pod, rule, severity)
            .shows(pod, ".status.reason", reason)
            .shows(pod, ".status.message", message)
            .step(describe(pod))
    };
    match reason {
        // Kept after the fact: the workload has replaced it.
        "Evicted" if over(snapshot, pod) => None,
        "Evicted" => Some(
            found("evicted", Warning)
                .says(
                    format!("The kubelet evicted pod {} from node {node}", pod.name),
                    "the node ran short of what the message names, and the pod used more of it than it requested",
                )
                .due([key("Node", "", node)])
                .step(format!("kubectl describe node {node}")),
        ),
        // A node that was shut down in order; the workload has made another pod.
        "Terminated" | "NodeShutdown" | "Shutdown" | "NodeLost" | "Preempting" => None,
        "DeadlineExceeded" => Some(found("pod-deadline", Warning).says(
            format!("Pod {} ran longer than its activeDeadlineSeconds", pod.name),
            "it does more work than the deadline allows, or it waits for something",
        )),
        "" => containers::exited(snapshot, pod),
        _ => Some(found("pod-rejected", Warning).says(
            format!("Node {node} refused pod {}: {reason}", pod.name),
            "the kubelet's own check found less room, or other labels, than the scheduler had assumed",
        )),
    }
}

/// Whether an eviction is history: nothing of the last hour speaks of it, and its workload has made other pods since.
fn over(snapshot: &Snapshot, pod: &Object) -> bool {
    let moments = items(&pod.value, "/status/conditions")
        .iter()
        .map(|condition| time(condition, "/lastTransitionTime"))
        .chain([time(&pod.value, "/status/startTime"), time(&pod.value, "/metadata/creationTimestamp")]);
    let since = moments.flatten().max();
    if snapshot.age(since).is_none_or(|age| age <= crate::snapshot::FRESH)
        || snapshot.warnings(pod).next().is_some()
    {
        return false;
    }
    let workload = snapshot.workload(pod);
    let wanted = snapshot
        .get(&workload.0, &pod.namespace, &workload.1)
        .map_or(1, |workload| int(&workload.value, "/spec/replicas").max(1));
    snapshot.crew_of(pod).1 >= wanted
}

/// What a Deployment that was scaled to zero, and what is like it, says of itself.
pub(super) fn scaled_to_zero(
    snapshot: &Snapshot,
    namespace: &str,
    selector: &serde_json::Map<String, serde_json::Value>,
) -> Option<Found> {
    let workload =
        ["Deployment", "StatefulSet"].iter().flat_map(|kind| snapshot.kind(kind)).find(|workload| {
            workload.namespace == namespace
                && at(&workload.value, "/spec/replicas").is_number()
                && int(&workload.value, "/spec/replicas") == 0
                && crate::object::selects(selector, fields(&workload.value, "/spec/template/metadata/labels"))
        })?;
    Some(
        Found::at("scaled-to-zero", Info, workload)
            .says(
                format!("{} {} has no replicas, and a service points at it", workload.kind, workload.name),
                "it was scaled to 0",
            )
            .shows(workload, ".spec.replicas", "0")
            .step(format!(
                "kubectl -n {namespace} get {} {} -o yaml",
                workload.kind.to_lowercase(),
                workload.name
            )),
    )
}

/// The severity of a workload's pod fault: critical where no pod of it is ready.
pub(super) fn severity(snapshot: &Snapshot, pod: &Object) -> crate::Severity {
    if snapshot.crew_of(pod).0 { Warning } else { Critical }
}
