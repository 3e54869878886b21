//! A script: parsed, told apart by its digest, run with whatever answers its steps.
//!
//! Invariant: a script reaches the world by steps alone. There is no clock, no chance, no file and no `eval` in it, so the same answers
//! to its steps give the same run; what it computes is bounded by operations, depth and size.

mod calls;
mod engine;
mod functions;
mod parallel;
mod place;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rhai::{AST, Dynamic, Engine, EvalAltResult, Position, Scope};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::advance::Steps;
use crate::journal::{Failure, MAX_DEPTH, too_deep};

pub use calls::{Called, Callee};
pub use engine::ENGINE;
use engine::{MAX_CALLS, MAX_OPERATIONS};
pub(crate) use parallel::STACK;

/// What ends a script that waits.
const WAITS: &str = "waits";

/// The texts that a script is made of: what a run keeps, so that it goes on with the script that it began with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sources {
    /// The script's name, as in messages: `hire.rhai`.
    pub name: String,
    /// Its own text.
    pub main: String,
    /// Of what it imports, by the path that it names.
    pub modules: BTreeMap<String, String>,
    /// The engine that it was written for.
    pub engine: String,
}

impl Sources {
    /// Of a script that imports nothing.
    #[must_use]
    pub fn of(name: &str, text: &str) -> Sources {
        Sources {
            name: name.to_owned(),
            main: text.to_owned(),
            modules: BTreeMap::new(),
            engine: ENGINE.to_owned(),
        }
    }

    /// The flow's name: the script's without its ending.
    #[must_use]
    pub fn flow(&self) -> &str {
        self.name.strip_suffix(".rhai").unwrap_or(&self.name)
    }

    /// The SHA-256 of the texts and the engine's version: another version is another script.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut digest = Sha256::new().chain_update(&self.engine).chain_update([0]).chain_update(&self.main);
        for (path, text) in &self.modules {
            digest = digest.chain_update([0]).chain_update(path).chain_update([0]).chain_update(text);
        }
        digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A script, parsed.
#[derive(Debug, Clone)]
pub struct Script {
    sources: Arc<Sources>,
    digest: Arc<str>,
    ast: Arc<AST>,
    tools: Arc<[String]>,
}

/// A script that cannot be run, with the place in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}:{line}:{column}: {message}\n  {text}")]
pub struct ScriptError {
    /// The script's.
    pub name: String,
    /// From 1.
    pub line: usize,
    /// From 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// The line.
    pub text: String,
}

/// How a script ended.
#[derive(Debug)]
pub(crate) enum Ended {
    Waits,
    Done(Value),
    Failed(Failure),
    Diverged(Failure),
}

/// What the functions of a script share while it runs.
struct Run {
    steps: Arc<dyn Steps>,
    diverged: Mutex<Option<Failure>>,
}

impl Script {
    /// Parses a script; `tools` are those that it may call: `calendar.create-event`.
    ///
    /// # Errors
    /// Where it, or what it imports, is not Rhai.
    pub fn parse(sources: &Sources, tools: &[String]) -> Result<Script, ScriptError> {
        let tools: Arc<[String]> = tools.into();
        let mut scope = Scope::new();
        scope.push_constant("input", ());
        let ast = engine::engine(&tools, Some(sources)).compile_into_self_contained(&scope, &sources.main);
        let ast = Arc::new(ast.map_err(|error| sources.error(&error))?);
        Ok(Script { digest: sources.digest().into(), sources: Arc::new(sources.clone()), ast, tools })
    }

    /// See [`Sources::digest`].
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// What it is made of.
    #[must_use]
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    pub(crate) fn run(&self, input: &Value, steps: Arc<dyn Steps>) -> Ended {
        let run = Arc::new(Run { steps, diverged: Mutex::default() });
        let mut engine: Engine = engine::engine(&self.tools, None);
        engine.set_default_tag(Dynamic::from(Arc::clone(&run)));
        let input = match rhai::serde::to_dynamic(input) {
            Ok(input) => input,
            Err(error) => return Ended::Failed(Failure::new("input", error.to_string())),
        };
        let mut scope = Scope::new();
        scope.push_constant_dynamic("input", input);
        let ended = place::from(vec![0], || engine.eval_ast_with_scope::<Dynamic>(&mut scope, &self.ast));
        let diverged = run.diverged.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (ended, diverged) {
            (_, Some(failure)) => Ended::Diverged(failure),
            (Ok(value), _) => match rhai::serde::from_dynamic(&value) {
                Ok(value) if too_deep(&value) => Ended::Failed(Failure::new(
                    "result",
                    format!("the result is nested more than {MAX_DEPTH} deep; make it flatter"),
                )),
                Ok(value) => Ended::Done(value),
                Err(error) => {
                    Ended::Failed(Failure::new("result", format!("the result is no JSON: {error}")))
                }
            },
            (Err(error), _) if waits(&error) => Ended::Waits,
            (Err(error), _) => Ended::Failed(self.failure(&error)),
        }
    }

    /// An error of the script, with the line that it is in.
    fn failure(&self, error: &EvalAltResult) -> Failure {
        let (source, position) = source_of(error);
        let inner = error.unwrap_inner();
        let (code, message) = match inner {
            EvalAltResult::ErrorRuntime(value, _) => match functions::failure(value) {
                Some(failure) => (failure.code, failure.message),
                None => ("thrown".to_owned(), value.to_string()),
            },
            EvalAltResult::ErrorTooManyOperations(_) => (
                "limit".to_owned(),
                format!("more than {MAX_OPERATIONS} operations: is there a loop without an end?"),
            ),
            EvalAltResult::ErrorStackOverflow(_) => {
                ("limit".to_owned(), format!("more than {MAX_CALLS} functions within functions"))
            }
            EvalAltResult::ErrorDataTooLarge(..) => ("limit".to_owned(), inner.to_string()),
            EvalAltResult::ErrorFunctionNotFound(what, _) => {
                ("script".to_owned(), format!("there is no function {what}"))
            }
            other => ("script".to_owned(), other.to_string()),
        };
        let line = position.line().unwrap_or(1);
        let module =
            source.as_ref().and_then(|path| Some((format!("{path}.rhai"), self.sources.modules.get(path)?)));
        let (name, text) = module.unwrap_or_else(|| (self.sources.name.clone(), &self.sources.main));
        let text = text.lines().nth(line - 1).unwrap_or_default().trim();
        Failure { code, message, place: Some(format!("{name}:{line}: {text}")) }
    }
}

impl Sources {
    /// What is wrong, with its place in the text that it is in.
    fn error(&self, error: &EvalAltResult) -> ScriptError {
        if let EvalAltResult::ErrorInModule(path, inner, _) = error
            && let Some(text) = self.modules.get(path)
        {
            let module = Sources { name: path.clone(), main: text.clone(), ..self.clone() };
            return module.error(inner);
        }
        let position = place_of(error);
        let (line, column) = (position.line().unwrap_or(1), position.position().unwrap_or(1));
        let text = self.main.lines().nth(line - 1).unwrap_or_default().trim().to_owned();
        let message = match error {
            EvalAltResult::ErrorParsing(what, _) => what.to_string(),
            EvalAltResult::ErrorModuleNotFound(path, _) => {
                format!("there is no `{path}.rhai` beside this script to import")
            }
            other => other.to_string(),
        };
        ScriptError { name: self.name.clone(), line, column, message, text }
    }
}

/// The innermost place that is known, with the imported script that it is in; none for the script itself.
fn source_of(error: &EvalAltResult) -> (Option<String>, Position) {
    match error {
        EvalAltResult::ErrorInFunctionCall(_, source, inner, at) => match source_of(inner) {
            (_, position) if position.is_none() => (None, *at),
            (None, position) => (Some(source.clone()).filter(|source| !source.is_empty()), position),
            known => known,
        },
        other => (None, place_of(other)),
    }
}

/// The innermost place that is known.
fn place_of(error: &EvalAltResult) -> Position {
    match error {
        EvalAltResult::ErrorInFunctionCall(_, _, inner, at) | EvalAltResult::ErrorInModule(_, inner, at) => {
            Some(place_of(inner)).filter(|inner| !inner.is_none()).unwrap_or(*at)
        }
        other => other.position(),
    }
}

/// Whether a script was stopped because a step has not ended.
fn waits(error: &EvalAltResult) -> bool {
    matches!(error.unwrap_inner(), EvalAltResult::ErrorTerminated(token, _) if token.clone().into_immutable_string().is_ok_and(|token| token == WAITS))
}
