//! The Rhai engine of a script: its limits, and what it may name.

use std::sync::{Arc, LazyLock};

use rhai::packages::{Package, StandardPackage};
use rhai::{AST, Engine, EvalAltResult, Module, ModuleResolver, OptimizationLevel, Position, Scope, Shared};

use super::{Sources, functions};

/// What a script is told apart by, beside its text: another engine may run it otherwise.
pub const ENGINE: &str = "rhai 1.27";
/// Operations of one run, all its replays counting anew.
pub(super) const MAX_OPERATIONS: u64 = 50_000_000;
/// Functions within functions. A debug build's stack holds so many.
pub(super) const MAX_CALLS: usize = 24;
const MAX_EXPRESSION: usize = 48;
const MAX_STRING: usize = 4 << 20;
pub(super) const MAX_ITEMS: usize = 100_000;
/// Imports of a run, and of what it imports.
const MAX_MODULES: usize = 32;

/// Made once: a run of a few steps takes less time than its thousands of functions.
static STANDARD: LazyLock<Shared<Module>> = LazyLock::new(|| StandardPackage::new().as_shared_module());
static STEPS: LazyLock<Shared<Module>> = LazyLock::new(|| functions::steps().into());
static MEMORY: LazyLock<Shared<Module>> = LazyLock::new(|| functions::memory().into());
static MODEL: LazyLock<Shared<Module>> = LazyLock::new(|| functions::model().into());

/// An engine for scripts that may call these tools and, while they are parsed, import of these sources.
pub(super) fn engine(tools: &[String], sources: Option<&Sources>) -> Engine {
    let mut engine = Engine::new_raw();
    engine.register_global_module(Arc::clone(&STANDARD));
    engine.register_global_module(Arc::clone(&STEPS));
    engine.register_static_module("llm", Arc::clone(&MODEL));
    engine.register_static_module("memory", Arc::clone(&MEMORY));
    functions::register_tools(&mut engine, tools);
    engine.set_optimization_level(OptimizationLevel::None);
    engine.set_max_operations(MAX_OPERATIONS);
    engine.set_max_call_levels(MAX_CALLS);
    engine.set_max_expr_depths(MAX_EXPRESSION, MAX_EXPRESSION);
    engine.set_max_string_size(MAX_STRING);
    engine.set_max_array_size(MAX_ITEMS);
    engine.set_max_map_size(MAX_ITEMS);
    engine.set_max_variables(1_000);
    engine.set_max_functions(500);
    engine.set_max_modules(MAX_MODULES);
    for symbol in ["eval", "print", "debug"] {
        engine.disable_symbol(symbol);
    }
    if let Some(sources) = sources {
        engine.set_module_resolver(Imports(sources.clone()));
    }
    engine
}

/// Finds what a script imports among its sources, and nowhere else.
struct Imports(Sources);

impl ModuleResolver for Imports {
    fn resolve(
        &self,
        engine: &Engine,
        _: Option<&str>,
        path: &str,
        position: Position,
    ) -> Result<Shared<Module>, Box<EvalAltResult>> {
        let ast = self.resolve_ast(engine, None, path, position);
        let ast =
            ast.unwrap_or_else(|| Err(EvalAltResult::ErrorModuleNotFound(path.to_owned(), position).into()))?;
        let module = Module::eval_ast_as_new(Scope::new(), &ast, engine);
        module.map(Into::into).map_err(|error| within(path, error, position))
    }

    fn resolve_ast(
        &self,
        engine: &Engine,
        _: Option<&str>,
        path: &str,
        position: Position,
    ) -> Option<Result<AST, Box<EvalAltResult>>> {
        let text = self.0.modules.get(path)?;
        let parsed = engine.compile(text).map(|mut ast| {
            // What fails in it is told with its name.
            ast.set_source(path);
            ast
        });
        Some(parsed.map_err(|error| within(path, error.into(), position)))
    }
}

fn within(path: &str, error: Box<EvalAltResult>, position: Position) -> Box<EvalAltResult> {
    EvalAltResult::ErrorInModule(path.to_owned(), error, position).into()
}
