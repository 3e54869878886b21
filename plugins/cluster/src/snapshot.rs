//! The recording with its indexes: who owns what, which events and logs belong to which object, and when it was made.
//!
//! Invariant: no clock is read. "Now" is the latest moment that the API wrote into an object; the same recording always
//! gives the same findings.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use serde_json::Value;

use crate::Unread;
use crate::object::{Object, at, fields, int, items, key, text, time};
use crate::source::{self, Log, Recording};

/// Fields that hold a moment at which something had happened. Deadlines are not among them.
const MOMENTS: [&str; 15] = [
    "lastTimestamp",
    "firstTimestamp",
    "eventTime",
    "lastObservedTime",
    "creationTimestamp",
    "lastHeartbeatTime",
    "lastTransitionTime",
    "lastUpdateTime",
    "startedAt",
    "finishedAt",
    "startTime",
    "completionTime",
    "lastScheduleTime",
    "lastSuccessfulTime",
    "lastScaleTime",
];

/// How long after the recording a warning event still speaks of the present, in seconds: events are kept for an hour.
pub const FRESH: i64 = 3600;

/// An event of either API group, in one form.
#[derive(Debug)]
pub struct Event {
    /// Place in [`Snapshot::objects`].
    pub object: usize,
    /// Of its last occurrence.
    pub last: Option<Timestamp>,
    /// Occurrences.
    pub count: i64,
}

/// The recording, ready for rules.
#[derive(Debug)]
pub struct Snapshot {
    /// All objects.
    pub objects: Vec<Object>,
    /// All logs.
    pub logs: Vec<Log>,
    /// What was not understood.
    pub unread: Vec<Unread>,
    /// When the recording was made.
    pub now: Option<Timestamp>,
    by_key: HashMap<String, usize>,
    by_kind: BTreeMap<String, Vec<usize>>,
    partial: HashSet<String>,
    events: HashMap<String, Vec<Event>>,
    /// Places of objects by what they belong to: see [`belongs`].
    belonging: HashMap<String, Vec<usize>>,
    /// By the key of a workload: whether a pod of it is ready, and how many of its pods have not failed.
    crews: HashMap<String, (bool, i64)>,
}

impl Snapshot {
    /// Indexes a recording.
    #[must_use]
    pub fn new(recording: Recording) -> Snapshot {
        let Recording { mut objects, logs, unread, partial } = recording;
        // A pod may stand in two files; the first counts.
        let mut seen = HashSet::new();
        objects.retain(|object| seen.insert(object.key()));
        let mut now = None;
        let mut by_key = HashMap::new();
        let mut by_kind: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        let mut events: HashMap<String, Vec<Event>> = HashMap::new();
        for (index, object) in objects.iter().enumerate() {
            now = now.max(latest(&object.value, 0));
            by_key.insert(object.key(), index);
            by_kind.entry(object.kind.clone()).or_default().push(index);
            if object.kind == "Event" {
                let about = match at(&object.value, "/involvedObject") {
                    Value::Null => at(&object.value, "/regarding"),
                    about => about,
                };
                let value = &object.value;
                let last =
                    ["/series/lastObservedTime", "/lastTimestamp", "/deprecatedLastTimestamp", "/eventTime"]
                        .iter()
                        .find_map(|path| time(value, path))
                        .or_else(|| time(value, "/metadata/creationTimestamp"));
                let count =
                    ["/series/count", "/count", "/deprecatedCount"].iter().map(|path| int(value, path)).max();
                let about = key(text(about, "/kind"), text(about, "/namespace"), text(about, "/name"));
                events.entry(about).or_default().push(Event {
                    object: index,
                    last,
                    count: count.unwrap_or(0).max(1),
                });
            }
        }
        for list in events.values_mut() {
            list.sort_by_key(|event| std::cmp::Reverse(event.last));
        }
        let mut belonging: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, object) in objects.iter().enumerate() {
            for place in belongs(object) {
                belonging.entry(place).or_default().push(index);
            }
        }
        let mut snapshot = Snapshot {
            objects,
            logs,
            unread,
            now,
            by_key,
            by_kind,
            partial,
            events,
            belonging,
            crews: HashMap::new(),
        };
        let mut crews: HashMap<String, (bool, i64)> = HashMap::new();
        for pod in snapshot.kind("Pod") {
            let (ready, living) = crews.entry(snapshot.crew(pod)).or_default();
            *ready |= is_ready(pod);
            *living += i64::from(text(&pod.value, "/status/phase") != "Failed");
        }
        snapshot.crews = crews;
        snapshot
    }

    /// The key of a pod's workload.
    fn crew(&self, pod: &Object) -> String {
        let (kind, name) = self.workload(pod);
        key(&kind, &pod.namespace, &name)
    }

    /// Whether any pod of a pod's workload is ready, and how many of them have not failed.
    #[must_use]
    pub fn crew_of(&self, pod: &Object) -> (bool, i64) {
        self.crews.get(&self.crew(pod)).copied().unwrap_or_default()
    }

    /// What belongs to a place, in the order of the recording: [`on_node`], [`of_claim`], [`owned_by`].
    pub fn belonging<'a>(&'a self, place: &str) -> impl Iterator<Item = &'a Object> + use<'a> {
        self.belonging.get(place).into_iter().flatten().filter_map(|index| self.objects.get(*index))
    }

    /// All objects of a kind.
    pub fn kind<'a>(&'a self, kind: &str) -> impl Iterator<Item = &'a Object> + use<'a> {
        self.by_kind.get(kind).into_iter().flatten().filter_map(|index| self.objects.get(*index))
    }

    /// Whether objects of this kind were recorded, and all of them: else nothing can be said to be missing.
    #[must_use]
    pub fn has(&self, kind: &str) -> bool {
        self.by_kind.contains_key(kind)
            && ![kind, source::ALL].iter().any(|kind| self.partial.contains(*kind))
    }

    /// Whether any object of this kind was recorded in this namespace.
    #[must_use]
    pub fn has_in(&self, kind: &str, namespace: &str) -> bool {
        self.has(kind) && self.kind(kind).any(|object| object.namespace == namespace)
    }

    /// The object of this kind and name.
    #[must_use]
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<&Object> {
        self.by_key.get(&key(kind, namespace, name)).and_then(|index| self.objects.get(*index))
    }

    /// The warning events of an object in the hour before the recording, latest first.
    pub fn warnings<'a>(&'a self, object: &Object) -> impl Iterator<Item = &'a Object> + use<'a> {
        // Cluster-scoped objects have their events in `default`, with or without a namespace in the reference.
        let direct = self.events.get(&object.key());
        direct
            .into_iter()
            .flatten()
            .filter(|event| self.age(event.last).is_none_or(|age| age <= FRESH))
            .filter_map(|event| self.objects.get(event.object))
            .filter(|event| text(&event.value, "/type") == "Warning")
    }

    /// All events of an object, latest first.
    pub fn events<'a>(&'a self, object: &Object) -> impl Iterator<Item = &'a Object> + use<'a> {
        self.events
            .get(&object.key())
            .into_iter()
            .flatten()
            .filter_map(|event| self.objects.get(event.object))
    }

    /// Seconds from a moment to the recording.
    #[must_use]
    pub fn age(&self, then: Option<Timestamp>) -> Option<i64> {
        Some(self.now?.as_second() - then?.as_second())
    }

    /// The workload that a pod, ReplicaSet or Job belongs to in the end: kind and name; itself where it has no owner.
    #[must_use]
    pub fn workload(&self, object: &Object) -> (String, String) {
        let (mut kind, mut name) = (object.kind.clone(), object.name.clone());
        let mut current = Some(object);
        // Pod, ReplicaSet, Deployment and, for some operators, one above.
        for _ in 0..4 {
            let Some((owner, owner_name)) = current.and_then(Object::owner) else { break };
            // Static pods are owned by their node.
            if owner == "Node" || owner_name.is_empty() {
                break;
            }
            if owner == "ReplicaSet" && self.get(owner, &object.namespace, owner_name).is_none() {
                // The ReplicaSet was not recorded: its name is the Deployment's with the template's hash.
                let hash = text(&object.value, "/metadata/labels/pod-template-hash");
                if let Some(deployment) =
                    owner_name.strip_suffix(hash).and_then(|name| name.strip_suffix('-'))
                {
                    return ("Deployment".to_owned(), deployment.to_owned());
                }
            }
            (kind, name) = (owner.to_owned(), owner_name.to_owned());
            current = self.get(owner, &object.namespace, owner_name);
        }
        (kind, name)
    }

    /// The pods that a selector of labels selects in a namespace.
    pub fn selected<'a>(
        &'a self,
        namespace: &'a str,
        selector: &'a serde_json::Map<String, Value>,
    ) -> impl Iterator<Item = &'a Object> {
        let first = selector.iter().next();
        let place = first.map(|(name, value)| labelled(namespace, name, value)).unwrap_or_default();
        self.belonging(&place).filter(move |pod| crate::object::selects(selector, pod.labels()))
    }

    /// The logs of a container, the previous run first: that is the one that failed.
    #[must_use]
    pub fn logs_of(&self, pod: &Object, container: &str) -> Vec<&Log> {
        let stem = format!("{}_{}_{container}.", pod.namespace, pod.name);
        let mut all: Vec<&Log> = self.logs.iter().filter(|log| log.file.starts_with(&stem)).collect();
        all.sort_by_key(|log| !log.file.contains(".previous."));
        all
    }

    /// Names of all namespaces that objects are in, sorted.
    #[must_use]
    pub fn namespaces(&self) -> Vec<String> {
        let listed = self.kind("Namespace").map(|object| object.name.clone());
        let used = self.objects.iter().filter(|object| !object.namespace.is_empty());
        let mut all: Vec<String> = listed.chain(used.map(|object| object.namespace.clone())).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// Place of what runs on a node.
#[must_use]
pub fn on_node(node: &str) -> String {
    format!("node {node}")
}

/// Place of the pods that use a volume claim.
#[must_use]
pub fn of_claim(namespace: &str, claim: &str) -> String {
    format!("claim {namespace} {claim}")
}

/// Place of what an object owns.
#[must_use]
pub fn owned_by(namespace: &str, kind: &str, name: &str) -> String {
    format!("owner {namespace} {kind} {name}")
}

fn labelled(namespace: &str, name: &str, value: &Value) -> String {
    format!("label {namespace} {name} {}", value.as_str().unwrap_or_default())
}

/// The places that an object belongs to.
fn belongs(object: &Object) -> Vec<String> {
    let namespace = &object.namespace;
    let mut all: Vec<String> =
        object.owner().map(|(kind, name)| owned_by(namespace, kind, name)).into_iter().collect();
    if object.kind == "Pod" {
        all.push(on_node(text(&object.value, "/spec/nodeName")));
        all.extend(object.labels().iter().map(|(name, value)| labelled(namespace, name, value)));
        for volume in items(&object.value, "/spec/volumes") {
            match text(volume, "/persistentVolumeClaim/claimName") {
                "" => {}
                claim => all.push(of_claim(namespace, claim)),
            }
        }
        all.sort_unstable();
        all.dedup();
    }
    all
}

/// Whether a pod counts as an endpoint.
#[must_use]
pub fn is_ready(pod: &Object) -> bool {
    pod.condition("Ready").is_some_and(|condition| text(condition, "/status") == "True")
        && at(&pod.value, "/metadata/deletionTimestamp").is_null()
}

/// The message of an event of either API group.
#[must_use]
pub fn message(event: &Object) -> &str {
    match text(&event.value, "/message") {
        "" => text(&event.value, "/note"),
        message => message,
    }
}

/// The latest moment in a value.
fn latest(value: &Value, depth: usize) -> Option<Timestamp> {
    if depth > 8 {
        return None;
    }
    match value {
        Value::Array(all) => all.iter().map(|value| latest(value, depth + 1)).max().flatten(),
        Value::Object(all) => all
            .iter()
            .map(|(name, value)| match value.as_str() {
                Some(moment) if MOMENTS.contains(&name.as_str()) => moment.parse().ok(),
                Some(_) => None,
                // A pod template or a claim template is no record of what happened; the spec holds none.
                None if depth == 0 && name == "spec" => None,
                None => latest(value, depth + 1),
            })
            .max()
            .flatten(),
        _ => None,
    }
}

/// The labels that a selector with `matchLabels` asks for.
#[must_use]
pub fn match_labels<'a>(value: &'a Value, path: &str) -> &'a serde_json::Map<String, Value> {
    fields(value, &format!("{path}/matchLabels"))
}
