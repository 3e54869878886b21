//! What the steps of scripts reach: plugins, the model, prompts, other scripts.

use std::path::PathBuf;
use std::sync::Arc;

use pawl_flow::{
    Answer, Approval, Call, Document, Effects, Failure, Memory, Proposal, Reached, Said, Sources, Trouble,
    World,
};
use pawl_plugin::{CallError, Completion, Message, ModelError, Plugin, Role, Shape};
use serde_json::{Value, json};

use super::prompts::Prompt;
use super::scripts;
use crate::approvals::Approvals;
use crate::config::Config;
use crate::plugins::Plugins;
use crate::plugins::model::LateModel;

/// Tokens of an answer for which a script names no prompt of its own.
const MAX_TOKENS: u32 = 768;

/// The world of this machine.
pub(crate) struct Workshop {
    plugins: Plugins,
    model: Arc<LateModel>,
    approvals: Approvals,
    folder: PathBuf,
    memory: PathBuf,
}

impl Workshop {
    pub(super) fn new(
        config: &Config,
        plugins: Plugins,
        model: Arc<LateModel>,
        approvals: Approvals,
    ) -> Workshop {
        let (folder, memory) = (config.workflows.folder.clone(), config.home.memory());
        Workshop { plugins, model, approvals, folder, memory }
    }

    async fn complete(&self, completion: Completion) -> Result<Said, Trouble> {
        let json = matches!(completion.shape, Shape::Json(_));
        let prompt: Vec<Value> = completion
            .messages
            .iter()
            .map(|message| json!({"role": role(message.role), "content": message.content}))
            .collect();
        let model = self.model.model().await.map_err(trouble)?;
        let output = model.output(completion).await.map_err(trouble)?;
        let usage = output.finish.usage;
        let detail = json!({
            "prompt": prompt,
            "output": output.text,
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
        });
        let value = if json {
            serde_json::from_str(&output.text).map_err(|error| {
                Trouble::Failed(Failure::new("model", format!("what the model said is no JSON: {error}")))
            })?
        } else {
            Value::String(output.text)
        };
        Ok(Said { value, detail })
    }
}

impl World for Workshop {
    fn tools(&self) -> Vec<String> {
        self.plugins.now().tools().map(|tool| tool.name.clone()).collect()
    }

    fn effects(&self, tool: &str) -> Effects {
        let plugins = self.plugins.now();
        plugins.find(tool).map_or(Effects::None, |(plugin, _)| match plugin.effects() {
            pawl_plugin::Effects::None => Effects::None,
            pawl_plugin::Effects::Recorded => Effects::Recorded,
            pawl_plugin::Effects::Unknown => Effects::Unknown,
        })
    }

    fn call<'a>(&'a self, call: Call<'a>) -> Answer<'a, Result<Reached, Trouble>> {
        Box::pin(async move {
            let plugins = self.plugins.now();
            let Some((plugin, tool)) = plugins.find(call.tool) else {
                let gone =
                    format!("there is no tool `{}`; `pawl tools` lists those that there are", call.tool);
                return Err(Trouble::Refused(Failure::new("not-found", gone)));
            };
            let (plugin, narrowed) = match call.document {
                Some(document) => about(plugin.clone(), document).await?,
                None => (plugin.clone(), false),
            };
            // Who leaves the step, at its timeout or because the run was cancelled, leaves no guest behind.
            let (plugin, _stop) = match plugin.effects() {
                pawl_plugin::Effects::None => {
                    let (plugin, stop) = plugin.stoppable();
                    (plugin, Some(stop))
                }
                _ => (plugin, None),
            };
            let called = plugin.call_once(&tool.function, call.arguments, call.key);
            let ended = match call.time {
                Some(time) => tokio::time::timeout(time, called).await.map_err(|_| {
                    let slow = format!("{} took longer than {} s", call.tool, time.as_secs_f64());
                    Trouble::Failed(Failure::new("timeout", slow))
                })?,
                None => called.await,
            };
            match ended {
                Ok(value) => Ok(Reached::Value(value)),
                // What is approved is done later, by a call that finds all documents: it would not be the same.
                Err(CallError::NeedsApproval) if narrowed => {
                    let both = format!(
                        "{} reads the document of this run and would write in the same call, which nobody can approve; read in one step and write in another",
                        call.tool
                    );
                    Err(Trouble::Refused(Failure::new("approval", both)))
                }
                Err(CallError::NeedsApproval) => {
                    let writes =
                        plugin.trial_once(&tool.function, call.arguments, call.key).await.map_err(failed)?;
                    Ok(Reached::Writes(Proposal {
                        tool: call.tool.to_owned(),
                        version: plugin.digest().to_owned(),
                        arguments: call.arguments.clone(),
                        effects: json!(writes),
                        requester: String::new(),
                        origin: None,
                        people: 1,
                    }))
                }
                // It was done meanwhile: by a call of this step that was given up.
                Err(CallError::Recorded) => match plugin.recorded(call.key).await.map_err(failed)? {
                    Some(value) => Ok(Reached::Value(value)),
                    None => Err(failed(CallError::Recorded)),
                },
                Err(error) => Err(failed(error)),
            }
        })
    }

    fn recorded<'a>(&'a self, tool: &'a str, key: &'a str) -> Answer<'a, Result<Option<Value>, Trouble>> {
        Box::pin(async move {
            let plugins = self.plugins.now();
            match plugins.find(tool) {
                Some((plugin, _)) => {
                    plugin.recorded(key).await.map_err(|error| Trouble::Busy(error.to_string()))
                }
                None => Err(Trouble::Failed(Failure::new(
                    "not-found",
                    format!("there is no tool `{tool}` any more"),
                ))),
            }
        })
    }

    fn ask<'a>(&'a self, prompt: &'a str, schema: Option<&'a Value>) -> Answer<'a, Result<Said, Trouble>> {
        let system = match schema {
            None => None,
            Some(schema) if schema.get("enum").is_some() => Some(format!(
                "Choose what fits the text best. Answer with one of: {}",
                pawl_llm::json_text(&schema["enum"])
            )),
            Some(schema) => Some(format!(
                "Take from the text what is asked for, as JSON of this schema: {}\nInvent nothing: what the text does not say is empty or null.",
                pawl_llm::json_text(schema)
            )),
        };
        let system = system.map(|content| Message { role: Role::System, content });
        let user = Message { role: Role::User, content: prompt.to_owned() };
        let shape = schema.map_or(Shape::Free, |schema| Shape::Json(schema.clone()));
        let messages = system.into_iter().chain([user]).collect();
        Box::pin(self.complete(Completion { messages, shape, max_tokens: MAX_TOKENS }))
    }

    fn prompt<'a>(&'a self, template: &'a str, slots: &'a Value) -> Answer<'a, Result<Said, Trouble>> {
        Box::pin(async move {
            let (folder, name, filled) = (self.folder.clone(), template.to_owned(), slots.clone());
            let read = move || Prompt::read(&folder, &name)?.completion(&filled);
            let completion = tokio::task::spawn_blocking(read)
                .await
                .map_err(|error| Trouble::Failed(Failure::new("host", error.to_string())))?;
            self.complete(completion.map_err(Trouble::Refused)?).await
        })
    }

    fn recall<'a>(&'a self, words: &'a str, most: u32) -> Answer<'a, Result<Said, Trouble>> {
        Box::pin(async move {
            let (file, words) = (self.memory.clone(), words.to_owned());
            let recall = move || {
                if file.is_file() {
                    Memory::open(&file)?.recall(&words, most as usize)
                } else {
                    Ok(Vec::new())
                }
            };
            let failed = |why: String| Trouble::Failed(Failure::new("memory", why));
            match tokio::task::spawn_blocking(recall).await.map_err(|error| failed(error.to_string()))? {
                Ok(turns) => Ok(Said { value: json!(turns), detail: Value::Null }),
                Err(error) if error.is_busy() => Err(Trouble::Busy(error.to_string())),
                Err(error) => Err(failed(error.to_string())),
            }
        })
    }

    fn settle<'a>(&'a self, approval: &'a Approval) -> Answer<'a, ()> {
        Box::pin(async move {
            if let Err(error) = self.approvals.go_on(&self.plugins.now(), approval).await {
                tracing::warn!(approval = approval.id, "approved, and not carried out yet: {error}");
            }
        })
    }

    fn flow(&self, name: &str) -> Result<Sources, Failure> {
        scripts::by_name(&self.folder, name)
    }
}

/// The plugin as a run sees it that is about this document, and whether that is another than any other run sees.
async fn about(plugin: Plugin, document: &Document) -> Result<(Plugin, bool), Trouble> {
    let Document { collection, file } = document.clone();
    let narrowed = plugin.clone();
    let opened = tokio::task::spawn_blocking(move || narrowed.with_document(&collection, &file)).await;
    match opened.map_err(std::io::Error::other).and_then(|opened| opened) {
        Ok(Some(narrowed)) => Ok((narrowed, true)),
        Ok(None) => Ok((plugin, false)),
        Err(error) => {
            let gone = format!("{}: {error}", document.file.display());
            Err(Trouble::Failed(Failure::new("not-found", gone)))
        }
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    }
}

fn trouble(error: ModelError) -> Trouble {
    match error {
        ModelError::Refused(why) => Trouble::Refused(Failure::new("schema", why)),
        ModelError::Limit(why) if why.contains("wait already") => Trouble::Busy(why),
        ModelError::Limit(why) => Trouble::Refused(Failure::new("limit", why)),
        ModelError::Unavailable(why) => Trouble::Failed(Failure::new("model", why)),
        ModelError::Truncated => {
            Trouble::Failed(Failure::new("truncated", ModelError::Truncated.to_string()))
        }
    }
}

/// What a script's `catch` gets of a call that failed: the case of the plugin's own error is the code.
fn failed(error: CallError) -> Trouble {
    let message = error.to_string();
    let failure = |code: &str| Failure::new(code, message.clone());
    match error {
        CallError::Guest(Value::Object(case)) if case.len() == 1 => {
            let (code, payload) = case.into_iter().next().unwrap_or_default();
            let message = match payload {
                Value::String(text) => text,
                Value::Null => code.clone(),
                other => other.to_string(),
            };
            Trouble::Failed(Failure::new(&code, message))
        }
        CallError::Guest(Value::String(text)) => Trouble::Failed(Failure::new("plugin", text)),
        CallError::Guest(_) => Trouble::Failed(failure("plugin")),
        CallError::UnknownFunction { .. } => Trouble::Refused(failure("not-found")),
        CallError::Arguments { .. } => Trouble::Refused(failure("arguments")),
        CallError::NotAsApproved(_) => Trouble::Refused(failure("not-as-approved")),
        CallError::NotRecordable(_) | CallError::Recorded => Trouble::Refused(failure("not-recordable")),
        CallError::NeedsApproval => Trouble::Refused(failure("approval")),
        CallError::Refinement(_) => Trouble::Refused(failure("refinement")),
        CallError::Limit { limit: "time", .. } => Trouble::Failed(failure("timeout")),
        CallError::Limit { .. } => Trouble::Failed(failure("limit")),
        CallError::Trap { .. } => Trouble::Failed(failure("crashed")),
        // The key says on the next attempt whether it was done.
        CallError::InDoubt(why) | CallError::Busy(why) => Trouble::Busy(why),
        CallError::Host { .. } => Trouble::Failed(failure("host")),
    }
}

/// No world: for those who only look at runs.
pub(crate) struct Nothing;

impl World for Nothing {
    fn tools(&self) -> Vec<String> {
        Vec::new()
    }

    fn effects(&self, _: &str) -> Effects {
        Effects::Unknown
    }

    fn call<'a>(&'a self, _: Call<'a>) -> Answer<'a, Result<Reached, Trouble>> {
        nothing()
    }

    fn recorded<'a>(&'a self, _: &'a str, _: &'a str) -> Answer<'a, Result<Option<Value>, Trouble>> {
        nothing()
    }

    fn ask<'a>(&'a self, _: &'a str, _: Option<&'a Value>) -> Answer<'a, Result<Said, Trouble>> {
        nothing()
    }

    fn prompt<'a>(&'a self, _: &'a str, _: &'a Value) -> Answer<'a, Result<Said, Trouble>> {
        nothing()
    }

    fn settle<'a>(&'a self, _: &'a Approval) -> Answer<'a, ()> {
        Box::pin(std::future::ready(()))
    }

    fn flow(&self, _: &str) -> Result<Sources, Failure> {
        Err(Failure::new("host", "this process runs no flows"))
    }
}

fn nothing<T: Send + 'static>() -> Answer<'static, Result<T, Trouble>> {
    let none = Failure::new("host", "this process runs no flows");
    Box::pin(std::future::ready(Err(Trouble::Refused(none))))
}
