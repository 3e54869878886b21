//! The few lines of a résumé that bear on a criterion, chosen by code before a model is asked.
//!
//! Invariant: the choice depends on the words of the visible document and of the criterion alone; the same text gives the
//! same lines in the same order. Ranking as BM25 does (Robertson and Zaragoza, 2009), with stems and synonyms.

use std::collections::HashMap;

use crate::section::Kind;
use crate::words::{self, Asked};
use crate::{Quotation, employment};

/// Lines that a judge is shown for one criterion.
const MOST: usize = 4;
/// A line that scores less than this share of the best is left out.
const LEAST: f64 = 0.3;
/// What a near word counts beside one that is named.
const NEAR: f64 = 0.6;
/// Lines longer than this, in characters, are cut into sentences; wrapped ones are joined up to it.
const MAX_LINE: usize = 280;

/// A line, or a sentence, with where it stands.
#[derive(Debug, Clone)]
pub struct Passage {
    /// The words themselves.
    pub line: Quotation,
    /// The section, and for a job its head: what the line is about.
    pub context: String,
    /// Its terms.
    terms: Vec<String>,
}

/// All lines of a document as passages.
#[must_use]
pub fn passages(sections: &[(Kind, Vec<Quotation>)]) -> Vec<Passage> {
    let mut out = Vec::new();
    for (kind, lines) in sections {
        let name = match kind {
            Kind::Head => "top",
            Kind::Summary => "summary",
            Kind::Work => "job",
            Kind::Education => "education",
            Kind::Skills => "skills",
            Kind::Languages => "languages",
            Kind::Certificates => "certificates",
            Kind::Other => "other",
        };
        let entries = if *kind == Kind::Work { employment::entries(lines) } else { Vec::new() };
        for line in joined(lines) {
            let within = |one: &Quotation| one.page == line.page && one.offset == line.offset;
            let job = entries.iter().find(|entry| entry.body.iter().any(within));
            let head =
                job.map(|job| job.head.iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join(", "));
            let context = head.map_or_else(|| name.to_owned(), |head| format!("{name}: {head}"));
            let terms = words::terms(&line.text);
            out.push(Passage { line, context, terms });
        }
    }
    out
}

/// Lines of sentences: what was wrapped is joined, what is long is cut at full stops.
fn joined(lines: &[Quotation]) -> Vec<Quotation> {
    let mut whole: Vec<Quotation> = Vec::new();
    for line in lines {
        let goes_on = line.text.starts_with(char::is_lowercase);
        let room = |last: &&mut Quotation| {
            let open = !last.text.ends_with(['.', '!', '?', ':', '。', ';']) && last.page == line.page;
            let end = usize::try_from(last.offset).unwrap_or(0) + last.text.chars().count();
            // The next line of the page, and no other: a quotation is one run of it.
            let next = usize::try_from(line.offset).is_ok_and(|offset| offset == end + 1);
            open && next && last.text.chars().count() + line.text.chars().count() < MAX_LINE
        };
        match whole.last_mut().filter(|_| goes_on).filter(room) {
            Some(last) => {
                last.text.push(' ');
                last.text.push_str(&line.text);
            }
            None => whole.push(line.clone()),
        }
    }
    let cut = |line: Quotation| -> Vec<Quotation> {
        if line.text.chars().count() <= MAX_LINE {
            return vec![line];
        }
        let (mut out, mut offset) = (Vec::new(), line.offset);
        for sentence in line.text.split_inclusive(['.', '。', ';']) {
            let length = sentence.chars().count();
            let lead = length - sentence.trim_start().chars().count();
            let text: String = sentence.trim().chars().take(MAX_LINE).collect();
            if text.chars().any(char::is_alphanumeric) {
                let offset = offset.saturating_add(u32::try_from(lead).unwrap_or(0));
                out.push(Quotation { text, page: line.page, offset });
            }
            offset = offset.saturating_add(u32::try_from(length).unwrap_or(u32::MAX));
        }
        out
    };
    whole.into_iter().flat_map(cut).collect()
}

/// The passages that bear on what is asked, in the order of the document; none where no word of it is there.
#[must_use]
pub fn chosen<'a>(passages: &'a [Passage], asked: &[Asked]) -> Vec<&'a Passage> {
    let count = passages.len() as f64;
    let average = passages.iter().map(|passage| passage.terms.len()).sum::<usize>() as f64 / count.max(1.0);
    let rarity: HashMap<&str, f64> = asked
        .iter()
        .map(|one| {
            let with = passages.iter().filter(|passage| one.touched(&passage.terms)).count() as f64;
            (one.word.as_str(), ((count - with + 0.5) / (with + 0.5) + 1.0).ln())
        })
        .collect();
    let score = |passage: &Passage| -> f64 {
        let length = 0.5 + 0.5 * passage.terms.len() as f64 / average.max(1.0);
        let of = |one: &Asked| {
            let share = if one.named(&passage.terms) {
                1.0
            } else if one.touched(&passage.terms) {
                NEAR
            } else {
                0.0
            };
            rarity.get(one.word.as_str()).copied().unwrap_or(0.0) * share * 2.0 / (1.0 + length)
        };
        asked.iter().map(of).sum()
    };
    let mut scored: Vec<(usize, f64, &Passage)> =
        passages.iter().enumerate().map(|(at, passage)| (at, score(passage), passage)).collect();
    scored.retain(|(_, score, _)| *score > 0.0);
    scored.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let best = scored.first().map_or(0.0, |(_, score, _)| *score);
    let mut kept: Vec<(usize, f64, &Passage)> = Vec::new();
    for one in scored.into_iter().filter(|(_, score, _)| *score >= best * LEAST) {
        if kept.len() < MOST && !kept.iter().any(|earlier| earlier.2.line.text == one.2.line.text) {
            kept.push(one);
        }
    }
    kept.sort_by_key(|(at, _, _)| *at);
    kept.into_iter().map(|(_, _, passage)| passage).collect()
}

#[cfg(test)]
mod tests {
    use super::{chosen, passages};
    use crate::{Format, section, text::Text, words};

    const PAGE: &str = "Zoë Brandt\nExperience\nBaker, The Mill\nMay 2011 – June 2012\nSupervised four apprentices and planned\nthe night shift.\nSold bread.\nMiller, Old Mill\n2013 – 2014\nGround rye.\nSkills\nRye, Spelt\n";

    #[test]
    fn the_lines_that_bear_on_it_and_no_others() {
        let text = Text { format: Format::Text, pages: vec![PAGE.to_owned()], hidden: vec![] };
        let all = passages(&section::sections(&text));
        let found = |asked: &str| {
            let asked = words::asked(asked, &[]);
            let kept = chosen(&all, &asked);
            kept.into_iter().map(|one| format!("{}|{}", one.context, one.line.text)).collect::<Vec<_>>()
        };
        let shift = "job: Baker, The Mill|Supervised four apprentices and planned the night shift.";
        assert_eq!(found("Experience leading apprentices"), [shift]);
        assert_eq!(found("Knows rye"), ["job: Miller, Old Mill|Ground rye.", "skills|Rye, Spelt"]);
        assert!(found("Scuba diving").is_empty());
    }
}
