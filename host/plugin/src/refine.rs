//! `pawl:plugin/refine`: a plugin narrows its own argument schemas to what exists now.
//!
//! Invariant: a refinement narrows or is refused. It can name only strings of the plugin's own functions, it never
//! loosens what the type or `@pattern` says, its rules are bounded in number and length, and one bad refinement refuses
//! all of that plugin's: what was to be grounded is never offered without its ground.
//!
//! In a schema, choices become `enum`, a pattern `pattern`, and the others the keyword `x-pawl`:
//! `{"quote": TEXT}` or `{"lark": GRAMMAR}`, which the decoder knows, or `{"request": true}`, which is not for the decoder: whoever
//! knows the user's request puts it there ([`request`]).

use serde::Deserialize;
use serde_json::{Value, json};

use crate::Tool;

/// Its version that this host speaks.
pub(crate) const VERSIONED: &str = "pawl:plugin/refine@0.1.0";
/// Refinements of one plugin.
const MAX_REFINEMENTS: usize = 64;
/// Choices of one place.
const MAX_CHOICES: usize = 2_000;
/// The longest choice, in bytes.
const MAX_CHOICE: usize = 512;
/// The longest pattern, in bytes.
const MAX_PATTERN: usize = 1 << 10;
/// The longest grammar, in bytes.
const MAX_LARK: usize = 128 << 10;
/// The longest text to quote from, in bytes.
const MAX_QUOTED: usize = 512 << 10;
/// Steps of a path.
const MAX_STEPS: usize = 16;

/// One refinement, as the guest gave it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Refinement {
    function: String,
    path: String,
    rule: Rule,
    shown: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Rule {
    Choices(Vec<String>),
    Pattern(String),
    Lark(String),
    Quotation(String),
    Request,
}

/// A tool whose arguments are narrowed to what exists now.
#[derive(Debug, Clone, PartialEq)]
pub struct Refined {
    /// The tool; `parameters` are what the model is held to.
    pub tool: Tool,
    /// The parameters as the model is told them: without what changes from turn to turn.
    pub shown: Value,
    /// Why it cannot be called now, where a place of it has no choice at all.
    pub unavailable: Option<String>,
}

impl Refined {
    /// A tool as its types say.
    pub(crate) fn plain(tool: &Tool) -> Refined {
        Refined { tool: tool.clone(), shown: tool.parameters.clone(), unavailable: None }
    }
}

/// Applies what `refine` returned (the JSON of its `ok` side) to the tools.
///
/// # Errors
/// Which refinement cannot be used, and why.
pub(crate) fn apply(tools: &[Tool], returned: Value) -> Result<Vec<Refined>, String> {
    let refinements: Vec<Refinement> = serde_json::from_value(returned)
        .map_err(|error| format!("its type is not that of {VERSIONED}: {error}"))?;
    if refinements.len() > MAX_REFINEMENTS {
        return Err(format!("{} refinements; {MAX_REFINEMENTS} at most", refinements.len()));
    }
    let mut refined: Vec<Refined> = tools.iter().map(Refined::plain).collect();
    for refinement in &refinements {
        let place = || format!("`{}` of {}", bounded(&refinement.path), bounded(&refinement.function));
        let Some(target) = refined.iter_mut().find(|tool| tool.tool.function == refinement.function) else {
            return Err(format!("{}: there is no such function", place()));
        };
        check(&refinement.rule).map_err(|why| format!("{}: {why}", place()))?;
        let steps = steps(&refinement.path).map_err(|why| format!("{}: {why}", place()))?;
        match narrow(&mut target.tool.parameters, &steps, &refinement.rule) {
            Ok(0) => return Err(format!("{}: there is no string at this place", place())),
            Ok(_) => {}
            Err(Misfit::NoChoice) => {
                target.unavailable =
                    Some(format!("there is nothing to choose for `{}` now", refinement.path));
            }
            Err(Misfit::Refused(why)) => return Err(format!("{}: {why}", place())),
        }
        if refinement.shown {
            // What fits the one fits the other; a place without choices is told as it is without refinement.
            let _ = narrow(&mut target.shown, &steps, &refinement.rule);
        }
    }
    Ok(refined)
}

fn check(rule: &Rule) -> Result<(), String> {
    let within = |what: &str, length: usize, most: usize| {
        if length > most { Err(format!("{what} of {length} bytes; {most} at most")) } else { Ok(()) }
    };
    match rule {
        Rule::Choices(choices) if choices.len() > MAX_CHOICES => {
            Err(format!("{} choices; {MAX_CHOICES} at most", choices.len()))
        }
        Rule::Choices(choices) => {
            choices.iter().try_for_each(|choice| within("a choice", choice.len(), MAX_CHOICE))
        }
        Rule::Pattern(pattern) => within("a pattern", pattern.len(), MAX_PATTERN),
        Rule::Lark(lark) => within("a grammar", lark.len(), MAX_LARK),
        Rule::Quotation(text) => within("a text to quote from", text.len(), MAX_QUOTED),
        Rule::Request => Ok(()),
    }
}

fn steps(path: &str) -> Result<Vec<&str>, String> {
    let steps: Vec<&str> =
        path.strip_prefix('/').ok_or("a path begins with `/`, as in `/event/title`")?.split('/').collect();
    if steps.len() > MAX_STEPS { Err(format!("a path of more than {MAX_STEPS} steps")) } else { Ok(steps) }
}

enum Misfit {
    /// A string that must be there has no choice left.
    NoChoice,
    Refused(String),
}

/// Narrows every string that the steps lead to; how many there were.
fn narrow(schema: &mut Value, steps: &[&str], rule: &Rule) -> Result<usize, Misfit> {
    if let Some(Value::Array(cases)) = schema.get_mut("anyOf") {
        return narrow_cases(cases, steps, rule);
    }
    match steps {
        [] if schema.get("type").and_then(Value::as_str) == Some("string") => {
            narrow_string(schema, rule).map(|()| 1)
        }
        ["*", rest @ ..] => schema.get_mut("items").map_or(Ok(0), |items| narrow_list(items, rest, rule)),
        [name, rest @ ..] => {
            let required = schema["required"].as_array().is_some_and(|all| all.iter().any(|n| n == name));
            let Some(field) = schema.get_mut("properties").and_then(|all| all.get_mut(*name)) else {
                return Ok(0);
            };
            match narrow(field, rest, rule) {
                Err(Misfit::NoChoice) if !required => {
                    *field = json!({"type": "null"});
                    Ok(1)
                }
                other => other,
            }
        }
        [] => Ok(0),
    }
}

/// A list whose items have no choice stays empty, which its schema has to allow.
fn narrow_list(items: &mut Value, rest: &[&str], rule: &Rule) -> Result<usize, Misfit> {
    if items.is_object() { narrow(items, rest, rule) } else { Ok(0) }
}

/// Cases without a choice fall away; where none but them was there, nothing is left.
fn narrow_cases(cases: &mut Vec<Value>, steps: &[&str], rule: &Rule) -> Result<usize, Misfit> {
    let (mut narrowed, mut kept) = (0, Vec::new());
    for mut case in std::mem::take(cases) {
        match narrow(&mut case, steps, rule) {
            Ok(count) => {
                narrowed += count;
                kept.push(case);
            }
            Err(Misfit::NoChoice) => narrowed += 1,
            Err(refused) => return Err(refused),
        }
    }
    if kept.is_empty() {
        return Err(Misfit::NoChoice);
    }
    *cases = kept;
    Ok(narrowed)
}

fn narrow_string(schema: &mut Value, rule: &Rule) -> Result<(), Misfit> {
    let refused = |what: &str| {
        Misfit::Refused(format!("{what} stands here already; a second rule for one place cannot be enforced"))
    };
    let Some(object) = schema.as_object_mut() else { return Ok(()) };
    for keyword in ["enum", "x-pawl"] {
        if object.contains_key(keyword) {
            return Err(refused(&format!("`{keyword}`")));
        }
    }
    match rule {
        Rule::Choices(choices) => {
            let pattern = object.get("pattern").and_then(Value::as_str).map(regex::Regex::new);
            let pattern =
                pattern.transpose().map_err(|error| Misfit::Refused(format!("its pattern: {error}")))?;
            let longest = object.get("maxLength").and_then(Value::as_u64).unwrap_or(u64::MAX);
            let fits = |choice: &&String| {
                choice.chars().count() as u64 <= longest
                    && pattern.as_ref().is_none_or(|pattern| pattern.is_match(choice))
            };
            let mut kept: Vec<&String> = choices.iter().filter(fits).collect();
            let mut seen = std::collections::HashSet::new();
            kept.retain(|choice| seen.insert(choice.as_str()));
            if kept.is_empty() {
                return Err(Misfit::NoChoice);
            }
            let kept = json!(kept);
            object.remove("pattern");
            object.remove("maxLength");
            object.insert("enum".into(), kept);
        }
        Rule::Pattern(_) | Rule::Lark(_) | Rule::Quotation(_) | Rule::Request
            if object.contains_key("pattern") =>
        {
            return Err(refused("a pattern"));
        }
        Rule::Pattern(pattern) => {
            // JSON Schema's patterns match anywhere; a refinement is about the whole string.
            object.insert("pattern".into(), json!(format!("^(?:{pattern})$")));
        }
        Rule::Lark(lark) => {
            object.remove("maxLength");
            object.insert("x-pawl".into(), json!({ "lark": lark }));
        }
        Rule::Request => {
            object.remove("maxLength");
            object.insert("x-pawl".into(), json!({ "request": true }));
        }
        Rule::Quotation(text) if text.trim().is_empty() => return Err(Misfit::NoChoice),
        Rule::Quotation(text) => {
            object.remove("maxLength");
            object.insert("x-pawl".into(), json!({ "quote": text }));
        }
    }
    Ok(())
}

/// Puts the user's request where a refinement asks for it; afterwards there is one text that the model can write there.
pub fn request(schema: &mut Value, text: &str) {
    match schema {
        Value::Object(object) if object.get("x-pawl").is_some_and(|rule| rule["request"] == json!(true)) => {
            *schema = json!({"type": "string", "enum": [text]});
        }
        Value::Object(object) => object.values_mut().for_each(|inner| request(inner, text)),
        Value::Array(all) => all.iter_mut().for_each(|inner| request(inner, text)),
        _ => {}
    }
}

/// A guest's text in a message: short, and safe for a terminal.
fn bounded(text: &str) -> String {
    text.chars().take(100).collect::<String>().escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tools() -> Vec<Tool> {
        let text = json!({"type": "string", "maxLength": 8192});
        let parameters = json!({"type": "object", "properties": {
            "metric": text,
            "day": {"type": "string", "maxLength": 10, "pattern": "^[0-9-]+$"},
            "by": {"anyOf": [text, {"type": "null"}]},
            "filters": {"type": "array", "items": {"type": "object", "properties": {"column": text, "count": {"type": "integer"}}, "required": ["column"]}},
            "shape": {"anyOf": [{"type": "object", "properties": {"named": text}, "required": ["named"]}, {"type": "string", "enum": ["any"]}]},
        }, "required": ["metric", "day", "filters"]});
        let tool = Tool {
            name: "bi.ask".into(),
            function: "ask".into(),
            description: String::new(),
            parameters,
            result: json!({}),
        };
        vec![tool]
    }

    fn refine(path: &str, rule: Value, shown: bool) -> Result<Refined, String> {
        let given = json!([{"function": "ask", "path": path, "rule": rule, "shown": shown}]);
        apply(&tools(), given).map(|mut refined| refined.remove(0))
    }

    fn at(refined: &Refined, pointer: &str) -> Value {
        refined.tool.parameters.pointer(pointer).cloned().unwrap_or_default()
    }

    #[test]
    fn each_rule_narrows_the_string_at_its_place() {
        let choices =
            refine("/metric", json!({"choices": ["revenue", "orders", "revenue"]}), true).expect("narrowed");
        assert_eq!(
            at(&choices, "/properties/metric"),
            json!({"type": "string", "enum": ["revenue", "orders"]})
        );
        assert_eq!(choices.shown.pointer("/properties/metric/enum"), Some(&json!(["revenue", "orders"])));
        let hidden = refine("/by", json!({"choices": ["e1"]}), false).expect("narrowed");
        assert_eq!(at(&hidden, "/properties/by/anyOf/0/enum"), json!(["e1"]));
        assert_eq!(hidden.shown, tools()[0].parameters);
        let pattern = refine("/filters/*/column", json!({"pattern": "a|b"}), false).expect("narrowed");
        assert_eq!(at(&pattern, "/properties/filters/items/properties/column/pattern"), json!("^(?:a|b)$"));
        let lark = refine("/metric", json!({"lark": "start: \"x\""}), false).expect("narrowed");
        assert_eq!(
            at(&lark, "/properties/metric"),
            json!({"type": "string", "x-pawl": {"lark": "start: \"x\""}})
        );
        let mut asked = refine("/metric", json!("request"), false).expect("narrowed").tool.parameters;
        request(&mut asked, "How much?");
        assert_eq!(asked["properties"]["metric"], json!({"type": "string", "enum": ["How much?"]}));
        let quote = refine("/shape/named", json!({"quotation": "to be or not"}), false).expect("narrowed");
        assert_eq!(
            at(&quote, "/properties/shape/anyOf/0/properties/named/x-pawl"),
            json!({"quote": "to be or not"})
        );
    }

    #[test]
    fn where_nothing_exists_what_is_optional_is_left_out_and_what_is_needed_takes_the_function_with_it() {
        let optional = refine("/by", json!({"choices": []}), false).expect("narrowed");
        assert_eq!(at(&optional, "/properties/by/anyOf"), json!([{"type": "null"}]));
        assert_eq!(optional.unavailable, None);
        for (path, rule) in [("/metric", json!({"choices": []})), ("/metric", json!({"quotation": " \n"}))] {
            let needed = refine(path, rule, true).expect("known");
            assert!(needed.unavailable.as_deref().is_some_and(|why| why.contains("/metric")));
        }
        // Choices that break the pattern which the type has are none.
        let needed = refine("/day", json!({"choices": ["tomorrow"]}), false).expect("known");
        assert!(needed.unavailable.is_some());
        let fitting =
            refine("/day", json!({"choices": ["tomorrow", "2031-03-03"]}), false).expect("narrowed");
        assert_eq!(at(&fitting, "/properties/day/enum"), json!(["2031-03-03"]));
    }

    #[test]
    fn what_cannot_be_enforced_is_refused_with_its_place() {
        for (path, rule, reason) in [
            ("metric", json!({"choices": ["a"]}), "begins with"),
            ("/no-such", json!({"choices": ["a"]}), "no string"),
            ("/filters", json!({"choices": ["a"]}), "no string"),
            ("/filters/*/count", json!({"choices": ["a"]}), "no string"),
            ("/day", json!({"pattern": "x"}), "already"),
            ("/day", json!({"lark": "start: \"x\""}), "already"),
            ("/metric", json!({"choices": vec!["x"; MAX_CHOICES + 1]}), "2000 at most"),
            ("/metric", json!({"choices": ["x".repeat(MAX_CHOICE + 1)]}), "512 at most"),
            ("/metric", json!({"quotation": "x".repeat(MAX_QUOTED + 1)}), "at most"),
            ("/metric", json!({"anything": []}), "type is not"),
        ] {
            let error = refine(path, rule, false).expect_err(path);
            assert!(error.contains(reason), "{path}: {error}");
        }
        let unknown = json!([{"function": "drop", "path": "/x", "rule": {"pattern": "x"}, "shown": false}]);
        assert!(apply(&tools(), unknown).expect_err("unknown").contains("no such function"));
        let twice = json!({"function": "ask", "path": "/metric", "rule": {"choices": ["a"]}, "shown": false});
        assert!(apply(&tools(), json!([twice, twice])).expect_err("twice").contains("already"));
        assert!(
            apply(&tools(), json!(vec![twice; MAX_REFINEMENTS + 1]))
                .expect_err("many")
                .contains("64 at most")
        );
        assert!(apply(&tools(), json!({"tools": []})).is_err());
    }
}
