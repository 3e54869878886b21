//! The API in place of a recording: the same findings, page by page; what may not be read is named and nothing is
//! concluded from its absence; no secret is asked for unless it is allowed. (`tests/scripts/cluster_api.py` does the
//! same over HTTP with the component.)

mod support;

use std::cell::RefCell;

use pawl_plugin_cluster::api::{Answer, Get, Scope, read};
use pawl_plugin_cluster::source::{Cluster, Recording};
use pawl_plugin_cluster::{Diagnosis, diagnose};
use serde_json::{Value, json};
use support::{corpus, files, planted};

/// A server in memory: resources with their kinds, two objects a page.
struct Server {
    list: Value,
    /// A resource, and the status that asking for it gets; 0 is no answer.
    fault: Option<(&'static str, u16)>,
    asked: RefCell<Vec<String>>,
}

const RESOURCES: [(&str, &str); 14] = [
    ("pods", "Pod"),
    ("nodes", "Node"),
    ("events", "Event"),
    ("services", "Service"),
    ("endpointslices", "EndpointSlice"),
    ("deployments", "Deployment"),
    ("replicasets", "ReplicaSet"),
    ("statefulsets", "StatefulSet"),
    ("daemonsets", "DaemonSet"),
    ("jobs", "Job"),
    ("cronjobs", "CronJob"),
    ("persistentvolumeclaims", "PersistentVolumeClaim"),
    ("ingresses", "Ingress"),
    ("secrets", "Secret"),
];

impl Get for Server {
    fn get(&self, path: &str) -> Result<Answer, String> {
        self.asked.borrow_mut().push(path.to_owned());
        let (place, query) = path.split_once('?').expect("a query");
        let resource = place.rsplit('/').next().expect("a resource");
        let answer = |status, body: Value| Ok(Answer { status, body: body.to_string().into_bytes() });
        if let Some((_, status)) = self.fault.filter(|(name, _)| *name == resource || *name == "all") {
            return match status {
                0 => Err("timed out".to_owned()),
                status => answer(status, json!({"kind": "Status", "message": "that is so"})),
            };
        }
        if resource == "log" {
            let parts: Vec<&str> = place.split('/').collect();
            let name = format!("{}_{}_cart.previous.log", parts[4], parts[6]);
            let log = self.list["logs"][name].as_str().unwrap_or_default();
            return Ok(Answer { status: 200, body: log.as_bytes().to_vec() });
        }
        let Some((_, kind)) = RESOURCES.iter().find(|(name, _)| *name == resource) else {
            return answer(200, json!({"items": null, "metadata": {}}));
        };
        let all: Vec<Value> = self.list["items"]
            .as_array()
            .expect("items")
            .iter()
            .filter(|o| o["kind"] == *kind)
            .filter(|o| !query.contains("fieldSelector") || o["type"] == "kubernetes.io/tls")
            .cloned()
            .map(|mut o| {
                o.as_object_mut().expect("an object").remove("kind");
                o
            })
            .collect();
        let start = query
            .split("continue=")
            .nth(1)
            .map_or(0, |token| token.trim_end_matches("%3D").parse().expect("ours"));
        let end = all.len().min(start + 2);
        // A token as the API's: with a character that has to be escaped.
        let next = if end < all.len() { format!("{end}=") } else { String::new() };
        answer(200, json!({"items": all[start..end], "metadata": {"continue": next}}))
    }
}

struct Live(Server, Scope);

impl Cluster for Live {
    fn record(&self) -> Result<Recording, String> {
        read(&self.0, &self.1)
    }
}

fn live(fault: Option<(&'static str, u16)>) -> Live {
    let faults = corpus("faults.json");
    let crash = faults.as_array().expect("list").iter().find(|f| f["fault"] == "crash_database_refused");
    let server = Server { list: planted(crash.expect("there")), fault, asked: RefCell::default() };
    Live(server, Scope::default())
}

fn ids(diagnosis: &Diagnosis) -> Vec<&str> {
    diagnosis.findings.iter().map(|f| f.id.as_str()).collect()
}

#[test]
fn the_api_gives_the_findings_of_the_recording() {
    let live = live(None);
    let diagnosis = diagnose(&live, None).expect("it answers");
    let file = diagnose(&files(&live.0.list), None).expect("it can be read");
    assert_eq!(ids(&diagnosis), ids(&file));
    assert!(diagnosis.unread.is_empty(), "{:?}", diagnosis.unread);
    // The log was fetched: its line is evidence.
    assert!(diagnosis.findings[0].evidence.iter().any(|e| e.text.contains("connection refused")));
    let asked = live.0.asked.borrow();
    assert!(asked.iter().any(|path| path.ends_with("continue=2%3D")), "{asked:?}");
    assert!(!asked.iter().any(|path| path.contains("secrets") || path.contains("configmaps")), "{asked:?}");
}

#[test]
fn secrets_are_asked_for_by_type_and_only_if_allowed() {
    let mut live = live(None);
    live.1.tls_secrets = true;
    let recording = live.record().expect("it answers");
    let secrets: Vec<_> = recording.objects.iter().filter(|o| o.kind == "Secret").collect();
    assert!(!secrets.is_empty());
    assert!(
        secrets
            .iter()
            .all(|o| o.value["type"] == "kubernetes.io/tls" && o.value["data"]["tls.key"].is_null())
    );
    assert!(
        live.0.asked.borrow().iter().all(
            |path| !path.contains("secrets") || path.contains("fieldSelector=type%3Dkubernetes.io%2Ftls")
        )
    );
}

#[test]
fn what_may_not_be_read_is_named_and_nothing_follows_from_it() {
    for (resource, status, words) in [
        ("pods", 403, "grant `list` on pods"),
        ("pods", 410, "410"),
        ("services", 500, "500: that is so"),
        ("events", 0, "timed out"),
    ] {
        let diagnosis = diagnose(&live(Some((resource, status))), None).expect("the rest is read");
        assert_eq!(diagnosis.unread.len(), 1, "{:?}", diagnosis.unread);
        assert!(diagnosis.unread[0].reason.contains(words), "{:?}", diagnosis.unread);
        assert!(
            diagnosis.findings.iter().all(|f| f.rule != "service-no-pods" && f.rule != "ingress-no-service")
        );
    }
    let refused = live(Some(("pods", 401)));
    assert!(refused.record().expect_err("nobody").contains("token"));
    // An API that does not answer is asked twice, not once for each kind.
    let gone = live(Some(("all", 0)));
    assert!(gone.record().expect_err("silent").contains("timed out"));
    assert_eq!(gone.0.asked.borrow().len(), 2);
}

#[test]
fn one_namespace_is_asked_for_where_the_token_has_no_more() {
    let mut live = live(None);
    live.1.namespace = Some("shop".to_owned());
    let _ = live.record();
    assert!(live.0.asked.borrow().iter().all(|path| path.contains("/namespaces/shop/")));
}
