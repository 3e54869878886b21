//! A script, checked without running it: names of tools, prompts and flows, and the shapes of arguments, against what there is.

use std::collections::BTreeMap;
use std::path::Path;

use pawl_flow::{Called, Callee, Script, ScriptError, Sources};
use pawl_plugin::Tool;
use serde_json::Value;

use super::prompts::Prompt;
use super::scripts;

/// What is wrong with a script and with what it imports; empty where nothing can be seen.
pub(crate) fn check(sources: &Sources, tools: &[Tool], folder: &Path) -> Vec<ScriptError> {
    let modules = sources.modules.iter().map(|(path, text)| Sources {
        name: format!("{path}.rhai"),
        main: text.clone(),
        ..sources.clone()
    });
    let wrong = check_one(sources, tools, folder);
    // What cannot be parsed has said so.
    if wrong.is_empty() {
        modules.flat_map(|module| check_one(&module, tools, folder)).collect()
    } else {
        wrong
    }
}

fn check_one(sources: &Sources, tools: &[Tool], folder: &Path) -> Vec<ScriptError> {
    let names: Vec<String> = tools.iter().map(|tool| tool.name.clone()).collect();
    let script = match Script::parse(sources, &names) {
        Ok(script) => script,
        Err(error) => return vec![error],
    };
    let mut wrong = script.unknown();
    for called in script.calls() {
        let said = match &called.what {
            Callee::Tool(name) => match tools.iter().find(|tool| tool.name == *name) {
                None => vec![unknown_tool(name, &names)],
                Some(tool) => arguments(name, &tool.parameters, &called),
            },
            Callee::Prompt(name) => match Prompt::read(folder, name) {
                Err(failure) => vec![failure.message],
                Ok(prompt) => arguments(&format!("prompt {name}"), &prompt.schema(), &called),
            },
            Callee::Flow(name) => match scripts::by_name(folder, name) {
                Err(failure) => vec![failure.message],
                Ok(_) => Vec::new(),
            },
        };
        wrong.extend(said.into_iter().map(|message| script.error_at(called.line, called.column, message)));
    }
    wrong.sort_by_key(|error| (error.line, error.column));
    wrong.dedup();
    wrong
}

fn unknown_tool(name: &str, known: &[String]) -> String {
    let plugin = name.split('.').next().unwrap_or_default();
    let near: Vec<&str> =
        known.iter().filter(|known| known.split('.').next() == Some(plugin)).map(String::as_str).collect();
    if near.is_empty() {
        format!("there is no tool `{name}`; `pawl tools` lists those that there are")
    } else {
        format!("there is no tool `{name}`; {plugin} has {}", near.join(", "))
    }
}

/// What is wrong with the arguments that are written out.
fn arguments(what: &str, schema: &Value, called: &Called) -> Vec<String> {
    let Some(given) = &called.arguments else { return Vec::new() };
    let none = serde_json::Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&none);
    let known = properties.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    let mut wrong: Vec<String> = given
        .keys()
        .filter(|name| !properties.contains_key(*name))
        .map(|name| match known.as_str() {
            "" => format!("{what} takes no arguments; `{name}` is given"),
            known => format!("{what} has no argument `{name}`; it takes {known}"),
        })
        .collect();
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    wrong.extend(
        required.filter(|name| !given.contains_key(*name)).map(|name| format!("{what} needs `{name}`")),
    );
    wrong.extend(given.iter().filter_map(|(name, value)| {
        let problem = fits(properties.get(name)?, schema, value.as_ref()?)?;
        Some(format!("{what}, argument `{name}`: {problem}"))
    }));
    wrong
}

/// Why a value that is written out does not fit.
fn fits(property: &Value, schema: &Value, value: &Value) -> Option<String> {
    let mut alone = property.clone();
    // What it refers to is beside it.
    if let (Some(object), Some(definitions)) = (alone.as_object_mut(), schema.get("$defs")) {
        object.insert("$defs".to_owned(), definitions.clone());
    }
    let validator = jsonschema::validator_for(&alone).ok()?;
    validator.iter_errors(value).next().map(|error| error.to_string())
}

/// The scripts of a folder, each with what is wrong with it.
pub(crate) fn check_all(folder: &Path, tools: &[Tool]) -> BTreeMap<String, Vec<ScriptError>> {
    let checked = scripts::names(folder).into_iter().map(|name| {
        let wrong = match scripts::by_name(folder, &name) {
            Ok(sources) => check(&sources, tools, folder),
            Err(failure) => vec![ScriptError {
                name: format!("{name}.rhai"),
                line: 1,
                column: 1,
                message: failure.message,
                text: String::new(),
            }],
        };
        (name, wrong)
    });
    checked.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn wrong(text: &str) -> Vec<String> {
        let tool = Tool {
            name: "shop.price-of".into(),
            function: "price-of".into(),
            description: String::new(),
            parameters: json!({"type": "object", "required": ["sku"], "additionalProperties": false, "properties": {
                "sku": {"type": "string"}, "count": {"$ref": "#/$defs/count"}}, "$defs": {"count": {"type": "integer", "minimum": 1}}}),
            result: json!({}),
        };
        let wrong = check(&Sources::of("a.rhai", text), &[tool], Path::new("/nowhere"));
        wrong.into_iter().map(|error| format!("{}: {}", error.line, error.message)).collect()
    }

    #[test]
    fn what_fits_is_not_complained_about() {
        let good = "let s = \"x\"; shop::price_of(#{sku: s}); shop::price_of(#{sku: \"a\", count: 2}); tool(\"shop.price-of\", #{sku: s + s});";
        assert_eq!(wrong(good), Vec::<String>::new());
    }

    #[test]
    fn what_is_imported_is_checked_too() {
        let modules = [("lib".to_owned(), "\nfn f() { shop::nothing() }".to_owned())].into();
        let sources = Sources { modules, ..Sources::of("a.rhai", "import \"lib\" as lib; lib::f()") };
        let wrong = check(&sources, &[], Path::new("/nowhere"));
        assert!(wrong.len() == 1 && wrong[0].to_string().starts_with("lib.rhai:2:"), "{wrong:?}");
    }

    #[test]
    fn unknown_names_and_shapes_that_do_not_fit_are_named_with_their_line() {
        for (text, expected) in [
            ("\ntool(\"shop.price\", #{})", "2: there is no tool `shop.price`; shop has shop.price-of"),
            ("shop::price_of(#{})", "1: shop.price-of needs `sku`"),
            (
                "let x = 1;\nshop::price_of(#{sku: \"a\", colour: x})",
                "2: shop.price-of has no argument `colour`; it takes sku, count",
            ),
            ("shop::price_of(#{sku: 3})", "1: shop.price-of, argument `sku`: 3 is not of type \"string\""),
            (
                "shop::price_of(#{sku: \"a\", count: 0})",
                "1: shop.price-of, argument `count`: 0 is less than the minimum of 1",
            ),
            ("child(\"nowhere\", ())", "1: no flow `nowhere` in /nowhere; there are: none"),
            ("let a = ;", "1: Unexpected ';'"),
            ("shop::price_of(#{sku: \"a\", un_known: 1})", "1: shop.price-of has no argument `un-known`"),
        ] {
            let wrong = wrong(text);
            assert!(wrong.len() == 1 && wrong[0].starts_with(expected), "{text}: {wrong:?}");
        }
    }
}
