//! The rules: each looks at the recording and says what is wrong, with evidence. What a rule needs and was not recorded
//! is no fault.
//!
//! Sources: the API reference and the reasons in kubelet, scheduler and controller-manager (v1.28 to v1.34).

mod certificates;
mod containers;
mod network;
mod nodes;
mod pods;
mod scheduling;
mod storage;
mod volumes;
mod workloads;

use crate::finding::Found;
use crate::snapshot::Snapshot;

/// Runs all of them.
#[must_use]
pub fn all(snapshot: &Snapshot) -> Vec<Found> {
    let mut found = Vec::new();
    nodes::find(snapshot, &mut found);
    storage::find(snapshot, &mut found);
    pods::find(snapshot, &mut found);
    workloads::find(snapshot, &mut found);
    network::find(snapshot, &mut found);
    certificates::find(snapshot, &mut found);
    found
}
