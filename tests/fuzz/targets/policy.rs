//! A manifest's requests and an operator's grants: what is effective, and which request may go out.
//!
//! Input: the kind and host of a request in the first line, then the manifest's capabilities, a line `===`, then the
//! grant. Promise: a request goes out only where a rule of each side names its host, by an independent reading of what
//! rules mean; further ones in [`pawl_plugin::fuzzing::policy`].

#![no_main]

use libfuzzer_sys::fuzz_target;
use pawl_plugin::fuzzing;

const METHODS: [&str; 4] = ["GET", "POST", "TRACE", "get"];

/// Whether a rule's host means this host: labels compared from the right.
fn means(rule: &str, host: &str) -> bool {
    if let (Ok(one), Ok(other)) = (rule.parse::<std::net::IpAddr>(), host.parse::<std::net::IpAddr>()) {
        return one == other;
    }
    let labels = |name: &str| -> Vec<String> {
        name.strip_suffix('.').unwrap_or(name).split('.').rev().map(str::to_ascii_lowercase).collect()
    };
    let (rule, host) = (labels(rule), labels(host));
    match rule.split_last() {
        Some((star, rest)) if star == "*" => {
            host.len() > rest.len()
                && host[..rest.len()] == *rest
                && !host[rest.len()..].iter().all(String::is_empty)
        }
        _ => rule == host,
    }
}

fuzz_target!(|text: &str| {
    let Some((request, text)) = text.split_once('\n') else { return };
    let (asked, given) = text.split_once("\n===\n").unwrap_or((text, text));
    let head = "name = 'p'\nversion = '1'\ndescription = 'd'\n";
    let Some(manifest) = fuzzing::manifest(&format!("{head}{asked}")) else { return };
    let mut parts = request.splitn(3, ' ');
    let (kind, port, host) = (parts.next(), parts.next(), parts.next().unwrap_or_default());
    let kind = kind.and_then(|kind| kind.bytes().next()).unwrap_or_default();
    let port = port.and_then(|port| port.parse().ok()).unwrap_or(if kind & 1 == 1 { 443 } else { 80 });
    let method = METHODS[usize::from(kind >> 1) % METHODS.len()];
    let Some(decision) = fuzzing::policy(&manifest, given, kind & 1 == 1, host, port, method) else { return };
    if decision.allowed {
        assert!(decision.requested.iter().any(|rule| means(rule, host)), "{host}: {decision:?}");
        assert!(decision.granted.iter().any(|rule| means(rule, host)), "{host}: {decision:?}");
        assert_ne!(method, "get");
    }
});
