//! A few families of Lark grammars, each with a recogniser and a generator written by hand.

use rand::{Rng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

use crate::shape::CHARACTERS;

pub(crate) struct Family {
    pub(crate) lark: String,
    pub(crate) accepts: Box<dyn Fn(&str) -> bool>,
    pub(crate) sample: Box<dyn Fn(&mut ChaCha8Rng) -> String>,
}

pub(crate) fn random(random: &mut ChaCha8Rng) -> Family {
    match random.random_range(0..5) {
        0 => select(random),
        1 => sums(),
        2 => lines(),
        3 => without(random),
        _ => calls(random),
    }
}

fn names(random: &mut ChaCha8Rng) -> Vec<String> {
    let all = ["events", "event", "day", "total", "größe", "日付", "a\"b", "user id"];
    let count = random.random_range(1..5);
    all.choose_multiple(random, count).map(|name| (*name).to_owned()).collect()
}

fn alternatives(names: &[String]) -> String {
    names
        .iter()
        .map(|name| serde_json::Value::from(name.as_str()).to_string())
        .collect::<Vec<_>>()
        .join(" | ")
}

/// The rests behind a prefix, longest names first.
fn after_any<'t>(text: &'t str, names: &[String]) -> Vec<&'t str> {
    names.iter().filter_map(|name| text.strip_prefix(name.as_str())).collect()
}

/// SELECT over the tables and columns that exist.
fn select(random: &mut ChaCha8Rng) -> Family {
    let (tables, columns) = (names(random), names(random));
    let lark = format!(
        "start: \"SELECT \" column (\", \" column)* \" FROM \" TABLE where?\nwhere: \" WHERE \" column OP value\n\
         column: COLUMN\nvalue: INT | STRING\nOP: \" = \" | \" < \"\nINT: /[0-9]{{1,4}}/\nSTRING: /'([^'\\n]|'')*'/\n\
         TABLE: {}\nCOLUMN: {}\n",
        alternatives(&tables),
        alternatives(&columns)
    );
    let (t, c) = (tables.clone(), columns.clone());
    let accepts = move |text: &str| {
        let Some(rest) = text.strip_prefix("SELECT ") else { return false };
        let mut open = after_any(rest, &c);
        while let Some(rest) = open.pop() {
            if let Some(rest) = rest.strip_prefix(", ") {
                open.extend(after_any(rest, &c));
            }
            let Some(rest) = rest.strip_prefix(" FROM ") else { continue };
            for rest in after_any(rest, &t) {
                let Some(rest) = rest.strip_prefix(" WHERE ") else {
                    if rest.is_empty() {
                        return true;
                    }
                    continue;
                };
                for rest in after_any(rest, &c) {
                    let rest = rest.strip_prefix(" = ").or_else(|| rest.strip_prefix(" < "));
                    if rest.is_some_and(|value| is_number(value) || is_string(value)) {
                        return true;
                    }
                }
            }
        }
        false
    };
    let sample = move |random: &mut ChaCha8Rng| {
        let column = |random: &mut ChaCha8Rng| columns.choose(random).expect("one").clone();
        let mut text = format!("SELECT {}", column(random));
        while random.random_bool(0.4) {
            text.push_str(&format!(", {}", column(random)));
        }
        text.push_str(&format!(" FROM {}", tables.choose(random).expect("one")));
        if random.random_bool(0.7) {
            let value = if random.random_bool(0.3) {
                random.random_range(0..10_000).to_string()
            } else {
                let inner = crate::shape::text(random, 8).replace('\n', " ").replace('\'', "''");
                format!("'{inner}'")
            };
            text.push_str(&format!(" WHERE {} = {value}", column(random)));
        }
        text
    };
    Family { lark, accepts: Box::new(accepts), sample: Box::new(sample) }
}

fn is_number(text: &str) -> bool {
    (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_string(text: &str) -> bool {
    let inner = text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    inner.is_some_and(|inner| !inner.contains('\n') && !inner.replace("''", "").contains('\''))
}

/// Recursion, and literals that need escapes.
fn sums() -> Family {
    let lark = "start: term ((\"+\" | \"\\\\\") term)*\nterm: NUMBER | \"(\" start \")\" | QUOTED\n\
                NUMBER: \"0\"..\"9\"+\nQUOTED: \"<\" /[a-z\\\\\"]*/ \">\"\n";
    fn term(text: &str) -> Option<&str> {
        if let Some(rest) = text.strip_prefix('(') {
            return sum(rest)?.strip_prefix(')');
        }
        if let Some(rest) = text.strip_prefix('<') {
            let end = rest.find(|c: char| !(c.is_ascii_lowercase() || c == '\\' || c == '"'))?;
            return rest[end..].strip_prefix('>');
        }
        let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
        (rest.len() < text.len()).then_some(rest)
    }
    fn sum(text: &str) -> Option<&str> {
        let mut rest = term(text)?;
        while let Some(next) = rest.strip_prefix(['+', '\\']) {
            rest = term(next)?;
        }
        Some(rest)
    }
    fn sample(random: &mut ChaCha8Rng, depth: usize) -> String {
        let one = |random: &mut ChaCha8Rng| match random.random_range(0..if depth == 0 { 2 } else { 3 }) {
            0 => random.random_range(0..1000).to_string(),
            1 => ["<>", "<ab\\>", "<\"\">", "<x>"].choose(random).copied().unwrap_or_default().to_owned(),
            _ => format!("({})", sample(random, depth - 1)),
        };
        let mut text = one(random);
        while random.random_bool(0.4) {
            text.push(if random.random_bool(0.5) { '+' } else { '\\' });
            text.push_str(&one(random));
        }
        text
    }
    Family {
        lark: lark.to_owned(),
        accepts: Box::new(|text| sum(text) == Some("")),
        sample: Box::new(|random| sample(random, 3)),
    }
}

/// Lines: a terminal that is a control character.
fn lines() -> Family {
    let word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase());
    let value = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b' ');
    let accepts = move |text: &str| {
        text.split('\n').all(|line| line.split_once('=').is_some_and(|(key, rest)| word(key) && value(rest)))
    };
    let sample = |random: &mut ChaCha8Rng| {
        let count = random.random_range(1..4);
        let words = ["a", "key", "two words", "z"];
        let line = |random: &mut ChaCha8Rng| format!("k={}", words.choose(random).expect("one"));
        (0..count).map(|_| line(random)).collect::<Vec<_>>().join("\n")
    };
    let lark =
        "%import common.LF\nstart: line (LF line)*\nline: KEY \"=\" VALUE\nKEY: /[a-z]+/\nVALUE: /[a-z ]+/";
    Family { lark: lark.to_owned(), accepts: Box::new(accepts), sample: Box::new(sample) }
}

/// Complements and intersections, over some hard characters. A complement alone is one of bytes to the engine.
fn without(random: &mut ChaCha8Rng) -> Family {
    let members: Vec<char> = CHARACTERS.choose_multiple(random, 6).copied().collect();
    let class: String = members.iter().map(|c| format!("\\x{{{:x}}}", u32::from(*c))).collect();
    let lark = format!(
        "start: TEXT | \"!\" REST\nREST: ~\"no\" & /(?s:.)*/\nTEXT: /[{class}]{{1,6}}/ & ~(/(?s:.)*\"\"(?s:.)*/ | \"ab\")"
    );
    let of = members.clone();
    let accepts = move |text: &str| {
        let count = text.chars().count();
        let plain = (1..=6).contains(&count) && text.chars().all(|c| of.contains(&c));
        plain && !text.contains("\"\"") && text != "ab"
            || text.strip_prefix('!').is_some_and(|rest| rest != "no")
    };
    let judge = accepts.clone();
    let sample = move |random: &mut ChaCha8Rng| loop {
        let count = random.random_range(1..=6);
        let mut text: String = (0..count).map(|_| *members.choose(random).expect("one")).collect();
        if random.random_bool(0.3) {
            text.insert(0, '!');
        }
        if judge(&text) {
            return text;
        }
    };
    Family { lark, accepts: Box::new(accepts), sample: Box::new(sample) }
}

/// White space that is ignored, and any-case literals.
fn calls(random: &mut ChaCha8Rng) -> Family {
    let name = ["Max", "ROUND", "m\"q"].choose(random).copied().unwrap_or_default();
    let quoted = serde_json::Value::from(name).to_string();
    let lark = format!(
        "start: {quoted}i \"(\" [ARG (\",\" ARG)~0..3] \")\"\nARG: /[0-9]+|\"[^\"\\n]*\"/\n%ignore /[ \\t]+/"
    );
    let accepts = move |text: &str| {
        // The engine's rule: white space between terminals.
        let Some((head, rest)) = text.split_at_checked(name.len()) else { return false };
        let skip = |text: &str| text.trim_start_matches([' ', '\t']).to_owned();
        let arg = |text: &str| -> Option<String> {
            if let Some(rest) = text.strip_prefix('"') {
                let (inner, rest) = rest.split_once('"')?;
                return (!inner.contains('\n')).then(|| skip(rest));
            }
            let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
            (rest.len() < text.len()).then(|| skip(rest))
        };
        let inside = skip(rest).strip_prefix('(').map(skip);
        let Some(mut rest) = inside.filter(|_| head.eq_ignore_ascii_case(name)) else { return false };
        let mut count = 0;
        while let Some(after) = arg(&rest) {
            count += 1;
            rest = after;
            match rest.strip_prefix(',').map(skip) {
                Some(next) if arg(&next).is_some() => rest = next,
                Some(_) => return false,
                None => break,
            }
        }
        count <= 4 && rest == ")"
    };
    let sample = move |random: &mut ChaCha8Rng| {
        let space =
            |random: &mut ChaCha8Rng| ["", "", " ", "\t", " \t "].choose(random).copied().unwrap_or_default();
        let cased = |c: char, random: &mut ChaCha8Rng| {
            if random.random_bool(0.5) { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() }
        };
        let mut text: String = name.chars().map(|c| cased(c, random)).collect();
        text.push_str(&format!("{}({}", space(random), space(random)));
        for at in 0..random.random_range(0..5) {
            let arg =
                ["7", "123", "\"\"", "\"a \\ b\t\"", "\"日\""].choose(random).copied().unwrap_or_default();
            text.push_str(&format!(
                "{}{}{arg}{}",
                if at == 0 { "" } else { "," },
                space(random),
                space(random)
            ));
        }
        text + ")"
    };
    Family { lark, accepts: Box::new(accepts), sample: Box::new(sample) }
}
