//! The jobs of an employment section by its lines: where each begins, its time, and what may be its title and employer.
//!
//! Invariant: a job is where a line has a span of dates; its title and employer are chosen (by the model, in `extract`)
//! among the runs of the one to two lines at its head, never elsewhere. A section without spans has no entries here.

use std::sync::LazyLock;

use regex_lite::Regex;

use crate::Quotation;
use crate::find::{self, Date};

/// The longest line at the head of a job, in characters.
const MAX_HEAD: usize = 100;

static SEPARATOR: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"[,;|•·\t，；]| [–—@-] | (at|bei|chez) ").ok());

/// One job.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What names title and employer: one or two lines, without the dates.
    pub head: Vec<Quotation>,
    /// The line with the span.
    pub span: Quotation,
    /// Its first and last date.
    pub time: [Date; 2],
    /// What is told of the job.
    pub body: Vec<Quotation>,
}

impl Entry {
    /// The runs of the head that may be a title or an employer: its parts, and neighbours of one line together, as a
    /// name may hold a comma. The parts come first.
    #[must_use]
    pub fn choices(&self) -> Vec<Quotation> {
        let (mut single, mut joined) = (Vec::new(), Vec::new());
        for line in &self.head {
            let parts = find::parts(line, SEPARATOR.as_ref());
            let bytes = |part: &Quotation| {
                let skipped = usize::try_from(part.offset.saturating_sub(line.offset)).unwrap_or(0);
                line.text.chars().take(skipped).map(char::len_utf8).sum::<usize>()
            };
            for pair in parts.windows(2).take(if parts.len() > 2 { 4 } else { 0 }) {
                if let [first, second] = pair {
                    joined.extend(find::part(line, bytes(first)..bytes(second) + second.text.len()));
                }
            }
            single.extend(parts);
        }
        single.append(&mut joined);
        single.retain(|part| {
            part.text.chars().any(char::is_alphabetic) && part.text.chars().count() <= MAX_HEAD
        });
        let mut kept: Vec<Quotation> = Vec::new();
        for part in single {
            if !kept.iter().any(|earlier| earlier.text == part.text) {
                kept.push(part);
            }
        }
        kept
    }
}

/// What stands beside the dates of a line that has a span of them.
fn beside(line: &Quotation) -> Option<Vec<Quotation>> {
    let run = find::date_run(&line.text)?;
    let rest: Vec<Quotation> = [find::part(line, 0..run.start), find::part(line, run.end..line.text.len())]
        .into_iter()
        .flatten()
        .map(|mut part| {
            part.text = part.text.trim_end_matches(['(', ':', '（', '：']).trim_end().to_owned();
            part
        })
        .filter(|part| part.text.chars().any(char::is_alphabetic))
        .collect();
    let long = rest.iter().any(|part| part.text.chars().count() > MAX_HEAD || ends_sentence(&part.text));
    (!long && run.len() <= 60).then_some(rest)
}

fn ends_sentence(text: &str) -> bool {
    text.ends_with(['.', '。', '!', ';', ':'])
        && !text.ends_with("Inc.")
        && !text.ends_with("Co.")
        && !text.ends_with("Ltd.")
}

fn may_head(line: &Quotation) -> bool {
    line.text.chars().count() <= MAX_HEAD
        && !ends_sentence(&line.text)
        && !line.text.starts_with(['-', '•', '*', '–', '▪', '●', '·'])
        && beside(line).is_none()
}

/// The jobs in the order of the lines.
#[must_use]
pub fn entries(lines: &[Quotation]) -> Vec<Entry> {
    let spans: Vec<(usize, Vec<Quotation>)> =
        lines.iter().enumerate().filter_map(|(at, line)| Some((at, beside(line)?))).collect();
    let Some((first, _)) = spans.first() else { return Vec::new() };
    // The first job tells where the dates stand: above the names, or as many lines below them. A longer lead is prose.
    let above = (*first).min(2);
    let mut starts: Vec<(usize, usize, Vec<Quotation>)> = Vec::new();
    let mut free = 0;
    for (at, rest) in &spans {
        let near = lines.get(free..*at).unwrap_or_default();
        let up = near.iter().rev().take(above).take_while(|line| may_head(line)).count();
        let mut head: Vec<Quotation> = near.get(near.len() - up..).unwrap_or_default().to_vec();
        head.extend(rest.iter().cloned());
        let mut down = 0;
        let choices = |head: &[Quotation]| {
            head.iter().map(|line| find::parts(line, SEPARATOR.as_ref()).len()).sum::<usize>()
        };
        while up == 0 && down < 2 && choices(&head) < 2 {
            let Some(line) = lines.get(at + 1 + down).filter(|line| may_head(line)) else { break };
            head.push(line.clone());
            down += 1;
        }
        free = at + 1 + down;
        starts.push((at - up, free, head));
    }
    let ends: Vec<usize> = starts.iter().skip(1).map(|(start, _, _)| *start).chain([lines.len()]).collect();
    let made = starts.into_iter().zip(ends).zip(&spans).filter_map(|(((_, body, head), end), (at, _))| {
        let span = lines.get(*at)?.clone();
        let dates = find::dates(&span.text);
        let time = [*dates.first()?, *dates.get(1)?];
        Some(Entry { head, span, time, body: lines.get(body..end).unwrap_or_default().to_vec() })
    });
    made.collect()
}

#[cfg(test)]
mod tests {
    use super::entries;
    use crate::Quotation;

    fn lines(text: &str) -> Vec<Quotation> {
        let line = |text: &str| Quotation { text: text.to_owned(), page: 1, offset: 0 };
        text.lines().map(line).collect()
    }

    /// Per job: what may be chosen, and what is told.
    fn read(text: &str) -> Vec<(String, usize)> {
        let texts = |all: Vec<Quotation>| all.into_iter().map(|one| one.text).collect::<Vec<_>>().join("/");
        entries(&lines(text)).iter().map(|entry| (texts(entry.choices()), entry.body.len())).collect()
    }

    #[test]
    fn jobs_in_the_layouts_of_resumes() {
        let one = |head: &str, body| (head.to_owned(), body);
        for (text, want) in [
            (
                "Baker, Mill Ltd\nMay 2011 – June 2012\nBaked.\nKneaded.\nMiller, Old Mill\n2013 – 2014\nGround.",
                vec![one("Baker/Mill Ltd", 2), one("Miller/Old Mill", 1)],
            ),
            (
                "Baker\nMill Ltd\n05/2011 – 06/2012\nBaked.\nMiller\nOld Mill\n2013 – now",
                vec![one("Baker/Mill Ltd", 1), one("Miller/Old Mill", 0)],
            ),
            (
                "2011 – 2012\nBaker\nMill Ltd\nBaked.\n2013 – now\nMiller\nOld Mill",
                vec![one("Baker/Mill Ltd", 1), one("Miller/Old Mill", 0)],
            ),
            (
                "Baker, Mill (2011 – 2012)\nBaked\nMiller, Old Mill (2013 – 2014)",
                vec![one("Baker/Mill", 1), one("Miller/Old Mill", 0)],
            ),
            (
                "2011 – 2012\tBaker at Mill, Sons & Co\nBaked",
                vec![one("Baker/Mill/Sons & Co/Baker at Mill/Mill, Sons & Co", 1)],
            ),
            ("Baked bread from 2011.", vec![]),
            ("Moved all shops to the new till between 2011 and 2012, without one day closed.", vec![]),
        ] {
            assert_eq!(read(text), want, "{text}");
        }
    }
}
