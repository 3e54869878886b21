//! Services, ingresses, network policies.

use serde_json::Value;

use super::pods::scaled_to_zero;
use crate::Severity::{Critical, Warning};
use crate::finding::Found;
use crate::object::{Object, at, fields, int, items, key, selects, text, time};
use crate::snapshot::{Snapshot, is_ready, match_labels};

/// Seconds that a load balancer may take to come.
const PATIENCE: i64 = 600;

pub(super) fn find(snapshot: &Snapshot, all: &mut Vec<Found>) {
    for service in snapshot.kind("Service") {
        if let Some(found) = unserved(snapshot, service, all) {
            all.push(found);
        }
        all.extend(no_address(snapshot, service));
    }
    let mut isolated = Vec::new();
    for ingress in snapshot.kind("Ingress") {
        routes(snapshot, ingress, all);
        isolated.extend(backends(ingress).filter_map(|backend| {
            let name = text(backend, "/service/name");
            snapshot.get("Service", &ingress.namespace, name)
        }));
    }
    isolated.sort_by_key(|service| service.key());
    isolated.dedup_by_key(|service| service.key());
    for service in isolated {
        all.extend(shut_off(snapshot, service));
    }
}

/// A service of type LoadBalancer that got no address within [`PATIENCE`].
fn no_address(snapshot: &Snapshot, service: &Object) -> Option<Found> {
    let waits = text(&service.value, "/spec/type") == "LoadBalancer"
        && items(&service.value, "/status/loadBalancer/ingress").is_empty()
        && snapshot
            .age(time(&service.value, "/metadata/creationTimestamp"))
            .is_some_and(|age| age > PATIENCE);
    if !waits {
        return None;
    }
    let said = snapshot.warnings(service).next();
    let found = Found::at("service-load-balancer", Warning, service)
        .says(
            format!("Service {} of type LoadBalancer has no address from outside", service.name),
            match said {
                Some(_) => "the cloud could not make the load balancer; the event says why",
                None => "nothing in this cluster makes load balancers, or its controller does not run",
            },
        )
        .step(format!("kubectl -n {} describe service {}", service.namespace, service.name));
    Some(match said {
        Some(event) => found.event(event),
        None => found.shows(service, ".spec.type", "LoadBalancer"),
    })
}

/// A service that selects pods and has no endpoint.
fn unserved(snapshot: &Snapshot, service: &Object, all: &mut Vec<Found>) -> Option<Found> {
    let selector = fields(&service.value, "/spec/selector");
    if selector.is_empty() || text(&service.value, "/spec/type") == "ExternalName" || !snapshot.has("Pod") {
        return None;
    }
    let pods: Vec<&Object> = snapshot
        .selected(&service.namespace, selector)
        .filter(|pod| !matches!(text(&pod.value, "/status/phase"), "Succeeded" | "Failed"))
        .collect();
    let steps = |found: Found| {
        found
            .step(format!(
                "kubectl -n {} get endpointslices -l kubernetes.io/service-name={}",
                service.namespace, service.name
            ))
            .step(format!("kubectl -n {} get pods --show-labels", service.namespace))
    };
    if pods.is_empty() {
        if let Some(zero) = scaled_to_zero(snapshot, &service.namespace, selector) {
            all.push(zero);
            return None;
        }
        // Workloads whose pods would be selected: then they are missing, and the service is right.
        let makers = ["Deployment", "StatefulSet", "DaemonSet"].iter().flat_map(|kind| snapshot.kind(kind));
        let makers: Vec<String> = makers
            .filter(|w| {
                w.namespace == service.namespace
                    && selects(selector, fields(&w.value, "/spec/template/metadata/labels"))
            })
            .map(Object::key)
            .collect();
        let labels: Vec<String> = selector
            .iter()
            .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()))
            .collect();
        let mut found =
            Found::at("service-no-pods", if makers.is_empty() { Critical } else { Warning }, service)
                .says(
                    format!("Service {} selects no pod", service.name),
                    match makers.is_empty() {
                        true => format!("no pod in the namespace has the labels {}", labels.join(",")),
                        false => "the workload that it selects has no pods".to_owned(),
                    },
                )
                .due(makers);
        for (name, value) in selector {
            found =
                found.shows(service, &format!(".spec.selector[{name}]"), value.as_str().unwrap_or_default());
        }
        return Some(steps(found));
    }
    let ready: Vec<&&Object> = pods.iter().filter(|pod| is_ready(pod)).collect();
    if ready.is_empty() {
        if at(&service.value, "/spec/publishNotReadyAddresses") == &Value::Bool(true) {
            return None;
        }
        let owners = pods.iter().map(|pod| {
            let (kind, name) = snapshot.workload(pod);
            key(&kind, &pod.namespace, &name)
        });
        let mut found = Found::at("service-not-ready", Critical, service).says(
            format!(
                "Service {} has no ready endpoint: none of its {} pods is ready",
                service.name,
                pods.len()
            ),
            "its pods fail; see what they fail at",
        );
        for pod in pods.iter().take(2) {
            found = match pod.condition("Ready") {
                Some(_) => found.condition(pod, "Ready"),
                None => found.shows(pod, ".status.phase", text(&pod.value, "/status/phase")),
            };
        }
        return Some(steps(found.due(pods.iter().map(|pod| pod.key())).due(owners)));
    }
    wrong_port(service, &ready).map(steps)
}

/// A `targetPort` by a name that no container of the ready pods has.
fn wrong_port(service: &Object, ready: &[&&Object]) -> Option<Found> {
    items(&service.value, "/spec/ports").iter().find_map(|port| {
        let target = at(port, "/targetPort").as_str()?;
        let named = |pod: &Object| {
            let containers =
                items(&pod.value, "/spec/containers").iter().chain(items(&pod.value, "/spec/initContainers"));
            containers.into_iter().flat_map(|c| items(c, "/ports")).any(|port| text(port, "/name") == target)
        };
        let numeric = target.parse::<u16>().is_ok();
        (!numeric && !ready.iter().any(|pod| named(pod))).then(|| {
            Found::at("service-port", Critical, service)
                .says(
                    format!(
                        "Service {} forwards to port {target}, and no container names a port so",
                        service.name
                    ),
                    "the name in targetPort is not that of the container's port",
                )
                .shows(service, ".spec.ports.targetPort", target)
        })
    })
}

/// The backends of an ingress.
fn backends(ingress: &Object) -> impl Iterator<Item = &Value> {
    let rules = items(&ingress.value, "/spec/rules").iter().flat_map(|rule| items(rule, "/http/paths"));
    rules.map(|path| at(path, "/backend")).chain([at(&ingress.value, "/spec/defaultBackend")])
}

fn routes(snapshot: &Snapshot, ingress: &Object, all: &mut Vec<Found>) {
    let step = format!("kubectl -n {} describe ingress {}", ingress.namespace, ingress.name);
    for backend in backends(ingress) {
        let name = text(backend, "/service/name");
        if name.is_empty() || !snapshot.has("Service") {
            continue;
        }
        let Some(service) = snapshot.get("Service", &ingress.namespace, name) else {
            all.push(
                Found::at("ingress-no-service", Critical, ingress)
                    .says(
                        format!(
                            "Ingress {} sends requests to service {name}, which does not exist",
                            ingress.name
                        ),
                        "the service has another name, lies in another namespace, or was deleted",
                    )
                    .shows(ingress, ".spec.rules.http.paths.backend.service.name", name)
                    .step(step.clone())
                    .step(format!("kubectl -n {} get services", ingress.namespace)),
            );
            continue;
        };
        let (number, named) = (int(backend, "/service/port/number"), text(backend, "/service/port/name"));
        let fits = |port: &Value| {
            (number != 0 && int(port, "/port") == number)
                || (!named.is_empty() && text(port, "/name") == named)
        };
        if !items(&service.value, "/spec/ports").iter().any(fits) && (number != 0 || !named.is_empty()) {
            let port = if named.is_empty() { number.to_string() } else { named.to_owned() };
            let have: Vec<String> = items(&service.value, "/spec/ports")
                .iter()
                .map(|port| int(port, "/port").to_string())
                .collect();
            all.push(
                Found::at("ingress-no-port", Critical, ingress)
                    .says(format!("Ingress {} sends requests to port {port} of service {name}, which it does not have", ingress.name), format!("the service has {}", have.join(", ")))
                    .shows(ingress, ".spec.rules.http.paths.backend.service.port", &port)
                    .step(step.clone()),
            );
        }
    }
    for tls in items(&ingress.value, "/spec/tls") {
        let name = text(tls, "/secretName");
        if !name.is_empty()
            && snapshot.has_in("Secret", &ingress.namespace)
            && snapshot.get("Secret", &ingress.namespace, name).is_none()
        {
            all.push(
                Found::at("ingress-no-secret", Warning, ingress)
                    .says(
                        format!(
                            "Ingress {} takes its certificate from secret {name}, which does not exist",
                            ingress.name
                        ),
                        "it was never issued, or has another name",
                    )
                    .shows(ingress, ".spec.tls.secretName", name)
                    .step(format!("kubectl -n {} get secrets", ingress.namespace)),
            );
        }
    }
    let class = text(&ingress.value, "/spec/ingressClassName");
    if !class.is_empty() && snapshot.has("IngressClass") && snapshot.get("IngressClass", "", class).is_none()
    {
        all.push(
            Found::at("ingress-no-class", Critical, ingress)
                .says(
                    format!(
                        "No controller serves ingress {}: its class {class} does not exist",
                        ingress.name
                    ),
                    "the class has another name, or its controller is not installed",
                )
                .shows(ingress, ".spec.ingressClassName", class)
                .step("kubectl get ingressclasses"),
        );
    }
}

/// Pods behind an ingress to which no network policy lets anything through.
fn shut_off(snapshot: &Snapshot, service: &Object) -> Option<Found> {
    let selector = fields(&service.value, "/spec/selector");
    let pod = snapshot.selected(&service.namespace, selector).find(|pod| is_ready(pod))?;
    let policies: Vec<&Object> = snapshot
        .kind("NetworkPolicy")
        .filter(|policy| {
            let chosen = at(&policy.value, "/spec/podSelector");
            let expressions = items(chosen, "/matchExpressions");
            let labels = match_labels(&policy.value, "/spec/podSelector");
            let types = items(&policy.value, "/spec/policyTypes");
            policy.namespace == service.namespace
                && expressions.is_empty()
                && (labels.is_empty() || selects(labels, pod.labels()))
                && (types.is_empty() || types.iter().any(|kind| kind == "Ingress"))
        })
        .collect();
    let first = policies.first()?;
    // An expression is not evaluated here: where a policy has one, nothing is said.
    let unsure = snapshot.kind("NetworkPolicy").any(|policy| {
        policy.namespace == service.namespace
            && !items(&policy.value, "/spec/podSelector/matchExpressions").is_empty()
    });
    let open = policies.iter().any(|policy| !items(&policy.value, "/spec/ingress").is_empty());
    (!open && !unsure).then(|| {
        Found::at("network-policy", Critical, first)
            .says(
                format!("NetworkPolicy {} lets nothing in to the pods of service {}, which an ingress sends requests to", first.name, service.name),
                "a policy denies all, and none allows what comes from the ingress controller",
            )
            .shows(first, ".metadata.name", &first.name)
            .about([service.key()])
            .step(format!("kubectl -n {} describe networkpolicy", service.namespace))
    })
}
