//! Certificates of secrets of type kubernetes.io/tls, and those of cert-manager: X.509 (RFC 5280), PEM (RFC 7468) in base64.

use data_encoding::BASE64;
use jiff::Timestamp;
use x509_parser::parse_x509_certificate;
use x509_parser::pem::parse_x509_pem;

use crate::Severity::{Critical, Warning};
use crate::finding::Found;
use crate::object::{Object, items, key, text, time};
use crate::snapshot::Snapshot;

/// Days before its end from which on a certificate is told of. Renewal is usual at 30.
const SOON: i64 = 14;
/// The longest certificate that is looked at, in bytes of base64.
const MAX: usize = 256 << 10;
/// Certificates of a chain that are looked at.
const MAX_CHAIN: usize = 8;

pub(super) fn find(snapshot: &Snapshot, all: &mut Vec<Found>) {
    let Some(now) = snapshot.now else { return };
    for secret in snapshot.kind("Secret").filter(|secret| text(&secret.value, "/type") == "kubernetes.io/tls")
    {
        all.extend(judge(snapshot, secret, now));
    }
    all.extend(snapshot.kind("Certificate").filter_map(|certificate| managed(certificate, now)));
}

/// A certificate that cert-manager (cert-manager.io/v1) should renew, and did not.
fn managed(certificate: &Object, now: Timestamp) -> Option<Found> {
    let last = time(&certificate.value, "/status/notAfter")?;
    let days = (last.as_second() - now.as_second()).div_euclid(86_400);
    let (rule, severity, problem) = match days {
        i64::MIN..0 => {
            ("certificate-expired", Critical, format!("Certificate {} expired on {last}", certificate.name))
        }
        0..SOON => (
            "certificate-expiring",
            Warning,
            format!("Certificate {} expires in {days} days, on {last}", certificate.name),
        ),
        _ => return None,
    };
    // A short-lived one is not due before its time of renewal.
    if time(&certificate.value, "/status/renewalTime").is_some_and(|due| due > now) {
        return None;
    }
    Some(
        Found::at(rule, severity, certificate)
            .says(problem, "cert-manager could not renew it; its requests say why")
            .shows(certificate, ".status.notAfter", text(&certificate.value, "/status/notAfter"))
            .condition(certificate, "Ready")
            .step(format!("kubectl -n {} describe certificate {}", certificate.namespace, certificate.name))
            .step(format!("kubectl -n {} get certificaterequests,orders,challenges", certificate.namespace)),
    )
}

fn judge(snapshot: &Snapshot, secret: &Object, now: Timestamp) -> Option<Found> {
    let used = snapshot.kind("Ingress").filter(|ingress| {
        ingress.namespace == secret.namespace
            && items(&ingress.value, "/spec/tls").iter().any(|tls| text(tls, "/secretName") == secret.name)
    });
    let users: Vec<String> = used.map(Object::key).collect();
    let encoded =
        secret.value.pointer("/data/tls.crt").and_then(serde_json::Value::as_str).unwrap_or_default();
    // kubectl's users redact secrets before they share a recording.
    if encoded.is_empty() {
        return None;
    }
    let steps = |found: Found| {
        found
            .about(users.clone())
            .due([key("Certificate", &secret.namespace, &secret.name)])
            .step(format!("kubectl -n {} get certificates,certificaterequests", secret.namespace))
            .step(format!("kubectl -n {} get secret {} -o jsonpath='{{.data.tls\\.crt}}' | base64 -d | openssl x509 -noout -subject -enddate", secret.namespace, secret.name))
    };
    let (first, last) = match validity(encoded) {
        Ok(validity) => validity,
        Err(reason) => {
            return Some(steps(
                Found::at("certificate-invalid", Critical, secret)
                    .says(
                        format!("The certificate in secret {} cannot be read: {reason}", secret.name),
                        "something else was stored as tls.crt",
                    )
                    .shows(secret, ".type", "kubernetes.io/tls"),
            ));
        }
    };
    let days = (last.as_second() - now.as_second()).div_euclid(86_400);
    let found = |rule, severity, problem: String, cause: &str| {
        let found = Found::at(rule, severity, secret).says(problem, cause);
        steps(found.shows(secret, ".data[tls.crt] (notAfter)", &last.to_string()))
    };
    if last < now {
        return Some(found(
            "certificate-expired",
            Critical,
            format!("The certificate in secret {} expired on {last}", secret.name),
            "it was not renewed: what should renew it does not run, or fails",
        ));
    }
    if first > now {
        return Some(found(
            "certificate-expired",
            Critical,
            format!("The certificate in secret {} is valid only from {first} on", secret.name),
            "the issuer's clock is wrong, or it was installed too early",
        ));
    }
    (days < SOON).then(|| {
        found(
            "certificate-expiring",
            Warning,
            format!("The certificate in secret {} expires in {days} days, on {last}", secret.name),
            "it was not renewed in time",
        )
    })
}

/// From when to when all certificates of a chain are valid: one that is over breaks it.
fn validity(encoded: &str) -> Result<(Timestamp, Timestamp), &'static str> {
    if encoded.len() > MAX {
        return Err("it is longer than 256 KiB");
    }
    let pem = BASE64.decode(encoded.as_bytes()).map_err(|_| "it is not base64")?;
    let moment = |seconds: i64| Timestamp::from_second(seconds).map_err(|_| "its dates are out of range");
    let (mut rest, mut span) = (pem.as_slice(), None);
    for _ in 0..MAX_CHAIN {
        // What stands between the blocks is comment; the first block has to be there.
        let Ok((after, block)) = parse_x509_pem(rest) else { break };
        rest = after;
        let (_, certificate) =
            parse_x509_certificate(&block.contents).map_err(|_| "it is not an X.509 certificate")?;
        let validity = certificate.validity();
        let (first, last) =
            (moment(validity.not_before.timestamp())?, moment(validity.not_after.timestamp())?);
        span = Some(
            span.map_or((first, last), |(from, to): (Timestamp, Timestamp)| (from.max(first), to.min(last))),
        );
    }
    span.ok_or("it is not PEM")
}
