//! A call drafted from the words of a request, for the model to copy: a linker of words to the layer.
//!
//! Invariant: what is drafted was accepted by the plugin's own checks a moment before; where the request names no
//! measure of the layer, nothing is said, since other plugins listen to the same request.

mod when;

use jiff::civil::Date;
use pawl_request::{Text, also, count};
use serde_json::{Map, Value as Json, json};

use crate::layer::Layer;
use crate::{Calculation, Comparison, Database, Error, Order, Question, analysis, answer, ground, period};

/// What a phrase of the request stands for; the order breaks ties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Measure,
    Filter,
    Dimension,
    Value,
}

struct Mention {
    at: usize,
    len: usize,
    kind: Kind,
    name: String,
}

const CHART: [&str; 9] =
    ["chart", "plot", "graph", "draw", "diagram", "picture", "visualize", "visualise", "图"];
const RAISE: [&str; 5] = ["raise", "increase", "improve", "boost", "lift"];
const HIGH: [&str; 10] =
    ["top", "best", "highest", "most", "largest", "biggest", "strongest", "leading", "最高", "最多"];
const LOW: [&str; 9] =
    ["bottom", "worst", "lowest", "least", "smallest", "weakest", "fewest", "最低", "最少"];
const STEPS: [(&str, &str); 10] = [
    ("daily", "day"),
    ("weekly", "week"),
    ("monthly", "month"),
    ("quarterly", "quarter"),
    ("yearly", "year"),
    ("annually", "year"),
    ("每天", "day"),
    ("每月", "month"),
    ("按月", "month"),
    ("每年", "year"),
];
/// A request that begins so asks for a deed, not for a figure.
const DEEDS: [&str; 14] = [
    "add",
    "create",
    "schedule",
    "remind",
    "move",
    "delete",
    "cancel",
    "book",
    "write",
    "send",
    "invite",
    "insert",
    "update",
    "translate",
];

/// The draft, as `draft of the call: query {…}`; empty where the request is not about figures of the layer.
///
/// # Errors
/// Where the database does not answer.
pub fn suggest(layer: &Layer, database: &impl Database, request: &str, today: Date) -> Result<String, Error> {
    let mut text = Text::new(request);
    let first = text.words().find(|word| !["please", "can", "could", "you"].contains(word));
    if first.is_some_and(|word| DEEDS.contains(&word)) {
        return Ok(String::new());
    }
    let mentions = mentions(layer, database, &mut text)?;
    let named = |kind| mentions.iter().filter(move |mention| mention.kind == kind);
    let mut measures: Vec<String> = Vec::new();
    for mention in named(Kind::Measure) {
        if !measures.contains(&mention.name) && measures.len() < 4 {
            measures.push(mention.name.clone());
        }
    }
    // "How many large orders": the condition's last words name what is counted.
    if measures.is_empty() {
        measures.extend(named(Kind::Filter).find_map(|filter| tail(layer, &filter.name)));
    }
    let Some(measure) = measures.first().cloned() else { return Ok(String::new()) };
    let when = when::read(&mut text, today);
    let why = text.take("why") || text.take("explain") || text.take("drove") || text.take("为什么");
    let raise = text.has("how") && RAISE.iter().any(|word| text.take(word));
    let (from, to) = (when.from.map(|day| day.to_string()), when.to.map(|day| day.to_string()));
    let (function, arguments) = if why || raise {
        let days = (from.as_deref(), to.as_deref());
        if analysis::explain(layer, database, &measure, days, when.compare).is_err() {
            return Ok(String::new());
        }
        let mut all = Map::new();
        all.insert("measure".to_owned(), json!(measure));
        put(&mut all, "from", from.map(Json::from));
        put(&mut all, "to", to.map(Json::from));
        put(&mut all, "compare", when.compare.map(|compare| json!(compared(compare))));
        ("explain-change", Json::Object(all))
    } else {
        let mut question = Question {
            measures,
            by: None,
            from,
            to,
            only: None,
            excluding: None,
            compare: when.compare,
            calculate: None,
            order: None,
            top: None,
        };
        fill(&mut question, &mentions, &mut text);
        let chart = CHART.iter().filter(|word| text.take(word)).count() > 0;
        if answer::answer(layer, database, &question).is_err() {
            return Ok(String::new());
        }
        (if chart { "chart" } else { "query" }, json!({ "question": written(&question) }))
    };
    let left = text.left();
    let left = if left.is_empty() { left } else { format!("\nnot understood of the request: {left}") };
    Ok(format!("draft of the call: {function} {arguments}{left}"))
}

/// The measure that a condition's name ends with.
fn tail(layer: &Layer, filter: &str) -> Option<String> {
    let words = pawl_request::phrase(filter);
    let ends = |phrase: &str| {
        let phrase = pawl_request::phrase(phrase);
        !phrase.is_empty() && words.ends_with(&phrase)
    };
    let mut measures = layer.measures.iter();
    measures
        .find(|(name, measure)| std::iter::once(*name).chain(&measure.synonyms).any(|phrase| ends(phrase)))
        .map(|(name, _)| name.clone())
}

/// What the words stand for, longest phrases first; each word stands for one thing.
fn mentions(layer: &Layer, database: &impl Database, text: &mut Text) -> Result<Vec<Mention>, Error> {
    let mut all: Vec<(Vec<String>, Kind, String)> = Vec::new();
    for (name, measure) in &layer.measures {
        for phrase in std::iter::once(name).chain(&measure.synonyms) {
            all.push((pawl_request::phrase(phrase), Kind::Measure, name.clone()));
        }
    }
    for name in layer.filters.keys() {
        all.push((pawl_request::phrase(name), Kind::Filter, name.clone()));
    }
    for (name, dimension) in &layer.dimensions {
        for phrase in std::iter::once(name).chain(&dimension.synonyms) {
            all.push((pawl_request::phrase(phrase), Kind::Dimension, name.clone()));
        }
        let (values, _) = ground::values(layer, database, name)?;
        for value in values {
            let phrase = pawl_request::phrase(&value);
            // a number in a request is a year or a count before it is a value
            if phrase.iter().any(|word| word.chars().any(char::is_alphabetic)) && value != "(none)" {
                all.push((phrase, Kind::Value, format!("{name}: {value}")));
            }
        }
    }
    all.retain(|(phrase, ..)| !phrase.is_empty());
    all.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then(a.1.cmp(&b.1)));
    let dimensions: Vec<Vec<String>> =
        all.iter().filter(|one| one.1 == Kind::Dimension).map(|one| one.0.clone()).collect();
    let mut found = Vec::new();
    for (phrase, kind, name) in all {
        while let Some((at, len)) = text.find(&phrase, |at| {
            // `products` counts them after "how many", and splits by them elsewhere
            let both = kind == Kind::Measure && also(&phrase, &dimensions);
            !both
                || text.before(at, 1) == "many"
                || (text.before(at, 1) == "of" && text.before(at, 2) == "number")
        }) {
            text.mark(at, len);
            found.push(Mention { at, len, kind, name: name.clone() });
        }
    }
    found.sort_by_key(|mention| mention.at);
    Ok(found)
}

fn fill(question: &mut Question, mentions: &[Mention], text: &mut Text) {
    let values = || mentions.iter().filter(|mention| matches!(mention.kind, Kind::Value | Kind::Filter));
    let mut by: Vec<String> = Vec::new();
    for mention in mentions.iter().filter(|mention| mention.kind == Kind::Dimension) {
        // "the region North" names the value only
        let prefix = format!("{}: ", mention.name);
        let beside = values().any(|value| {
            value.name.starts_with(&prefix)
                && (value.at + value.len == mention.at || mention.at + mention.len == value.at)
        });
        if !beside && !by.contains(&mention.name) && by.len() < 2 {
            by.push(mention.name.clone());
        }
    }
    let (mut only, mut without) = (Vec::new(), Vec::new());
    for value in values() {
        let not = (1..=2).any(|back| {
            ["without", "excluding", "except", "exclude", "not"].contains(&text.before(value.at, back))
        }) || [1, 2].iter().any(|on| {
            let next = value.at + value.len + on;
            ["left out", "not counted", "taken out"]
                .contains(&format!("{} {}", text.at(next - 1), text.at(next)).as_str())
        });
        if not { without.push(value.name.clone()) } else { only.push(value.name.clone()) }
    }
    for word in ["without", "excluding", "except", "exclude"] {
        text.take(word);
    }
    let mut step = STEPS.iter().find(|(word, _)| text.take(word)).map(|(_, step)| (*step).to_owned());
    for word in period::WORDS {
        for before in ["by", "per", "each", "every", "which", "and"] {
            if before == "and" && by.is_empty() {
                continue;
            }
            if step.is_none() && text.take(&format!("{before} {word}")) {
                step = Some(word.to_owned());
                text.take(word); // "month by month"
            }
        }
    }
    let mut any = |words: &[&str]| words.iter().filter(|word| text.take(word)).count() > 0;
    question.calculate = if any(&["moving average", "rolling average", "rolling mean", "移动平均"]) {
        Some(Calculation::MovingAverage)
    } else if any(&["running total", "cumulative", "cumulated", "累计"]) {
        Some(Calculation::RunningTotal)
    } else if any(&["share", "percentage", "proportion", "占比"]) {
        Some(Calculation::ShareOfTotal)
    } else if any(&["growth", "growing", "grow", "增长"]) && question.compare.is_none() {
        Some(Calculation::Growth)
    } else {
        None
    };
    let over_time = !matches!(question.calculate, None | Some(Calculation::ShareOfTotal));
    if over_time && step.is_none() {
        step = Some("month".to_owned());
    }
    by.extend(step);
    if !by.is_empty() {
        let superlative = |words: &[&str], text: &mut Text| {
            let mut top = None;
            let mut there = false;
            for word in words {
                while let Some((at, len)) = text.find(&pawl_request::phrase(word), |_| true) {
                    there = true;
                    text.mark(at, len);
                    for near in [at.checked_sub(1), at.checked_add(1)].into_iter().flatten() {
                        let count = count(text.at(near)).filter(|_| top.is_none());
                        if count.is_some() {
                            text.mark(near, 1);
                            top = count;
                        }
                    }
                }
            }
            (there, top)
        };
        let (low, least) = superlative(&LOW, text);
        let (high, most) = superlative(&HIGH, text);
        question.order = match (low, high) {
            (true, _) => Some(Order::LowestFirst),
            (false, true) => Some(Order::HighestFirst),
            _ => None,
        };
        // "the two wards with the lowest fees"
        let before = |mention: &Mention| mention.at.checked_sub(1).filter(|at| count(text.at(*at)).is_some());
        let counted = mentions
            .iter()
            .filter(|mention| mention.kind == Kind::Dimension)
            .find_map(before)
            .filter(|_| low || high);
        question.top = least.or(most).or_else(|| count(text.at(counted?)));
        if let Some(at) = counted {
            text.mark(at, 1);
        }
        // "Which ward has the lowest fees?" asks for one
        let one = |mention: &Mention| {
            mention.kind == Kind::Dimension
                && text.before(mention.at, 1) == "which"
                && !text.at(mention.at + mention.len - 1).ends_with('s')
        };
        if question.top.is_none() && question.order.is_some() && mentions.iter().any(one) {
            question.top = Some(1);
        }
    }
    let some = |list: Vec<String>| Some(list).filter(|list| !list.is_empty());
    (question.by, question.only, question.excluding) = (some(by), some(only), some(without));
}

fn put(map: &mut Map<String, Json>, name: &str, value: Option<Json>) {
    if let Some(value) = value {
        map.insert(name.to_owned(), value);
    }
}

fn compared(compare: Comparison) -> &'static str {
    match compare {
        Comparison::PreviousPeriod => "previous-period",
        Comparison::SamePeriodLastYear => "same-period-last-year",
    }
}

/// The question as the model writes it.
fn written(question: &Question) -> Json {
    let mut all = Map::new();
    all.insert("measures".to_owned(), json!(question.measures));
    put(&mut all, "by", question.by.as_ref().map(|by| json!(by)));
    put(&mut all, "from", question.from.as_ref().map(|day| json!(day)));
    put(&mut all, "to", question.to.as_ref().map(|day| json!(day)));
    put(&mut all, "only", question.only.as_ref().map(|only| json!(only)));
    put(&mut all, "excluding", question.excluding.as_ref().map(|without| json!(without)));
    put(&mut all, "compare", question.compare.map(|compare| json!(compared(compare))));
    let calculate = question.calculate.map(|calculation| match calculation {
        Calculation::ShareOfTotal => "share-of-total",
        Calculation::Growth => "growth",
        Calculation::MovingAverage => "moving-average",
        Calculation::RunningTotal => "running-total",
    });
    put(&mut all, "calculate", calculate.map(Json::from));
    let order = question.order.map(|order| match order {
        Order::HighestFirst => "highest-first",
        Order::LowestFirst => "lowest-first",
        Order::ByName => "by-name",
    });
    put(&mut all, "order", order.map(Json::from));
    put(&mut all, "top", question.top.map(Json::from));
    Json::Object(all)
}

#[cfg(test)]
mod tests;
