//! Claims and volumes.

use crate::Severity::{Critical, Warning};
use crate::finding::Found;
use crate::object::{Object, key, text};
use crate::snapshot::{Snapshot, message, of_claim};

pub(super) fn find(snapshot: &Snapshot, all: &mut Vec<Found>) {
    for claim in snapshot.kind("PersistentVolumeClaim") {
        match text(&claim.value, "/status/phase") {
            "Pending" => all.extend(pending(snapshot, claim)),
            "Lost" => all.push(
                Found::at("pvc-lost", Critical, claim)
                    .says(
                        format!("The volume of claim {} is gone", claim.name),
                        "its PersistentVolume was deleted while it was bound",
                    )
                    .shows(claim, ".status.phase", "Lost")
                    .shows(claim, ".spec.volumeName", text(&claim.value, "/spec/volumeName"))
                    .step("kubectl get pv"),
            ),
            _ => {}
        }
    }
    for volume in snapshot.kind("PersistentVolume") {
        if text(&volume.value, "/status/phase") == "Failed" {
            all.push(
                Found::at("pv-failed", Warning, volume)
                    .says(
                        format!("Volume {} could not be reclaimed", volume.name),
                        "the storage system refused to delete or recycle it",
                    )
                    .shows(volume, ".status.message", text(&volume.value, "/status/message"))
                    .step(format!("kubectl describe pv {}", volume.name)),
            );
        }
    }
}

fn pending(snapshot: &Snapshot, claim: &Object) -> Option<Found> {
    let class = text(&claim.value, "/spec/storageClassName");
    let known = snapshot.get("StorageClass", "", class);
    let users = || snapshot.belonging(&of_claim(&claim.namespace, &claim.name));
    let event = snapshot.warnings(claim).next().or_else(|| snapshot.events(claim).next());
    let said = event.map(message).unwrap_or_default();
    let waits = event.is_some_and(|event| text(&event.value, "/reason") == "WaitForFirstConsumer")
        || known.is_some_and(|class| text(&class.value, "/volumeBindingMode") == "WaitForFirstConsumer");
    let warned = snapshot.warnings(claim).next().is_some();
    // Without a pod that uses it such a claim waits by design.
    if waits && !warned && users().next().is_none() {
        return None;
    }
    // Then its pod waits for something else, which the pod's finding tells.
    if waits && !warned {
        return None;
    }
    let cause = if said.contains("not found") && said.contains("storageclass")
        || (known.is_none() && !class.is_empty() && snapshot.has("StorageClass"))
    {
        format!("the storage class {class} does not exist")
    } else if said.contains("no persistent volumes available") {
        "no volume fits, and the claim names no class that could make one".to_owned()
    } else if said.to_lowercase().contains("quota") || said.contains("QuotaExceeded") {
        "a quota of the storage system is used up".to_owned()
    } else if said.contains("ExternalProvisioning")
        || said.contains("waiting for a volume to be created")
        || said.contains("Waiting for a volume to be created")
    {
        "the storage class's driver does not answer: it may not be running".to_owned()
    } else {
        "the storage driver cannot make the volume; the message says why".to_owned()
    };
    let mut found = Found::at("pvc-unbound", Critical, claim)
        .says(format!("Claim {} has no volume", claim.name), cause)
        .shows(claim, ".status.phase", "Pending")
        .shows(claim, ".spec.storageClassName", class)
        .about(users().map(Object::key));
    if let Some(event) = event {
        found = found.event(event);
    }
    found.about.push(key("StorageClass", "", class));
    Some(
        found
            .step(format!("kubectl -n {} describe pvc {}", claim.namespace, claim.name))
            .step("kubectl get storageclass"),
    )
}
