//! Findings as rules make them, and how they are put in order.
//!
//! Invariant: what follows from another finding stands below it, never beside it; evidence is cut out of the recording
//! and changed in nothing.

use std::collections::HashMap;

use crate::object::{Object, key, text};
use crate::snapshot::message;
use crate::{Evidence, Finding, Severity};

/// Bytes of one piece of evidence.
const MAX_EVIDENCE: usize = 400;
/// Pieces of evidence of one finding.
const MAX_PIECES: usize = 5;

/// A finding, and what links it to others.
#[derive(Debug)]
pub struct Found {
    /// What is told.
    pub finding: Finding,
    /// Keys of the objects whose fault this is; others may follow from it.
    pub about: Vec<String>,
    /// Keys of objects whose fault would explain this one, the likeliest first.
    pub due: Vec<String>,
}

impl Found {
    /// A finding at an object of this kind and name.
    #[must_use]
    pub fn new(rule: &str, severity: Severity, kind: &str, namespace: &str, name: &str) -> Found {
        let slash = if namespace.is_empty() { "" } else { "/" };
        let finding = Finding {
            id: format!("{rule}:{namespace}{slash}{name}"),
            rule: rule.to_owned(),
            severity,
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            problem: String::new(),
            likely_cause: String::new(),
            evidence: Vec::new(),
            next_steps: Vec::new(),
            because: None,
        };
        Found { finding, about: vec![key(kind, namespace, name)], due: Vec::new() }
    }

    /// A finding at an object.
    #[must_use]
    pub fn at(rule: &str, severity: Severity, object: &Object) -> Found {
        Found::new(rule, severity, &object.kind, &object.namespace, &object.name)
    }

    /// What is wrong, and why.
    #[must_use]
    pub fn says(mut self, problem: impl Into<String>, cause: impl Into<String>) -> Found {
        self.finding.problem = problem.into();
        self.finding.likely_cause = cause.into();
        self
    }

    /// Adds words of an object at a place in it. Empty words and repetitions are left out.
    #[must_use]
    pub fn shows(mut self, object: &Object, place: &str, words: &str) -> Found {
        self.add(format!("{}: {} {place}", object.file, object.title()), words);
        self
    }

    /// Adds the message of an event.
    #[must_use]
    pub fn event(self, event: &Object) -> Found {
        let place = format!(".message ({})", text(&event.value, "/reason"));
        self.shows(event, &place, message(event))
    }

    /// Adds the reason and message of a condition.
    #[must_use]
    pub fn condition(self, object: &Object, kind: &str) -> Found {
        let Some(condition) = object.condition(kind) else { return self };
        let (reason, said) = (text(condition, "/reason"), text(condition, "/message"));
        let place = format!(".status.conditions[{kind}].");
        if reason.is_empty() && said.is_empty() {
            return self.shows(object, &format!("{place}status"), text(condition, "/status"));
        }
        let found = self.shows(object, &format!("{place}reason"), reason);
        found.shows(object, &format!("{place}message"), said)
    }

    /// Adds words of a file.
    pub fn add(&mut self, source: String, words: &str) {
        let words = cut(words.trim());
        let known = self.finding.evidence.iter().any(|evidence| evidence.text == words);
        if !words.is_empty() && !known && self.finding.evidence.len() < MAX_PIECES {
            self.finding.evidence.push(Evidence { source, text: words.to_owned() });
        }
    }

    /// A command to run next.
    #[must_use]
    pub fn step(mut self, command: impl Into<String>) -> Found {
        self.finding.next_steps.push(command.into());
        self
    }

    /// Objects whose fault this is, too.
    #[must_use]
    pub fn about(mut self, keys: impl IntoIterator<Item = String>) -> Found {
        self.about.extend(keys);
        self
    }

    /// Objects whose fault would explain it.
    #[must_use]
    pub fn due(mut self, keys: impl IntoIterator<Item = String>) -> Found {
        self.due.extend(keys);
        self
    }
}

/// The beginning of a text, at most [`MAX_EVIDENCE`] bytes, whole characters and, where it can be, whole words.
fn cut(text: &str) -> &str {
    if text.len() <= MAX_EVIDENCE {
        return text;
    }
    let mut end = MAX_EVIDENCE;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let head = text.get(..end).unwrap_or_default();
    match head.rfind(char::is_whitespace) {
        Some(space) if space > MAX_EVIDENCE / 2 => head.get(..space).unwrap_or(head),
        _ => head,
    }
}

/// Links what follows to its cause and puts all in order: root causes by severity and by how much follows from them,
/// each followed by its consequences.
#[must_use]
pub fn order(mut all: Vec<Found>) -> Vec<Finding> {
    // Ids are unique: a second finding of the same rule and name, of another kind, gets a number.
    let mut used: HashMap<String, usize> = HashMap::new();
    for found in &mut all {
        let count = used.entry(found.finding.id.clone()).or_insert(0);
        *count += 1;
        if *count > 1 {
            found.finding.id = format!("{}~{count}", found.finding.id);
        }
    }
    let mut holders: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, found) in all.iter().enumerate() {
        for about in &found.about {
            holders.entry(about).or_default().push(index);
        }
    }
    let mut parents: Vec<Option<usize>> = vec![None; all.len()];
    for (index, found) in all.iter().enumerate() {
        let candidates = found.due.iter().filter_map(|key| holders.get(key.as_str())).flatten().copied();
        let parent = candidates
            .into_iter()
            .find(|candidate| root(&parents, *candidate) != index && *candidate != index);
        if let Some(slot) = parents.get_mut(index) {
            *slot = parent;
        }
    }
    let roots: Vec<usize> = (0..all.len()).map(|index| root(&parents, index)).collect();
    let mut follow = vec![0_usize; all.len()];
    for root in &roots {
        if let Some(count) = follow.get_mut(*root) {
            *count += 1;
        }
    }
    let ids: Vec<String> = all.iter().map(|found| found.finding.id.clone()).collect();
    // A root is as severe as the worst that follows from it.
    let mut worst: Vec<Severity> = all.iter().map(|found| found.finding.severity).collect();
    for (found, root) in all.iter().zip(&roots) {
        if let Some(severity) =
            worst.get_mut(*root).filter(|severity| rank(found.finding.severity) < rank(**severity))
        {
            *severity = found.finding.severity;
        }
    }
    let mut ordered: Vec<(usize, Found)> = all.into_iter().enumerate().collect();
    let look = |list: &[usize], index: usize| list.get(index).copied().unwrap_or_default();
    ordered.sort_by_key(|(index, found)| {
        let root = look(&roots, *index);
        let severity = worst.get(root).map_or(9, |severity| rank(*severity));
        (
            severity,
            usize::MAX - look(&follow, root),
            root,
            *index != root,
            rank(found.finding.severity),
            *index,
        )
    });
    ordered
        .into_iter()
        .map(|(index, found)| {
            let parent = parents.get(index).copied().flatten();
            Finding { because: parent.and_then(|parent| ids.get(parent).cloned()), ..found.finding }
        })
        .collect()
}

fn rank(severity: Severity) -> u8 {
    match severity {
        Severity::Critical => 0,
        Severity::Warning => 1,
        Severity::Info => 2,
    }
}

/// The end of the chain of parents. There is no cycle: a parent is only set where its root is another.
fn root(parents: &[Option<usize>], mut index: usize) -> usize {
    while let Some(parent) = parents.get(index).copied().flatten() {
        index = parent;
    }
    index
}
