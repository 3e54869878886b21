//! Components whose functions take random WIT types.

use anyhow::Result;
use proptest::prelude::*;

#[path = "../../host/plugin/src/random_wit.rs"]
mod random_wit;

use random_wit::{Wit, text, wit};

/// The WIT text of a world with so many functions, each of one or two parameters.
pub fn worlds(functions: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::collection::vec(wit(), 1..3), functions)
        .prop_map(|functions| world(&functions))
}

fn world(functions: &[Vec<Wit>]) -> String {
    let mut named = Vec::new();
    let mut lines = Vec::new();
    for (index, parameters) in functions.iter().enumerate() {
        let parameters: Vec<String> = parameters
            .iter()
            .enumerate()
            .map(|(index, ty)| format!("p{index}: {}", text(ty, &mut named)))
            .collect();
        lines.push(format!("f{index}: func({});", parameters.join(", ")));
    }
    let (named, lines) = (named.join("\n"), lines.join("\n"));
    format!("package random:types;\ninterface i {{\n{named}\n{lines}\n}}\nworld plugin {{ export i; }}\n")
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
