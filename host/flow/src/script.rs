//! The Rhai engine: its limits, and the functions that a script has.
//!
//! Invariant: a script reaches the world by steps alone. There is no clock, no chance, no file and no `eval` in it, so the same answers
//! to its steps give the same run; what it computes is bounded by operations, depth and size.

mod functions;

use std::sync::{Arc, Mutex, MutexGuard};

use rhai::packages::{Package, StandardPackage};
use rhai::{AST, Dynamic, Engine, EvalAltResult, OptimizationLevel, Position, Scope};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::advance::Steps;
use crate::journal::{Failure, StepId};

/// What a script is told apart by, beside its text: another engine may run it otherwise.
pub const ENGINE: &str = "rhai 1.27";
/// Operations of one run, all its replays counting anew.
const MAX_OPERATIONS: u64 = 50_000_000;
/// Functions within functions. A debug build's stack holds so many.
const MAX_CALLS: usize = 24;
const MAX_EXPRESSION: usize = 48;
const MAX_STRING: usize = 4 << 20;
const MAX_ITEMS: usize = 100_000;
/// What ends a script that waits.
const WAITS: &str = "waits";

/// A script, parsed.
#[derive(Debug, Clone)]
pub struct Script {
    name: String,
    text: Arc<str>,
    ast: AST,
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

/// A run of a script: what answers its steps, and where it is.
pub(crate) struct Run {
    steps: Arc<Mutex<dyn Steps>>,
    /// The number of the next step, behind those of the parallel steps and branches around it.
    place: Vec<u32>,
    diverged: Option<Failure>,
}

type Shared = Arc<Mutex<Run>>;

impl Script {
    /// Parses a script; `tools` are those that it may call: `calendar.create-event`.
    ///
    /// # Errors
    /// Where it is not Rhai.
    pub fn parse(name: &str, text: &str, tools: &[String]) -> Result<Script, ScriptError> {
        let tools: Arc<[String]> = tools.into();
        let mut scope = Scope::new();
        scope.push_constant("input", ());
        let ast = engine(&tools).compile_with_scope(&scope, text).map_err(|error| {
            let (line, column) = (error.1.line().unwrap_or(1), error.1.position().unwrap_or(1));
            let text = text.lines().nth(line - 1).unwrap_or_default().trim().to_owned();
            ScriptError { name: name.to_owned(), line, column, message: error.0.to_string(), text }
        })?;
        Ok(Script { name: name.to_owned(), text: text.into(), ast, tools })
    }

    /// The SHA-256 of its text and the engine's version: another version is another script.
    #[must_use]
    pub fn digest(&self) -> String {
        let digest =
            Sha256::new().chain_update(ENGINE).chain_update([0]).chain_update(&*self.text).finalize();
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(crate) fn run(&self, input: &Value, steps: Arc<Mutex<dyn Steps>>) -> Ended {
        let run = Arc::new(Mutex::new(Run { steps, place: vec![0], diverged: None }));
        let mut engine = engine(&self.tools);
        engine.set_default_tag(Dynamic::from(Arc::clone(&run)));
        let input = match rhai::serde::to_dynamic(input) {
            Ok(input) => input,
            Err(error) => return Ended::Failed(Failure::new("input", error.to_string())),
        };
        let mut scope = Scope::new();
        scope.push_constant_dynamic("input", input);
        let ended = engine.eval_ast_with_scope::<Dynamic>(&mut scope, &self.ast);
        let diverged = lock(&run).diverged.take();
        match (ended, diverged) {
            (_, Some(failure)) => Ended::Diverged(failure),
            (Ok(value), _) => match rhai::serde::from_dynamic(&value) {
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
        let (inner, position) = (error.unwrap_inner(), place(error));
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
        let text = self.text.lines().nth(line - 1).unwrap_or_default().trim();
        Failure { code, message: format!("{message} ({}:{line}: {text})", self.name) }
    }
}

impl Run {
    /// The next step's, which is counted.
    fn next(&mut self) -> StepId {
        let id = StepId::new(&self.place);
        if let Some(number) = self.place.last_mut() {
            *number += 1;
        }
        id
    }
}

fn lock(run: &Shared) -> MutexGuard<'_, Run> {
    run.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The innermost place that is known.
fn place(error: &EvalAltResult) -> Position {
    match error {
        EvalAltResult::ErrorInFunctionCall(_, _, inner, at) | EvalAltResult::ErrorInModule(_, inner, at) => {
            Some(place(inner)).filter(|inner| !inner.is_none()).unwrap_or(*at)
        }
        other => other.position(),
    }
}

/// Whether a script was stopped because a step has not ended.
fn waits(error: &EvalAltResult) -> bool {
    matches!(error.unwrap_inner(), EvalAltResult::ErrorTerminated(token, _) if token.clone().into_immutable_string().is_ok_and(|token| token == WAITS))
}

fn engine(tools: &[String]) -> Engine {
    let mut engine = Engine::new_raw();
    engine.register_global_module(StandardPackage::new().as_shared_module());
    engine.set_optimization_level(OptimizationLevel::None);
    engine.set_max_operations(MAX_OPERATIONS);
    engine.set_max_call_levels(MAX_CALLS);
    engine.set_max_expr_depths(MAX_EXPRESSION, MAX_EXPRESSION);
    engine.set_max_string_size(MAX_STRING);
    engine.set_max_array_size(MAX_ITEMS);
    engine.set_max_map_size(MAX_ITEMS);
    engine.set_max_variables(1_000);
    engine.set_max_functions(500);
    engine.set_max_modules(0);
    for symbol in ["eval", "print", "debug"] {
        engine.disable_symbol(symbol);
    }
    functions::register(&mut engine, tools);
    engine
}
