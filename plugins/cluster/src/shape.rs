//! The fields that rules read, with the JSON type that the Kubernetes API gives them.
//!
//! Invariant: a field of another type is named, never guessed at; the rules then see it as missing.

use serde_json::Value;

use crate::object::{Object, at, type_name};

#[derive(Clone, Copy, PartialEq)]
enum Type {
    Text,
    List,
    Fields,
    Number,
}

use Type::{Fields, List, Number, Text};

const ALL: [(&str, Type); 7] = [
    ("/metadata/labels", Fields),
    ("/metadata/creationTimestamp", Text),
    ("/metadata/ownerReferences", List),
    ("/metadata/finalizers", List),
    ("/spec", Fields),
    ("/status", Fields),
    ("/status/conditions", List),
];

const BY_KIND: [(&str, &str, Type); 19] = [
    ("Pod", "/spec/containers", List),
    ("Pod", "/spec/volumes", List),
    ("Pod", "/spec/nodeName", Text),
    ("Pod", "/status/phase", Text),
    ("Pod", "/status/containerStatuses", List),
    ("Pod", "/status/initContainerStatuses", List),
    ("Node", "/spec/taints", List),
    ("Service", "/spec/selector", Fields),
    ("Service", "/spec/ports", List),
    ("EndpointSlice", "/endpoints", List),
    ("Endpoints", "/subsets", List),
    ("Deployment", "/spec/replicas", Number),
    ("StatefulSet", "/spec/replicas", Number),
    ("Ingress", "/spec/rules", List),
    ("Ingress", "/spec/tls", List),
    ("Secret", "/data", Fields),
    ("Event", "/reason", Text),
    ("Event", "/involvedObject", Fields),
    ("PersistentVolumeClaim", "/status/phase", Text),
];

/// What is of another type than the API gives it: `Pod shop/a: status.conditions is a string, not a list`.
#[must_use]
pub fn wrong(object: &Object) -> Vec<String> {
    let own = BY_KIND.iter().filter(|(kind, ..)| *kind == object.kind).map(|(_, path, kind)| (*path, *kind));
    let mut all = Vec::new();
    for (path, kind) in ALL.iter().copied().chain(own) {
        let value = at(&object.value, path);
        let (fits, wanted) = match kind {
            Text => (value.is_string(), "a string"),
            List => (value.is_array(), "a list"),
            Fields => (value.is_object(), "an object"),
            Number => (value.is_number(), "a number"),
        };
        if !fits && value != &Value::Null {
            let field = path.trim_start_matches('/').replace('/', ".");
            all.push(format!("{}: {field} is {}, not {wanted}", object.title(), type_name(value)));
        }
    }
    all
}
