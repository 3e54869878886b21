//! The user's request as tools and plugins are told it: what was asked last, with what was asked before where it goes on from that.

use super::decision::Offered;
use super::{Item, Turn, prompt};

/// The last request, and the one before it: "And in October?" is about something.
pub(super) fn last_two(items: &[Item]) -> String {
    let texts = items.iter().rev().filter_map(|item| match item {
        Item::User(text) => Some(text.as_str()),
        _ => None,
    });
    texts.take(2).collect::<Vec<_>>().join("\n")
}

/// What was asked last.
pub(super) fn last(items: &[Item]) -> &str {
    let last = items.iter().rev().find_map(|item| match item {
        Item::User(text) => Some(text.as_str()),
        _ => None,
    });
    last.unwrap_or_default()
}

/// The tools with the user's request in the places that ask for it, as [`prompt::annotated`] writes it.
pub(super) fn told(mut tools: Vec<Offered>, turn: &Turn) -> Vec<Offered> {
    let texts: Vec<&str> = turn
        .items
        .iter()
        .filter_map(|item| match item {
            Item::User(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    let text = match texts.as_slice() {
        [.., before, last] if goes_on(last) => format!("{before}\n{last}"),
        [.., last] => (*last).to_owned(),
        [] => String::new(),
    };
    let text = prompt::annotated(&text, &turn.now, true, &mut None);
    for tool in &mut tools {
        pawl_plugin::request(&mut tool.parameters, &text);
    }
    tools
}

/// Whether a request is about what was asked before: "And in October?"
fn goes_on(request: &str) -> bool {
    let lower = request.trim_start().to_lowercase();
    let begins = |word: &str| {
        let rest = lower.strip_prefix(word);
        rest.is_some_and(|rest| !word.is_ascii() || !rest.starts_with(|c: char| c.is_alphanumeric()))
    };
    GOING_ON.iter().any(|word| begins(word))
}

/// What such a request begins with.
const GOING_ON: [&str; 14] = [
    "and",
    "or",
    "but",
    "what about",
    "how about",
    "only",
    "also",
    "the same",
    "same",
    "now",
    "那",
    "还有",
    "其中",
    "再",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_goes_on_from_the_one_before_is_told_with_it() {
        let parameters =
            serde_json::json!({"properties": {"question": {"type": "string", "x-pawl": {"request": true}}}});
        let tool = Offered::new("shop.ask", "", parameters);
        let now = jiff::civil::date(2031, 3, 3).at(9, 0, 0, 0).in_tz("UTC").expect("a zone");
        let told = |requests: &[&str]| {
            let items = requests.iter().map(|text| Item::User((*text).to_owned())).collect();
            let tools = super::told(vec![tool.clone()], &Turn::with_plugins(items, now.clone()));
            tools[0].parameters["properties"]["question"]["enum"][0]
                .as_str()
                .map(str::to_owned)
                .unwrap_or_default()
        };
        let note = "\n[Today is Monday 2031-03-03, 09:00.]";
        assert_eq!(told(&["How many lamps?", "Which is the oldest?"]), format!("Which is the oldest?{note}"));
        assert_eq!(
            told(&["How many lamps?", "And of wood?"]),
            format!("How many lamps?\nAnd of wood?{note}")
        );
        assert_eq!(told(&["Andes?"]), format!("Andes?{note}"));
    }
}
