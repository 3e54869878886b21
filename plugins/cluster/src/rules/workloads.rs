//! Workloads and what governs them: rollouts, replicas that are refused, jobs, autoscalers, stuck deletions, webhooks.

use std::collections::HashSet;

use serde_json::Value;

use crate::Severity::{Critical, Info, Warning};
use crate::finding::Found;
use crate::object::{Object, at, items, key, text, time};
use crate::snapshot::{Snapshot, message, owned_by};

/// Seconds that a deletion may take.
const PATIENCE: i64 = 300;

pub(super) fn find(snapshot: &Snapshot, all: &mut Vec<Found>) {
    for service in snapshot.kind("APIService") {
        if service.condition("Available").is_some_and(|condition| text(condition, "/status") == "False") {
            all.push(
                Found::at("api-service-unavailable", Critical, service)
                    .says(
                        format!("The API {} is not served", service.name),
                        "the service behind it has no endpoint, or cannot be reached",
                    )
                    .condition(service, "Available")
                    .due([key(
                        "Service",
                        text(&service.value, "/spec/service/namespace"),
                        text(&service.value, "/spec/service/name"),
                    )])
                    .step(format!("kubectl describe apiservice {}", service.name)),
            );
        }
    }
    refused(snapshot, all);
    for deployment in snapshot.kind("Deployment") {
        if deployment
            .condition("Progressing")
            .is_some_and(|c| text(c, "/reason") == "ProgressDeadlineExceeded")
        {
            all.push(
                Found::at("rollout-stalled", Warning, deployment)
                    .says(
                        format!("The rollout of Deployment {} makes no progress", deployment.name),
                        "its new pods do not become available",
                    )
                    .condition(deployment, "Progressing")
                    .due([deployment.key()])
                    .step(format!(
                        "kubectl -n {} rollout status deployment {} --timeout=1s",
                        deployment.namespace, deployment.name
                    ))
                    .step(format!(
                        "kubectl -n {} rollout undo deployment {}",
                        deployment.namespace, deployment.name
                    )),
            );
        }
    }
    for job in snapshot.kind("Job") {
        all.extend(failed_job(snapshot, job));
    }
    for cron in snapshot.kind("CronJob") {
        all.extend(cron_job(snapshot, cron));
    }
    for hpa in snapshot.kind("HorizontalPodAutoscaler") {
        all.extend(autoscaler(snapshot, hpa));
    }
    for object in &snapshot.objects {
        let stuck = snapshot
            .age(time(&object.value, "/metadata/deletionTimestamp"))
            .is_some_and(|age| age > PATIENCE);
        if stuck && object.kind != "Pod" {
            all.push(terminating(object));
        }
    }
}

/// Why the API server refused to make a pod: rule, cause.
fn refusal(said: &str) -> (&'static str, &'static str) {
    if said.contains("failed calling webhook")
        || said.contains("admission webhook") && said.contains("denied")
    {
        let cause = if said.contains("denied") {
            "an admission webhook refuses the pods; the message says why"
        } else {
            "the service behind an admission webhook does not answer, and its failurePolicy is Fail"
        };
        ("webhook-failing", cause)
    } else if said.contains("exceeded quota") || said.contains("failed quota") {
        (
            "quota-exceeded",
            "the namespace's ResourceQuota is used up, or asks for limits that the pods do not state",
        )
    } else if said.contains("violates PodSecurity") || said.contains("unable to validate against any") {
        ("pod-forbidden", "the namespace's pod security level does not allow what the pod asks for")
    } else if said.contains("serviceaccount") && said.contains("not found") {
        ("missing-reference", "the service account that the pod names does not exist")
    } else if said.contains("LimitRange") || said.contains("maximum ") && said.contains("usage per") {
        ("limit-range", "the pod asks for more than the namespace's LimitRange allows")
    } else {
        ("replica-failure", "the API server refuses the pods; the message says why")
    }
}

/// Pods that a controller could not make.
fn refused(snapshot: &Snapshot, all: &mut Vec<Found>) {
    let mut known = HashSet::new();
    for kind in ["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job"] {
        for owner in snapshot.kind(kind) {
            let condition =
                owner.condition("ReplicaFailure").filter(|condition| text(condition, "/status") == "True");
            // An event alone may be of a try that went well later: then the replicas are there.
            let short = number(owner, "/status/replicas")
                .max(number(owner, "/status/currentNumberScheduled"))
                .max(number(owner, "/status/active"))
                < number(owner, "/spec/replicas")
                    .max(number(owner, "/status/desiredNumberScheduled"))
                    .max(number(owner, "/spec/parallelism"));
            let event =
                snapshot.warnings(owner).find(|event| text(&event.value, "/reason") == "FailedCreate");
            let said = match (condition, event) {
                (Some(condition), _) => text(condition, "/message"),
                (None, Some(event)) if short => message(event),
                _ => continue,
            };
            let (top, name) = snapshot.workload(owner);
            if !known.insert((top.clone(), owner.namespace.clone(), name.clone())) {
                continue;
            }
            let (rule, cause) = refusal(said);
            let mut found = Found::new(rule, Critical, &top, &owner.namespace, &name)
                .says(format!("{top} {name} cannot make its pods"), cause)
                .condition(owner, "ReplicaFailure")
                .about([owner.key()])
                .step(format!(
                    "kubectl -n {} describe {} {}",
                    owner.namespace,
                    owner.kind.to_lowercase(),
                    owner.name
                ));
            if let Some(event) = event {
                found = found.event(event);
            }
            all.push(match rule {
                "quota-exceeded" => {
                    found.step(format!("kubectl -n {} describe resourcequota", owner.namespace))
                }
                "webhook-failing" => webhook(found, said),
                _ => found,
            });
        }
    }
}

fn number(object: &Object, path: &str) -> i64 {
    crate::object::int(&object.value, path)
}

/// Links to the service of the webhook: `https://NAME.NAMESPACE.svc:443/…`.
fn webhook(found: Found, said: &str) -> Found {
    let host = said
        .split("https://")
        .nth(1)
        .and_then(|rest| rest.split([':', '/', '"', '?']).next())
        .unwrap_or_default();
    let mut parts = host.split('.');
    let service = match (parts.next(), parts.next(), parts.next()) {
        (Some(name), Some(namespace), Some("svc")) => Some(key("Service", namespace, name)),
        _ => None,
    };
    found.due(service).step("kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations")
}

fn failed_job(snapshot: &Snapshot, job: &Object) -> Option<Found> {
    let failed = job.condition("Failed").filter(|condition| text(condition, "/status") == "True")?;
    let rule = if text(failed, "/reason") == "DeadlineExceeded" { "job-deadline" } else { "job-failed" };
    let pods: Vec<&Object> = snapshot
        .belonging(&owned_by(&job.namespace, "Job", &job.name))
        .filter(|pod| pod.kind == "Pod")
        .collect();
    let newer = |other: &Object| {
        let done = other.condition("Complete").is_some_and(|condition| text(condition, "/status") == "True");
        done && time(&other.value, "/metadata/creationTimestamp")
            > time(&job.value, "/metadata/creationTimestamp")
    };
    // A later run of the same CronJob went well.
    let runs = job.owner().map(|(kind, name)| owned_by(&job.namespace, kind, name)).unwrap_or_default();
    if snapshot.belonging(&runs).any(newer) {
        return None;
    }
    let (kind, name) = snapshot.workload(job);
    let cause = if rule == "job-deadline" {
        "it ran longer than its activeDeadlineSeconds"
    } else {
        "its pods fail each time; their logs say why"
    };
    let mut found = Found::at(rule, Warning, job)
        .says(format!("Job {} has failed and is not tried again", job.name), cause)
        .condition(job, "Failed")
        .about([key(&kind, &job.namespace, &name)])
        .due(pods.iter().map(|pod| pod.key()))
        .due([job.key()]);
    for pod in &pods {
        for status in items(&pod.value, "/status/containerStatuses") {
            let run = at(status, "/state/terminated");
            if number_at(run, "/exitCode") != 0 {
                found = found.shows(
                    pod,
                    ".status.containerStatuses.state.terminated.reason",
                    text(run, "/reason"),
                );
            }
            if let Some(log) = snapshot.logs_of(pod, text(status, "/name")).first() {
                let line = log.text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
                found.add(format!("{}: last line", log.file), line);
            }
        }
    }
    Some(
        found
            .step(format!("kubectl -n {} describe job {}", job.namespace, job.name))
            .step(format!("kubectl -n {} logs job/{}", job.namespace, job.name)),
    )
}

fn number_at(value: &Value, path: &str) -> i64 {
    crate::object::int(value, path)
}

fn cron_job(snapshot: &Snapshot, cron: &Object) -> Option<Found> {
    let step = format!("kubectl -n {} describe cronjob {}", cron.namespace, cron.name);
    if at(&cron.value, "/spec/suspend") == &Value::Bool(true) {
        return Some(
            Found::at("cron-suspended", Info, cron)
                .says(
                    format!("CronJob {} is suspended: it starts no jobs", cron.name),
                    "someone has set spec.suspend",
                )
                .shows(cron, ".spec.suspend", "true")
                .step(step),
        );
    }
    let reasons = [
        "TooManyMissedTimes",
        "FailedNeedsStart",
        "UnparseableSchedule",
        "UnknownTimeZone",
        "InvalidSchedule",
        "MissSchedule",
        "FailedCreate",
    ];
    let event = snapshot.warnings(cron).find(|event| reasons.contains(&text(&event.value, "/reason")))?;
    Some(
        Found::at("cron-missed", Warning, cron)
            .says(
                format!("CronJob {} does not start its jobs", cron.name),
                "its schedule was missed too often, or cannot be read, or its jobs are refused",
            )
            .event(event)
            .step(step),
    )
}

fn autoscaler(snapshot: &Snapshot, hpa: &Object) -> Option<Found> {
    let no = |kind: &str| hpa.condition(kind).filter(|condition| text(condition, "/status") == "False");
    let target =
        (text(&hpa.value, "/spec/scaleTargetRef/kind"), text(&hpa.value, "/spec/scaleTargetRef/name"));
    let step = format!("kubectl -n {} describe hpa {}", hpa.namespace, hpa.name);
    if no("AbleToScale").is_some_and(|condition| text(condition, "/reason") == "FailedGetScale") {
        return Some(
            Found::at("hpa-target", Warning, hpa)
                .says(
                    format!("Autoscaler {} cannot find {} {}", hpa.name, target.0, target.1),
                    "what it should scale does not exist under this name",
                )
                .condition(hpa, "AbleToScale")
                .step(step),
        );
    }
    let active = no("ScalingActive")?;
    // Scaling is off on purpose where the target has no replicas.
    if text(active, "/reason") == "ScalingDisabled" {
        return None;
    }
    let said = text(active, "/message");
    let cause = if said.contains("missing request for") {
        "a container of the target has no request for the resource that is measured"
    } else if said.contains("could not find the requested resource")
        || said.contains("unable to fetch metrics")
        || said.contains("unable to handle the request")
    {
        "the metrics API is not served: metrics-server, or an adapter, is not running"
    } else if said.contains("no metrics returned") || said.contains("did not receive metrics") {
        "no pod of the target gives metrics: none is ready, or metrics-server cannot reach the kubelets"
    } else {
        "the metrics that it scales by cannot be had; the message says why"
    };
    let apis = snapshot
        .kind("APIService")
        .filter(|service| service.name.contains("metrics.k8s.io"))
        .map(Object::key);
    let metrics = snapshot
        .kind("Deployment")
        .filter(|deployment| deployment.name.contains("metrics-server"))
        .map(Object::key);
    let mut due: Vec<String> = apis.chain(metrics).collect();
    if cause.starts_with("no pod") {
        due.push(key(target.0, &hpa.namespace, target.1));
    }
    let event = snapshot.warnings(hpa).next();
    let found = Found::at("hpa-no-metrics", Warning, hpa)
        .says(format!("Autoscaler {} has no metrics and does not scale", hpa.name), cause)
        .condition(hpa, "ScalingActive")
        .due(due)
        .step(step)
        .step("kubectl get apiservices | grep metrics");
    Some(match event {
        Some(event) => found.event(event),
        None => found,
    })
}

fn terminating(object: &Object) -> Found {
    let value = &object.value;
    let finalizers = items(value, "/metadata/finalizers").iter().chain(items(value, "/spec/finalizers"));
    let names: Vec<&str> = finalizers.filter_map(Value::as_str).collect();
    let cause = if object.kind == "Namespace" {
        "something in it cannot be deleted: an object with a finalizer, or an API that is not served"
            .to_owned()
    } else {
        format!("what should remove finalizer {} does not run, or waits for something", names.join(", "))
    };
    let mut found = Found::at("stuck-terminating", Warning, object)
        .says(format!("{} {} was deleted and does not go away", object.kind, object.name), cause)
        .shows(object, ".metadata.deletionTimestamp", text(value, "/metadata/deletionTimestamp"));
    for condition in items(value, "/status/conditions") {
        if text(condition, "/status") == "True" && object.kind == "Namespace" {
            found = found.shows(
                object,
                &format!(".status.conditions[{}].message", text(condition, "/type")),
                text(condition, "/message"),
            );
        }
    }
    for name in names {
        found = found.shows(object, ".finalizers", name);
    }
    let of = if object.namespace.is_empty() { String::new() } else { format!("-n {} ", object.namespace) };
    found.step(format!("kubectl {of}get {} {} -o yaml", object.kind.to_lowercase(), object.name))
}
