//! Objects of the Kubernetes API, read leniently.
//!
//! Invariant: no shape of the JSON makes an accessor fail. A field that is missing or of another type reads as empty;
//! `shape` names those of another type. Secrets lose their values, but for a certificate, before anything looks at them.
//! Fields are those of the Kubernetes API reference, v1.28 to v1.34.

use std::rc::Rc;
use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::{Map, Value};

static NULL: Value = Value::Null;
static NO_FIELDS: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

/// The value at a JSON pointer; null where there is none.
#[must_use]
pub fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    value.pointer(path).unwrap_or(&NULL)
}

/// The string at a JSON pointer; empty where there is none.
#[must_use]
pub fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    at(value, path).as_str().unwrap_or_default()
}

/// The items of the array at a JSON pointer.
#[must_use]
pub fn items<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    at(value, path).as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The fields of the object at a JSON pointer.
#[must_use]
pub fn fields<'a>(value: &'a Value, path: &str) -> &'a Map<String, Value> {
    at(value, path).as_object().unwrap_or(&NO_FIELDS)
}

/// The whole number at a JSON pointer; 0 where there is none.
#[must_use]
pub fn int(value: &Value, path: &str) -> i64 {
    at(value, path).as_i64().unwrap_or(0)
}

/// The RFC 3339 time at a JSON pointer.
#[must_use]
pub fn time(value: &Value, path: &str) -> Option<Timestamp> {
    text(value, path).parse().ok()
}

/// Whether each label of the selector is there with the same value. An empty selector selects nothing here.
#[must_use]
pub fn selects(selector: &Map<String, Value>, labels: &Map<String, Value>) -> bool {
    !selector.is_empty() && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// One object of the recording.
#[derive(Debug)]
pub struct Object {
    /// Such as `Pod`.
    pub kind: String,
    /// Empty for objects without one.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// The file that it stands in.
    pub file: Rc<str>,
    /// The whole of it.
    pub value: Value,
}

impl Object {
    /// Takes an object out of JSON; an error says what is missing.
    ///
    /// # Errors
    /// Where it has no `kind` or no `metadata.name`.
    pub fn new(mut value: Value, file: &Rc<str>) -> Result<Object, String> {
        let kind = text(&value, "/kind").to_owned();
        let name = text(&value, "/metadata/name").to_owned();
        if !value.is_object() {
            return Err(format!("an item is {}, not an object of the Kubernetes API", type_name(&value)));
        }
        if kind.is_empty() {
            return Err("an object has no `kind`: is this the output of `kubectl get -o json`?".to_owned());
        }
        if name.is_empty() || name.len() > MAX_NAME || kind.len() > MAX_NAME {
            return Err(format!(
                "an object of kind {} has no `metadata.name` of 1 to {MAX_NAME} bytes",
                kind.chars().take(64).collect::<String>()
            ));
        }
        let namespace = text(&value, "/metadata/namespace").to_owned();
        if namespace.len() > MAX_NAME {
            return Err(format!("{kind} {name}: its namespace is longer than {MAX_NAME} bytes"));
        }
        if let Some(odd) = [&kind, &name, &namespace].into_iter().find(|word| !crate::shape::is_name(word)) {
            let odd: String = odd.chars().take(64).collect();
            return Err(format!("`{}` is no name of the Kubernetes API", odd.escape_debug()));
        }
        strip(&kind, &mut value);
        Ok(Object { kind, namespace, name, file: Rc::clone(file), value })
    }

    /// `Pod/shop/cart-1`: what links findings.
    #[must_use]
    pub fn key(&self) -> String {
        key(&self.kind, &self.namespace, &self.name)
    }

    /// `Pod shop/cart-1`, for people.
    #[must_use]
    pub fn title(&self) -> String {
        let slash = if self.namespace.is_empty() { "" } else { "/" };
        format!("{} {}{slash}{}", self.kind, self.namespace, self.name)
    }

    /// `metadata.labels`.
    #[must_use]
    pub fn labels(&self) -> &Map<String, Value> {
        fields(&self.value, "/metadata/labels")
    }

    /// The condition of this type, and its place among the conditions.
    #[must_use]
    pub fn condition(&self, kind: &str) -> Option<&Value> {
        items(&self.value, "/status/conditions").iter().find(|condition| text(condition, "/type") == kind)
    }

    /// The owner that controls it, else its first: kind and name.
    #[must_use]
    pub fn owner(&self) -> Option<(&str, &str)> {
        let owners = items(&self.value, "/metadata/ownerReferences");
        let owner =
            owners.iter().find(|owner| at(owner, "/controller") == &Value::Bool(true)).or(owners.first())?;
        Some((text(owner, "/kind"), text(owner, "/name")))
    }
}

/// The longest name: a DNS subdomain, RFC 1123.
pub const MAX_NAME: usize = 253;

/// What [`Object::key`] gives.
#[must_use]
pub fn key(kind: &str, namespace: &str, name: &str) -> String {
    format!("{kind}/{namespace}/{name}")
}

/// JSON's word for the type.
#[must_use]
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Drops what no rule reads, and what must not be shown: the values of secrets, but for the public certificate.
fn strip(kind: &str, value: &mut Value) {
    let Some(object) = value.as_object_mut() else { return };
    if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        meta.remove("managedFields");
        if let Some(notes) = meta.get_mut("annotations").and_then(Value::as_object_mut) {
            notes.remove("kubectl.kubernetes.io/last-applied-configuration");
        }
    }
    match kind {
        "Secret" => {
            object.remove("stringData");
            if let Some(data) = object.get_mut("data").and_then(Value::as_object_mut) {
                for (name, value) in data.iter_mut() {
                    if name != "tls.crt" {
                        *value = Value::Null;
                    }
                }
            }
        }
        "ConfigMap" => {
            for field in ["data", "binaryData"] {
                if let Some(data) = object.get_mut(field).and_then(Value::as_object_mut) {
                    data.iter_mut().for_each(|(_, value)| *value = Value::Null);
                }
            }
        }
        _ => {}
    }
}
