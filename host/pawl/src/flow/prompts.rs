//! Prompts as files: `prompts/NAME.toml` in the folder of workflows, with slots, examples and the shape of the answer.
//!
//! ```toml
//! system = "You sort the mail of a shop."
//! prompt = "Mail: {{ mail }}"          # minijinja
//! max-tokens = 64                       # of the answer
//! [slots.mail]                          # JSON Schema of each slot; all are required
//! type = "string"
//! maxLength = 8000
//! [answer]                              # JSON Schema; without it the answer is text
//! enum = ["order", "complaint", "other"]
//! [[examples]]
//! slots = { mail = "Where is my parcel?" }
//! answer = "order"
//! ```
//!
//! Invariant: slots are checked before the model is asked; what stands in them is text, never a template.

use std::collections::BTreeMap;
use std::path::Path;

use minijinja::{Environment, UndefinedBehavior};
use pawl_flow::Failure;
use pawl_plugin::{Completion, Message, Role, Shape};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::scripts::names_of;

/// Bytes of a template's file.
const MAX_FILE: usize = 256 << 10;

/// A prompt with its slots.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Prompt {
    #[serde(default)]
    system: String,
    prompt: String,
    #[serde(default = "max_tokens")]
    max_tokens: u32,
    #[serde(default)]
    slots: BTreeMap<String, Value>,
    answer: Option<Value>,
    #[serde(default)]
    examples: Vec<Example>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Example {
    slots: Map<String, Value>,
    answer: Value,
}

fn max_tokens() -> u32 {
    512
}

impl Prompt {
    /// Reads a prompt of the folder of workflows by its name.
    pub(crate) fn read(folder: &Path, name: &str) -> Result<Prompt, Failure> {
        let folder = folder.join("prompts");
        let known = names_of(&folder, "toml");
        if !known.iter().any(|known| known == name) {
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let folder = folder.display();
            return Err(Failure::new(
                "not-found",
                format!("no prompt `{name}` in {folder}; there are: {known}"),
            ));
        }
        let file = folder.join(format!("{name}.toml"));
        let wrong = |why: String| Failure::new("prompt", format!("{}: {why}", file.display()));
        let text = std::fs::read_to_string(&file).map_err(|error| wrong(error.to_string()))?;
        if text.len() > MAX_FILE {
            return Err(wrong(format!("{} bytes; {MAX_FILE} at most", text.len())));
        }
        let prompt: Prompt =
            toml::from_str(&text).map_err(|error| wrong(error.to_string().trim().to_owned()))?;
        for (number, example) in prompt.examples.iter().enumerate() {
            let slots = Value::Object(example.slots.clone());
            prompt
                .check(&slots)
                .map_err(|failure| wrong(format!("example {}: {}", number + 1, failure.message)))?;
        }
        Ok(prompt)
    }

    /// The schema of all slots.
    pub(crate) fn schema(&self) -> Value {
        let names: Vec<&String> = self.slots.keys().collect();
        json!({"type": "object", "properties": self.slots, "required": names, "additionalProperties": false})
    }

    fn check(&self, slots: &Value) -> Result<(), Failure> {
        let validator = jsonschema::validator_for(&self.schema())
            .map_err(|error| Failure::new("prompt", format!("its slots are no JSON Schemas: {error}")))?;
        let first = validator.iter_errors(slots).next();
        first.map_or(Ok(()), |error| {
            let place = error.instance_path().to_string();
            let place = if place.is_empty() {
                "slots".to_owned()
            } else {
                format!("slot {}", place.trim_start_matches('/'))
            };
            Err(Failure::new("slots", format!("{place}: {error}")))
        })
    }

    /// What the model is asked.
    pub(crate) fn completion(&self, slots: &Value) -> Result<Completion, Failure> {
        self.check(slots)?;
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let fill = |slots: &Value| {
            let filled = environment.render_str(&self.prompt, minijinja::value::Serde(slots));
            filled.map_err(|error| Failure::new("prompt", format!("its template: {error}")))
        };
        let mut messages = Vec::new();
        if !self.system.is_empty() {
            messages.push(Message { role: Role::System, content: self.system.clone() });
        }
        for example in &self.examples {
            let answer = match (&example.answer, &self.answer) {
                (Value::String(text), None) => text.clone(),
                (value, _) => pawl_llm::json_text(value),
            };
            messages
                .push(Message { role: Role::User, content: fill(&Value::Object(example.slots.clone()))? });
            messages.push(Message { role: Role::Assistant, content: answer });
        }
        messages.push(Message { role: Role::User, content: fill(slots)? });
        let shape = self.answer.clone().map_or(Shape::Free, Shape::Json);
        Ok(Completion { messages, shape, max_tokens: self.max_tokens })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a folder that fails fails the test")]
mod tests {
    use super::*;

    fn prompt(text: &str) -> Result<Prompt, Failure> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("prompts")).unwrap();
        std::fs::write(folder.path().join("prompts/sort.toml"), text).unwrap();
        Prompt::read(folder.path(), "sort")
    }

    const SORT: &str = "system = 'You sort mail.'\nprompt = 'Mail: {{ mail }}'\nslots.mail = { type = 'string', maxLength = 20 }\n\
        answer = { enum = ['order', 'other'] }\n[[examples]]\nslots = { mail = 'Where is it?' }\nanswer = 'order'\n";

    #[test]
    fn slots_fill_the_prompt_and_are_never_templates() {
        let completion = prompt(SORT).unwrap().completion(&json!({"mail": "{{ 1 + 1 }}"})).unwrap();
        let said: Vec<&str> = completion.messages.iter().map(|message| message.content.as_str()).collect();
        assert_eq!(said, ["You sort mail.", "Mail: Where is it?", "\"order\"", "Mail: {{ 1 + 1 }}"]);
        assert_eq!(completion.shape, Shape::Json(json!({"enum": ["order", "other"]})));
    }

    #[test]
    fn slots_that_do_not_fit_are_named() {
        let sort = prompt(SORT).unwrap();
        for (slots, named) in [
            (json!({}), "mail"),
            (json!({"mail": 3}), "slot mail"),
            (json!({"mail": "a mail that is longer than it may be"}), "slot mail"),
            (json!({"mail": "x", "more": 1}), "more"),
        ] {
            let failure = sort.completion(&slots).unwrap_err();
            assert!(failure.code == "slots" && failure.message.contains(named), "{failure:?}");
        }
        let failure = prompt("prompt = '{{ gone }}'").unwrap().completion(&json!({})).unwrap_err();
        assert!(failure.message.contains("gone") || failure.message.contains("undefined"), "{failure:?}");
    }

    #[test]
    fn a_file_that_does_not_fit_names_the_place() {
        let failure = prompt(&SORT.replace("Where is it?", "a question that is far too long")).unwrap_err();
        assert!(failure.message.contains("example 1: slot mail"), "{failure:?}");
        assert!(prompt("prompt = 'x'\ncolour = 'red'").unwrap_err().message.contains("colour"));
        let none = Prompt::read(Path::new("/nowhere"), "sort").unwrap_err();
        assert_eq!(none.code, "not-found");
    }
}
