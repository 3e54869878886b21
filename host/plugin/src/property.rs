//! Properties over random WIT types: what the schemas promise holds for every type, not only for those in the tests
//! of each file.

use anyhow::{Context, Result};
use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::ApproximateTokEnv;
use llguidance::{Matcher, ParserFactory};
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};
use wasmtime::component::{Type, Val};

use crate::random_wit::{Wit, text, wit};
use crate::schema::SchemaLimits;
use crate::testing::{Home, dummy};
use crate::{Grant, lower};

/// `f: func(a: …, b: …) -> tuple<…, …>` over two types.
fn function(types: &[Wit; 2]) -> String {
    let mut named = Vec::new();
    let [a, b] = types.each_ref().map(|ty| text(ty, &mut named));
    let named = named.join("\n");
    format!(
        "package test:test;\ninterface i {{ {named}\n f: func(a: {a}, b: {b}) -> tuple<{a}, {b}>; }}\nworld w {{ export i; }}"
    )
}

/// Numbers from a seed, evenly spread (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// A random value of a type, extremes included.
fn value(ty: &Type, random: &mut Random) -> Val {
    let bits = match random.below(4) {
        0 => 0,
        1 => u64::MAX,
        2 => 1 << 63,
        _ => random.next(),
    };
    let payload = |ty: Option<Type>, random: &mut Random| ty.map(|ty| Box::new(value(&ty, random)));
    match ty {
        Type::Bool => Val::Bool(bits & 1 == 1),
        Type::S8 => Val::S8(bits as i8),
        Type::U8 => Val::U8(bits as u8),
        Type::S16 => Val::S16(bits as i16),
        Type::U16 => Val::U16(bits as u16),
        Type::S32 => Val::S32(bits as i32),
        Type::U32 => Val::U32(bits as u32),
        Type::S64 => Val::S64(bits as i64),
        Type::U64 => Val::U64(bits),
        Type::Float32 => Val::Float32(f32::from_bits(bits as u32)),
        Type::Float64 => Val::Float64(f64::from_bits(bits)),
        Type::Char => Val::Char(char::from_u32((bits % 0x11_0000) as u32).unwrap_or('\u{0}')),
        Type::String => Val::String(String::from_utf8_lossy(&bits.to_le_bytes()).into_owned()),
        Type::List(list) => Val::List((0..random.below(4)).map(|_| value(&list.ty(), random)).collect()),
        Type::Tuple(tuple) => Val::Tuple(tuple.types().map(|ty| value(&ty, random)).collect()),
        Type::Record(record) => Val::Record(
            record.fields().map(|field| (field.name.to_owned(), value(&field.ty, random))).collect(),
        ),
        Type::Variant(variant) => {
            let index = random.below(variant.cases().len());
            let case = variant.cases().nth(index).expect("an index below the length");
            Val::Variant(case.name.to_owned(), payload(case.ty, random))
        }
        Type::Enum(wanted) => {
            let index = random.below(wanted.names().len());
            Val::Enum(wanted.names().nth(index).expect("an index below the length").to_owned())
        }
        Type::Flags(flags) => {
            Val::Flags(flags.names().filter(|_| random.below(2) == 1).map(str::to_owned).collect())
        }
        Type::Option(option) => Val::Option(payload((random.below(3) > 0).then(|| option.ty()), random)),
        Type::Result(result) => Val::Result(match random.below(2) {
            0 => Ok(payload(result.ok(), random)),
            _ => Err(payload(result.err(), random)),
        }),
        other => panic!("no such type is made here: {other:?}"),
    }
}

/// Text that a grammar allows, byte by byte, closing what is open once it is long enough.
fn decode(schema: &serde_json::Value, random: &mut Random) -> Result<String> {
    let tokens = ApproximateTokEnv::single_byte_env();
    let factory = ParserFactory::new_simple(&tokens)?;
    let mut matcher = Matcher::new(factory.create_parser(TopLevelGrammar::from_json_schema(schema.clone())));
    let mut text = Vec::new();
    while !matcher.is_stopped() {
        let mask = matcher.compute_mask().context("no mask")?;
        let eos = tokens.tok_trie().eos_token();
        let mut allowed: Vec<u32> = mask.iter().collect();
        let text_like = |token: &u32| *token != eos;
        if matcher.is_accepting()? || allowed.iter().all(|token| !text_like(token)) {
            break;
        }
        allowed.retain(text_like);
        // Whatever ends strings, arrays and objects first once there is enough.
        let closing = b"\"]},0".iter().find(|byte| text.len() > 400 && allowed.contains(&u32::from(**byte)));
        let plain: Vec<u32> =
            allowed.iter().copied().filter(|token| !matches!(token, 9 | 10 | 13 | 32)).collect();
        let choice = if plain.is_empty() { &allowed } else { &plain };
        let token = closing.map_or_else(|| choice[random.below(choice.len())], |byte| u32::from(*byte));
        matcher.consume_token(token)?;
        text.push(token as u8);
        anyhow::ensure!(text.len() < 20_000, "no end: {}", String::from_utf8_lossy(&text[..800]));
    }
    Ok(String::from_utf8(text)?)
}

/// One random case: everything that is promised for the function over two types.
fn holds(home: &Home, types: &[Wit; 2], seed: u64) -> Result<()> {
    let plugin = home.load(&dummy(&function(types))?, "", Grant::default())?;
    let tool = plugin.tools().first().context("no tool")?;
    let function = &plugin.inner.functions[0];
    let mut random = Random(seed);

    let accepts_arguments = jsonschema::validator_for(&tool.parameters)?;
    let accepts_result = jsonschema::validator_for(&tool.result)?;
    for _ in 0..4 {
        let values: Vec<Val> = function.parameters.iter().map(|(_, ty)| value(ty, &mut random)).collect();
        let json = lower::to_json(Val::Tuple(values.clone()), &mut (1 << 20)).context("within the budget")?;
        anyhow::ensure!(accepts_result.is_valid(&json), "result {json} not in {}", tool.result);
        let arguments = serde_json::json!({"a": json[0], "b": json[1]});
        let back = lower::arguments(&function.parameters, &arguments, 4 << 20)
            .map_err(|error| anyhow::anyhow!("{arguments}: {error}"))?;
        let again = lower::to_json(Val::Tuple(back), &mut (1 << 20)).context("within the budget")?;
        anyhow::ensure!(again == json, "{again} is not {json}");
    }
    for _ in 0..3 {
        let text = decode(&tool.parameters, &mut random).with_context(|| tool.parameters.to_string())?;
        let arguments: serde_json::Value = serde_json::from_str(&text).with_context(|| text.clone())?;
        anyhow::ensure!(accepts_arguments.is_valid(&arguments), "{arguments} not in {}", tool.parameters);
        plugin.lift_check("f", &arguments).map_err(|error| anyhow::anyhow!("{arguments}: {error}"))?;
    }
    Ok(())
}

#[test]
fn random_types_round_trip_and_whatever_the_grammar_decodes_lifts() -> Result<()> {
    let mut home = Home::new()?;
    home.host = home.host.with_schema_limits(SchemaLimits { string: 12, list: 3 });
    let cases = std::env::var("PAWL_PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(64);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(config).run(&([wit(), wit()], any::<u64>()), |(types, seed)| {
        holds(&home, &types, seed)
            .map_err(|error| TestCaseError::fail(format!("{error:#}\n{}", function(&types))))
    })?;
    Ok(())
}

/// Everything at once, under the default limits, with a pattern on one string.
const WIDE: &str = "package test:test;
    interface i {
        record inner {
            a: list<list<list<string>>>,
            b: option<option<u64>>,
            c: list<tuple<f64, s64>>,
            /// @pattern ^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$
            day: string,
        }
        variant choice { none, one(inner), many(list<inner>) }
        f: func(a: choice, b: list<option<inner>>) -> choice;
    }
    world w { export i; }";

#[test]
fn the_default_limits_and_patterns_are_taken_by_the_grammar() -> Result<()> {
    let plugin = Home::new()?.load(&dummy(WIDE)?, "", Grant::default())?;
    let schema = &plugin.tools()[0].parameters;
    for seed in 0..8 {
        let text = decode(schema, &mut Random(seed))?;
        plugin.lift_check("f", &serde_json::from_str(&text)?)?;
    }
    let day = &schema["properties"]["a"]["anyOf"][1]["properties"]["one"]["properties"]["day"];
    let dates = jsonschema::validator_for(day)?;
    for seed in 0..8 {
        let text = decode(day, &mut Random(seed))?;
        assert_eq!(text.len(), 12, "{text}");
        assert!(dates.is_valid(&serde_json::from_str(&text)?), "{text}");
    }
    Ok(())
}
