//! Random WIT types, and components whose functions take them.

use anyhow::Result;
use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;

/// A WIT type.
#[derive(Debug, Clone)]
pub enum Type {
    /// `bool`, `u8`, … `string`.
    Plain(&'static str),
    /// `list<T>`
    List(Box<Type>),
    /// `option<T>`
    Option(Box<Type>),
    /// `result<T, E>`
    Result(Box<Type>, Box<Type>),
    /// `tuple<…>`
    Tuple(Vec<Type>),
    /// A record of so many fields.
    Record(Vec<Type>),
    /// A variant; a case has a payload or none.
    Variant(Vec<Option<Type>>),
    /// An enum of so many cases.
    Enum(usize),
    /// Flags, so many.
    Flags(usize),
}

const PLAIN: [&str; 13] =
    ["bool", "u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64", "f32", "f64", "char", "string"];

/// Types nested up to three deep.
pub fn types() -> BoxedStrategy<Type> {
    let leaf = prop_oneof![
        8 => prop::sample::select(&PLAIN[..]).prop_map(Type::Plain),
        1 => (1usize..9).prop_map(Type::Enum),
        1 => (1usize..9).prop_map(Type::Flags),
    ];
    let nested = leaf.prop_recursive(3, 10, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|of| Type::List(Box::new(of))),
            inner.clone().prop_map(|of| Type::Option(Box::new(of))),
            (inner.clone(), inner.clone()).prop_map(|(ok, err)| Type::Result(Box::new(ok), Box::new(err))),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Type::Tuple),
            prop::collection::vec(inner.clone(), 1..5).prop_map(Type::Record),
            prop::collection::vec(prop::option::of(inner), 1..5).prop_map(Type::Variant),
        ]
    });
    nested.boxed()
}

/// The WIT text of a world whose interface `i` has the functions `f0`, `f1`, …, each with these parameters.
pub fn world(functions: &[Vec<Type>]) -> String {
    let mut definitions = Vec::new();
    let mut lines = Vec::new();
    for (index, parameters) in functions.iter().enumerate() {
        let parameters: Vec<String> = parameters
            .iter()
            .enumerate()
            .map(|(index, of)| format!("p{index}: {}", name(of, &mut definitions)))
            .collect();
        lines.push(format!("  f{index}: func({});", parameters.join(", ")));
    }
    format!(
        "package random:types;\ninterface i {{\n{}\n{}\n}}\nworld plugin {{ export i; }}\n",
        definitions.join("\n"),
        lines.join("\n")
    )
}

/// How a type is named in WIT; what needs a definition gets one.
fn name(of: &Type, definitions: &mut Vec<String>) -> String {
    let many = |of: &[Type], definitions: &mut Vec<String>| -> Vec<String> {
        of.iter().map(|of| name(of, definitions)).collect()
    };
    let (keyword, body): (&str, Vec<String>) = match of {
        Type::Plain(plain) => return (*plain).to_owned(),
        Type::List(of) => return format!("list<{}>", name(of, definitions)),
        Type::Option(of) => return format!("option<{}>", name(of, definitions)),
        Type::Result(ok, err) => {
            return format!("result<{}, {}>", name(ok, definitions), name(err, definitions));
        }
        Type::Tuple(of) => return format!("tuple<{}>", many(of, definitions).join(", ")),
        Type::Record(of) => {
            let fields = many(of, definitions);
            ("record", fields.iter().enumerate().map(|(i, of)| format!("field-{i}: {of}")).collect())
        }
        Type::Variant(cases) => {
            let case = |(i, of): (usize, &Option<Type>)| match of {
                Some(of) => format!("case-{i}({})", name(of, definitions)),
                None => format!("case-{i}"),
            };
            ("variant", cases.iter().enumerate().map(case).collect())
        }
        Type::Enum(count) => ("enum", (0..*count).map(|i| format!("case-{i}")).collect()),
        Type::Flags(count) => ("flags", (0..*count).map(|i| format!("flag-{i}")).collect()),
    };
    let name = format!("t{}", definitions.len());
    definitions.push(format!("  {keyword} {name} {{ {} }}", body.join(", ")));
    name
}

/// A component with the exports of a WIT world; its functions only trap.
///
/// # Errors
/// Where the text is not WIT.
pub fn component(wit: &str) -> Result<Vec<u8>> {
    let mut resolve = wit_parser::Resolve::default();
    let package = resolve.push_str("random.wit", wit)?;
    let world = resolve.select_world(&[package], Some("plugin"))?;
    let mangling = wit_parser::ManglingAndAbi::Standard32;
    let mut module = wit_component::dummy_module(&resolve, world, mangling);
    wit_component::embed_component_metadata(
        &mut module,
        &resolve,
        world,
        wit_component::StringEncoding::UTF8,
    )?;
    wit_component::ComponentEncoder::default().module(&module)?.encode()
}
