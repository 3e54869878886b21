//! The score of one turn: was the right tool called, and was the call right? The rules are in `tests/cases/README.md`.

use std::path::Path;

use jiff::civil::DateTime;
use serde_json::Value;

use super::cases::{Case, Check, Expect};
use super::rows::{Shop, agree};

/// The tool whose calls are judged by the result of their statement.
pub(super) const QUERY: &str = "sql.ask";
/// Looking around before a query.
const SCHEMA: &str = "sql.schema";
/// Tools that change something: a second right call is one too many.
const CREATE: &str = "calendar.create-event";

/// How a turn did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Score {
    pub(crate) tool_right: bool,
    /// Never true where `tool_right` is false.
    pub(crate) call_right: bool,
    /// What is wrong; empty where all is right.
    pub(crate) why: String,
}

/// Scores the calls of a turn (tool and arguments), in the order in which they were made and with failed ones
/// included. `shop` is the sample shop's file, opened read-only for cases of `sql.query`.
pub(crate) fn score(case: &Case, calls: &[(String, Value)], shop: &Path) -> Score {
    let Some(expect) = &case.expect else {
        return match calls.first() {
            None => Score { tool_right: true, call_right: true, why: String::new() },
            Some((tool, _)) => Score {
                tool_right: false,
                call_right: false,
                why: format!("called {tool}, expected no call"),
            },
        };
    };
    let tool_wrong = |why| Score { tool_right: false, call_right: false, why };
    let looking = |tool: &str| tool == SCHEMA && expect.tool == QUERY;
    match calls.iter().find(|(tool, _)| !looking(tool)) {
        None => tool_wrong(format!("no call, expected {}", expect.tool)),
        Some((tool, _)) if *tool != expect.tool => {
            tool_wrong(format!("called {tool}, expected {}", expect.tool))
        }
        Some(_) => match judge(expect, calls, shop) {
            Ok(()) => Score { tool_right: true, call_right: true, why: String::new() },
            Err(why) => Score { tool_right: true, call_right: false, why },
        },
    }
}

fn judge(expect: &Expect, calls: &[(String, Value)], shop: &Path) -> Result<(), String> {
    let of_tool: Vec<&Value> =
        calls.iter().filter(|(tool, _)| *tool == expect.tool).map(|(_, arguments)| arguments).collect();
    let Some((last, earlier)) = of_tool.split_last() else {
        return Err(format!("no call of {}", expect.tool));
    };
    arguments(expect, last)?;
    if expect.tool == QUERY {
        query(expect, last, shop)?;
    }
    if expect.tool == CREATE && earlier.iter().any(|call| arguments(expect, call).is_ok()) {
        return Err("made the same event twice".to_owned());
    }
    Ok(())
}

fn arguments(expect: &Expect, call: &Value) -> Result<(), String> {
    for (name, check) in &expect.arguments {
        let all;
        let value = match (name.as_str(), call.get(name)) {
            ("*", _) => {
                all = Value::String(texts(call));
                &all
            }
            (_, Some(value)) => value,
            (_, None) => return Err(format!("{name} is missing")),
        };
        holds(check, value).map_err(|why| format!("{name} {why}"))?;
    }
    Ok(())
}

fn holds(check: &Check, value: &Value) -> Result<(), String> {
    match check {
        Check::Equals(wanted) if same(value, wanted) => Ok(()),
        Check::Equals(wanted) => Err(format!("is {value}, expected {wanted}")),
        Check::OneOf(wanted) if wanted.iter().any(|wanted| same(value, wanted)) => Ok(()),
        Check::OneOf(wanted) => Err(format!("is {value}, expected one of {}", Value::Array(wanted.clone()))),
        Check::Words(groups) => {
            let text = texts(value).to_lowercase();
            match groups.iter().find(|group| !has_any(&text, group)) {
                None => Ok(()),
                Some(group) => Err(format!("is {value}, expected it to hold {}", group.join(" or "))),
            }
        }
        Check::Contains(groups) => {
            let elements: Vec<String> =
                value.as_array().into_iter().flatten().map(|element| texts(element).to_lowercase()).collect();
            match groups.iter().find(|group| !elements.iter().any(|text| has_any(text, group))) {
                None => Ok(()),
                Some(group) => Err(format!("is {value}, expected an element with {}", group.join(" or "))),
            }
        }
    }
}

fn has_any(text: &str, words: &[String]) -> bool {
    words.iter().any(|word| text.contains(&word.to_lowercase()))
}

/// All texts in a value, one a line.
fn texts(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(texts).collect::<Vec<_>>().join("\n"),
        Value::Object(fields) => fields.values().map(texts).collect::<Vec<_>>().join("\n"),
        Value::Null | Value::Bool(_) | Value::Number(_) => String::new(),
    }
}

fn same(value: &Value, wanted: &Value) -> bool {
    match (value, wanted) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::String(a), Value::String(b)) => {
            let moments = a.trim().parse::<DateTime>().ok().zip(b.trim().parse::<DateTime>().ok());
            moments.map_or_else(|| a.trim().eq_ignore_ascii_case(b.trim()), |(a, b)| a == b)
        }
        _ => value == wanted,
    }
}

fn query(expect: &Expect, call: &Value, shop: &Path) -> Result<(), String> {
    let sql = call.get("sql").and_then(Value::as_str).ok_or("sql is missing")?;
    let mut shop = Shop::open(shop)?;
    let given = shop.run(sql).map_err(|error| format!("sql fails: {error}"))?;
    let mut first = None;
    for gold in &expect.gold_sql {
        let table = shop.run(gold).map_err(|error| format!("gold_sql fails: {error}: {gold}"))?;
        match agree(&table, &given, expect.ordered) {
            Ok(()) => return Ok(()),
            Err(why) => first = first.or(Some(why)),
        }
    }
    Err(format!("the result is another: {}", first.unwrap_or_default()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot make its file has failed")]
mod tests {
    use serde_json::json;

    use super::*;

    fn case(expect: Value) -> Case {
        let messages = json!([{"role": "user", "content": "hi"}]);
        serde_json::from_value(json!({"id": "one", "messages": messages, "expect": expect})).unwrap()
    }

    fn event() -> Case {
        case(json!({"tool": "calendar.create-event", "arguments": {
            "*": {"words": [["finance"]]},
            "title": {"words": [["call", "meeting"]]},
            "start": {"equals": "2026-11-24T10:30"},
            "duration-minutes": {"one_of": [30, 45]},
            "attendees": {"contains": [["mara", "m."]]}
        }}))
    }

    fn good() -> Value {
        json!({"title": "Call: Finance", "start": "2026-11-24T10:30:00", "duration-minutes": 30,
            "attendees": ["Tom", "Mara"]})
    }

    fn run(case: &Case, calls: &[(&str, Value)]) -> (bool, bool, String) {
        let calls: Vec<(String, Value)> =
            calls.iter().map(|(tool, arguments)| ((*tool).to_owned(), arguments.clone())).collect();
        let score = score(case, &calls, Path::new("/no/shop.sqlite"));
        (score.tool_right, score.call_right, score.why)
    }

    #[test]
    fn no_call_where_none_is_expected() {
        let case = case(Value::Null);
        assert_eq!(run(&case, &[]), (true, true, String::new()));
        let (tool, call, why) = run(&case, &[("sql.schema", json!({}))]);
        assert!(!tool && !call && why.contains("sql.schema"), "{why}");
    }

    #[test]
    fn the_first_call_decides_about_the_tool() {
        let (case, name) = (event(), "calendar.create-event");
        assert_eq!(run(&case, &[(name, good())]), (true, true, String::new()));
        assert!(run(&case, &[(name, good()), ("calendar.list-events", json!({}))]).1);
        assert!(!run(&case, &[("calendar.list-events", json!({})), (name, good())]).0);
        assert!(!run(&case, &[("sql.schema", json!({})), (name, good())]).0);
        assert!(!run(&case, &[]).0);
    }

    #[test]
    fn the_last_call_decides_about_the_arguments() {
        let (case, name) = (event(), "calendar.create-event");
        let mut bad = good();
        bad["start"] = json!("tomorrow");
        assert!(run(&case, &[(name, bad.clone()), (name, good())]).1);
        assert!(!run(&case, &[(name, good()), (name, bad)]).1);
        let (tool, call, why) = run(&case, &[(name, good()), (name, good())]);
        assert!(tool && !call && why.contains("twice"), "{why}");
    }

    #[test]
    fn each_argument_is_checked_and_named() {
        let wrong = [
            ("title", json!("Finance")),
            ("start", json!("2026-11-24T10:31")),
            ("duration-minutes", json!(60)),
            ("attendees", json!(["Tom"])),
            ("attendees", json!([])),
        ];
        for (name, value) in wrong {
            let mut call = good();
            call[name] = value;
            let (tool, right, why) = run(&event(), &[("calendar.create-event", call)]);
            assert!(tool && !right && why.starts_with(name), "{why}");
        }
        let mut call = good();
        call.as_object_mut().unwrap().shift_remove("start");
        assert!(run(&event(), &[("calendar.create-event", call)]).2.contains("start is missing"));
        let mut call = good();
        call["title"] = json!("Call");
        assert!(run(&event(), &[("calendar.create-event", call.clone())]).2.starts_with('*'));
        call["attendees"] = json!(["Mara", "finance team"]);
        assert!(run(&event(), &[("calendar.create-event", call)]).1);
    }

    #[test]
    fn a_query_is_judged_by_its_result() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop.sqlite");
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.execute_batch("CREATE TABLE t (a, b); INSERT INTO t VALUES ('x', 1), ('y', 2)").unwrap();
        let case = case(json!({"tool": "sql.ask", "arguments": {},
            "gold_sql": ["SELECT 'no'", "SELECT a, b FROM t"]}));
        let run = |calls: &[(&str, &str)]| {
            let calls: Vec<(String, Value)> =
                calls.iter().map(|(tool, sql)| ((*tool).to_owned(), json!({"sql": sql}))).collect();
            score(&case, &calls, &path)
        };
        assert!(run(&[("sql.schema", ""), ("sql.ask", "SELECT b, a FROM t")]).call_right);
        assert!(run(&[("sql.ask", "SELECT c FROM t"), ("sql.ask", "SELECT a, b FROM t")]).call_right);
        let score = run(&[("sql.ask", "SELECT c FROM t")]);
        assert!(
            score.tool_right && !score.call_right && score.why.contains("no such column"),
            "{}",
            score.why
        );
        assert!(run(&[("sql.ask", "SELECT a FROM t")]).why.contains("another"));
        assert!(!run(&[("sql.schema", "")]).tool_right);
    }

    #[test]
    fn every_gold_statement_of_the_suite_is_right_on_the_sample_shop() {
        let folder = tempfile::tempdir().unwrap();
        let shop = folder.path().join("shop.sqlite");
        crate::sample::write_shop(&shop).unwrap();
        let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases/chat.json");
        for case in super::super::Suite::read(&suite).unwrap().cases {
            for gold in case.expect.iter().flat_map(|expect| &expect.gold_sql) {
                let score = score(&case, &[(QUERY.to_owned(), json!({"sql": gold}))], &shop);
                assert!(score.call_right, "{}: {}", case.id, score.why);
                let rows = Shop::open(&shop).unwrap().run(gold).unwrap().len();
                assert!(rows > 0, "{}: no rows, so every empty result would be right", case.id);
            }
        }
    }

    #[test]
    fn a_missing_shop_is_told_and_no_panic() {
        let case = case(json!({"tool": "sql.ask", "arguments": {}, "gold_sql": ["SELECT 1"]}));
        let (tool, call, why) = run(&case, &[("sql.ask", json!({"sql": "SELECT 1"}))]);
        assert!(tool && !call && why.contains("/no/shop.sqlite"), "{why}");
        assert!(run(&case, &[("sql.ask", json!({}))]).2.contains("sql is missing"));
    }
}
