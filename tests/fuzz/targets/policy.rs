//! A manifest's requests and an operator's grants: what is effective, and which request may go out.
//!
//! Every eight bytes of the text are tried as addresses too: what the standard library calls private, loopback,
//! link-local, multicast, unspecified or documentation is never public, however it is written.
//!
//! Input: the kind and host of a request in the first line, then the manifest's capabilities, a line `===`, then the
//! grant. Promise: a request goes out only where a rule of each side names its host, by an independent reading of what
//! rules mean; further ones in [`pawl_plugin::fuzzing::policy`].

#![no_main]

use std::net::{Ipv4Addr, Ipv6Addr};

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

/// Whether an address must not be public, by the standard library's words.
fn set_aside(address: Ipv4Addr) -> bool {
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_multicast()
        || address.is_unspecified()
        || address.is_documentation()
}

/// An address and all that carry it in IPv6.
fn addresses(chunk: [u8; 8]) {
    let [a, b, c, d, e, f, g, h] = chunk;
    let four = Ipv4Addr::new(a, b, c, d);
    let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    let carrying = [
        four.to_ipv6_mapped(),
        four.to_ipv6_compatible(),
        Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
        Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
    ];
    if set_aside(four) {
        assert!(!fuzzing::is_public(four.into()), "{four}");
        for six in carrying {
            assert!(!fuzzing::is_public(six.into()), "{six} is {four}");
        }
    }
    let six = Ipv6Addr::from([a, b, c, d, e, f, g, h, a, b, c, d, e, f, g, h]);
    if six.is_loopback()
        || six.is_multicast()
        || six.is_unspecified()
        || (six.segments()[0] & 0xe000) != 0x2000
    {
        assert!(
            !fuzzing::is_public(six.into()) || six.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0],
            "{six}"
        );
    }
}

fuzz_target!(|text: &str| {
    let (chunks, _) = text.as_bytes().as_chunks::<8>();
    chunks.iter().copied().for_each(addresses);
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
