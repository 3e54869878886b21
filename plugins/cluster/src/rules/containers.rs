//! Containers: images, configuration, crashes with their cause, probes.

use serde_json::Value;

use super::pods::{describe, fault, severity};
use crate::finding::Found;
use crate::object::{Object, at, int, items, key, text, time};
use crate::snapshot::{Snapshot, message};

/// Seconds within which a restart still speaks of the present.
const RECENT: i64 = 3600;
/// Restarts from which on a container that runs at the moment counts as crashing.
const RESTARTS: i64 = 3;

/// The first fault of its containers; init containers first, for the others wait for them.
pub(super) fn find(snapshot: &Snapshot, pod: &Object) -> Option<Found> {
    let both = [("initContainerStatuses", true), ("containerStatuses", false)];
    both.iter().find_map(|(field, init)| {
        let all = items(&pod.value, &format!("/status/{field}"));
        all.iter().find_map(|status| container(snapshot, &Container { pod, field, init: *init, status }))
    })
}

struct Container<'a> {
    pod: &'a Object,
    field: &'a str,
    init: bool,
    status: &'a Value,
}

impl Container<'_> {
    fn name(&self) -> &str {
        text(self.status, "/name")
    }

    fn place(&self, rest: &str) -> String {
        format!(".status.{}[{}].{rest}", self.field, self.name())
    }

    fn shows(&self, found: Found, path: &str) -> Found {
        let words = text(self.status, &format!("/{path}"));
        found.shows(self.pod, &self.place(&path.replace('/', ".")), words)
    }
}

fn container(snapshot: &Snapshot, c: &Container<'_>) -> Option<Found> {
    let pod = c.pod;
    let (reason, said) = (text(c.status, "/state/waiting/reason"), text(c.status, "/state/waiting/message"));
    let waiting = |rule: &str| {
        let found = fault(snapshot, pod, rule, severity(snapshot, pod));
        let mut found = c.shows(c.shows(found, "state/waiting/reason"), "state/waiting/message");
        if let Some(event) = snapshot.warnings(pod).find(|event| text(&event.value, "/reason") == "Failed") {
            found = found.event(event);
        }
        found.step(describe(pod))
    };
    match reason {
        "ErrImagePull"
        | "ImagePullBackOff"
        | "InvalidImageName"
        | "ErrImageNeverPull"
        | "ImageInspectError"
        | "RegistryUnavailable"
        | "SignatureValidationFailed" => {
            let events: String = snapshot.warnings(pod).map(message).collect::<Vec<_>>().join("\n");
            let image = text(c.status, "/image");
            Some(
                waiting("image-pull")
                    .says(
                        format!("The image {image} of container {} cannot be pulled", c.name()),
                        pull_cause(reason, &format!("{said}\n{events}")),
                    )
                    .step(format!(
                        "kubectl -n {} get pod {} -o jsonpath='{{.spec.imagePullSecrets}}'",
                        pod.namespace, pod.name
                    )),
            )
        }
        "CreateContainerConfigError" => Some(config_error(waiting("missing-reference"), c, said)),
        "CreateContainerError" | "RunContainerError" | "PreStartHookError" | "PostStartHookError" => Some(
            waiting("container-start")
                .says(format!("Container {} cannot be started", c.name()), start_cause(said)),
        ),
        "CrashLoopBackOff" => Some(crash(snapshot, c, true)),
        _ => restarted(snapshot, c),
    }
}

fn pull_cause(reason: &str, said: &str) -> &'static str {
    let said = said.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if reason == "InvalidImageName" {
        "the name of the image is not well formed"
    } else if reason == "ErrImageNeverPull" {
        "the policy is Never and the node does not have the image"
    } else if has(&["no match for platform", "no matching manifest"]) {
        "the image is not built for the processor architecture of the node"
    } else if has(&["toomanyrequests", "rate limit", "429"]) {
        "the registry limits how often it may be asked"
    } else if has(&["not found", "manifest unknown", "does not exist"]) && !has(&["authorization", "denied"])
    {
        "the tag or the repository does not exist in the registry"
    } else if has(&["unauthorized", "authorization", "denied", "forbidden", "no basic auth", "401", "403"]) {
        "the registry refuses it: the pull secret is missing or wrong, or the repository does not exist"
    } else if has(&["x509", "certificate"]) {
        "the node does not trust the registry's certificate"
    } else if has(&["no such host", "timeout", "connection refused", "i/o timeout", "deadline exceeded"]) {
        "the node cannot reach the registry"
    } else {
        "the image's name, the registry's credentials or the way to the registry"
    }
}

fn start_cause(said: &str) -> String {
    for (words, cause) in [
        ("executable file not found", "the command does not exist in the image"),
        (
            "no such file or directory",
            "the command, or a path that it is started with, does not exist in the image",
        ),
        ("permission denied", "the command may not be executed, or a mount may not be read"),
        ("not a directory", "a file is mounted where the image has a folder, or the other way round"),
        ("runAsNonRoot", "the image would run as root and the pod forbids it"),
    ] {
        if said.contains(words) {
            return cause.to_owned();
        }
    }
    "the container runtime refused it; its message says why".to_owned()
}

/// `configmap "NAME" not found`, `secret "NAME" not found`, `couldn't find key KEY in ConfigMap NS/NAME`.
fn config_error(found: Found, c: &Container<'_>, said: &str) -> Found {
    let pod = c.pod;
    let lower = said.to_lowercase();
    if said.contains("runAsNonRoot") || lower.contains("run as root") {
        let mut found = found;
        found.finding.rule = "container-start".to_owned();
        found.finding.id = found.finding.id.replacen("missing-reference", "container-start", 1);
        return found.says(format!("Container {} cannot be started", c.name()), start_cause("runAsNonRoot"));
    }
    let kind = if lower.contains("secret") { "secret" } else { "configmap" };
    found
        .says(
            format!("Container {} refers to a {kind}, or a key of one, that does not exist", c.name()),
            "it was never created, has another name, or lies in another namespace",
        )
        .step(format!("kubectl -n {} get {kind}s", pod.namespace))
}

/// A container that runs, or waits to, after it failed.
fn restarted(snapshot: &Snapshot, c: &Container<'_>) -> Option<Found> {
    let now = at(c.status, "/state/terminated");
    if !now.is_null() {
        let over = c.init && int(now, "/exitCode") == 0;
        let restarts = text(&c.pod.value, "/spec/restartPolicy") != "Never";
        return (!over && int(now, "/exitCode") != 0 && restarts).then(|| crash(snapshot, c, false));
    }
    let last = at(c.status, "/lastState/terminated");
    let recent = snapshot.age(time(last, "/finishedAt")).is_some_and(|age| age < RECENT);
    let often = int(c.status, "/restartCount") >= RESTARTS;
    let failed = recent && int(last, "/exitCode") != 0;
    let oom = text(last, "/reason") == "OOMKilled";
    (failed && (oom || often)).then(|| crash(snapshot, c, false))
}

/// The last run that failed.
fn last_run<'a>(c: &Container<'a>) -> (&'a Value, &'static str) {
    match at(c.status, "/lastState/terminated") {
        Value::Null => (at(c.status, "/state/terminated"), "state/terminated"),
        run => (run, "lastState/terminated"),
    }
}

/// Why a container crashes, as one finding.
fn crash(snapshot: &Snapshot, c: &Container<'_>, loops: bool) -> Found {
    let pod = c.pod;
    let (run, place) = last_run(c);
    let (code, reason) = (int(run, "/exitCode"), text(run, "/reason"));
    let log = error_line(snapshot, pod, c.name());
    let line = log.as_ref().map_or("", |(_, line)| line.as_str());
    let killing = |probe: &str| {
        snapshot.events(pod).find(|event| {
            let said = message(event);
            text(&event.value, "/reason") == "Killing" && said.contains(&format!("failed {probe} probe"))
        })
    };
    let unhealthy = |probe: &str| {
        snapshot.warnings(pod).find(|event| message(event).starts_with(&format!("{probe} probe failed")))
    };
    let doing = if loops { "crashes again and again" } else { "was restarted" };
    let name = c.name();
    let mut probe_events = Vec::new();
    let (rule, problem, cause) = if reason == "OOMKilled" {
        let limit = limit(pod, name);
        let cause = match limit.is_empty() {
            true => "the node ran out of memory, for the container has no limit of its own".to_owned(),
            false => format!("it needs more memory than its limit of {limit}, or it leaks"),
        };
        ("oom-killed", format!("Container {name} {doing}: it was killed for want of memory"), cause)
    } else if said_exec_format(line) || said_exec_format(text(run, "/message")) {
        (
            "image-architecture",
            format!("Container {name} {doing}: its program is not for this processor"),
            "the image is built for another architecture than that of the node".to_owned(),
        )
    } else if let (Some(event), true) = (killing("liveness"), code != 0) {
        probe_events.extend([Some(event), unhealthy("Liveness")]);
        (
            "liveness-probe",
            format!("The kubelet restarts container {name}: its liveness probe fails"),
            probe_cause(unhealthy("Liveness")),
        )
    } else if let (Some(event), true) = (killing("startup"), code != 0) {
        probe_events.extend([Some(event), unhealthy("Startup")]);
        (
            "startup-probe",
            format!(
                "The kubelet restarts container {name}: it does not start in the time of its startup probe"
            ),
            probe_cause(unhealthy("Startup")),
        )
    } else if reason == "StartError" || reason == "ContainerCannotRun" {
        ("container-start", format!("Container {name} cannot be started"), start_cause(text(run, "/message")))
    } else if c.init {
        (
            "init-container",
            format!("Init container {name} fails with exit code {code}; the pod cannot start"),
            exit_cause(code, line),
        )
    } else if code == 0 {
        (
            "crash-loop",
            format!("Container {name} ends at once, without an error, and is started again and again"),
            "its command is no service: it ends when its work is done".to_owned(),
        )
    } else {
        (
            "crash-loop",
            format!("Container {name} {doing}: it ends with exit code {code}"),
            exit_cause(code, line),
        )
    };
    let mut found = fault(snapshot, pod, rule, severity(snapshot, pod)).says(problem, cause);
    found = c.shows(found, &format!("{place}/reason"));
    found = found.shows(pod, &c.place(&format!("{}.exitCode", place.replace('/', "."))), &code.to_string());
    found = c.shows(found, &format!("{place}/message"));
    for event in probe_events.into_iter().flatten() {
        found = found.event(event);
    }
    if let Some((source, line)) = log {
        found.add(source, &line);
    }
    if rule == "crash-loop" || rule == "init-container" {
        found = c.shows(found, "state/waiting/message");
    }
    found
        .step(format!("kubectl -n {} logs {} -c {name} --previous", pod.namespace, pod.name))
        .step(describe(pod))
}

fn said_exec_format(said: &str) -> bool {
    said.to_lowercase().contains("exec format error")
}

fn probe_cause(event: Option<&Object>) -> String {
    let said = event.map(message).unwrap_or_default();
    for (words, cause) in [
        (
            "connection refused",
            "nothing listens on the probe's port: the wrong port, or the program is not up yet",
        ),
        ("statuscode: 404", "the probe's path does not exist in the program"),
        ("statuscode: 5", "the program itself says that it is not well"),
        ("statuscode: 4", "the program refuses the probe"),
        ("deadline exceeded", "the program answers later than the probe's timeout"),
        ("timed out", "the program answers later than the probe's timeout"),
        ("Client.Timeout", "the program answers later than the probe's timeout"),
    ] {
        if said.contains(words) {
            return cause.to_owned();
        }
    }
    "the program does not answer its probe as the probe expects".to_owned()
}

fn exit_cause(code: i64, line: &str) -> String {
    let lower = line.to_lowercase();
    for (words, cause) in [
        ("connection refused", "it cannot reach something that it needs: nothing listens there"),
        ("no such host", "it cannot resolve the name of something that it needs"),
        ("name or service not known", "it cannot resolve the name of something that it needs"),
        ("could not translate host name", "it cannot resolve the name of something that it needs"),
        ("address already in use", "its port is in use already"),
        ("permission denied", "it may not read or write what it needs"),
        ("authentication failed", "its credentials are refused"),
        ("access denied", "its credentials are refused"),
        ("no space left", "its volume is full"),
        ("read-only file system", "it writes where it may only read"),
        ("no such file", "a file that it needs is missing"),
        ("not set", "a setting that it needs is missing"),
        ("is required", "a setting that it needs is missing"),
    ] {
        if lower.contains(words) {
            return cause.to_owned();
        }
    }
    match code {
        126 => "its command may not be executed",
        127 => "its command was not found",
        137 => "it was killed (SIGKILL), from outside the program",
        139 => "the program crashed (SIGSEGV)",
        143 => "it was asked to end (SIGTERM)",
        _ => "the program ends with an error of its own; the log says which",
    }
    .to_owned()
}

/// The last line of a log that tells of an error, else its last line; with its place.
fn error_line(snapshot: &Snapshot, pod: &Object, container: &str) -> Option<(String, String)> {
    const WORDS: [&str; 10] = [
        "fatal",
        "panic",
        "error",
        "exception",
        "failed",
        "refused",
        "denied",
        "cannot",
        "could not",
        "no such",
    ];
    let log = snapshot.logs_of(pod, container).into_iter().find(|log| !log.text.trim().is_empty())?;
    let lines = || log.text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let telling = lines().filter(|(_, line)| {
        let line = line.to_lowercase();
        WORDS.iter().any(|word| line.contains(word))
    });
    let (number, line) = telling.last().or_else(|| lines().last())?;
    Some((format!("{}: line {} of what was read", log.file, number + 1), line.to_owned()))
}

/// The memory limit of a container.
fn limit<'a>(pod: &'a Object, container: &str) -> &'a str {
    let all = items(&pod.value, "/spec/containers").iter().chain(items(&pod.value, "/spec/initContainers"));
    all.into_iter()
        .find(|c| text(c, "/name") == container)
        .map_or("", |c| text(c, "/resources/limits/memory"))
}

/// A pod that failed for good: its containers are not started again.
pub(super) fn exited(snapshot: &Snapshot, pod: &Object) -> Option<Found> {
    // A Job tells of its pods itself, unless the kernel killed them.
    let of_job = pod.owner().is_some_and(|(kind, _)| kind == "Job");
    [("initContainerStatuses", true), ("containerStatuses", false)].iter().find_map(|(field, init)| {
        items(&pod.value, &format!("/status/{field}")).iter().find_map(|status| {
            let run = at(status, "/state/terminated");
            let told = !of_job || text(run, "/reason") == "OOMKilled";
            (int(run, "/exitCode") != 0 && told)
                .then(|| crash(snapshot, &Container { pod, field, init: *init, status }, false))
        })
    })
}

/// Containers that run and are not ready.
pub(super) fn probes(snapshot: &Snapshot, pod: &Object) -> Option<Found> {
    let status = items(&pod.value, "/status/containerStatuses").iter().find(|status| {
        at(status, "/ready") == &Value::Bool(false) && !at(status, "/state/running").is_null()
    })?;
    let started = at(status, "/started") != &Value::Bool(false);
    let (probe, rule) = if started { ("Readiness", "readiness-probe") } else { ("Startup", "startup-probe") };
    let failing = |probe: &str| {
        snapshot.warnings(pod).find(|event| message(event).starts_with(&format!("{probe} probe ")))
    };
    let event = failing(probe).or_else(|| failing("Liveness"))?;
    let name = text(status, "/name");
    let verb = if started {
        "is not ready: its readiness probe fails"
    } else {
        "is not up yet: its startup probe fails"
    };
    let mut found = fault(snapshot, pod, rule, severity(snapshot, pod))
        .says(format!("Container {name} runs and {verb}"), probe_cause(Some(event)))
        .event(event)
        .condition(pod, "Ready");
    if let Some((source, line)) = error_line(snapshot, pod, name) {
        found.add(source, &line);
    }
    Some(
        found
            .due([key("Node", "", text(&pod.value, "/spec/nodeName"))])
            .step(format!("kubectl -n {} logs {} -c {name}", pod.namespace, pod.name))
            .step(describe(pod)),
    )
}
