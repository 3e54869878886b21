//! The figures of an answer that no tool gave: invented, or worked out by the model, which does not calculate well. The answer is left
//! as it is, and says so in a line of its own.
//!
//! A figure is given where a result, a call or the conversation has it, also rounded, as a percentage of a share, in thousands or
//! millions, or as an hour of twelve; so is how many of a list there are. Those up to ten are as good as words.

use serde_json::Value;

use super::{CallRecord, Item, Tools, Turn};

/// Whole numbers up to this are not looked at.
const WORDS: f64 = 10.0;
/// The most that are named.
const MAX_NAMED: usize = 8;

/// What is said below an answer in words, to what plugins were called for, whose figures are not all given.
pub(super) fn note(turn: &Turn, calls: &[CallRecord], answer: &str) -> Option<String> {
    if !matches!(turn.tools, Tools::Plugins) || turn.format.is_some() || calls.is_empty() {
        return None;
    }
    let mut given = Vec::new();
    for text in turn.items.iter().map(text).chain([turn.now.date().to_string()]) {
        given.extend(numbers(&text).map(|(_, number, _)| number));
    }
    let mut longest = 0;
    for call in calls {
        given.extend(numbers(&call.arguments.to_string()).map(|(_, number, _)| number));
        match &call.result {
            Ok(value) => {
                given.extend(numbers(&value.to_string()).map(|(_, number, _)| number));
                longest = longest.max(lengths(value));
            }
            Err(error) => given.extend(numbers(error).map(|(_, number, _)| number)),
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a list is short")]
    let counted = WORDS.max(longest as f64);
    let mut named: Vec<&str> = Vec::new();
    for (word, number, places) in numbers(answer) {
        let is_whole = places == 0 && number <= counted;
        if !is_whole && !given.iter().any(|given| is_given(number, places, *given)) && !named.contains(&word)
        {
            named.push(word);
        }
    }
    if named.is_empty() {
        return None;
    }
    named.truncate(MAX_NAMED);
    let chinese = answer.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
    Some(if chinese {
        format!("（以下数字不是工具给出的：{}）", named.join("、"))
    } else {
        format!("(No tool gave these figures: {}.)", named.join("; "))
    })
}

fn text(item: &Item) -> String {
    match item {
        Item::System(text) | Item::User(text) | Item::Assistant(text) | Item::Result(text) => text.clone(),
        Item::Call { arguments, .. } => arguments.to_string(),
    }
}

/// The length of the longest list in it.
fn lengths(value: &Value) -> usize {
    match value {
        Value::Array(all) => all.iter().map(lengths).max().unwrap_or_default().max(all.len()),
        Value::Object(all) => all.values().map(lengths).max().unwrap_or_default(),
        _ => 0,
    }
}

/// Whether `number`, written to so many places, is this one.
fn is_given(number: f64, places: usize, given: f64) -> bool {
    let near =
        |given: f64| (given - number).abs() <= 0.500_001 / 10_f64.powi(i32::try_from(places).unwrap_or(6));
    let is_hour = given > 12.0 && given < 24.0 && given.fract() == 0.0;
    near(given)
        || near(given * 100.0)
        || (places > 0 && (near(given / 1e3) || near(given / 1e6)))
        || (is_hour && near(given - 12.0))
}

/// The numbers of a text, as they are written: text, value, decimal places. `1,234.50` is one; a day is three.
fn numbers(text: &str) -> impl Iterator<Item = (&str, f64, usize)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() && !bytes[at].is_ascii_digit() {
            at += 1;
        }
        let start = at;
        let digit = |place: usize| bytes.get(place).is_some_and(u8::is_ascii_digit);
        let mut point = None;
        while digit(at) || (at > start && digit(at + 1) && is_mark(bytes, at, point)) {
            if bytes[at] == b'.' {
                point = Some(at);
            }
            at += 1;
        }
        let word = &text[start..at];
        let number = word.replace(',', "").parse().ok()?;
        Some((word, number, point.map_or(0, |point| at - point - 1)))
    })
}

/// Whether a point or a comma belongs to the number: one point, and commas before three digits.
fn is_mark(bytes: &[u8], at: usize, point: Option<usize>) -> bool {
    match bytes[at] {
        b'.' => point.is_none(),
        b',' => {
            point.is_none()
                && bytes.get(at + 1..at + 4).is_some_and(|next| next.iter().all(u8::is_ascii_digit))
                && !bytes.get(at + 4).is_some_and(u8::is_ascii_digit)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn noted(answer: &str, result: Value) -> Option<String> {
        let items = vec![Item::User("What did the 25 largest take in, over 4,000 each, in 2030?".into())];
        let now = jiff::civil::date(2031, 3, 3).at(9, 0, 0, 0).in_tz("UTC").expect("a zone");
        let call = CallRecord {
            tool: "a.b".into(),
            arguments: json!({"limit": 40}),
            result: Ok(result),
            mendable: false,
            took: Duration::ZERO,
        };
        note(&Turn::with_plugins(items, now), &[call], answer)
    }

    #[test]
    fn what_a_tool_or_the_user_said_is_given_in_the_forms_that_people_write() {
        let result =
            json!({"rows": [["Ada", "136566.5"], ["Bo", "0.1534"]], "day": "2030-12-19", "at": "17:45"});
        for answer in [
            "Ada took in 136,566.50, or 136,567, and 15.3% of it, or 15 %.",
            "It was on 19 December 2030, at 5:45.",
            "136.6 thousand, of 2 people; 3 of the 25 over 4000, at most 40.",
            "Today is 3 March 2031.",
            "No figures.",
        ] {
            assert_eq!(noted(answer, result.clone()), None, "{answer}");
        }
    }

    #[test]
    fn what_nobody_said_is_named() {
        let nothing = json!({"rows": []});
        assert_eq!(
            noted("North: 123.45, South: 456.78, North: 123.45", nothing.clone()).as_deref(),
            Some("(No tool gave these figures: 123.45; 456.78.)")
        );
        assert_eq!(noted("一共 53 小时", nothing).as_deref(), Some("（以下数字不是工具给出的：53）"));
        let minutes = json!({"rows": [["3173"]]});
        assert_eq!(
            noted("3173 minutes are 53 hours", minutes).as_deref(),
            Some("(No tool gave these figures: 53.)")
        );
    }

    #[test]
    fn numbers_are_read_as_they_are_written() {
        let read = |text| numbers(text).map(|(word, _, places)| (word, places)).collect::<Vec<_>>();
        assert_eq!(read("1,234.50 and 2030-03-04."), [("1,234.50", 2), ("2030", 0), ("03", 0), ("04", 0)]);
        assert_eq!(read("1, 2,34 and 1.2.3"), [("1", 0), ("2", 0), ("34", 0), ("1.2", 1), ("3", 0)]);
        assert_eq!(read("é12€ 9"), [("12", 0), ("9", 0)]);
        assert!(read(&"9".repeat(400)).len() == 1);
    }
}
