//! JSON to component values and back, for functions of 200 random types.
//!
//! Promises: whatever JSON comes, it is taken or refused with its place; what is taken comes back the same; what was made
//! after a function's schema is taken.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use pawl_fuzz::{Bytes, component, value, world};
use pawl_plugin::fuzzing::{Functions, Reflector};

/// Twenty worlds of ten functions each; the types differ, being made from different bytes.
static FUNCTIONS: LazyLock<Vec<Functions>> = LazyLock::new(|| {
    let reflector = Reflector::new();
    let make = |seed: u64| {
        let mut state = seed;
        let bytes: Vec<u8> = (0..4096)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 56) as u8
            })
            .collect();
        let component = component(&world(&mut Bytes(&bytes), 10)).expect("a valid world");
        reflector.functions(&component).expect("a valid component")
    };
    (1..=20).map(make).collect()
});

fuzz_target!(|data: &[u8]| {
    let mut bytes = Bytes(data);
    let functions = &FUNCTIONS[bytes.below(FUNCTIONS.len())];
    let index = bytes.below(functions.tools().len());
    if bytes.byte() & 1 == 0 {
        if let Ok(arguments) = serde_json::from_slice(bytes.0) {
            functions.lower(index, &arguments);
        }
        return;
    }
    let mut strayed = false;
    let arguments = value(&functions.tools()[index].parameters, &mut bytes, 0, &mut strayed);
    let taken = functions.lower(index, &arguments);
    assert!(taken || strayed, "the schema allows {arguments}, which is refused");
});
