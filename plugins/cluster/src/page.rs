//! A diagnosis in pages that a small model can be shown whole.
//!
//! Invariant: a page has at most [`MAX_PAGE`] bytes of findings as JSON, but one finding at least; all pages together
//! have every finding once, in order; what the page leaves out is counted and its first ids are named.

use serde_json::json;

use crate::snapshot::Snapshot;
use crate::{Diagnosis, Error, Finding, Severity};

/// Bytes of the findings of one page: with the names of the others it stays below the 6 KiB that a chat shows of a
/// tool's result.
pub const MAX_PAGE: usize = 4600;
/// Ids of findings on later pages that are named, and their bytes.
const MAX_IDS: usize = 20;
const MAX_ID_BYTES: usize = 800;
/// Things not understood that are named on a page, and the bytes of each.
const MAX_UNREAD: usize = 5;
const MAX_REASON: usize = 120;

/// One page of a diagnosis, from 1.
///
/// # Errors
/// A page that there is not.
pub fn page(mut diagnosis: Diagnosis, number: u32) -> Result<Diagnosis, Error> {
    let mut pages: Vec<Vec<Finding>> = vec![Vec::new()];
    let mut bytes = 0;
    for finding in std::mem::take(&mut diagnosis.findings) {
        let size = size(&finding);
        if bytes > 0 && bytes + size > MAX_PAGE {
            pages.push(Vec::new());
            bytes = 0;
        }
        bytes += size;
        if let Some(page) = pages.last_mut() {
            page.push(finding);
        }
    }
    let count = pages.len();
    let index =
        usize::try_from(number).ok().and_then(|number| number.checked_sub(1)).filter(|at| *at < count);
    let Some(index) = index else {
        return Err(Error::UnknownPage(format!("{number}; there are pages 1 to {count}")));
    };
    let mut rest = pages.split_off(index);
    let later = rest.split_off(1.min(rest.len()));
    let later: Vec<Finding> = later.into_iter().flatten().collect();
    let mut room = MAX_ID_BYTES;
    diagnosis.left_out = u32::try_from(later.len()).unwrap_or(u32::MAX);
    diagnosis.next_page = (!later.is_empty()).then(|| number.saturating_add(1));
    diagnosis.others = later
        .into_iter()
        .take(MAX_IDS)
        .map(|finding| finding.id)
        .take_while(|id| {
            room = room.saturating_sub(id.len() + 3);
            room > 0
        })
        .collect();
    diagnosis.findings = rest.into_iter().next().unwrap_or_default();
    let unnamed = diagnosis.unread.len().saturating_sub(MAX_UNREAD);
    diagnosis.unread.truncate(MAX_UNREAD);
    for unread in &mut diagnosis.unread {
        unread.file = unread.file.chars().take(MAX_REASON).collect();
        unread.reason = unread.reason.chars().take(MAX_REASON).collect();
    }
    if let (Some(last), true) = (diagnosis.unread.last_mut(), unnamed > 0) {
        last.reason.push_str(&format!(" (and {unnamed} more)"));
    }
    Ok(diagnosis)
}

/// What was found, in a sentence or two that a model can repeat. Where only a namespace was asked for, it says what is
/// wrong elsewhere too: a quiet namespace is no healthy cluster.
#[must_use]
pub fn summary(
    snapshot: &Snapshot,
    namespace: Option<&str>,
    told: &[Finding],
    elsewhere: &[Finding],
) -> String {
    let place = namespace.map_or("the cluster".to_owned(), |name| format!("namespace {name}"));
    let mut said = match counted(told) {
        Some(counts) => format!("Wrong in {place}: {counts}."),
        None => {
            format!("Nothing wrong was found in {place}; {} objects were looked at.", snapshot.objects.len())
        }
    };
    if let Some(counts) = counted(elsewhere) {
        said.push_str(&format!(" NOT healthy elsewhere: {counts}. Leave `namespace` out to see that."));
    }
    said
}

fn counted(findings: &[Finding]) -> Option<String> {
    let roots: Vec<&Finding> = findings.iter().filter(|finding| finding.because.is_none()).collect();
    let first = roots.first()?;
    let count = |severity| roots.iter().filter(|finding| finding.severity == severity).count();
    let slash = if first.namespace.is_empty() { "" } else { "/" };
    Some(format!(
        "{} root cause{} ({} critical, {} warning, {} info), and {} more that follow; worst is {} {}{slash}{}",
        roots.len(),
        if roots.len() == 1 { "" } else { "s" },
        count(Severity::Critical),
        count(Severity::Warning),
        count(Severity::Info),
        findings.len() - roots.len(),
        first.kind,
        first.namespace,
        first.name,
    ))
}

/// Bytes of a finding as JSON.
fn size(finding: &Finding) -> usize {
    let evidence: Vec<_> =
        finding.evidence.iter().map(|e| json!({"source": e.source, "text": e.text})).collect();
    let value = json!({
        "id": finding.id, "rule": finding.rule, "severity": "critical", "kind": finding.kind,
        "namespace": finding.namespace, "name": finding.name, "problem": finding.problem,
        "likely-cause": finding.likely_cause, "evidence": evidence, "next-steps": finding.next_steps,
        "because": finding.because,
    });
    value.to_string().len() + 1
}
