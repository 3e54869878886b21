//! The fields that rules read, with the JSON type that the Kubernetes API gives them.
//!
//! Invariant: a field of another type is named, never guessed at; the rules then see it as missing. So it is with a name
//! that a shell would not take for one word: names go into commands, which people copy.

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

/// Fields whose text goes into commands.
const NAMES: [&str; 9] = [
    "kind",
    "name",
    "nodeName",
    "claimName",
    "secretName",
    "ingressClassName",
    "storageClassName",
    "volumeName",
    "schedulerName",
];

/// Empties names that hold what no name of the API holds, such as `a; rm -rf /`, and says so.
#[must_use]
pub fn harmful(object: &mut Object) -> Vec<String> {
    let mut count = 0;
    for part in ["metadata", "spec", "status"] {
        if let Some(value) = object.value.get_mut(part) {
            empty(value, &mut count);
        }
    }
    let title = object.title();
    (count > 0).then(|| format!("{title}: {count} names that are none were left out")).into_iter().collect()
}

/// Whether a shell takes it for one plain word.
#[must_use]
pub fn is_name(text: &str) -> bool {
    text.chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':' | '/' | '@' | '+' | '~'))
        && !text.starts_with('-')
}

fn empty(value: &mut Value, count: &mut usize) {
    match value {
        Value::Array(all) => all.iter_mut().for_each(|value| empty(value, count)),
        Value::Object(all) => {
            for (name, value) in all.iter_mut() {
                // The names of variables and headers go into no command.
                if name == "env" || name == "httpHeaders" {
                    continue;
                }
                match value.as_str() {
                    Some(text) if NAMES.contains(&name.as_str()) && !is_name(text) => {
                        *value = Value::Null;
                        *count += 1;
                    }
                    Some(_) => {}
                    None => empty(value, count),
                }
            }
        }
        _ => {}
    }
}
