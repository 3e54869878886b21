//! Nodes: not ready, unreachable, under pressure, cordoned.

use serde_json::Value;

use crate::Severity::{Critical, Info, Warning};
use crate::finding::Found;
use crate::object::{Object, at, key, text};
use crate::snapshot::{Snapshot, on_node};

/// Whether the node is not ready: its pods cannot be judged by their own states.
pub(super) fn is_lost(node: &Object) -> bool {
    node.condition("Ready").is_some_and(|ready| text(ready, "/status") != "True")
}

pub(super) fn find(snapshot: &Snapshot, all: &mut Vec<Found>) {
    for node in snapshot.kind("Node") {
        let status =
            |kind: &str| node.condition(kind).map(|condition| text(condition, "/status")).unwrap_or_default();
        let pods = || snapshot.belonging(&on_node(&node.name)).filter(|pod| !pod.namespace.is_empty());
        let on_it = || {
            pods().flat_map(|pod| {
                let (kind, name) = snapshot.workload(pod);
                // A DaemonSet is degraded by it, and so is every other workload with a pod there.
                [pod.key(), key(&kind, &pod.namespace, &name)]
            })
        };
        let describe = format!("kubectl describe node {}", node.name);
        let base = |rule, severity, condition: &str| {
            Found::at(rule, severity, node).condition(node, condition).step(describe.clone())
        };
        match status("Ready") {
            "Unknown" => all.push(
                base("node-unreachable", Critical, "Ready")
                    .says(
                        format!("Node {} no longer reports; {} pods are on it", node.name, pods().count()),
                        "the machine is off, its network is cut, or its kubelet has stopped",
                    )
                    .about(on_it())
                    .step(format!(
                        "kubectl get pods -A -o wide --field-selector spec.nodeName={}",
                        node.name
                    )),
            ),
            "False" => all.push(
                base("node-not-ready", Critical, "Ready")
                    .says(
                        format!("Node {} is not ready; {} pods are on it", node.name, pods().count()),
                        "the kubelet says what is missing: often the container runtime or the network plugin",
                    )
                    .about(on_it()),
            ),
            _ => {}
        }
        for (kind, what) in
            [("MemoryPressure", "memory"), ("DiskPressure", "disk space"), ("PIDPressure", "process ids")]
        {
            if status(kind) == "True" {
                all.push(
                    base("node-pressure", Warning, kind)
                        .says(
                            format!("Node {} is short of {what}; it evicts pods and takes no new ones", node.name),
                            "pods use more than they requested, or what lies outside pods has grown",
                        )
                        .step(format!("kubectl top pods -A --sort-by=memory | head; kubectl get pods -A --field-selector spec.nodeName={}", node.name)),
                );
            }
        }
        if status("NetworkUnavailable") == "True" {
            all.push(base("node-network", Critical, "NetworkUnavailable").says(
                format!("Node {} has no network for pods", node.name),
                "the network plugin or the cloud's routes are not set up",
            ));
        }
        if at(&node.value, "/spec/unschedulable") == &Value::Bool(true) {
            all.push(
                Found::at("node-cordoned", Info, node)
                    .says(
                        format!("Node {} takes no new pods", node.name),
                        "it was cordoned, or a drain was not undone",
                    )
                    .shows(node, ".spec.unschedulable", "true")
                    .step(describe.clone())
                    .step(format!("kubectl uncordon {}", node.name)),
            );
        }
    }
}
