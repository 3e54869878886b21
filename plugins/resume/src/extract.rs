//! A typed résumé: what code can find is found by code, names, titles, employers and schools are chosen by the model as
//! quotations of the section they stand in.
//!
//! Invariant: each string of a [`Profile`] is a verbatim run of the visible text with its page and offset, checked here once
//! more after the decoder; dates and months are computed.

use serde_json::{Value, json};

use crate::find::{self, Date};
use crate::section::{self, Kind};
use crate::{Error, Job, Profile, Quotation, Study, text::Text};

/// Text of one prompt, in characters: some 900 tokens of English.
const MAX_PROMPT: usize = 3_000;
/// Jobs and studies.
const MAX_ITEMS: usize = 12;

/// The host's model: instruction, text, JSON Schema and most tokens to JSON text.
pub trait Model {
    /// Answers under the schema.
    ///
    /// # Errors
    /// Where there is no model or a limit is reached.
    fn complete(
        &self,
        instruction: &str,
        text: &str,
        schema: &Value,
        max_tokens: u32,
    ) -> Result<Value, Error>;
}

/// Extracts a résumé with at most three requests to the model.
///
/// # Errors
/// Where the model cannot be reached.
pub fn extract(model: &impl Model, text: &Text) -> Result<Profile, Error> {
    let sections = section::sections(text);
    let of = |kind| section::lines(&sections, kind);
    let list = |kind| section::items(text, &of(kind));
    let mut profile = Profile {
        name: None,
        emails: find::emails(&text.pages),
        phones: find::phones(&text.pages),
        links: find::links(&text.pages),
        summary: find::place(&text.pages, &of(Kind::Summary).join("\n")),
        employment: Vec::new(),
        education: Vec::new(),
        skills: list(Kind::Skills),
        languages: list(Kind::Languages),
        certificates: list(Kind::Certificates),
    };
    let head: Vec<String> = of(Kind::Head).into_iter().filter(|line| !line.contains('@')).take(6).collect();
    if let Some(head) = prompt(&head) {
        let schema = json!({"type": "object", "properties": {"name": quote(&head, 60)}, "required": ["name"], "additionalProperties": false});
        let answer = model.complete(
            "The lines are the top of a résumé. Give the person's full name, nothing else.",
            &head,
            &schema,
            60,
        )?;
        profile.name = string(&answer, "name").and_then(|name| find::place(&text.pages, &name));
    }
    let work = of(Kind::Work);
    let instruction = "The text is the employment section of a résumé. List every job in order: the job title, then the employer (the company's name only). No dates.";
    for (title, employer) in pairs(model, text, instruction, &work, ["title", "employer"])? {
        let span = span(&work, &title.text, &employer.text, profile.employment.len());
        let dates = span.map(find::dates).unwrap_or_default();
        let (start, end) = (dates.first().copied(), dates.get(1).copied());
        let months = match (start, end) {
            (Some(Date::On(start)), Some(Date::On(end))) => find::months(start, end),
            _ => None,
        };
        profile.employment.push(Job {
            title,
            employer,
            dates: span.and_then(|line| find::place(&text.pages, line)),
            start: start.map(written),
            end: end.map(written),
            months,
        });
    }
    let instruction = "The text is the education section of a résumé. List every study in order: the degree or subject, then the school. No dates.";
    let studies = pairs(model, text, instruction, &of(Kind::Education), ["degree", "school"])?;
    profile.education = studies.into_iter().map(|(degree, school)| Study { degree, school }).collect();
    Ok(profile)
}

fn pairs(
    model: &impl Model,
    text: &Text,
    instruction: &str,
    lines: &[String],
    keys: [&str; 2],
) -> Result<Vec<(Quotation, Quotation)>, Error> {
    let Some(body) = prompt(lines) else { return Ok(Vec::new()) };
    let [first, second] = keys;
    let schema = json!({
        "type": "object",
        "properties": {"items": {"type": "array", "maxItems": MAX_ITEMS, "items": {
            "type": "object",
            "properties": {first: quote(&body, 90), second: quote(&body, 90)},
            "required": [first, second],
            "additionalProperties": false
        }}},
        "required": ["items"],
        "additionalProperties": false
    });
    let answer = model.complete(instruction, &body, &schema, 400)?;
    let mut found: Vec<(Quotation, Quotation)> = Vec::new();
    for item in answer.get("items").and_then(Value::as_array).into_iter().flatten() {
        let get = |key| string(item, key).and_then(|value| find::place(&text.pages, &value));
        let chosen = string(item, first)
            .zip(string(item, second))
            .map(|(own, other)| without(&own, &other).to_owned());
        let own = chosen.and_then(|own| find::place(&text.pages, &own));
        if let (Some(first), Some(second)) = (own, get(second))
            && !found.iter().any(|(a, b)| (&a.text, &b.text) == (&first.text, &second.text))
        {
            found.push((first, second));
        }
    }
    Ok(found)
}

/// A title without the employer that was quoted with it, as in "Baker, The Mill": still a run of the text.
fn without<'a>(own: &'a str, other: &str) -> &'a str {
    let ends = |c: char| c.is_whitespace() || matches!(c, ',' | '|' | '-' | '–' | '—' | '·' | '@' | '，');
    let parts =
        own.split_once(other).map(|(before, after)| (before.trim_matches(ends), after.trim_matches(ends)));
    match parts {
        Some((before, "")) if !before.is_empty() => before,
        Some(("", after)) if !after.is_empty() => after,
        _ => own,
    }
}

/// The line with a span of dates that stands nearest to a job; among equals the one not before it.
fn span<'a>(lines: &'a [String], title: &str, employer: &str, earlier: usize) -> Option<&'a str> {
    let at = lines.iter().position(|line| line.contains(title) && line.contains(employer));
    let at = at.or_else(|| {
        lines.windows(2).position(|pair| {
            pair.iter().any(|line| line.contains(title)) && pair.iter().any(|line| line.contains(employer))
        })
    });
    let at = at.or_else(|| lines.iter().position(|line| line.contains(title)))?;
    let spans: Vec<(usize, &String)> =
        lines.iter().enumerate().filter(|(_, line)| find::dates(line).len() >= 2).collect();
    // One span for each job: where the first stands before the first job, each belongs to the job after it.
    let before = spans.first().is_some_and(|(first, _)| *first < at && earlier == 0)
        || spans.get(earlier).is_some_and(|(own, _)| *own < at);
    let line = if before {
        spans.iter().rev().find(|(own, _)| *own <= at)
    } else {
        spans.iter().find(|(own, _)| *own >= at)
    };
    line.map(|(_, line)| line.as_str())
}

fn written(date: Date) -> String {
    match date {
        Date::On(month) => month.to_string(),
        Date::Present => "present".to_owned(),
    }
}

pub(crate) fn quote(text: &str, most: usize) -> Value {
    json!({"type": "string", "maxLength": most, "x-pawl": {"quote": text}})
}

pub(crate) fn string(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned)
}

/// Lines as one text within [`MAX_PROMPT`]; none where nothing is said.
pub(crate) fn prompt(lines: &[String]) -> Option<String> {
    let mut out = String::new();
    for line in lines {
        if out.chars().count() + line.chars().count() > MAX_PROMPT {
            break;
        }
        out.push_str(line);
        out.push('\n');
    }
    Some(out).filter(|out| out.chars().any(char::is_alphanumeric))
}

#[cfg(test)]
mod tests {
    use super::{Model, extract};
    use crate::{Error, Format, text::Text};
    use serde_json::{Value, json};

    struct Said(Value);

    impl Model for Said {
        fn complete(&self, _: &str, _: &str, _: &Value, _: u32) -> Result<Value, Error> {
            Ok(self.0.clone())
        }
    }

    #[test]
    fn months_are_computed_and_what_is_not_in_the_text_is_dropped() {
        let page = "Zoë Brandt\nzoe@example.com\nExperience\nBaker, The Mill\nMarch 2019 – May 2020\nMiller, Old Mill Ltd\nJune 2015 – present\n";
        let text = Text { format: Format::Text, pages: vec![page.to_owned()], hidden: vec![] };
        let said = json!({"name": "Zoë Brandt", "items": [
            {"title": "Baker", "employer": "The Mill"},
            {"title": "Miller, Old Mill Ltd", "employer": "Old Mill Ltd"},
            {"title": "King", "employer": "The Moon"}
        ]});
        let profile = extract(&Said(said), &text).expect("answered");
        assert_eq!(
            profile.name.map(|name| (name.text, name.page, name.offset)),
            Some(("Zoë Brandt".to_owned(), 1, 0))
        );
        let jobs: Vec<_> = profile
            .employment
            .iter()
            .map(|job| (job.title.text.as_str(), job.start.as_deref(), job.end.as_deref(), job.months))
            .collect();
        assert_eq!(
            jobs,
            [
                ("Baker", Some("2019-03"), Some("2020-05"), Some(15)),
                ("Miller", Some("2015-06"), Some("present"), None)
            ]
        );
    }
}
