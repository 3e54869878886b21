//! A component's exported functions as tools: names, descriptions, JSON Schemas.
//!
//! Invariant: a function is a tool only where all of its types can be given and taken as JSON; every other one is
//! listed with the reason. A function is called by its WIT name; where two interfaces export the same name, both are
//! `interface-function`. Conventions for the text: [`crate::docs`]; for the schemas: [`crate::schema`].

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wasmtime::component::types::{ComponentFunc, ComponentItem};
use wasmtime::component::{Component, ComponentExportIndex, Type};

use crate::Tool;
use crate::docs::Docs;
use crate::manifest::Prompt;
use crate::refine;
use crate::schema::{Direction, SchemaLimits, Writer};
use crate::weight;

/// The most functions of a component that become tools.
const MAX_FUNCTIONS: usize = 256;

/// The longest `plugin__function`, the name of a tool on the wires of OpenAI and MCP clients.
const MAX_NAME: usize = 64;

/// The longest that all schemas of a component are together, in bytes, roughly.
const MAX_SCHEMAS: usize = 2 << 20;
/// How many functions that are no tools are listed.
const MAX_EXCLUDED: usize = 1000;
/// How much of the name of one is shown, in characters.
const MAX_SHOWN: usize = 200;

/// Interfaces that a plugin exports for the host, not for the model.
const OURS: &str = "pawl:plugin/";

/// An exported function that is no tool.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Excluded {
    /// Its name in the component, with the interface.
    pub function: String,
    /// Why it is no tool.
    pub reason: String,
}

/// What calling a function needs.
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) parameters: Vec<(String, Type)>,
    pub(crate) result: Option<Type>,
    /// How many bytes of the host a byte of the result's budget may become ([`weight::inflation`]).
    pub(crate) inflation: usize,
    pub(crate) export: ComponentExportIndex,
}

impl Function {
    fn new(
        name: String,
        parameters: Vec<(String, Type)>,
        result: Option<Type>,
        export: ComponentExportIndex,
    ) -> Function {
        let inflation = result.as_ref().map_or(1, weight::inflation);
        Function { name, parameters, result, inflation, export }
    }
}

/// Everything that a component exports.
#[derive(Default)]
pub(crate) struct Reflection {
    pub(crate) tools: Vec<Tool>,
    /// In the order of `tools`.
    pub(crate) functions: Vec<Function>,
    pub(crate) excluded: Vec<Excluded>,
    /// `pawl:plugin/refine`, where the component exports it.
    pub(crate) refine: Option<Function>,
}

impl Reflection {
    /// Whether what a manifest's `[prompt]` names are functions of the kind that is wanted there; says what is not.
    pub(crate) fn check(&self, prompt: &Prompt) -> Result<(), String> {
        let is_text = |parameters: &[(String, Type)]| matches!(parameters, [(_, Type::String)]);
        let known = |name: &String| {
            self.functions.iter().find(|function| &function.name == name).map(|f| &f.parameters)
        };
        if let Some(name) = &prompt.context
            && known(name).is_none_or(|parameters| !parameters.is_empty())
        {
            return Err(format!("prompt.context `{name}` is not a function without parameters"));
        }
        if let Some(name) = &prompt.hint
            && known(name).is_none_or(|parameters| !is_text(parameters))
        {
            return Err(format!("prompt.hint `{name}` is not a function of one string"));
        }
        if let Some(from) = &prompt.examples_from {
            if known(&from.function).is_none_or(|parameters| !parameters.is_empty()) {
                let name = &from.function;
                return Err(format!("prompt.examples-from `{name}` is not a function without parameters"));
            }
            if known(&from.calls).is_none() {
                return Err(format!(
                    "prompt.examples-from calls `{}`, which is no function of it",
                    from.calls
                ));
            }
        }
        match prompt.hidden.iter().find(|name| known(name).is_none()) {
            Some(name) => Err(format!("prompt.hidden `{name}` is not a function of it")),
            None => Ok(()),
        }
    }
}

/// An exported function before it has its name.
struct Export {
    interface: Option<String>,
    name: String,
    ty: ComponentFunc,
    index: ComponentExportIndex,
}

/// Reflects the exports of a component.
pub(crate) fn reflect(component: &Component, docs: &Docs, plugin: &str, limits: SchemaLimits) -> Reflection {
    let mut reflection = Reflection::default();
    let (own, exports): (Vec<Export>, Vec<Export>) = exports(component, &mut reflection)
        .into_iter()
        .partition(|export| export.interface.as_deref().is_some_and(|name| name.starts_with(OURS)));
    for export in own {
        if export.interface.as_deref() == Some(refine::VERSIONED) && export.name == "refine" {
            let result = export.ty.results().next();
            let name = export.name;
            reflection.refine = Some(Function::new(name, Vec::new(), result, export.index));
        } else {
            let function = full_name(export.interface.as_deref(), &export.name);
            let reason = format!("this host knows {} only", refine::VERSIONED);
            reflection.exclude(function, reason);
        }
    }
    let mut bytes = 0;
    let names = names(&exports);
    for (export, name) in exports.into_iter().zip(names) {
        let full = full_name(export.interface.as_deref(), &export.name);
        let tool = match name {
            _ if reflection.tools.len() == MAX_FUNCTIONS => {
                Err(format!("the component exports more than {MAX_FUNCTIONS} functions"))
            }
            _ if bytes > MAX_SCHEMAS => {
                Err(format!("the schemas of the functions before it have more than {MAX_SCHEMAS} bytes"))
            }
            None => Err("another function has the same name".to_owned()),
            Some(name) if plugin.len() + 2 + name.len() > MAX_NAME => Err(format!(
                "its name with the plugin's is longer than the {MAX_NAME} characters that clients take"
            )),
            Some(name) => tool(&export, name, docs, plugin, limits),
        };
        match tool {
            Ok((tool, function, length)) => {
                bytes += length;
                reflection.tools.push(tool);
                reflection.functions.push(function);
            }
            Err(reason) => reflection.exclude(full, reason),
        }
    }
    reflection
}

impl Reflection {
    /// Lists a function that is no tool; of very many, the first.
    fn exclude(&mut self, function: String, reason: String) {
        if self.excluded.len() < MAX_EXCLUDED {
            let function = function.chars().take(MAX_SHOWN).collect();
            self.excluded.push(Excluded { function, reason });
        }
    }
}

/// The names of what a component imports.
pub(crate) fn imports(component: &Component) -> Vec<String> {
    component.component_type().imports(component.engine()).map(|(name, _)| name.to_owned()).collect()
}

fn exports(component: &Component, reflection: &mut Reflection) -> Vec<Export> {
    let engine = component.engine();
    let mut exports = Vec::new();
    let mut push =
        |interface: Option<&str>, name: &str, ty: ComponentFunc, parent: Option<&ComponentExportIndex>| {
            let reason = match interface {
                _ if name.starts_with('[') => Some("it belongs to a resource, which JSON cannot hold"),
                Some(interface) if interface.starts_with("wasi:") => {
                    Some("it is an entry point of WASI, not a tool")
                }
                Some("exports") if is_componentize_py(name, &ty) => {
                    Some("it is componentize-py's own, called when the component was built")
                }
                _ if ty.async_() => Some("it is async, which WASI 0.2 does not have"),
                _ => None,
            };
            let index = component.get_export_index(parent, name);
            match (reason, index) {
                (None, Some(index)) => {
                    let interface = interface.map(str::to_owned);
                    exports.push(Export { interface, name: name.to_owned(), ty, index });
                }
                (reason, _) => reflection
                    .exclude(full_name(interface, name), reason.unwrap_or("it cannot be found").to_owned()),
            }
        };
    for (name, item) in component.component_type().exports(engine) {
        match item.ty {
            ComponentItem::ComponentFunc(ty) => push(None, name, ty, None),
            ComponentItem::ComponentInstance(instance) => {
                let parent = component.get_export_index(None, name);
                for (function, item) in instance.exports(engine) {
                    if let ComponentItem::ComponentFunc(ty) = item.ty {
                        push(Some(name), function, ty, parent.as_ref());
                    }
                }
            }
            _ => {}
        }
    }
    exports
}

/// What every component of componentize-py exports beside its world: the function that set its interpreter up.
fn is_componentize_py(name: &str, ty: &ComponentFunc) -> bool {
    name == "init" && ty.params().map(|(name, _)| name).eq(["app-name", "symbols", "stub-wasi"])
}

fn full_name(interface: Option<&str>, name: &str) -> String {
    interface.map_or_else(|| name.to_owned(), |interface| format!("{interface}#{name}"))
}

/// `ns:package/interface@1.0.0` -> `interface`
fn short_name(interface: &str) -> &str {
    let name = interface.rsplit('/').next().unwrap_or(interface);
    name.split('@').next().unwrap_or(name)
}

/// The name of each export among its fellows; none where no rule makes it unique.
fn names(exports: &[Export]) -> Vec<Option<String>> {
    let mut shared: BTreeMap<&str, usize> = BTreeMap::new();
    for export in exports {
        *shared.entry(&export.name).or_default() += 1;
    }
    let name = |export: &Export| match &export.interface {
        Some(interface) if shared[export.name.as_str()] > 1 => {
            format!("{}-{}", short_name(interface), export.name)
        }
        _ => export.name.clone(),
    };
    let names: Vec<String> = exports.iter().map(name).collect();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in &names {
        *counts.entry(name).or_default() += 1;
    }
    names.iter().map(|name| (counts[name.as_str()] == 1).then(|| name.clone())).collect()
}

fn tool(
    export: &Export,
    name: String,
    docs: &Docs,
    plugin: &str,
    limits: SchemaLimits,
) -> Result<(Tool, Function, usize), String> {
    let said = docs.function(export.interface.as_deref(), &export.name);
    let parameters: Vec<(String, Type)> =
        export.ty.params().map(|(name, ty)| (name.to_owned(), ty)).collect();
    let mut results = export.ty.results();
    let (result, None) = (results.next(), results.next()) else {
        return Err("it has several results".to_owned());
    };
    let fields = parameters.iter().map(|(name, ty)| (name.as_str(), ty.clone(), said.parameter(name)));
    let (mut taken, mut given) = (Writer::new(Direction::Arguments(limits)), Writer::new(Direction::Result));
    let tool = Tool {
        name: format!("{plugin}.{name}"),
        function: name.clone(),
        description: said.text(),
        parameters: taken.object(fields, 0)?,
        result: result_schema(&mut given, result.as_ref(), &said)?,
    };
    Ok((tool, Function::new(name, parameters, result, export.index), taken.bytes() + given.bytes()))
}

/// The schema of what a call gives: of the `ok` side of a result.
fn result_schema(
    writer: &mut Writer,
    result: Option<&Type>,
    said: &crate::docs::FunctionDocs<'_>,
) -> Result<Value, String> {
    match result {
        None => Ok(json!({"type": "null"})),
        Some(Type::Result(result)) => {
            // The err side is no part of the schema, but it has to be one that JSON can hold.
            writer.payload(result.err(), said.result().inner(1), 0)?;
            writer.payload(result.ok(), said.result().inner(0), 0)
        }
        Some(ty) => writer.payload(Some(ty.clone()), said.result(), 0),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Result;

    use super::*;
    use crate::testing::{Home, dummy};
    use crate::{Grant, Plugin};

    fn plugin(wit: &str) -> Result<Plugin> {
        Home::new()?.load(&dummy(wit)?, "", Grant::default())
    }

    #[test]
    fn types_and_docs_become_schemas() -> Result<()> {
        let plugin = plugin(
            "package test:calendar@1.2.0;
            interface types {
                /// A day.
                /// @pattern ^[0-9]{4}-[0-9]{2}-[0-9]{2}$
                type day = string;
                enum kind {
                    /// Everybody is there.
                    meeting, focus }
            }
            interface calendar {
                use types.{day, kind};
                /// An event.
                record event {
                    /// What it is about.
                    title: string,
                    on: day,
                    kind: option<kind>,
                    /// From 0.
                    priority: u8,
                }
                variant error { /** Not free. */ busy(list<event>), unknown }
                /// Creates an event.
                ///
                /// It can be changed later.
                /// - event: what to create,
                ///   with its day
                /// - other: not a parameter
                create: func(event: event, dry-run: option<bool>) -> result<event, error>;
                %list: func() -> list<event>;
            }
            world w { export calendar; }",
        )?;
        let [create, list] = plugin.tools() else { panic!("{:?}", plugin.tools()) };
        assert_eq!((create.name.as_str(), create.function.as_str()), ("test.create", "create"));
        assert_eq!(
            create.description,
            "Creates an event.\n\nIt can be changed later.\n- other: not a parameter"
        );
        let event = json!({
            "type": "object",
            "properties": {
                "title": {"type": "string", "maxLength": 8192, "description": "What it is about."},
                "on": {"type": "string", "maxLength": 8192, "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "description": "A day."},
                "kind": {"anyOf": [
                    {"type": "string", "enum": ["meeting", "focus"], "description": "`meeting`: Everybody is there."},
                    {"type": "null"},
                ]},
                "priority": {"type": "integer", "minimum": 0, "maximum": 255, "description": "From 0."},
            },
            "required": ["title", "on", "priority"],
            "additionalProperties": false,
            "description": "what to create,\nwith its day",
        });
        assert_eq!(create.parameters["properties"]["event"], event);
        assert_eq!(create.parameters["required"], json!(["event"]));
        let order: Vec<_> = create.parameters["properties"]["event"]["properties"]
            .as_object()
            .expect("an object")
            .keys()
            .cloned()
            .collect();
        assert_eq!(order, ["title", "on", "kind", "priority"]);
        assert_eq!(
            create.result["properties"]["title"],
            json!({"type": "string", "description": "What it is about."})
        );
        assert_eq!(
            list.parameters,
            json!({
                "type": "object", "properties": {}, "required": [], "additionalProperties": false
            })
        );
        assert_eq!(list.result["items"]["description"], "An event.");
        Ok(())
    }

    #[test]
    fn functions_that_json_cannot_reach_are_listed_with_the_reason() -> Result<()> {
        let plugin = plugin(
            "package test:test;
            interface i {
                resource r { constructor(); get: func() -> u8; }
                make: func() -> r;
                borrows: func(r: borrow<r>);
                in-the-error: func() -> result<u8, r>;
                fine: func();
            }
            world w { export i; export wasi:cli/run@0.2.0; }
            package wasi:cli@0.2.0 { interface run { run: func() -> result; } }",
        )?;
        assert_eq!(plugin.tools().iter().map(|tool| tool.function.as_str()).collect::<Vec<_>>(), ["fine"]);
        let mut excluded: Vec<_> = plugin.excluded().iter().map(|item| item.function.as_str()).collect();
        excluded.sort_unstable();
        assert_eq!(
            excluded,
            [
                "test:test/i#[constructor]r",
                "test:test/i#[method]r.get",
                "test:test/i#borrows",
                "test:test/i#in-the-error",
                "test:test/i#make",
                "wasi:cli/run@0.2.0#run",
            ]
        );
        Ok(())
    }

    #[test]
    fn the_set_up_of_componentize_py_is_no_tool_but_other_functions_named_init_are() -> Result<()> {
        let plugin = plugin(
            "package test:test;
            interface other { init: func(app-name: string); }
            world w {
                export exports: interface { init: func(app-name: string, symbols: list<u8>, stub-wasi: bool); }
                export other;
            }",
        )?;
        assert_eq!(plugin.tools().iter().map(|tool| tool.function.as_str()).collect::<Vec<_>>(), ["init"]);
        assert_eq!(plugin.tools()[0].parameters["required"], json!(["app-name"]));
        assert_eq!(plugin.excluded()[0].function, "exports#init");
        Ok(())
    }

    #[test]
    fn a_name_that_two_interfaces_share_gets_the_interface_in_front() -> Result<()> {
        let plugin = plugin(
            "package test:test;
            interface a { %list: func(); only: func(); }
            interface b { %list: func(); a-name-that-no-client-would-take-because-it-is-far-too-long: func(); }
            world w { export a; export b; export add: func(); }",
        )?;
        let mut names: Vec<_> = plugin.tools().iter().map(|tool| tool.function.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["a-list", "add", "b-list", "only"]);
        assert!(plugin.excluded()[0].reason.contains("64"));
        Ok(())
    }

    #[test]
    fn types_that_explode_when_written_out_exclude_their_function_only() -> Result<()> {
        let mut types = "type t0 = tuple<u8, u8>;".to_owned();
        for level in 1..14 {
            types += &format!("type t{level} = tuple<t{0}, t{0}>;", level - 1);
        }
        let deep = format!("{}u8{}", "list<".repeat(30), ">".repeat(30));
        let plugin = plugin(&format!(
            "package test:test;
            interface i {{ {types} wide: func(x: t13); deep: func(x: {deep}); fine: func(x: t2) -> t2; }}
            world w {{ export i; }}"
        ))?;
        assert_eq!(plugin.tools().len(), 1);
        let reasons: Vec<_> = plugin.excluded().iter().map(|item| item.reason.as_str()).collect();
        assert!(reasons.iter().any(|reason| reason.contains("4096")), "{reasons:?}");
        assert!(reasons.iter().any(|reason| reason.contains("24 deep")), "{reasons:?}");
        Ok(())
    }

    #[test]
    fn docs_that_are_no_wit_or_too_long_are_left_out() -> Result<()> {
        let home = Home::new()?;
        let wit = "package test:test; world w { /// Said.\n export f: func(); }";
        let plain = dummy(wit)?;
        assert_eq!(home.load(&plain, "", Grant::default())?.tools()[0].description, "Said.");
        let long = vec![b' '; 300 << 10];
        for content in [&b"not wit"[..], b"\xff\xfe", &long] {
            let mut component = plain.clone();
            crate::testing::section(&mut component, "pawl:wit", content);
            home.load(&component, "", Grant::default())?;
        }
        let doc = "/// word\n".repeat(2000);
        let long = dummy(&format!("package test:test; world w {{ {doc} export f: func(); }}"))?;
        assert_eq!(home.load(&long, "", Grant::default())?.tools()[0].description.chars().count(), 2049);
        Ok(())
    }
}
