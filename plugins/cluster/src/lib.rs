//! The `cluster` plugin: what is wrong in a recorded Kubernetes cluster, and why.
//!
//! [`source`] reads a recording (objects as JSON, logs as text), [`api`] the cluster itself, [`snapshot`] indexes it, [`rules`] find what is
//! wrong, [`finding`] puts root causes before what follows from them, [`explain`] has the model put one into words, in a
//! language that [`language`] checks. The types of the interface are in `wit/cluster.wit`.
//!
//! Invariant: findings come from rules alone and the same recording always gives the same; the model words them and
//! quotes their evidence, and cannot add one. Nothing is written, and no value of a secret leaves the reader. The logic
//! is plain Rust over [`source::Cluster`] and is tested natively; the component is a thin layer at the end.

pub mod api;
pub mod explain;
pub mod finding;
pub mod language;
pub mod object;
pub mod page;
pub mod rules;
pub mod salvage;
pub mod shape;
pub mod snapshot;
pub mod source;

/// Generated from `wit/`; see there.
pub mod bindings {
    #![expect(missing_docs, reason = "generated; documented in the WIT files")]
    #![allow(unsafe_code, unreachable_pub, clippy::all, reason = "generated")]
    wit_bindgen::generate!({
        world: "pawl:cluster/plugin",
        path: ["../../wit", "../../wit/plugin", "wit"],
        generate_all,
    });
}

pub use bindings::exports::pawl::cluster::cluster::{
    Diagnosis, Error, Evidence, Explanation, Finding, Severity, Step, Unread,
};

use snapshot::Snapshot;
use source::Cluster;

/// Reads the recording and finds what is wrong; all findings.
///
/// # Errors
/// Where there is nothing to look at.
pub fn examine(cluster: &impl Cluster) -> Result<(Snapshot, Vec<Finding>), Error> {
    let recording = cluster.record().map_err(Error::NoRecording)?;
    if recording.objects.is_empty() {
        let reasons: Vec<String> = recording
            .unread
            .iter()
            .take(5)
            .map(|unread| format!("{}: {}", unread.file, unread.reason))
            .collect();
        return Err(Error::NoRecording(match reasons.is_empty() {
            true => "the collection `cluster` is empty: put the output of `kubectl get … -A -o json` there"
                .to_owned(),
            false => format!("nothing could be read: {}", reasons.join("; ")),
        }));
    }
    let snapshot = Snapshot::new(recording);
    let found = rules::all(&snapshot);
    let findings = finding::order(found);
    Ok((snapshot, findings))
}

/// All that is wrong; `diagnose` gives a [`page`] of it.
///
/// # Errors
/// An unknown namespace, or nothing to look at.
pub fn diagnose(cluster: &impl Cluster, namespace: Option<&str>) -> Result<Diagnosis, Error> {
    let (snapshot, mut findings) = examine(cluster)?;
    let mut elsewhere = Vec::new();
    if let Some(namespace) = namespace {
        let all = snapshot.namespaces();
        if !all.iter().any(|name| name == namespace) {
            return Err(Error::UnknownNamespace(format!("`{namespace}`; there are {}", all.join(", "))));
        }
        // What is wrong in the namespace, and what it follows from elsewhere.
        let wanted: Vec<String> = findings
            .iter()
            .filter(|finding| {
                finding.namespace == namespace || finding.namespace.is_empty() && finding.name == namespace
            })
            .flat_map(|finding| [Some(finding.id.clone()), finding.because.clone()])
            .flatten()
            .collect();
        (findings, elsewhere) = findings.into_iter().partition(|finding| wanted.contains(&finding.id));
    }
    Ok(Diagnosis {
        summary: page::summary(&snapshot, namespace, &findings, &elsewhere),
        recorded_at: snapshot.now.map(|now| now.to_string()).unwrap_or_default(),
        objects: u32::try_from(snapshot.objects.len()).unwrap_or(u32::MAX),
        findings,
        left_out: 0,
        others: Vec::new(),
        next_page: None,
        unread: snapshot.unread,
    })
}

/// What the tool `diagnose` gives: a page. A namespace in which nothing is wrong, asked for while something is wrong
/// elsewhere, gives the findings from elsewhere: a small model names a namespace that nobody asked for, and takes an
/// empty list for a healthy cluster.
///
/// # Errors
/// An unknown namespace or page, or nothing to look at.
pub fn answer(cluster: &impl Cluster, namespace: Option<&str>, page: u32) -> Result<Diagnosis, Error> {
    let mut told = diagnose(cluster, namespace)?;
    if namespace.is_some() && told.findings.is_empty() {
        told.findings = diagnose(cluster, None)?.findings;
    }
    page::page(told, page)
}

#[cfg(target_family = "wasm")]
mod component;
#[cfg(target_family = "wasm")]
mod web;
