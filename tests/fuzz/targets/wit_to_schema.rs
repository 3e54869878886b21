//! WIT and component bytes to tools with schemas.
//!
//! Promises: whatever the bytes, there is an answer; a tool's schemas are objects within the bounds that the host states;
//! documentation never changes whether a component is taken.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use pawl_fuzz::{Bytes, component, section, world};
use pawl_plugin::fuzzing::{Functions, Prepared, Reflector, docs};

static REFLECTOR: LazyLock<Reflector> = LazyLock::new(Reflector::new);
/// A component to which documentation is added.
static PLAIN: LazyLock<Prepared> = LazyLock::new(|| {
    let wit = "package a:b; interface i { record r { x: string, y: list<u8> } variant v { a, b(r) }
        f: func(a: r, b: v) -> result<v, r>; } world w { export i; export g: func(a: string); }";
    REFLECTOR.prepare(&component(wit).expect("valid WIT")).expect("a component")
});

fn check(functions: &Functions) {
    assert!(functions.tools().len() <= 256);
    for tool in functions.tools() {
        assert!(tool.name.len() <= 64 && tool.name.starts_with("fuzz."), "{}", tool.name);
        assert!(tool.description.chars().count() <= 2049);
        assert_eq!(tool.parameters["type"], "object");
        assert!(tool.result.is_object());
        // Keywords, names and words of one function.
        assert!(tool.parameters.to_string().len() <= 2 << 20);
    }
}

fuzz_target!(|data: &[u8]| {
    let mut bytes = Bytes(data);
    match bytes.below(4) {
        0 => {
            let Ok(wit) = std::str::from_utf8(bytes.0) else { return };
            if let Some(component) = component(wit) {
                REFLECTOR.functions(&component).iter().for_each(check);
            }
        }
        1 => {
            let count = 1 + bytes.below(3);
            let wit = world(&mut bytes, count);
            let component = component(&wit).unwrap_or_else(|| panic!("not WIT: {wit}"));
            let functions = REFLECTOR.functions(&component).unwrap_or_else(|| panic!("refused: {wit}"));
            check(&functions);
            assert_eq!(functions.tools().len(), count, "{wit}");
        }
        2 => {
            let mut documented = b"\0asm\x0d\0\x01\0".to_vec();
            section(&mut documented, "pawl:wit", bytes.0);
            docs(&documented);
            let functions = PLAIN.functions(&documented);
            assert_eq!(functions.tools().len(), 2, "documentation changes no type");
            check(&functions);
        }
        _ => REFLECTOR.functions(bytes.0).iter().for_each(check),
    }
});
