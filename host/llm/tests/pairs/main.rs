//! Grammars against independent checks of the same rule, in both directions, by chance: all that is decoded is
//! accepted by the check, and all that the check accepts can be decoded, however it is cut into tokens. Each kind as a
//! whole answer and as strings inside a JSON object.
//!
//! The checks: `jsonschema`; the `regex` crate; membership; recognisers written by hand; `str::contains` on the
//! normalised text. A failure names its seed; `PAWL_PAIRS_SEED` runs that one alone.

mod families;
mod pattern;
mod schemas;
mod shape;
#[path = "../support/mod.rs"]
mod support;
mod walk;

use pawl_llm::{Grammar, holds, json_text, quotes};
use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use shape::{Shape, mutate, text};
use support::shared;

/// Grammars of a kind, each as a whole answer and inside an object.
const GRAMMARS: u64 = 510;
/// Values of each, decoded, and as many given.
const VALUES: usize = 4;

/// A rule over strings in two forms, with an independent check and a generator.
struct Case {
    whole: Grammar,
    /// The schema of a string under the same rule.
    inside: Value,
    accepts: Box<dyn Fn(&str) -> bool>,
    sample: Box<dyn Fn(&mut ChaCha8Rng) -> String>,
}

fn seeds() -> Vec<u64> {
    match std::env::var("PAWL_PAIRS_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => vec![seed],
        None => (0..GRAMMARS).collect(),
    }
}

/// Walks that must have come to an end, of all of a kind, each way.
const DECODED: usize = 2_000;

fn run(kind: &str, make: fn(&mut ChaCha8Rng) -> Case) {
    let mut decoded = (0, 0);
    for seed in seeds() {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let case = make(&mut random);
        decoded.0 += whole(&format!("{kind}, seed {seed}, whole"), &case, &mut random);
        decoded.1 += inside(&format!("{kind}, seed {seed}, inside"), seed, &case, &mut random);
    }
    let all = seeds().len() == GRAMMARS as usize;
    assert!(!all || decoded.0.min(decoded.1) >= DECODED, "{kind}: {decoded:?} values decoded");
}

/// How many walks came to an end.
fn whole(name: &str, case: &Case, random: &mut ChaCha8Rng) -> usize {
    let mut ended = 0;
    let start = walk::matcher(shared(), &case.whole);
    for _ in 0..VALUES {
        if let Some(decoded) = walk::decode(&start, random) {
            assert!((case.accepts)(&decoded), "{name}: decoded {decoded:?} under {:?}", case.whole);
            ended += 1;
        } else {
            eprintln!("{name}: no end found");
        }
        let given = (case.sample)(random);
        assert!((case.accepts)(&given), "{name}: the generator gave {given:?} for {:?}", case.whole);
        for (way, taken) in walk::takes(&start, &given, random) {
            assert!(taken, "{name}: {given:?} cannot be decoded {way} under {:?}", case.whole);
        }
        let other = mutate(random, &given);
        for (way, taken) in walk::takes(&start, &other, random) {
            assert_eq!(taken, (case.accepts)(&other), "{name}: {other:?} {way} under {:?}", case.whole);
        }
    }
    ended
}

fn inside(name: &str, seed: u64, case: &Case, random: &mut ChaCha8Rng) -> usize {
    let mut ended = 0;
    let shape = Shape::random(random);
    let schema = shape.schema(&case.inside);
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let start = walk::matcher(shared(), &Grammar::JsonSchema(schema.clone()));
    let accepts = |value: &Value| {
        let mut leaves = Vec::new();
        let valid = validator.is_valid(value);
        shape.leaves(value, &mut leaves);
        valid && leaves.iter().all(|leaf| leaf.as_str().is_some_and(|text| (case.accepts)(text)))
    };
    for round in 0..VALUES {
        if let Some(decoded) = walk::decode(&start, random) {
            let value = serde_json::from_str(&decoded).unwrap_or_else(|e| panic!("{name}: {e}: {decoded}"));
            assert!(accepts(&value), "{name}: decoded {decoded} under {schema}");
            ended += 1;
        } else {
            eprintln!("{name}: no end found");
        }
        let given = shape.value(random, &mut |random| (case.sample)(random).into());
        assert!(accepts(&given), "{name}: the generator gave {given} for {schema}");
        for (way, taken) in walk::takes(&start, &json_text(&given), random) {
            assert!(taken, "{name}: {given} cannot be decoded {way} under {schema}");
        }
        let other = shape.value(random, &mut |random| {
            let sample = (case.sample)(random);
            mutate(random, &sample).into()
        });
        for (way, taken) in walk::takes(&start, &json_text(&other), random) {
            assert_eq!(taken, accepts(&other), "{name}: {other} {way} under {schema}");
        }
        if round == 0 && seed.is_multiple_of(4) {
            for value in [&given, &other] {
                let held = holds(&schema, value);
                assert_eq!(held.is_ok(), accepts(value), "{name}: {value} under {schema}: {held:?}");
            }
        }
    }
    ended
}

#[test]
fn choices_and_their_check_agree() {
    run("choice", |random| {
        let count = random.random_range(1..9);
        let one = |random: &mut ChaCha8Rng| format!("{}{}", text(random, 5), random.random_range(0..30));
        let choices: Vec<String> = (0..count).map(|_| one(random)).collect();
        let (all, of) = (choices.clone(), choices.clone());
        Case {
            inside: json!({"enum": choices}),
            whole: Grammar::Choice(choices),
            accepts: Box::new(move |text| all.iter().any(|choice| choice == text)),
            sample: Box::new(move |random| of.choose(random).expect("one").clone()),
        }
    });
}

#[test]
fn regexes_and_their_check_agree() {
    run("regex", |random| {
        let pattern = pattern::Pattern::random(random);
        let written = pattern.text();
        let check = regex::Regex::new(&format!(r"\A(?:{written})\z")).expect("a regex");
        Case {
            inside: json!({"type": "string", "pattern": format!("^(?:{written})$")}),
            whole: Grammar::Regex(written),
            accepts: Box::new(move |text| check.is_match(text)),
            sample: Box::new(move |random| pattern.sample(random)),
        }
    });
}

#[test]
fn lark_and_its_check_agree() {
    run("lark", |random| {
        let family = families::random(random);
        Case {
            inside: json!({"type": "string", "x-pawl": {"lark": family.lark}}),
            whole: Grammar::Lark(family.lark),
            accepts: family.accepts,
            sample: family.sample,
        }
    });
}

#[test]
fn quotations_and_their_check_agree() {
    run("quotation", |random| {
        let document = document(random);
        let plain = document.split_whitespace().collect::<Vec<_>>().join(" ");
        let check = plain.clone();
        Case {
            inside: json!({"type": "string", "x-pawl": {"quote": document}}),
            whole: Grammar::Quotation(document),
            accepts: Box::new(move |value| {
                let spaced = value.is_empty() || value.starts_with(' ') || value.ends_with(' ');
                check.contains(value) && !spaced && on_words(&check, value)
            }),
            sample: Box::new(move |random| quotation(random, &plain)),
        }
    });
}

/// Words, signs, other scripts and odd spaces.
fn document(random: &mut ChaCha8Rng) -> String {
    let words = [
        "the",
        "quick",
        "brown",
        "fox",
        "Fox",
        "fo",
        "3.14",
        "\"quoted\"",
        "back\\slash",
        "naïve",
        "日本語",
        "{x}",
        "e\u{301}",
        "\u{1}",
        "--",
        "it's",
        "a",
        "a",
        "\u{1f600}",
        "(((",
        "ไทย",
    ];
    let count = random.random_range(1..40);
    let spaces = [" ", "  ", "\n", "\t", "\u{a0}", "\r\n "];
    let one = |_| format!("{}{}", words.choose(random).expect("one"), spaces.choose(random).expect("one"));
    (0..count).map(one).collect()
}

/// A run of whole words, found by trying random ends.
fn quotation(random: &mut ChaCha8Rng, text: &str) -> String {
    let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    loop {
        let (a, b) = (*ends.choose(random).expect("one"), *ends.choose(random).expect("one"));
        let value = &text[a.min(b)..a.max(b)];
        if !value.is_empty() && value.trim() == value && on_words(text, value) {
            return value.to_owned();
        }
    }
}

/// Whether it stands in the text somewhere without cutting a word: no two letters of a spaced script at either end.
fn on_words(text: &str, value: &str) -> bool {
    let joins = |a: Option<char>, b: Option<char>| {
        let letter = |c: char| {
            c.is_alphanumeric()
                && !('\u{e00}'..='\u{e7f}').contains(&c)
                && !('\u{4e00}'..='\u{9fff}').contains(&c)
        };
        a.is_some_and(letter) && b.is_some_and(letter)
    };
    let places = text.char_indices().map(|(at, _)| at).filter(|at| text[*at..].starts_with(value));
    places.into_iter().any(|at| {
        let (before, after) = (text[..at].chars().next_back(), text[at + value.len()..].chars().next());
        !joins(before, value.chars().next()) && !joins(value.chars().next_back(), after)
    })
}

#[test]
fn the_public_check_of_quotations_agrees() {
    for seed in seeds() {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let document = document(&mut random);
        let plain = document.split_whitespace().collect::<Vec<_>>().join(" ");
        for _ in 0..20 {
            let value = quotation(&mut random, &plain);
            assert!(quotes(&document, &value), "seed {seed}: {value:?} of {document:?}");
            let other = mutate(&mut random, &value);
            let expected = !other.is_empty()
                && other.trim_matches(' ') == other
                && plain.contains(&other)
                && on_words(&plain, &other);
            assert_eq!(quotes(&document, &other), expected, "seed {seed}: {other:?} of {document:?}");
        }
    }
}

#[test]
fn json_schemas_and_their_check_agree() {
    let mut ended = 0;
    for seed in seeds() {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let rule = schemas::Schema::random(&mut random);
        let mut definitions = serde_json::Map::new();
        let mut schema = rule.json(&mut definitions);
        if !definitions.is_empty() {
            schema["$defs"] = definitions.into();
        }
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        let start = walk::matcher(shared(), &Grammar::JsonSchema(schema.clone()));
        for _ in 0..VALUES {
            if let Some(decoded) = walk::decode(&start, &mut random) {
                let value =
                    serde_json::from_str(&decoded).unwrap_or_else(|e| panic!("seed {seed}: {e}: {decoded}"));
                assert!(validator.is_valid(&value), "seed {seed}: decoded {decoded} under {schema}");
                ended += 1;
            }
            let given = rule.value(&mut random);
            assert!(validator.is_valid(&given), "seed {seed}: the generator gave {given} for {schema}");
            for (way, taken) in walk::takes(&start, &json_text(&given), &mut random) {
                assert!(taken, "seed {seed}: {given} cannot be decoded {way} under {schema}");
            }
            let other = mutate(&mut random, &json_text(&given));
            if serde_json::from_str::<Value>(&other).is_ok_and(|other| !validator.is_valid(&other)) {
                for (way, taken) in walk::takes(&start, &other, &mut random) {
                    assert!(!taken, "seed {seed}: {other} {way} under {schema}");
                }
            }
        }
    }
    assert!(seeds().len() == 1 || ended >= DECODED, "{ended} values decoded");
}

/// Quotations beside other strings, and objects beside objects: what begins alike is not lost.
#[test]
fn alternatives_that_begin_alike_are_all_kept() {
    for seed in seeds().into_iter().take(200) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (one, two) = (document(&mut random), document(&mut random));
        let quote = |text: &str| json!({"type": "string", "x-pawl": {"quote": text}});
        let object = |name: &str, inner: Value| json!({"type": "object", "properties": {name: inner}, "required": [name], "additionalProperties": false});
        let schema = json!({"type": "array", "minItems": 1, "maxItems": 3, "items": {"anyOf": [
            quote(&one), quote(&two), {"enum": ["the", "the qu", 7]}, {"type": "string", "pattern": "^th?e*[0-9]$"},
            object("a", quote(&one)), object("a", json!({"type": "string", "maxLength": 3})), object("ab", json!({"type": "integer"})),
            {"type": "array", "items": quote(&two), "maxItems": 2}, {"type": "array", "items": {"type": "boolean"}},
        ]}});
        let start = walk::matcher(shared(), &Grammar::JsonSchema(schema.clone()));
        for _ in 0..4 {
            if let Some(decoded) = walk::decode(&start, &mut random) {
                let value: Value =
                    serde_json::from_str(&decoded).unwrap_or_else(|e| panic!("seed {seed}: {e}: {decoded}"));
                let held = holds(&schema, &value);
                assert!(held.is_ok(), "seed {seed}: decoded {decoded} under {schema}: {held:?}");
            }
            let mut item = || -> Value {
                let text = if random.random_bool(0.5) { &one } else { &two };
                let plain = text.split_whitespace().collect::<Vec<_>>().join(" ");
                let quoted = quotation(&mut random, &plain);
                match random.random_range(0..7) {
                    0 => {
                        json!({ "a": quotation(&mut random, &one.split_whitespace().collect::<Vec<_>>().join(" ")) })
                    }
                    1 => json!({ "a": shape::text(&mut random, 3) }),
                    2 => json!({ "ab": 5 }),
                    3 => [json!("the"), json!("the qu"), json!(7), json!("the9"), json!("t0")]
                        .choose(&mut random)
                        .cloned()
                        .unwrap_or_default(),
                    4 => json!([true, false]),
                    _ => quoted.into(),
                }
            };
            let value: Value = (0..2).map(|_| item()).collect();
            for (way, taken) in walk::takes(&start, &json_text(&value), &mut random) {
                assert!(taken, "seed {seed}: {value} cannot be decoded {way} under {schema}");
            }
        }
    }
}
