//! The plugins at one moment: their tools, and what the model is offered of them.
//!
//! Invariant: a tool is offered only where the decoder can enforce every rule of its arguments, those that the plugin
//! narrowed a moment ago included; what cannot be enforced is left out, with the reason, and never decoded more freely.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pawl_llm::{Grammar, Llm};
use pawl_plugin::{CallError, Plugin, Prompt, Tool};
use serde_json::{Map, Value};

use super::Missing;
use crate::chat::Example;
use crate::chat::decision::Offered;
use crate::config::PluginConfig;

/// Bytes of a request that a plugin's hint is asked about.
const MAX_REQUEST: usize = 4 << 10;
/// Examples that one plugin makes.
const MAX_EXAMPLES: usize = 8;
/// Bytes of a hint.
const MAX_HINT: usize = 8 << 10;

/// Everything that is loaded, and what is not.
pub(crate) struct Set {
    members: Vec<Arc<Member>>,
    /// Of each member, as its manifest and the settings have them.
    examples: Vec<Vec<Example>>,
    missing: Vec<Missing>,
}

/// A plugin that is in use.
pub(crate) struct Member {
    plugin: Plugin,
    decoding: Mutex<Decoding>,
}

/// What is known of the decoder's view of a plugin.
#[derive(Default)]
struct Decoding {
    llm: Option<Llm>,
    /// Schemas that were checked, by the tool's full name, and what the decoder says against each.
    checked: BTreeMap<String, (Value, Option<String>)>,
    /// Why no tool of this plugin was offered when it was last asked.
    refused: Option<String>,
}

impl Member {
    pub(crate) fn new(plugin: Plugin) -> Member {
        Member { plugin, decoding: Mutex::default() }
    }

    /// Has the decoder check every schema, now and whenever a refinement changes one. Blocks.
    pub(crate) fn check(&self, llm: &Llm) {
        let mut decoding = self.decoding();
        decoding.llm = Some(llm.clone());
        for tool in self.plugin.tools() {
            decoding.objection(&tool.name, &tool.parameters);
        }
    }

    fn decoding(&self) -> MutexGuard<'_, Decoding> {
        self.decoding.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tools as the model may call them now.
    async fn offered(self: Arc<Member>) -> Vec<Offered> {
        let refined = self.plugin.refined().await;
        let name = self.plugin.manifest().name.clone();
        // Checking compiles grammars, which takes its time where they are new.
        let worker = tokio::task::spawn_blocking(move || {
            let mut decoding = self.decoding();
            let refined = match refined {
                Ok(refined) => refined,
                Err(error) => {
                    decoding.refuse(&name, error.to_string());
                    return Vec::new();
                }
            };
            decoding.refused = None;
            let mut offered = Vec::new();
            for refined in refined {
                let tool = refined.tool;
                if let Some(why) = &refined.unavailable {
                    tracing::debug!(tool = tool.name, "not offered: {why}");
                } else if is_hidden(&self.plugin.manifest().prompt, &tool.function) {
                    tracing::trace!(tool = tool.name, "for people and programs");
                } else if decoding.objection(&tool.name, &tool.parameters).is_none() {
                    offered.push(Offered {
                        name: tool.name,
                        description: tool.description,
                        parameters: tool.parameters,
                        shown: refined.shown,
                    });
                }
            }
            offered
        });
        worker.await.unwrap_or_else(|error| {
            tracing::error!("what a plugin offers could not be found out: {error}");
            Vec::new()
        })
    }
}

impl Decoding {
    /// What the decoder has against a schema.
    fn objection(&mut self, tool: &str, schema: &Value) -> Option<String> {
        let llm = self.llm.as_ref()?;
        if let Some((known, objection)) = self.checked.get(tool)
            && known == schema
        {
            return objection.clone();
        }
        let mut decoded = schema.clone();
        // The request is not known here; any text stands for it.
        pawl_plugin::request(&mut decoded, "?");
        let objection = llm.check(&Grammar::JsonSchema(decoded)).err().map(|error| error.to_string());
        if let Some(objection) = &objection {
            tracing::error!(tool, "not offered to the model: {objection}");
        }
        self.checked.insert(tool.to_owned(), (schema.clone(), objection.clone()));
        objection
    }

    /// Notes why nothing is offered; once for each reason.
    fn refuse(&mut self, plugin: &str, why: String) {
        if self.refused.as_ref() != Some(&why) {
            tracing::error!(plugin, "none of its tools is offered to the model: {why}");
        }
        self.refused = Some(why);
    }
}

impl Set {
    pub(super) fn new(members: Vec<Arc<Member>>, missing: Vec<Missing>, settings: &[PluginConfig]) -> Set {
        let examples = members.iter().map(|member| examples(&member.plugin, settings)).collect();
        Set { members, examples, missing }
    }

    /// The same with one plugin replaced or added, in the order of the settings.
    pub(super) fn with(&self, member: Arc<Member>, settings: &[PluginConfig]) -> Set {
        let name = &member.plugin.manifest().name;
        let others = self.members.iter().filter(|other| other.plugin.manifest().name != *name);
        let mut members: Vec<Arc<Member>> = others.cloned().collect();
        let missing = self.missing.iter().filter(|missing| missing.plugin != *name).cloned().collect();
        members.push(member);
        let place = |member: &Arc<Member>| {
            settings.iter().position(|settings| settings.name == member.plugin.manifest().name)
        };
        members.sort_by_key(place);
        Set::new(members, missing, settings)
    }

    /// Of no plugins.
    pub(crate) fn none() -> Set {
        Set::new(Vec::new(), Vec::new(), &[])
    }

    pub(super) fn members(&self) -> &[Arc<Member>] {
        &self.members
    }

    pub(crate) fn loaded(&self) -> impl ExactSizeIterator<Item = &Plugin> {
        self.members.iter().map(|member| &member.plugin)
    }

    pub(crate) fn missing(&self) -> &[Missing] {
        &self.missing
    }

    /// Every tool of every plugin.
    pub(crate) fn tools(&self) -> impl Iterator<Item = &Tool> {
        self.loaded().flat_map(|plugin| plugin.tools())
    }

    /// Tools that the model is not offered though they are there, by full name, with the reason. They can be called
    /// without a model.
    pub(crate) fn not_offered(&self) -> BTreeMap<String, String> {
        let mut reasons = BTreeMap::new();
        for member in &self.members {
            let decoding = member.decoding();
            for tool in member.plugin.tools() {
                let objection = decoding.checked.get(&tool.name).and_then(|(_, objection)| objection.clone());
                if let Some(why) = decoding.refused.clone().or(objection) {
                    reasons.insert(tool.name.clone(), why);
                }
            }
        }
        reasons
    }

    /// The full name of a tool, given as `plugin.function` or, on wires that forbid dots, `plugin__function`.
    pub(crate) fn resolve(&self, name: &str) -> Option<&Tool> {
        self.tools().find(|tool| tool.name == name || wire_name(&tool.name) == name)
    }

    /// A tool by its full name, and the plugin that it belongs to.
    pub(crate) fn find(&self, tool: &str) -> Option<(&Plugin, &Tool)> {
        self.loaded().find_map(|plugin| Some((plugin, plugin.tools().iter().find(|each| each.name == tool)?)))
    }

    /// Every tool as clients see it: with `"approval"`, whether its calls may wait for a person.
    pub(crate) fn described(&self) -> Vec<Value> {
        let tools = |plugin: &Plugin| {
            let approval = plugin.may_write();
            let with = move |tool: &Tool| {
                let mut described = serde_json::json!(tool);
                described["approval"] = approval.into();
                described
            };
            plugin.tools().iter().map(with).collect::<Vec<_>>()
        };
        self.loaded().flat_map(tools).collect()
    }

    /// Calls a tool by its full name.
    pub(crate) async fn call(&self, tool: &str, arguments: &Value) -> Result<Value, CallError> {
        if let Some((plugin, found)) = self.find(tool) {
            return plugin.call(&found.function, arguments).await;
        }
        let (plugin, function) = tool.split_once('.').unwrap_or(("", tool));
        let known = self.tools().map(|tool| tool.name.as_str()).collect::<Vec<_>>().join(", ");
        Err(CallError::UnknownFunction { plugin: plugin.to_owned(), function: function.to_owned(), known })
    }

    /// The tools as the model may call them now: narrowed by their plugins to what exists.
    pub(crate) async fn offered(&self) -> Vec<Offered> {
        let asked = self.members.iter().map(|member| Arc::clone(member).offered());
        futures::future::join_all(asked).await.into_iter().flatten().collect()
    }

    /// What plugins say of their world, as in a database's schema.
    pub(crate) async fn contexts(&self) -> Vec<(String, String)> {
        let mut contexts = Vec::new();
        for plugin in self.loaded() {
            let Some(function) = &plugin.manifest().prompt.context else { continue };
            let name = format!("{}.{function}", plugin.manifest().name);
            let text = match plugin.call(function, &Value::Object(Map::new())).await {
                Ok(Value::String(text)) => text,
                Ok(other) => other.to_string(),
                Err(error) => format!("error: {error}"),
            };
            contexts.push((name, text));
        }
        contexts
    }

    /// What plugins say to a request: at most [`MAX_HINT`] bytes each, nothing where they have nothing to say.
    pub(crate) async fn hints(&self, request: &str) -> Vec<(String, String)> {
        let request = &request[..request.floor_char_boundary(MAX_REQUEST)];
        let mut hints = Vec::new();
        for plugin in self.loaded() {
            let Some(function) = &plugin.manifest().prompt.hint else { continue };
            let Some(tool) = plugin.tools().iter().find(|tool| tool.function == *function) else { continue };
            let parameter = tool.parameters["properties"].as_object().and_then(|all| all.keys().next());
            let arguments = parameter.map(|name| serde_json::json!({ name: request })).unwrap_or_default();
            match plugin.call(function, &arguments).await {
                Ok(Value::String(text)) if !text.trim().is_empty() => {
                    hints.push((tool.name.clone(), text[..text.floor_char_boundary(MAX_HINT)].to_owned()));
                }
                Ok(_) => {}
                // A request without its hint is still a request.
                Err(error) => tracing::warn!(tool = tool.name, "no hint: {error}"),
            }
        }
        hints
    }

    /// What the model is shown of good turns: the calls of each plugin, with plain answers between them. Where no call
    /// is shown, no answer is either: a model that sees only answers makes them up.
    pub(crate) async fn examples(&self) -> Vec<Example> {
        // Those that a person wrote for their world are better than made ones.
        let calls = self.examples.iter().zip(self.loaded()).map(async |(shown, plugin)| {
            if shown.is_empty() { made_examples(plugin).await } else { shown.clone() }
        });
        let calls = futures::future::join_all(calls).await;
        let mut answers = ANSWERS.iter().map(|(request, answer)| Example {
            request: (*request).to_owned(),
            call: None,
            answer: Some((*answer).to_owned()),
        });
        let groups: Vec<Vec<Example>> = calls.into_iter().filter(|calls| !calls.is_empty()).collect();
        let mut examples = Vec::new();
        // One plugin alone: answers come first, for what stands last is imitated most, and a call too many costs less than a
        // made-up answer. Among several, they stand between (measured: 38 of 40 right tools; 9 of the first 11 otherwise).
        if groups.len() == 1 {
            examples.extend(answers.by_ref());
        }
        let any = !groups.is_empty();
        for calls in groups {
            examples.extend(calls);
            examples.extend(answers.by_ref().take(2));
        }
        if any {
            examples.extend(answers);
        }
        examples
    }
}

/// Requests that no tool serves, and how to reply.
const ANSWERS: [(&str, &str); 5] = [
    ("Good morning!", "Good morning! What can I do for you?"),
    ("Who painted the Mona Lisa?", "Leonardo da Vinci painted it."),
    ("Order me a taxi to the station.", "I have no tool that orders taxis, so I cannot do that."),
    ("Will my train be on time tomorrow?", "I have no tool that knows about trains, so I cannot say."),
    ("A subject line for our spring newsletter, please", "Fresh starts: what is new with us this spring"),
];

/// What a plugin's manifest and the settings show of good calls.
fn examples(plugin: &Plugin, settings: &[PluginConfig]) -> Vec<Example> {
    let manifest = plugin.manifest();
    let own = settings.iter().filter(|settings| settings.name == manifest.name);
    let mut examples = Vec::new();
    for example in manifest.prompt.examples.iter().chain(own.flat_map(|settings| &settings.examples)) {
        let tool = format!("{}.{}", manifest.name, example.function);
        if !plugin.tools().iter().any(|tool| tool.function == example.function) {
            tracing::warn!("an example calls {tool}, which there is not; it is left out");
            continue;
        }
        examples.push(Example {
            request: example.request.clone(),
            call: Some((tool, example.arguments.clone(), example.result.clone())),
            answer: example.answer.clone(),
        });
    }
    examples
}

/// What a plugin shows of good calls, made for what it was granted.
async fn made_examples(plugin: &Plugin) -> Vec<Example> {
    let manifest = plugin.manifest();
    let Some(from) = &manifest.prompt.examples_from else { return Vec::new() };
    let made = match plugin.call(&from.function, &Value::Object(Map::new())).await {
        Ok(Value::Array(made)) => made,
        Ok(_) => Vec::new(),
        Err(error) => {
            tracing::warn!(plugin = manifest.name, "no examples: {error}");
            Vec::new()
        }
    };
    let example = |made: Value| {
        let Value::Object(mut arguments) = made else { return None };
        let Some(Value::String(request)) = arguments.remove("request") else { return None };
        let tool = format!("{}.{}", manifest.name, from.calls);
        Some(Example { request, call: Some((tool, Value::Object(arguments), None)), answer: None })
    };
    made.into_iter().take(MAX_EXAMPLES).filter_map(example).collect()
}

/// Whether a function is for people and programs only.
fn is_hidden(prompt: &Prompt, function: &str) -> bool {
    prompt.hint.as_deref() == Some(function)
        || prompt.examples_from.as_ref().is_some_and(|from| from.function == function)
        || prompt.hidden.iter().any(|hidden| hidden == function)
}

/// `calendar.create-event` on wires that forbid dots.
pub(crate) fn wire_name(tool: &str) -> String {
    tool.replace('.', "__")
}
