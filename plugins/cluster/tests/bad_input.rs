//! Input that is broken, hostile or simply something else: each file is named with its reason, the rest is read.

mod support;

use pawl_plugin_cluster::source::MAX_JSON;
use pawl_plugin_cluster::{Error, diagnose};
use support::{Files, corpus, files};

/// A bad file beside a good one: what is said of it.
fn said(name: &str, bytes: impl Into<Vec<u8>>) -> String {
    let mut all = files(&corpus("edge.json"));
    all.0.insert(name.to_owned(), bytes.into());
    let diagnosis = diagnose(&all, None).expect("the good files are read");
    assert!(diagnosis.objects >= 20, "{name}");
    let of: Vec<&str> =
        diagnosis.unread.iter().filter(|u| u.file == name).map(|u| u.reason.as_str()).collect();
    assert_eq!(of.len(), diagnosis.unread.len(), "only {name}: {:?}", diagnosis.unread);
    of.join("; ")
}

#[test]
fn each_bad_file_is_named_with_its_reason() {
    let pod =
        |rest: &str| format!(r#"{{"kind": "Pod", "metadata": {{"name": "a", "namespace": "b"}}, {rest}}}"#);
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let long = "n".repeat(100_000);
    for (name, bytes, reason) in [
        ("cut.json", r#"{"kind": "List", "items": [{"kind": "Po"#.to_owned(), "cut off: EOF"),
        ("empty.json", " \n".to_owned(), "the file is empty"),
        ("html.json", "<html>502 Bad Gateway</html>".to_owned(), "not JSON: expected value at line 1"),
        ("deep.json", deep, "not JSON: recursion limit"),
        ("number.json", "42".to_owned(), "an item is a number, not an object"),
        ("nulls.json", "[null, true]".to_owned(), "an item is null"),
        ("kind.json", r#"{"metadata": {"name": "a"}}"#.to_owned(), "no `kind`"),
        ("name.json", r#"{"kind": "Pod", "metadata": []}"#.to_owned(), "no `metadata.name`"),
        ("long.json", format!(r#"{{"kind": "Pod", "metadata": {{"name": "{long}"}}}}"#), "1 to 253 bytes"),
        (
            "items.json",
            r#"{"kind": "PodList", "items": {"a": 1}}"#.to_owned(),
            "`items` of the List is not a list",
        ),
        ("status.json", pod(r#""status": "Running""#), "Pod b/a: status is a string, not an object"),
        (
            "states.json",
            pod(r#""status": {"containerStatuses": {"a": 1}}"#),
            "status.containerStatuses is an object, not a list",
        ),
        ("phase.json", pod(r#""status": {"phase": 7}"#), "status.phase is a number, not a string"),
        (
            "refused.json",
            r#"{"kind": "Status", "status": "Failure", "message": "pods is forbidden"}"#.to_owned(),
            "the API answered with an error instead of objects: pods is forbidden",
        ),
        ("pods.yaml", "kind: Pod".to_owned(), "kubectl get -o json"),
        ("photo.png", "\u{89}PNG".to_owned(), "neither .json"),
    ] {
        let said = said(name, bytes);
        assert!(said.contains(reason), "{name}: {said}");
    }
    assert!(said("binary.json", vec![0xff, 0xfe, 0x00]).contains("not JSON"));
    let large = vec![b' '; usize::try_from(MAX_JSON).expect("fits") + 1];
    assert!(said("large.json", large).contains("record fewer kinds"));
}

#[test]
fn wrong_types_everywhere_trap_nowhere() {
    // Every value of a cluster, in turn, becomes one of another type.
    let whole = corpus("edge.json");
    let count = whole["items"].as_array().expect("items").len();
    for wrong in
        [serde_json::json!(null), serde_json::json!([[{}]]), serde_json::json!("x"), serde_json::json!(-1)]
    {
        for index in 0..count {
            for field in ["spec", "status", "metadata"] {
                let mut list = whole.clone();
                let object = &mut list["items"][index][field];
                if let Some(fields) = object.as_object_mut() {
                    fields
                        .iter_mut()
                        .filter(|(name, _)| *name != "name")
                        .for_each(|(_, value)| *value = wrong.clone());
                }
                let _ = diagnose(&files(&list), None).expect("the others are read");
            }
        }
    }
}

#[test]
fn giant_strings_are_cut_as_evidence_between_words() {
    let fault = corpus("faults.json");
    let fault =
        fault.as_array().expect("list").iter().find(|f| f["fault"] == "configmap_missing").expect("there");
    let mut list = support::planted(fault);
    for object in list["items"].as_array_mut().expect("items") {
        for status in object["status"]["containerStatuses"].as_array_mut().into_iter().flatten() {
            if status["state"]["waiting"]["message"].is_string() {
                status["state"]["waiting"]["message"] = "configmap größer ".repeat(50_000).into();
            }
        }
    }
    let diagnosis = diagnose(&files(&list), None).expect("read");
    let first = diagnosis.findings.first().expect("found");
    assert_eq!(first.rule, "missing-reference");
    assert!(first.evidence.iter().all(|e| e.text.len() <= 400 && !e.text.ends_with("grö")), "{first:?}");
}

#[test]
fn no_recording_says_what_to_put_there() {
    let Err(Error::NoRecording(reason)) = diagnose(&Files::default(), None) else {
        panic!("there is nothing")
    };
    assert!(reason.contains("kubectl get"), "{reason}");
    let mut only = Files::default();
    only.0.insert("pods.json".to_owned(), b"{".to_vec());
    let Err(Error::NoRecording(reason)) = diagnose(&only, None) else { panic!("nothing can be read") };
    assert!(reason.contains("pods.json: cut off"), "{reason}");
}
