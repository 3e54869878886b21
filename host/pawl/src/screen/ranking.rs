//! Who is first: what came of every résumé, in the order in which a person reads it.

use std::collections::HashMap;

use pawl_flow::{Item, Job};
use serde::{Deserialize, Serialize};

use super::Shared;

/// Everything that a screening has to tell.
#[derive(Debug, Serialize)]
pub(crate) struct Ranking {
    pub(crate) name: String,
    /// When the job was begun.
    pub(crate) began: String,
    pub(crate) blind: bool,
    pub(crate) criteria: Vec<Criterion>,
    /// The best first.
    pub(crate) ranked: Vec<Ranked>,
    pub(crate) copies: Vec<Copied>,
    pub(crate) failed: Vec<Failed>,
    /// What has not been done yet.
    pub(crate) unfinished: Vec<String>,
}

/// One of a rubric.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Criterion {
    pub(crate) text: String,
    pub(crate) level: String,
    pub(crate) weight: u32,
}

/// A résumé that was judged.
#[derive(Debug, Serialize)]
pub(crate) struct Ranked {
    /// From 1; equal ones share a place.
    pub(crate) place: usize,
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) screened: Screened,
}

/// A file whose content is another's.
#[derive(Debug, Serialize)]
pub(crate) struct Copied {
    pub(crate) name: String,
    pub(crate) same_as: String,
}

/// A résumé of which nothing came.
#[derive(Debug, Serialize)]
pub(crate) struct Failed {
    pub(crate) name: String,
    /// Such as `no-text`.
    pub(crate) code: String,
    pub(crate) why: String,
    pub(crate) attempts: u32,
}

/// What the script of an item gives.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Screened {
    #[serde(flatten)]
    pub(crate) score: Score,
    /// Text that a reader of the page cannot see; no judge saw it either.
    #[serde(default)]
    pub(crate) hidden: Vec<String>,
    /// What addresses whoever reads or ranks; it was left out of judging.
    #[serde(default)]
    pub(crate) instructions: Vec<Quotation>,
}

/// As `resume.screen` gives it to scripts; places within one call say nothing here.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Score {
    /// From 0 to 100.
    pub(crate) points: f64,
    pub(crate) lacks_must: bool,
    pub(crate) judgements: Vec<Judgement>,
    #[serde(default)]
    pub(crate) hidden_from_judge: Vec<Kept>,
    #[serde(default)]
    pub(crate) left_out: u32,
}

/// How a résumé meets a criterion.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Judgement {
    pub(crate) criterion: String,
    pub(crate) verdict: Verdict,
    #[serde(default)]
    pub(crate) evidence: Option<Quotation>,
    pub(crate) by: String,
    pub(crate) reason: String,
}

/// As the plugin says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    Met,
    Partly,
    Unmet,
    Unknown,
}

impl Verdict {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Verdict::Met => "met",
            Verdict::Partly => "partly",
            Verdict::Unmet => "unmet",
            Verdict::Unknown => "unknown",
        }
    }

    /// For narrow tables.
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Verdict::Met => "●",
            Verdict::Partly => "◐",
            Verdict::Unmet => "○",
            Verdict::Unknown => "·",
        }
    }
}

/// A verbatim run of a résumé.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Quotation {
    pub(crate) text: String,
    /// From 1.
    pub(crate) page: u32,
}

/// What `blind` kept from the judge.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) what: String,
    pub(crate) count: u32,
}

impl Ranking {
    /// Of a screening's items.
    pub(crate) fn of(job: &Job, shared: &Shared, items: Vec<Item>) -> Ranking {
        let mut ranking = Ranking {
            name: job.name.clone(),
            began: format!("{:.0}", job.created),
            blind: shared.blind,
            criteria: Vec::<Criterion>::deserialize(&shared.rubric).unwrap_or_default(),
            ranked: Vec::new(),
            copies: Vec::new(),
            failed: Vec::new(),
            unfinished: Vec::new(),
        };
        let originals = items.iter().filter(|item| item.same_as.is_none());
        let mut stands: HashMap<String, String> =
            originals.map(|item| (item.name.clone(), item.name.clone())).collect();
        for item in items {
            // Where the original is not among these any more, its first copy stands for it.
            match item.same_as.clone() {
                Some(original) => match stands.get(&original) {
                    Some(same_as) => {
                        ranking.copies.push(Copied { name: item.name, same_as: same_as.clone() });
                    }
                    None => {
                        stands.insert(original, item.name.clone());
                        ranking.add(item);
                    }
                },
                None => ranking.add(item),
            }
        }
        ranking.ranked.sort_by(|a, b| {
            let (first, second) = (&a.screened.score, &b.screened.score);
            first
                .lacks_must
                .cmp(&second.lacks_must)
                .then(second.points.total_cmp(&first.points))
                .then_with(|| a.name.cmp(&b.name))
        });
        let mut last: Option<(bool, f64, usize)> = None;
        for (at, ranked) in ranking.ranked.iter_mut().enumerate() {
            let (lacks, points) = (ranked.screened.score.lacks_must, ranked.screened.score.points);
            ranked.place = match last {
                Some((same, equal, place)) if (same, equal) == (lacks, points) => place,
                _ => at + 1,
            };
            last = Some((lacks, points, ranked.place));
        }
        ranking
    }

    fn add(&mut self, item: Item) {
        let Item { name, attempts, outcome, .. } = item;
        let failed =
            |code: &str, why: String| Failed { name: name.clone(), code: code.to_owned(), why, attempts };
        match outcome {
            None => self.unfinished.push(name),
            Some(Err(failure)) => self.failed.push(failed(&failure.code, failure.message)),
            Some(Ok(value)) => match Screened::deserialize(&value) {
                Ok(screened) => self.ranked.push(Ranked { place: 0, name, screened }),
                Err(error) => {
                    let why = format!("the flow `screen` gave something else than a score: {error}");
                    self.failed.push(failed("shape", why));
                }
            },
        }
    }
}
