//! Random regexes, and random texts that they match, from one tree.

use rand::{Rng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

use crate::shape::CHARACTERS;

pub(crate) enum Pattern {
    One(char),
    /// Members, or what is no member.
    Class(Vec<char>, bool),
    Concat(Vec<Pattern>),
    Either(Vec<Pattern>),
    Repeat(Box<Pattern>, usize, Option<usize>),
}

impl Pattern {
    pub(crate) fn random(random: &mut ChaCha8Rng) -> Pattern {
        Pattern::of(random, 3)
    }

    fn of(random: &mut ChaCha8Rng, depth: usize) -> Pattern {
        let some = |random: &mut ChaCha8Rng| {
            let count = random.random_range(1..4);
            (0..count).map(|_| Pattern::of(random, depth - 1)).collect()
        };
        match random.random_range(0..if depth == 0 { 2 } else { 6 }) {
            0 => Pattern::One(*CHARACTERS.choose(random).expect("one")),
            1 => {
                let count = random.random_range(1..5);
                let members = CHARACTERS.choose_multiple(random, count).copied().collect();
                Pattern::Class(members, random.random_bool(0.3))
            }
            2 => Pattern::Either(some(random)),
            3 => {
                let min = random.random_range(0..3);
                let max = random.random_bool(0.5).then(|| min + random.random_range(1..4));
                Pattern::Repeat(Box::new(Pattern::of(random, depth - 1)), min, max)
            }
            _ => Pattern::Concat(some(random)),
        }
    }

    pub(crate) fn text(&self) -> String {
        let join = |all: &[Pattern], between| all.iter().map(Pattern::text).collect::<Vec<_>>().join(between);
        match self {
            Pattern::One(c) => written(*c),
            Pattern::Class(members, negated) => {
                let members: String = members.iter().map(|c| written(*c)).collect();
                format!("[{}{members}]", if *negated { "^" } else { "" })
            }
            Pattern::Concat(all) => join(all, ""),
            Pattern::Either(all) => format!("(?:{})", join(all, "|")),
            Pattern::Repeat(inner, min, max) => {
                let max = max.map_or_else(String::new, |max| max.to_string());
                format!("(?:{}){{{min},{max}}}", inner.text())
            }
        }
    }

    pub(crate) fn sample(&self, random: &mut ChaCha8Rng) -> String {
        match self {
            Pattern::One(c) => c.to_string(),
            Pattern::Class(members, negated) => {
                let fits: Vec<char> =
                    CHARACTERS.iter().copied().filter(|c| members.contains(c) != *negated).collect();
                fits.choose(random).expect("one").to_string()
            }
            Pattern::Concat(all) => all.iter().map(|one| one.sample(random)).collect(),
            Pattern::Either(all) => all.choose(random).expect("one").sample(random),
            Pattern::Repeat(inner, min, max) => {
                let times = random.random_range(*min..=max.unwrap_or(min + 4));
                (0..times).map(|_| inner.sample(random)).collect()
            }
        }
    }
}

/// A character as both dialects read it, in a class or out of one.
fn written(c: char) -> String {
    match c {
        '\n' => "\\n".to_owned(),
        '\t' => "\\t".to_owned(),
        c if c < ' ' => format!("\\x{:02x}", u32::from(c)),
        '\\' | '{' | '/' => format!("\\{c}"),
        c => c.to_string(),
    }
}
