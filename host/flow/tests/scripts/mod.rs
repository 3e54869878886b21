//! Random scripts: statements that add to `x`, branch on it, loop, catch and run in parallel.

#![allow(dead_code, reason = "each test takes the steps that it can foresee")]

use proptest::prelude::*;

/// Steps whose answers do not hang on the process: what comes of a script is the same whoever runs it.
pub(crate) fn durable_steps() -> BoxedStrategy<String> {
    prop_oneof![
        (0..9_i64).prop_map(|n| format!("x += shop::price_of(#{{n: {n}}});")),
        (0..9_i64).prop_map(|n| format!("x += shop::write(#{{n: {n}}});")),
        Just("x = shop::write(#{n: x % 100});".to_owned()),
        (0..5_i64).prop_map(|n| format!("x += {n};")),
        Just("try { shop::price_of(#{fail: true}); } catch (e) { x += e.code.len(); }".to_owned()),
        Just("emit(x); sleep(0.001);".to_owned()),
        Just("x += llm::ask(`${x}`);".to_owned()),
    ]
    .boxed()
}

/// With time and chance, which a world without either answers alike.
pub(crate) fn steps() -> BoxedStrategy<String> {
    prop_oneof![
        4 => durable_steps(),
        1 => Just("if random() < 0.5 { x += 1; }".to_owned()),
        1 => Just("x += llm::ask(now());".to_owned()),
    ]
    .boxed()
}

/// The body of a script.
pub(crate) fn body(leaf: &BoxedStrategy<String>, depth: u32) -> BoxedStrategy<String> {
    prop::collection::vec(statements(leaf, depth), 1..5).prop_map(|all| all.join("\n")).boxed()
}

fn statements(leaf: &BoxedStrategy<String>, depth: u32) -> BoxedStrategy<String> {
    if depth == 0 {
        return leaf.clone();
    }
    let block = || prop::collection::vec(statements(leaf, depth - 1), 1..4).prop_map(|all| all.join(" "));
    prop_oneof![
        4 => leaf.clone(),
        1 => block().prop_map(|body| format!("for i in 0..3 {{ {body} }}")),
        1 => (block(), block()).prop_map(|(yes, no)| format!("if x % 3 == 0 {{ {yes} }} else {{ {no} }}")),
        1 => (1..4_i64, block()).prop_map(|(limit, body)| {
            format!("for y in parallel([1, 2, 3], {limit}, |y| {{ let x = y; {body} x }}) {{ x += y; }}")
        }),
        1 => block().prop_map(|body| format!("try {{ {body} throw #{{code: \"no\", message: \"\"}}; }} catch (e) {{ x += 1; }}")),
    ]
    .boxed()
}
