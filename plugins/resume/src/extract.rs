//! A typed résumé: what code can tell is told by code; titles and employers are chosen by the model among the runs of
//! the lines that name a job, and what no rule parts is quoted by it from its section.
//!
//! Invariant: each string of a [`Profile`] is a verbatim run of the visible text with its page and offset; dates and months
//! are computed. What was not read for its length is named.

use serde_json::{Map, Value, json};

use crate::employment::{self, Entry};
use crate::find::{self, Date};
use crate::section::{self, Kind};
use crate::{Error, Job, Profile, Quotation, Study, education, text::Text};

/// Text of one prompt, in characters: some 900 tokens of English.
const MAX_PROMPT: usize = 3_000;
/// Windows of a section that no rule parts: each is one request to the model.
const MAX_WINDOWS: usize = 4;
/// Jobs whose heads are shown to the model at once.
const JOBS_AT_ONCE: usize = 8;
/// Jobs of one résumé.
const MAX_JOBS: usize = 40;
/// Studies, or jobs without a span of dates, of one window.
const MAX_ITEMS: usize = 12;

/// The host's model.
pub trait Model {
    /// Answers under the schema. The examples are turns before it, text and answer; the text is data, never an order.
    ///
    /// # Errors
    /// Where there is no model or a limit is reached.
    fn complete(
        &self,
        instruction: &str,
        examples: &[(String, String)],
        text: &str,
        schema: &Value,
        max_tokens: u32,
    ) -> Result<Value, Error>;
}

/// Extracts a résumé. Where its jobs have spans of dates, one request to the model for each eight of them is the rule.
///
/// # Errors
/// Where the model cannot be reached.
pub fn extract(model: &impl Model, text: &Text) -> Result<Profile, Error> {
    let sections = section::sections(text);
    let of = |kind| section::lines(&sections, kind);
    let summary = of(Kind::Summary).iter().map(|line| line.text.clone()).collect::<Vec<_>>().join("\n");
    let mut profile = Profile {
        name: None,
        emails: find::emails(&text.pages),
        phones: find::phones(&text.pages),
        links: find::links(&text.pages),
        summary: find::place(&text.pages, &summary),
        employment: Vec::new(),
        education: Vec::new(),
        skills: section::items(&of(Kind::Skills)),
        languages: section::items(&of(Kind::Languages)),
        certificates: section::items(&of(Kind::Certificates)),
        unread: Vec::new(),
    };
    let head = of(Kind::Head);
    profile.name = match find::name(&head, &profile.emails) {
        Some(name) => Some(name),
        None => named(model, text, &head)?,
    };
    let work = of(Kind::Work);
    // Without headings all lines are the head's.
    let entries = employment::entries(if work.is_empty() { &head } else { &work });
    for entry in entries.iter().skip(MAX_JOBS).take(1) {
        profile.unread.push(format!("jobs after the first {MAX_JOBS}, from page {}", entry.span.page));
    }
    for some in entries.get(..MAX_JOBS).unwrap_or(&entries).chunks(JOBS_AT_ONCE) {
        profile.employment.extend(jobs(model, some)?);
    }
    if entries.is_empty() {
        let instruction = "The text is the employment section of a résumé. List every job in order: the job title, then the employer (the company's name only). No dates.";
        let found =
            pairs(model, text, ("jobs", instruction), &work, ["title", "employer"], &mut profile.unread)?;
        profile.employment.extend(found.into_iter().map(|(title, employer)| Job {
            title,
            employer: Some(employer),
            dates: None,
            start: None,
            end: None,
            months: None,
        }));
    }
    let studies = of(Kind::Education);
    profile.education = match education::studies(&studies) {
        Some(studies) => studies,
        None => {
            let instruction = "The text is the education section of a résumé. List every study in order: the degree or subject, then the school. No dates.";
            let found = pairs(
                model,
                text,
                ("studies", instruction),
                &studies,
                ["degree", "school"],
                &mut profile.unread,
            )?;
            found.into_iter().map(|(degree, school)| Study { degree, school }).collect()
        }
    };
    Ok(profile)
}

/// The name, quoted by the model from the top of the résumé.
fn named(model: &impl Model, text: &Text, head: &[Quotation]) -> Result<Option<Quotation>, Error> {
    let top: Vec<Quotation> = head.iter().filter(|line| !line.text.contains('@')).take(6).cloned().collect();
    let Some(top) = windows(&top).into_iter().next() else { return Ok(None) };
    let schema = json!({"type": "object", "properties": {"name": quote(&top, 60)}, "required": ["name"], "additionalProperties": false});
    let instruction = "The lines are the top of a résumé. Give the person's full name, nothing else.";
    let answer = model.complete(instruction, &[], &top, &schema, 60)?;
    Ok(string(&answer, "name").and_then(|name| find::place(&text.pages, &name)))
}

/// Jobs by the lines that name them: the model says which run is the title and which the employer.
fn jobs(model: &impl Model, entries: &[Entry]) -> Result<Vec<Job>, Error> {
    let choices: Vec<Vec<Quotation>> = entries.iter().map(Entry::choices).collect();
    let mut properties = Map::new();
    let mut shown = String::new();
    for (at, own) in choices.iter().enumerate().filter(|(_, own)| own.len() > 1) {
        let texts: Vec<&str> = own.iter().map(|one| one.text.as_str()).collect();
        let lines =
            entries.get(at).map(|entry| entry.head.iter().map(|line| line.text.as_str()).collect::<Vec<_>>());
        shown.push_str(&format!("job {}: {}\n", at + 1, lines.unwrap_or_default().join(" | ")));
        properties.insert(format!("job {} title", at + 1), json!({"enum": texts}));
        // Of two runs the other is the employer.
        if own.len() > 2 {
            properties.insert(format!("job {} employer", at + 1), json!({"enum": texts}));
        }
    }
    let required: Vec<String> = properties.keys().cloned().collect();
    let answer = if required.is_empty() {
        Value::Null
    } else {
        let schema = json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false});
        let instruction = "Each line is the head of one job in a résumé. It names the job title, which is what the person worked as, and the employer, which is a company or an institution, in either order. Copy them.";
        model.complete(instruction, &[], &shown, &schema, 600)?
    };
    let made = entries.iter().zip(&choices).enumerate().filter_map(|(at, (entry, own))| {
        let chosen = |what| {
            let text = string(&answer, &format!("job {} {what}", at + 1))?;
            own.iter().find(|one| one.text == text).cloned()
        };
        let title = chosen("title").or_else(|| own.first().cloned())?;
        let other = |one: &&Quotation| !one.text.contains(&title.text) && !title.text.contains(&one.text);
        let employer = chosen("employer")
            .filter(|one| one.text != title.text)
            .or_else(|| own.iter().find(other).cloned());
        let title = employer.as_ref().and_then(|employer| without(&title, &employer.text)).unwrap_or(title);
        let [start, end] = entry.time;
        let months = match (start, end) {
            (Date::On(start), Date::On(end)) => find::months(start, end),
            _ => None,
        };
        Some(Job {
            title,
            employer,
            dates: Some(entry.span.clone()),
            start: Some(written_date(start)),
            end: Some(written_date(end)),
            months,
        })
    });
    Ok(made.collect())
}

/// Pairs of quotations from a section, window by window.
fn pairs(
    model: &impl Model,
    text: &Text,
    (what, instruction): (&str, &str),
    lines: &[Quotation],
    keys: [&str; 2],
    unread: &mut Vec<String>,
) -> Result<Vec<(Quotation, Quotation)>, Error> {
    let [first, second] = keys;
    let mut found: Vec<(Quotation, Quotation)> = Vec::new();
    let bodies = windows(lines);
    if bodies.len() > MAX_WINDOWS {
        let read: usize = bodies.iter().take(MAX_WINDOWS).map(|body| body.lines().count()).sum();
        let page = lines.get(read).map_or(0, |line| line.page);
        unread.push(format!(
            "{what} after the first {} characters, from page {page}",
            MAX_WINDOWS * MAX_PROMPT
        ));
    }
    for body in bodies.iter().take(MAX_WINDOWS) {
        let schema = json!({
            "type": "object",
            "properties": {"items": {"type": "array", "maxItems": MAX_ITEMS, "items": {
                "type": "object",
                "properties": {first: quote(body, 90), second: quote(body, 90)},
                "required": [first, second],
                "additionalProperties": false
            }}},
            "required": ["items"],
            "additionalProperties": false
        });
        let answer = model.complete(instruction, &[], body, &schema, 600)?;
        for item in answer.get("items").and_then(Value::as_array).into_iter().flatten() {
            let get = |key| string(item, key).and_then(|value| find::place(&text.pages, &value));
            let (Some(own), Some(other)) = (get(first), get(second)) else { continue };
            let own = without(&own, &other.text).unwrap_or(own);
            if !found.iter().any(|(a, b)| (&a.text, &b.text) == (&own.text, &other.text)) {
                found.push((own, other));
            }
        }
    }
    Ok(found)
}

/// A title without the employer that was quoted with it, as in "Baker, The Mill": still a run of the text.
fn without(own: &Quotation, other: &str) -> Option<Quotation> {
    let at = own.text.find(other)?;
    let before = find::part(own, 0..at);
    let after = find::part(own, at + other.len()..own.text.len());
    match (before, after) {
        (Some(part), None) | (None, Some(part)) => Some(part),
        _ => None,
    }
}

fn written_date(date: Date) -> String {
    match date {
        Date::On(month) => month.to_string(),
        Date::Present => "present".to_owned(),
    }
}

fn quote(text: &str, most: usize) -> Value {
    json!({"type": "string", "maxLength": most, "x-pawl": {"quote": text}})
}

pub(crate) fn string(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned)
}

/// Lines as texts of at most [`MAX_PROMPT`] characters each; those in which nothing is said are left out.
fn windows(lines: &[Quotation]) -> Vec<String> {
    let mut out = vec![String::new()];
    for line in lines {
        let text: String = line.text.chars().take(MAX_PROMPT).collect();
        let full = out.last().is_some_and(|last| last.chars().count() + text.chars().count() >= MAX_PROMPT);
        if full {
            out.push(String::new());
        }
        if let Some(last) = out.last_mut() {
            last.push_str(&text);
            last.push('\n');
        }
    }
    out.retain(|text| text.chars().any(char::is_alphanumeric));
    out
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::{Model, extract};
    use crate::{Error, Format, text::Text};
    use serde_json::{Value, json};

    /// Answers as told and keeps what it was shown.
    struct Said(Value, RefCell<Vec<String>>);

    impl Model for Said {
        fn complete(
            &self,
            _: &str,
            _: &[(String, String)],
            text: &str,
            _: &Value,
            _: u32,
        ) -> Result<Value, Error> {
            self.1.borrow_mut().push(text.to_owned());
            Ok(self.0.clone())
        }
    }

    fn text(page: &str) -> Text {
        Text { format: Format::Text, pages: vec![page.to_owned()], hidden: vec![] }
    }

    #[test]
    fn one_request_and_the_rest_by_code() {
        let page = "Zoë Brandt\nzoe@example.com\nExperience\nBaker, The Mill\nMarch 2019 – May 2020\nBaked.\nOld Mill Ltd, Miller\nJune 2015 – present\nHermit\n2012 – 2014\nEducation\nBA Baking, Aue College\n";
        let said = Said(json!({"job 1 title": "Baker", "job 2 title": "Miller"}), RefCell::default());
        let profile = extract(&said, &text(page)).expect("answered");
        assert_eq!(said.1.borrow().as_slice(), ["job 1: Baker, The Mill\njob 2: Old Mill Ltd, Miller\n"]);
        let name = profile.name.map(|name| (name.text, name.page, name.offset));
        assert_eq!(name, Some(("Zoë Brandt".to_owned(), 1, 0)));
        let jobs: Vec<_> = profile
            .employment
            .iter()
            .map(|job| {
                let employer = job.employer.as_ref().map(|one| (one.text.as_str(), one.offset));
                (job.title.text.as_str(), employer, job.start.as_deref(), job.end.as_deref(), job.months)
            })
            .collect();
        assert_eq!(
            jobs,
            [
                ("Baker", Some(("The Mill", 45)), Some("2019-03"), Some("2020-05"), Some(15)),
                ("Miller", Some(("Old Mill Ltd", 83)), Some("2015-06"), Some("present"), None),
                ("Hermit", None, Some("2012"), Some("2014"), None)
            ]
        );
        assert_eq!(profile.education[0].school.text, "Aue College");
    }

    #[test]
    fn what_is_not_in_the_text_is_dropped_and_what_is_too_long_is_named() {
        let page =
            format!("zoe@example.com\nExperience\nBaker, The Mill\n{}", "Kept the books.\n".repeat(900));
        let said = json!({"items": [{"title": "Baker, The Mill", "employer": "The Mill"}, {"title": "King", "employer": "The Moon"}]});
        let said = Said(said, RefCell::default());
        let profile = extract(&said, &text(&page)).expect("answered");
        let jobs: Vec<_> = profile.employment.iter().map(|job| job.title.text.as_str()).collect();
        assert_eq!(jobs, ["Baker"]);
        assert_eq!(said.1.borrow().len(), 4);
        assert_eq!(profile.unread, ["jobs after the first 12000 characters, from page 1"]);
    }
}
