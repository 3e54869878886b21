//! Reads the Kubernetes API: the objects that the rules need, page by page, and the last lines of what crashes.
//!
//! Invariant: only GET, only the paths below; no secret but, where the operator allows it, those of type
//! kubernetes.io/tls. What may not be read, does not answer or is too much is named and costs nothing else, and a kind
//! that was not read whole is never said to lack anything. Kubernetes API conventions: lists with `limit` and
//! `continue`, 410 where a list has gone stale; `Status` objects as errors.

use std::rc::Rc;

use serde_json::Value;

use crate::object::{Object, at, int, items, text};
use crate::shape;
use crate::source::{Log, MAX_JSON, MAX_OBJECTS, Recording};

/// One answer of the API.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// At most [`MAX_ANSWER`] bytes.
    pub body: Vec<u8>,
}

/// The way to the API.
pub trait Get {
    /// GETs a path with its query.
    ///
    /// # Errors
    /// Where no answer came: refused, timed out, too long.
    fn get(&self, path: &str) -> Result<Answer, String>;
}

/// What is read beyond the usual.
#[derive(Debug, Default, Clone)]
pub struct Scope {
    /// Only this namespace, for tokens that may not list all; objects without a namespace are left out.
    pub namespace: Option<String>,
    /// Also secrets of type kubernetes.io/tls, whose answer holds the private keys. They are dropped unread.
    pub tls_secrets: bool,
}

/// Bytes of one answer.
pub const MAX_ANSWER: usize = 8 << 20;
/// Objects of one page.
const PAGE: usize = 200;
/// Pages of one kind.
const MAX_PAGES: usize = 50;
/// Requests without an answer after which the API is taken for gone.
const MAX_SILENT: usize = 2;
/// Containers whose logs are read.
const MAX_LOGS: usize = 20;
/// Lines and bytes of one log.
const LOG_LINES: usize = 100;
const LOG_BYTES: usize = 32 << 10;

/// Kinds, the prefix of their group, their resource, and whether they are in namespaces; those that say most first.
const KINDS: [(&str, &str, &str, bool); 24] = [
    ("Pod", "/api/v1", "pods", true),
    ("Node", "/api/v1", "nodes", false),
    ("Event", "/api/v1", "events", true),
    ("Deployment", "/apis/apps/v1", "deployments", true),
    ("ReplicaSet", "/apis/apps/v1", "replicasets", true),
    ("StatefulSet", "/apis/apps/v1", "statefulsets", true),
    ("DaemonSet", "/apis/apps/v1", "daemonsets", true),
    ("Service", "/api/v1", "services", true),
    ("EndpointSlice", "/apis/discovery.k8s.io/v1", "endpointslices", true),
    ("Job", "/apis/batch/v1", "jobs", true),
    ("CronJob", "/apis/batch/v1", "cronjobs", true),
    ("PersistentVolumeClaim", "/api/v1", "persistentvolumeclaims", true),
    ("PersistentVolume", "/api/v1", "persistentvolumes", false),
    ("StorageClass", "/apis/storage.k8s.io/v1", "storageclasses", false),
    ("Ingress", "/apis/networking.k8s.io/v1", "ingresses", true),
    ("IngressClass", "/apis/networking.k8s.io/v1", "ingressclasses", false),
    ("NetworkPolicy", "/apis/networking.k8s.io/v1", "networkpolicies", true),
    ("HorizontalPodAutoscaler", "/apis/autoscaling/v2", "horizontalpodautoscalers", true),
    ("ResourceQuota", "/api/v1", "resourcequotas", true),
    ("Namespace", "/api/v1", "namespaces", false),
    ("APIService", "/apis/apiregistration.k8s.io/v1", "apiservices", false),
    ("Certificate", "/apis/cert-manager.io/v1", "certificates", true),
    ("Secret", "/api/v1", "secrets", true),
    // Nothing is read of them: their values are no one's business, and without all of them none is missing.
    ("ConfigMap", "", "configmaps", true),
];

/// Reads all that may be read.
///
/// # Errors
/// Where the API lets nobody in, or does not answer at all.
pub fn read(api: &impl Get, scope: &Scope) -> Result<Recording, String> {
    let mut recording = Recording::default();
    let (mut left, mut silent) = (MAX_JSON, 0);
    for (kind, group, resource, namespaced) in KINDS {
        let path = match (&scope.namespace, namespaced) {
            _ if kind == "ConfigMap" || kind == "Secret" && !scope.tls_secrets => None,
            (Some(namespace), true) => Some(format!("{group}/namespaces/{namespace}/{resource}")),
            (Some(_), false) => None,
            (None, _) => Some(format!("{group}/{resource}")),
        };
        let Some(path) = path else {
            recording.partial.insert(kind.to_owned());
            continue;
        };
        if kind == "Secret" {
            // Of the others it cannot be said that they are missing.
            recording.partial.insert(kind.to_owned());
        }
        if silent >= MAX_SILENT {
            recording.note(&path, "not asked for: the API no longer answers");
            recording.partial.insert(kind.to_owned());
            continue;
        }
        match list(api, &mut recording, kind, &path, &mut left) {
            Ok(()) => {}
            Err(Failure::Absent) if kind == "Certificate" => {}
            Err(Failure::Refused) => {
                return Err(
                    "the API does not know who asks (401): give a valid token as the setting `token`"
                        .to_owned(),
                );
            }
            Err(failure) => {
                silent += usize::from(matches!(failure, Failure::Silent(_)));
                recording.note(&path, failure.reason(resource));
                recording.partial.insert(kind.to_owned());
            }
        }
    }
    if recording.objects.is_empty() && !recording.unread.is_empty() {
        let reasons: Vec<String> = recording
            .unread
            .iter()
            .take(3)
            .map(|unread| format!("{}: {}", unread.file, unread.reason))
            .collect();
        return Err(format!("nothing could be read from the API: {}", reasons.join("; ")));
    }
    if silent < MAX_SILENT {
        logs(api, &mut recording);
    }
    Ok(recording)
}

enum Failure {
    /// 401.
    Refused,
    /// 403, with the API's words.
    Forbidden(String),
    /// 404: there is no such kind.
    Absent,
    /// No answer.
    Silent(String),
    /// Any other answer, or one that cannot be read.
    Odd(String),
    /// A limit of this plugin.
    Limit(String),
}

impl Failure {
    fn reason(self, resource: &str) -> String {
        match self {
            Failure::Refused => "401".to_owned(),
            Failure::Forbidden(said) => {
                format!("not allowed (403): grant `list` on {resource} to the token's account. {said}")
            }
            Failure::Absent => "this API has no such kind (404)".to_owned(),
            Failure::Silent(said) => format!("no answer: {said}"),
            Failure::Odd(said) | Failure::Limit(said) => said,
        }
    }
}

/// All pages of one kind.
fn list(
    api: &impl Get,
    recording: &mut Recording,
    kind: &str,
    path: &str,
    left: &mut u64,
) -> Result<(), Failure> {
    let file: Rc<str> = path.into();
    let filter = if kind == "Secret" { "&fieldSelector=type%3Dkubernetes.io%2Ftls" } else { "" };
    let mut next = String::new();
    for _ in 0..MAX_PAGES {
        let answer = api.get(&format!("{path}?limit={PAGE}{filter}{next}")).map_err(Failure::Silent)?;
        let size = answer.body.len() as u64;
        if size > *left {
            return Err(Failure::Limit(format!(
                "more than {MAX_JSON} bytes in all; what follows was left out: set `namespace` to read less"
            )));
        }
        *left -= size;
        let value: Option<Value> = serde_json::from_slice(&answer.body).ok();
        let said = || -> String {
            value
                .as_ref()
                .map(|value| text(value, "/message").chars().take(200).collect())
                .unwrap_or_default()
        };
        match answer.status {
            200 => {}
            401 => return Err(Failure::Refused),
            403 => return Err(Failure::Forbidden(said())),
            404 => return Err(Failure::Absent),
            410 => {
                return Err(Failure::Odd(
                    "the list went stale while it was read (410); ask again".to_owned(),
                ));
            }
            other => return Err(Failure::Odd(format!("the API answered {other}: {}", said()))),
        }
        let Some(mut value) = value else {
            return Err(Failure::Odd("what the API answered is not JSON: is this its address?".to_owned()));
        };
        let all = match value.pointer_mut("/items") {
            Some(Value::Array(all)) => std::mem::take(all),
            Some(Value::Null) => Vec::new(),
            _ => {
                return Err(Failure::Odd(
                    "what the API answered is no list: is this its address?".to_owned(),
                ));
            }
        };
        for mut item in all {
            if recording.objects.len() >= MAX_OBJECTS {
                return Err(Failure::Limit(format!("more than {MAX_OBJECTS} objects; the rest is left out")));
            }
            // Items of a list do not repeat their kind.
            if let Some(fields) = item.as_object_mut() {
                fields.insert("kind".to_owned(), kind.into());
            }
            match Object::new(item, &file) {
                Ok(mut object) => {
                    let reasons = shape::harmful(&mut object).into_iter().chain(shape::wrong(&object));
                    reasons.for_each(|reason| recording.note(path, reason));
                    recording.objects.push(object);
                }
                Err(reason) => recording.note(path, reason),
            }
        }
        match text(&value, "/metadata/continue") {
            "" => return Ok(()),
            token => next = format!("&continue={}", escaped(token)),
        }
    }
    Err(Failure::Limit(format!("more than {} objects; the rest is left out", MAX_PAGES * PAGE)))
}

/// The end of the logs of containers that crash, and of pods that failed.
fn logs(api: &impl Get, recording: &mut Recording) {
    let mut wanted = Vec::new();
    for pod in recording.objects.iter().filter(|object| object.kind == "Pod") {
        for list in ["/status/initContainerStatuses", "/status/containerStatuses"] {
            for status in items(&pod.value, list) {
                let ended = |state: &str| {
                    let end = at(status, state);
                    !end.is_null() && int(end, "/exitCode") != 0
                };
                let loops = text(status, "/state/waiting/reason") == "CrashLoopBackOff";
                let previous = loops || int(status, "/restartCount") > 2 && ended("/lastState/terminated");
                if previous || ended("/state/terminated") {
                    let name = text(status, "/name").to_owned();
                    wanted.push((pod.namespace.clone(), pod.name.clone(), name, previous));
                }
            }
        }
    }
    if wanted.len() > MAX_LOGS {
        let reason = format!("{} containers failed; the logs of {MAX_LOGS} were read", wanted.len());
        recording.note("/log", reason);
    }
    for (namespace, pod, container, previous) in wanted.into_iter().take(MAX_LOGS) {
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/log");
        let query = format!(
            "?container={}&tailLines={LOG_LINES}&limitBytes={LOG_BYTES}&previous={previous}",
            escaped(&container)
        );
        match api.get(&format!("{path}{query}")) {
            Ok(answer) if answer.status == 200 => {
                let end = if previous { ".previous.log" } else { ".log" };
                let body = answer.body.get(..LOG_BYTES.min(answer.body.len())).unwrap_or_default();
                recording.logs.push(Log {
                    file: format!("{namespace}_{pod}_{container}{end}"),
                    text: String::from_utf8_lossy(body).into_owned(),
                });
            }
            Ok(Answer { status: 403, .. }) => {
                return recording
                    .note(&path, "not allowed (403): grant `get` on pods/log to the token's account");
            }
            // The container is gone, or has written nothing.
            Ok(_) => {}
            Err(reason) => return recording.note(&path, format!("no answer: {reason}")),
        }
    }
}

/// Percent-encoded for a query, RFC 3986.
fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut all, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => all.push(char::from(byte)),
            _ => all.push_str(&format!("%{byte:02X}")),
        }
        all
    })
}
