//! Pods that have a node and wait for their volumes or their network.

use super::pods::{describe, fault, severity};
use crate::finding::Found;
use crate::object::{Object, items, key, text};
use crate::snapshot::{Snapshot, message};

pub(super) fn find(snapshot: &Snapshot, pod: &Object) -> Option<Found> {
    // A pod whose containers were made has its volumes and its network.
    let waits = ["initContainerStatuses", "containerStatuses"].iter().any(|field| {
        let all = items(&pod.value, &format!("/status/{field}"));
        all.iter().any(|status| {
            matches!(text(status, "/state/waiting/reason"), "ContainerCreating" | "PodInitializing")
        })
    });
    if !waits {
        return None;
    }
    let event = snapshot.warnings(pod).find(|event| {
        matches!(
            text(&event.value, "/reason"),
            "FailedMount"
                | "FailedAttachVolume"
                | "FailedMapVolume"
                | "FailedCreatePodSandBox"
                | "NetworkNotReady"
        )
    })?;
    let (reason, said) = (text(&event.value, "/reason"), message(event));
    let (rule, problem, cause) = if reason == "FailedCreatePodSandBox" || reason == "NetworkNotReady" {
        (
            "pod-network",
            format!("Pod {} gets no network", pod.name),
            "the network plugin (CNI) of the node fails, or has no address left",
        )
    } else if ["configmap \"", "secret \"", "references non-existent"]
        .iter()
        .any(|words| said.contains(words))
    {
        (
            "missing-reference",
            format!("Pod {} mounts a configmap or secret, or a key of one, that does not exist", pod.name),
            "it was never created, has another name, or lies in another namespace",
        )
    } else if said.contains("Multi-Attach") {
        (
            "volume-mount",
            format!("Pod {} cannot have its volume: it is attached to another node", pod.name),
            "the volume is ReadWriteOnce, and a pod on another node still holds it",
        )
    } else {
        (
            "volume-mount",
            format!("Pod {} cannot mount a volume", pod.name),
            "the storage system, or its driver on the node, refuses it; the message says why",
        )
    };
    let claims = items(&pod.value, "/spec/volumes")
        .iter()
        .map(|volume| text(volume, "/persistentVolumeClaim/claimName"));
    let due = claims
        .filter(|claim| !claim.is_empty())
        .map(|claim| key("PersistentVolumeClaim", &pod.namespace, claim));
    Some(
        fault(snapshot, pod, rule, severity(snapshot, pod))
            .says(problem, cause)
            .event(event)
            .due(due)
            .step(describe(pod))
            .step(match rule {
                "missing-reference" => format!("kubectl -n {} get configmaps,secrets", pod.namespace),
                "pod-network" => format!(
                    "kubectl -n kube-system get pods -o wide --field-selector spec.nodeName={}",
                    text(&pod.value, "/spec/nodeName")
                ),
                _ => "kubectl get volumeattachments".to_owned(),
            }),
    )
}
