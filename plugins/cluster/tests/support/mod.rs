//! A collection of documents in memory, and the recorded clusters of tests/cases/cluster.

#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

use std::collections::BTreeMap;
use std::path::Path;

use pawl_plugin_cluster::source::Documents;
use serde_json::Value;

/// Documents by id.
#[derive(Clone, Default)]
pub struct Files(pub BTreeMap<String, Vec<u8>>);

impl Documents for Files {
    fn list(&self) -> Result<Vec<(String, u64)>, String> {
        Ok(self.0.iter().map(|(id, bytes)| (id.clone(), bytes.len() as u64)).collect())
    }

    fn read(&self, id: &str, offset: u64, length: u32) -> Result<Vec<u8>, String> {
        let bytes = self.0.get(id).ok_or("missing")?;
        let from = bytes.len().min(usize::try_from(offset).expect("small"));
        let to = bytes.len().min(from + length as usize);
        Ok(bytes[from..to].to_vec())
    }
}

pub fn corpus(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases/cluster").join(name);
    serde_json::from_slice(&std::fs::read(path).expect("the corpus is there")).expect("the corpus is JSON")
}

/// A cluster of the corpus as documents: objects in two files, logs beside them.
pub fn files(list: &Value) -> Files {
    let items = list["items"].as_array().expect("items");
    let (first, second) = items.split_at(items.len() / 2);
    let mut files = Files::default();
    for (name, part) in [("first.json", first), ("second.json", second)] {
        let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": part});
        files.0.insert(name.to_owned(), serde_json::to_vec_pretty(&list).expect("JSON"));
    }
    for (name, text) in list["logs"].as_object().into_iter().flatten() {
        files.0.insert(name.clone(), text.as_str().expect("text").as_bytes().to_vec());
    }
    files
}

fn key(object: &Value) -> String {
    let meta = &object["metadata"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    format!("{}/{}/{}", text(&object["kind"]), text(&meta["namespace"]), text(&meta["name"]))
}

/// RFC 7396.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = serde_json::json!({});
    }
    let target = target.as_object_mut().expect("an object");
    for (name, value) in patch {
        if value.is_null() {
            target.remove(name);
        } else {
            merge(target.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

/// A healthy cluster with a fault of `faults.json` planted.
pub fn planted(fault: &Value) -> Value {
    let mut list = corpus(&format!("{}.json", fault["base"].as_str().expect("base")));
    let items = list["items"].as_array_mut().expect("items");
    let removed = fault["remove"].as_array().expect("remove");
    items.retain(|object| !removed.contains(&Value::String(key(object))));
    for object in items.iter_mut() {
        if let Some(patch) = fault["merge"].get(key(object)) {
            merge(object, patch);
        }
    }
    items.extend(fault["add"].as_array().expect("add").iter().cloned());
    for (name, text) in fault["logs"].as_object().expect("logs") {
        list["logs"][name] = text.clone();
    }
    list
}
