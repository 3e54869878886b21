//! What of a rubric code decides: years from the time of employment, languages and degrees by their level, skills and
//! certificates that the résumé lists. What is left goes to the model with the passages that bear on it.
//!
//! Invariant: a decision by code rests on a quotation of the visible text, or says that there is none; nothing is met on
//! a word that is merely near to what is asked.

use crate::employment::Entry;
use crate::find::{Date, Month};
use crate::passage::{self, Passage};
use crate::section::{self, Kind};
use crate::words::{self, Asked};
use crate::{Criterion, CriterionKind, Quotation, Verdict, employment, rubric};

/// How a criterion is settled.
#[derive(Debug, Clone)]
pub enum Way {
    /// By code: the verdict, what shows it, and why.
    Code(Verdict, Option<Quotation>, String),
    /// By the model, on these.
    Model(Vec<Passage>),
}

/// A résumé as it is judged.
#[derive(Debug)]
pub struct Resume {
    sections: Vec<(Kind, Vec<Quotation>)>,
    passages: Vec<Passage>,
    entries: Vec<Entry>,
    now: Option<Month>,
}

/// Degrees by their words, the highest first.
const DEGREES: [(u32, &[&str]); 4] = [
    (4, &["phd", "ph.d", "doctorate", "doctor", "dr", "博士", "promotion"]),
    (3, &["master", "masters", "master's", "msc", "m.sc", "mba", "ma", "meng", "diplom", "硕士"]),
    (2, &["bachelor", "bachelors", "bachelor's", "bsc", "b.sc", "ba", "beng", "学士", "本科"]),
    (1, &["diploma", "associate", "apprenticeship", "certificate", "专科"]),
];
/// Words of an education criterion that name no subject.
const NO_SUBJECT: [&str; 16] = [
    "degree",
    "university",
    "graduate",
    "completed",
    "finished",
    "field",
    "similar",
    "related",
    "comparable",
    "equivalent",
    "subject",
    "college",
    "higher",
    "education",
    "level",
    "学历",
];
/// How well a language is spoken, the best first.
const SPOKEN: [(u32, &[&str]); 6] = [
    (6, &["native", "mother tongue", "muttersprache", "c2", "母语", "bilingual"]),
    (5, &["fluent", "c1", "fließend", "verhandlungssicher", "流利", "精通"]),
    (4, &["b2", "business", "good", "advanced", "gut", "良好"]),
    (3, &["b1", "intermediate", "conversational", "working", "熟练"]),
    (2, &["a2", "basic", "elementary", "grundkenntnisse", "基础"]),
    (1, &["a1", "beginner"]),
];

impl Resume {
    /// From the sections of a document. `now` is this month, for jobs that go on.
    #[must_use]
    pub fn new(sections: Vec<(Kind, Vec<Quotation>)>, now: Option<Month>) -> Resume {
        let work = section::lines(&sections, Kind::Work);
        let head = section::lines(&sections, Kind::Head);
        let entries = employment::entries(if work.is_empty() { &head } else { &work });
        Resume { passages: passage::passages(&sections), sections, entries, now }
    }

    /// How a criterion is settled for this résumé.
    #[must_use]
    pub fn way(&self, criterion: &Criterion) -> Way {
        let kind = criterion.kind.unwrap_or_else(|| rubric::kind(&criterion.text));
        let synonyms = criterion.synonyms.as_deref().unwrap_or_default();
        let asked = words::asked(&criterion.text, synonyms);
        let decided = match kind {
            CriterionKind::Years => Some(self.years(&criterion.text, synonyms)),
            CriterionKind::Language => self.language(&criterion.text),
            CriterionKind::Education => self.education(&criterion.text, &asked),
            CriterionKind::Skill => self.listed(Kind::Skills, &criterion.text, &asked),
            CriterionKind::Certificate => self.listed(Kind::Certificates, &criterion.text, &asked),
            CriterionKind::Other => None,
        };
        let mut chosen = passage::chosen(&self.passages, &asked);
        if kind == CriterionKind::Education {
            let degrees = self.passages.iter().filter(|passage| passage.context == "education");
            chosen.extend(degrees.filter(|passage| degree(&passage.line.text).is_some()));
            chosen.sort_by_key(|passage| (passage.line.page, passage.line.offset));
            chosen.dedup_by_key(|passage| (passage.line.page, passage.line.offset));
        }
        match decided {
            Some(way) => way,
            None if chosen.is_empty() => {
                Way::Code(Verdict::Unknown, None, "no line of the résumé bears on it".to_owned())
            }
            None => Way::Model(chosen.into_iter().cloned().collect()),
        }
    }

    /// Months of the jobs that bear on it, those of parallel jobs counted once.
    fn years(&self, text: &str, synonyms: &[String]) -> Way {
        let needed = rubric::years(text).unwrap_or(1) * 12;
        let asked = words::asked(&rubric::without_years(text), synonyms);
        let bears = |entry: &&Entry| {
            let terms = |lines: &[Quotation]| {
                lines.iter().flat_map(|line| words::terms(&line.text)).collect::<Vec<_>>()
            };
            let (head, body) = (terms(&entry.head), terms(&entry.body));
            // A near word counts in the title or the employer, not in what is told in passing.
            let of = |one: &&Asked| one.touched(&head) || one.named(&body);
            asked.iter().filter(of).count() >= asked.len().div_ceil(2)
        };
        let latest = self.entries.iter().flat_map(|entry| entry.time).filter_map(count).max();
        let now = self.now.and_then(|month| count(Date::On(month))).or(latest).unwrap_or(0);
        let mut spans: Vec<(u32, u32, &Entry)> = Vec::new();
        for entry in self.entries.iter().filter(bears) {
            let [start, end] = entry.time;
            let Some(start) = count(start) else { continue };
            let end = match end {
                Date::Present => now + 1,
                // A month is counted whole, a year from its beginning: "2014 – 2016" are two years.
                Date::On(Month { month: None, .. }) => count(end).unwrap_or(0),
                Date::On(_) => count(end).unwrap_or(0) + 1,
            };
            spans.push((start, end.max(start), entry));
        }
        let Some((_, _, longest)) = spans.iter().max_by_key(|(start, end, _)| end - start) else {
            let why = if self.entries.is_empty() {
                "no job of the résumé has a span of dates".to_owned()
            } else {
                format!("none of {} dated jobs bears on it", self.entries.len())
            };
            return Way::Code(Verdict::Unknown, None, why);
        };
        let evidence = longest.span.clone();
        let jobs = spans.len();
        spans.sort_by_key(|(start, end, _)| (*start, *end));
        let (mut months, mut until) = (0, 0);
        for (start, end, _) in spans {
            months += end.saturating_sub(start.max(until));
            until = until.max(end);
        }
        let verdict = match months {
            months if months >= needed => Verdict::Met,
            months if months * 2 >= needed => Verdict::Partly,
            _ => Verdict::Unmet,
        };
        Way::Code(
            verdict,
            Some(evidence),
            format!("{months} months in {jobs} jobs that bear on it; {needed} asked"),
        )
    }

    fn language(&self, text: &str) -> Option<Way> {
        let items = section::items(&section::lines(&self.sections, Kind::Languages));
        let wanted = spoken(text);
        let of = |name: &String| {
            let asked = words::asked(name, &[]);
            let item = items.iter().find(|item| {
                let terms = words::terms(&item.text);
                asked.iter().any(|one| one.touched(&terms))
            })?;
            let level = spoken(&item.text);
            let (verdict, why) = match (wanted, level) {
                (None, _) => (Verdict::Met, "listed under languages"),
                (Some(wanted), Some(level)) if level >= wanted => {
                    (Verdict::Met, "listed at this level or above")
                }
                (Some(wanted), Some(level)) if level + 3 <= wanted => {
                    (Verdict::Unmet, "listed far below this level")
                }
                (Some(_), Some(_)) => (Verdict::Partly, "listed below this level"),
                (Some(_), None) => (Verdict::Partly, "listed without a level"),
            };
            Some((verdict, item.clone(), why))
        };
        let found: Vec<_> = rubric::languages(text).iter().map(of).collect();
        let known: Vec<_> = found.iter().flatten().cloned().collect();
        let rank = |verdict: Verdict| match verdict {
            Verdict::Met => 0,
            Verdict::Partly => 1,
            Verdict::Unmet => 2,
            Verdict::Unknown => 3,
        };
        let settled = if either(text) {
            known.into_iter().min_by_key(|(verdict, _, _)| rank(*verdict))
        } else if known.len() == found.len() {
            known.into_iter().max_by_key(|(verdict, _, _)| rank(*verdict))
        } else {
            known.into_iter().next().map(|(_, item, _)| (Verdict::Partly, item, "not all of them are listed"))
        };
        settled.map(|(verdict, item, why)| Way::Code(verdict, Some(item), why.to_owned()))
    }

    fn education(&self, text: &str, asked: &[Asked]) -> Option<Way> {
        let lines = section::lines(&self.sections, Kind::Education);
        let wanted =
            DEGREES.iter().rev().find(|(_, names)| names_one(text, names)).map_or(2, |(rank, _)| *rank);
        let subject: Vec<&Asked> = asked
            .iter()
            .filter(|one| !NO_SUBJECT.contains(&one.word.as_str()) && degree(&one.word).is_none())
            .collect();
        let ranked: Vec<(u32, &Quotation)> =
            lines.iter().filter_map(|line| Some((degree(&line.text)?, line))).collect();
        let fits = |line: &Quotation| {
            let terms = words::terms(&line.text);
            subject.iter().all(|one| one.named(&terms))
        };
        let best = ranked.iter().filter(|(_, line)| fits(line)).max_by_key(|(rank, _)| *rank)?;
        let (verdict, why) = match best {
            (rank, _) if *rank >= wanted => (Verdict::Met, "a degree of this level or above"),
            _ => (Verdict::Partly, "a degree below this level"),
        };
        Some(Way::Code(verdict, Some(best.1.clone()), why.to_owned()))
    }

    /// Whether a section lists all that is asked, or one of it where either will do.
    fn listed(&self, kind: Kind, text: &str, asked: &[Asked]) -> Option<Way> {
        let items = section::items(&section::lines(&self.sections, kind));
        let named = |one: &Asked| {
            items.iter().find(|item| {
                let terms = words::terms(&item.text);
                terms.len() <= 6 && one.named(&terms)
            })
        };
        let found: Vec<&Quotation> = asked.iter().filter_map(named).collect();
        let all = found.len() == asked.len() || either(text);
        let evidence = found.first().filter(|_| all)?;
        Some(Way::Code(Verdict::Met, Some((*evidence).clone()), "listed".to_owned()))
    }
}

/// Months since the year 0; a year alone is its January.
fn count(date: Date) -> Option<u32> {
    match date {
        Date::On(month) => Some(month.year * 12 + month.month.unwrap_or(1) - 1),
        Date::Present => None,
    }
}

fn either(text: &str) -> bool {
    text.to_lowercase().split_whitespace().any(|word| matches!(word, "or" | "oder")) || text.contains('或')
}

/// Whether a text has one of these names, as whole words where they are Latin.
fn names_one(text: &str, names: &[&str]) -> bool {
    let lower = text.to_lowercase();
    let tokens: Vec<&str> = lower
        .split(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '\'')))
        .map(|token| token.trim_end_matches('.'))
        .collect();
    names.iter().any(|name| {
        let latin = name.is_ascii() || name.contains('ß');
        if latin && !name.contains(' ') { tokens.contains(name) } else { lower.contains(name) }
    })
}

fn degree(text: &str) -> Option<u32> {
    DEGREES.iter().find(|(_, names)| names_one(text, names)).map(|(rank, _)| *rank)
}

fn spoken(text: &str) -> Option<u32> {
    SPOKEN.iter().find(|(_, names)| names_one(text, names)).map(|(rank, _)| *rank)
}

#[cfg(test)]
mod tests {
    use super::{Resume, Way};
    use crate::find::Month;
    use crate::{Criterion, Format, Level, Verdict, section, text::Text};

    const PAGE: &str = "Zoë Brandt\nExperience\nHead Baker, The Mill\nMay 2018 – present\nBaked rye and led four apprentices.\nBaker, Aue Bread Ltd\nJanuary 2016 – June 2018\nBaked.\nPorter, Grand Hotel\n2013 – 2015\nCarried bags.\nEducation\nMSc Food Science, University of Aue\nSkills\nRye, Sourdough starters\nLanguages\nDanish (native), Welsh (B1), Finnish\nCertificates\nFood hygiene certificate (2017)\n";

    fn way(text: &str, now: Option<u32>) -> Way {
        let document = Text { format: Format::Text, pages: vec![PAGE.to_owned()], hidden: vec![] };
        let now = now.map(|year| Month { year, month: Some(4) });
        let criterion =
            Criterion { text: text.to_owned(), level: Level::Must, weight: 1, kind: None, synonyms: None };
        Resume::new(section::sections(&document), now).way(&criterion)
    }

    #[test]
    fn what_code_can_tell_is_told_by_code() {
        use Verdict::{Met, Partly, Unknown, Unmet};
        for (text, verdict, evidence) in [
            // January 2016 to April 2020: 52 months, two of them in both jobs; the longer one shows it.
            ("4 years as a baker", Met, "January 2016 – June 2018"),
            ("5 years of baking", Partly, "January 2016 – June 2018"),
            ("At least ten years of baking", Unmet, "January 2016 – June 2018"),
            ("5 years of employment", Met, "January 2016 – June 2018"),
            ("2 years in a hotel", Met, "2013 – 2015"),
            ("2 years of sailing", Unknown, ""),
            ("Fluent Danish", Met, "Danish (native)"),
            ("Fluent Welsh", Partly, "Welsh (B1)"),
            ("Native Finnish", Partly, "Finnish"),
            ("A bachelor's degree in food science", Met, "MSc Food Science, University of Aue"),
            ("University degree", Met, "MSc Food Science, University of Aue"),
            ("A PhD", Partly, "MSc Food Science, University of Aue"),
            ("Sourdough", Met, "Sourdough starters"),
            ("Wheat or rye", Met, "Rye"),
            ("Food hygiene certificate", Met, "Food hygiene certificate (2017)"),
            ("Scuba diving", Unknown, ""),
        ] {
            let Way::Code(got, quoted, why) = way(text, Some(2020)) else {
                panic!("{text}: the model is asked")
            };
            assert_eq!(
                (got, quoted.map_or(String::new(), |one| one.text).as_str()),
                (verdict, evidence),
                "{text}: {why}"
            );
        }
    }

    #[test]
    fn a_job_that_goes_on_ends_with_the_last_date_where_there_is_no_clock() {
        let Way::Code(verdict, _, why) = way("3 years of baking", None) else { panic!("the model is asked") };
        assert_eq!(
            (verdict, why.as_str()),
            (Verdict::Partly, "30 months in 2 jobs that bear on it; 36 asked")
        );
    }

    #[test]
    fn the_rest_is_asked_with_its_lines() {
        let Way::Model(lines) = way("Has led apprentices in the kitchen of a hotel", None) else {
            panic!("decided")
        };
        let texts: Vec<_> = lines.iter().map(|one| one.line.text.as_str()).collect();
        assert_eq!(texts, ["Baked rye and led four apprentices.", "Porter, Grand Hotel"]);
        assert!(matches!(way("Degree in law", None), Way::Model(lines) if lines.len() == 1));
    }
}
