//! What a script calls, as far as it can be seen without running it: for `pawl flow check`.

use std::collections::{BTreeMap, BTreeSet};

use rhai::{ASTNode, Dynamic, Expr, Position};
use serde_json::Value;

use super::{Script, ScriptError, engine};

/// A call in a script.
#[derive(Debug, Clone, PartialEq)]
pub struct Called {
    /// What is called.
    pub what: Callee,
    /// Its arguments by name, each with its value where that is written out; none where the map itself is not.
    pub arguments: Option<BTreeMap<String, Option<Value>>>,
    /// From 1.
    pub line: usize,
    /// From 1.
    pub column: usize,
}

/// What a script can call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Callee {
    /// `calendar.create-event`.
    Tool(String),
    /// A prompt, by name.
    Prompt(String),
    /// Another flow, by name.
    Flow(String),
}

/// Is told the module, the name, the arguments and the place of a call.
type Seen<'a> = dyn FnMut(&str, &str, &[Expr], Position) + 'a;

impl Script {
    /// The calls of the script itself whose names are written out, in their order.
    #[must_use]
    pub fn calls(&self) -> Vec<Called> {
        let mut calls = Vec::new();
        self.each_call(&mut |path, name, arguments, position| {
            let text = |number: usize| arguments.get(number).and_then(text);
            let (what, map) = match (path, name) {
                ("", "tool") => (text(0).map(Callee::Tool), arguments.get(1)),
                ("", "child") => (text(0).map(Callee::Flow), None),
                ("llm", "prompt") => (text(0).map(Callee::Prompt), arguments.get(1)),
                ("" | "llm" | "memory", _) => (None, None),
                (module, function) => (self.tool(module, function).map(Callee::Tool), arguments.first()),
            };
            if let Some(what) = what {
                let given = match (map, arguments.is_empty()) {
                    // As the tool names them.
                    (Some(map), _) if matches!(what, Callee::Tool(_)) => entries(map).map(|given| {
                        given.into_iter().map(|(name, value)| (name.replace('_', "-"), value)).collect()
                    }),
                    (Some(map), _) => entries(map),
                    (None, true) => Some(BTreeMap::new()),
                    (None, false) => None,
                };
                let (line, column) = (position.line().unwrap_or(1), position.position().unwrap_or(1));
                calls.push(Called { what, arguments: given, line, column });
            }
        });
        calls
    }

    /// Functions that are called and that there are not, with their places.
    #[must_use]
    pub fn unknown(&self) -> Vec<ScriptError> {
        let engine = engine::engine(&self.tools, None);
        let name = |signature: String| signature.split(['(', ' ']).next().unwrap_or_default().to_owned();
        let mut known: BTreeSet<String> = engine.gen_fn_signatures(true).into_iter().map(name).collect();
        known.extend(self.ast.iter_functions().map(|function| function.name.to_owned()));
        known.extend(
            ["Fn", "call", "curry", "is_shared", "type_of", "is_def_var", "is_def_fn"].map(str::to_owned),
        );
        let plugins: BTreeSet<String> =
            self.tools.iter().filter_map(|tool| Some(tool.split_once('.')?.0.replace('-', "_"))).collect();
        let mut unknown = Vec::new();
        self.each_call(&mut |path, name, _, position| {
            let full = if path.is_empty() { name.to_owned() } else { format!("{path}::{name}") };
            let closure =
                name.starts_with("anon$") || !name.starts_with(|c: char| c.is_alphabetic() || c == '_');
            // What is imported is looked for when it is parsed.
            let ours = path.is_empty() || matches!(path, "llm" | "memory") || plugins.contains(path);
            let missing =
                if !ours { !self.imports().contains(path) } else { !closure && !known.contains(&full) };
            if missing {
                let message = match path {
                    "" => format!("there is no function `{name}`"),
                    "llm" => {
                        format!("there is no function `{full}`; there are ask, choose, extract and prompt")
                    }
                    "memory" => format!("there is no function `{full}`; there is search"),
                    path if plugins.contains(path) => {
                        format!("there is no tool `{full}`; `pawl tools` lists those that there are")
                    }
                    path => format!("there is no plugin or imported script `{path}`"),
                };
                unknown.push(self.at(position, message));
            }
        });
        unknown
    }

    /// An error at a place of the script.
    #[must_use]
    pub fn error_at(&self, line: usize, column: usize, message: String) -> ScriptError {
        let text = self.sources.main.lines().nth(line.max(1) - 1).unwrap_or_default().trim().to_owned();
        ScriptError { name: self.sources.name.clone(), line, column, message, text }
    }

    fn at(&self, position: Position, message: String) -> ScriptError {
        self.error_at(position.line().unwrap_or(1), position.position().unwrap_or(1), message)
    }

    /// The names under which scripts are imported.
    fn imports(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        self.ast.walk(&mut |path| {
            if let Some(ASTNode::Stmt(rhai::Stmt::Import(import, _))) = path.last() {
                names.insert(import.1.name.to_string());
            }
            true
        });
        names
    }

    /// The tool that `module::function` stands for.
    fn tool(&self, module: &str, function: &str) -> Option<String> {
        let same = |tool: &&String| {
            tool.split_once('.').is_some_and(|(plugin, name)| {
                plugin.replace('-', "_") == module && name.replace('-', "_") == function
            })
        };
        self.tools.iter().find(same).cloned()
    }

    fn each_call(&self, seen: &mut Seen<'_>) {
        self.ast.walk(&mut |path| {
            if let Some(ASTNode::Expr(Expr::FnCall(call, position) | Expr::MethodCall(call, position))) =
                path.last()
                && !call.is_operator_call()
            {
                let module =
                    call.namespace.path.iter().map(|part| part.name.as_str()).collect::<Vec<_>>().join("::");
                seen(&module, &call.name, &call.args, *position);
            }
            true
        });
    }
}

fn text(expression: &Expr) -> Option<String> {
    match expression {
        Expr::StringConstant(text, _) => Some(text.to_string()),
        _ => None,
    }
}

/// The entries of a map that is written out.
fn entries(expression: &Expr) -> Option<BTreeMap<String, Option<Value>>> {
    match expression {
        Expr::Map(map, _) => {
            Some(map.0.iter().map(|(key, value)| (key.name.to_string(), literal(value))).collect())
        }
        Expr::DynamicConstant(value, _) => {
            let map = value.as_map_ref().ok()?;
            Some(map.iter().map(|(key, value)| (key.to_string(), json(value.clone()))).collect())
        }
        _ => None,
    }
}

fn literal(expression: &Expr) -> Option<Value> {
    match expression {
        // An empty one is nothing that is not said.
        Expr::Unit(_) => Some(Value::Null),
        other => json(other.get_literal_value(None)?),
    }
}

fn json(value: Dynamic) -> Option<Value> {
    rhai::serde::from_dynamic(&value).ok()
}
