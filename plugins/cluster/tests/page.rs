//! A diagnosis in pages: each fits into what a chat shows of a result, together they have everything once, in order.

mod support;

use pawl_plugin_cluster::page::page;
use pawl_plugin_cluster::{Diagnosis, Error, answer, diagnose};
use serde_json::{Value, json};
use support::{corpus, files, planted};

/// 60 crash loops, each with a log line of 300 bytes.
fn many() -> Diagnosis {
    let mut items = Vec::new();
    let mut logs = serde_json::Map::new();
    for n in 0..60 {
        let name = format!("worker-{n:02}");
        items.push(json!({"kind": "Pod", "metadata": {"name": name, "namespace": "mill", "creationTimestamp": "2031-01-01T00:00:00Z"},
            "spec": {"nodeName": "n1", "containers": [{"name": "main"}]},
            "status": {"phase": "Running", "containerStatuses": [{"name": "main", "restartCount": 9,
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}},
                "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}}}]}}));
        logs.insert(
            format!("mill_{name}_main.previous.log"),
            format!("ERROR: \"{}\"\n", "\\\u{fc}".repeat(100)).into(),
        );
    }
    diagnose(&files(&json!({"items": items, "logs": logs})), None).expect("read")
}

/// What the host shows: compact JSON.
fn shown(diagnosis: &Diagnosis) -> String {
    let findings: Vec<Value> = diagnosis.findings.iter().map(|f| json!({
        "id": f.id, "rule": f.rule, "severity": "critical", "kind": f.kind, "namespace": f.namespace, "name": f.name,
        "problem": f.problem, "likely-cause": f.likely_cause,
        "evidence": f.evidence.iter().map(|e| json!({"source": e.source, "text": e.text})).collect::<Vec<_>>(),
        "next-steps": f.next_steps, "because": f.because})).collect();
    let unread: Vec<Value> =
        diagnosis.unread.iter().map(|u| json!({"file": u.file, "reason": u.reason})).collect();
    json!({"summary": diagnosis.summary, "recorded-at": diagnosis.recorded_at, "objects": diagnosis.objects, "findings": findings,
        "left-out": diagnosis.left_out, "others": diagnosis.others, "next-page": diagnosis.next_page, "unread": unread}).to_string()
}

#[test]
fn pages_fit_and_have_everything_once() {
    let all: Vec<String> = many().findings.into_iter().map(|f| f.id).collect();
    assert_eq!(all.len(), 60);
    let (mut seen, mut next) = (Vec::new(), Some(1));
    while let Some(number) = next {
        let part = page(many(), number).expect("there is one");
        assert!(shown(&part).len() <= 6 << 10, "{} bytes", shown(&part).len());
        assert!(!part.findings.is_empty());
        seen.extend(part.findings.iter().map(|f| f.id.clone()));
        assert_eq!(part.left_out as usize, 60 - seen.len());
        assert!(part.others.iter().eq(all[seen.len()..].iter().take(part.others.len())));
        next = part.next_page;
    }
    assert_eq!(seen, all);
}

#[test]
fn the_pages_that_there_are_are_named() {
    for number in [0, 99, u32::MAX] {
        let Err(Error::UnknownPage(reason)) = page(many(), number) else { panic!("{number}") };
        assert!(reason.contains("pages 1 to "), "{reason}");
    }
}

#[test]
fn a_quiet_namespace_is_not_called_a_healthy_cluster() {
    let fault = corpus("faults.json");
    let fault = fault.as_array().expect("list").iter().find(|f| f["fault"] == "oom_limit").expect("there");
    let told = diagnose(&files(&planted(fault)), Some("kube-system")).expect("read");
    assert!(told.findings.is_empty());
    assert!(
        told.summary.starts_with("Nothing wrong was found in namespace kube-system;"),
        "{}",
        told.summary
    );
    assert!(told.summary.contains("NOT healthy elsewhere: 1 root cause"), "{}", told.summary);
    assert!(told.summary.contains("Deployment stream/ingest"), "{}", told.summary);
    // The tool shows what is wrong elsewhere, rather than an empty list.
    let shown = answer(&files(&planted(fault)), Some("kube-system"), 1).expect("read");
    assert!(shown.findings.first().is_some_and(|f| f.namespace == "stream"), "{shown:?}");
}

#[test]
fn a_healthy_cluster_is_one_page_that_says_so() {
    let diagnosis = page(diagnose(&files(&corpus("bank.json")), None).expect("read"), 1).expect("one");
    assert_eq!((diagnosis.left_out, diagnosis.next_page), (0, None));
    assert!(
        diagnosis.summary.starts_with("Nothing wrong was found in the cluster; 89 objects"),
        "{}",
        diagnosis.summary
    );
}
