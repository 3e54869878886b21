//! Whether a grammar's terminals can still be told apart when they are escaped.
//!
//! The grammar engine ends a terminal at the first byte that cannot go on with it. Escapes are several bytes and begin
//! alike: where a terminal could end or go on with `\n`, and the next could begin with `\t`, the engine goes on at the
//! backslash and finds neither. A text that the grammar takes would then be impossible to write.
//!
//! Invariant: a grammar that passes [`check`] loses nothing. The check looks at all terminals at once, so it refuses
//! some that would do.

use std::collections::{HashMap, HashSet};

use llguidance::derivre::{ExprRef, Regex, RegexAst, RegexBuilder, StateID};
use llguidance::substring::substring;

use super::{
    escape::every_escaped,
    lark::{Atom, Choice, Factor, Tree},
};

/// States of all terminals together that are looked at; 1 MB at most.
const MAX_STATES: usize = 2_000;
/// As the engine's own limit on building terminals; 50,000 take a millisecond.
const MAX_COST: u64 = 1_000_000;

/// A literal in any case, as a regex.
pub(super) fn any_case(text: &str) -> String {
    format!("(?i){}", regex_syntax::escape(text))
}

/// Refuses a grammar in which a terminal may end, or go on with some escaped character, where another that does not
/// continue it may begin with a different one.
pub(super) fn check(tree: &Tree) -> Result<(), String> {
    let rules = tree.rules.iter().map(|(name, _)| name.as_str()).collect();
    // Of two with one name the engine takes neither.
    let terminals = tree.terminals.iter().map(|(name, body)| (name.as_str(), body)).collect();
    let mut build = Build { rules, terminals, regexes: RegexBuilder::new(), named: HashMap::new() };
    let mut lexemes = Vec::new();
    for (_, body) in &tree.rules {
        build.lexemes(body, &mut lexemes)?;
    }
    for body in &tree.ignored {
        lexemes.push(build.choice(body)?);
    }
    let any = build.make(RegexAst::Or(lexemes.into_iter().map(RegexAst::ExprRef).collect()))?;
    // A complement may hold bytes that are no text.
    let text = build.make(RegexAst::Regex("(?s:.*)".to_owned()))?;
    let any = build.make(RegexAst::And(vec![RegexAst::ExprRef(any), RegexAst::ExprRef(text)]))?;
    let mut regex = build.regexes.into_regex_limited(any, MAX_COST).map_err(|e| e.to_string())?;

    let start = regex.initial_state();
    let begins = goes_on(&mut regex, start);
    if begins == 0 {
        return Ok(());
    }
    let bytes: HashMap<usize, u8> = (0..=255_u8).map(|byte| (regex.alpha().map(byte), byte)).collect();
    let (mut seen, mut queue) = (HashSet::from([start]), vec![start]);
    while let Some(state) = queue.pop() {
        let goes_on = goes_on(&mut regex, state);
        let lost = begins & !goes_on;
        if state != start && goes_on != 0 && lost != 0 && regex.is_accepting(state) {
            return Err(format!(
                "inside a JSON string a terminal that may go on with {:?} cannot be told from one that begins with {:?}, for both are written with a backslash; leave one of them out",
                first(goes_on),
                first(lost)
            ));
        }
        for byte in bytes.values() {
            let to = regex.transition(state, *byte);
            if !to.is_dead() && seen.insert(to) {
                queue.push(to);
            }
        }
        if seen.len() > MAX_STATES || regex.cost() > MAX_COST {
            return Err(format!(
                "terminals that begin with a quote, a backslash or a control character are too large here: more than {MAX_STATES} states are not supported inside a JSON string"
            ));
        }
    }
    Ok(())
}

/// The escaped characters that lead on from a state, a bit each.
fn goes_on(regex: &mut Regex, state: StateID) -> u64 {
    let lives = |(bit, c): (usize, char)| u64::from(!regex.transition(state, c as u8).is_dead()) << bit;
    every_escaped().enumerate().map(lives).sum()
}

fn first(set: u64) -> char {
    every_escaped().nth(set.trailing_zeros() as usize).unwrap_or_default()
}

struct Build<'a> {
    rules: HashSet<&'a str>,
    terminals: HashMap<&'a str, &'a Choice>,
    regexes: RegexBuilder,
    /// `None` while it is being built.
    named: HashMap<&'a str, Option<ExprRef>>,
}

impl<'a> Build<'a> {
    fn make(&mut self, ast: RegexAst) -> Result<ExprRef, String> {
        if self.regexes.exprset().cost() > MAX_COST {
            return Err("its terminals are too large".to_owned());
        }
        self.regexes.mk(&ast).map_err(|e| e.to_string())
    }

    /// The terminals that stand in a rule.
    fn lexemes(&mut self, choice: &'a Choice, found: &mut Vec<ExprRef>) -> Result<(), String> {
        for factor in choice.0.iter().flat_map(|meet| &meet.0).flatten() {
            match &factor.atom {
                Atom::Group(inner) => self.lexemes(inner, found)?,
                Atom::Name(name) if self.rules.contains(name.as_str()) => {}
                atom => found.push(self.atom(atom)?),
            }
        }
        Ok(())
    }

    fn choice(&mut self, choice: &'a Choice) -> Result<ExprRef, String> {
        let mut all = Vec::new();
        for meet in &choice.0 {
            let mut parts = Vec::new();
            for sequence in &meet.0 {
                let mut factors = Vec::new();
                for factor in sequence {
                    factors.push(RegexAst::ExprRef(self.factor(factor)?));
                }
                parts.push(RegexAst::Concat(factors));
            }
            all.push(RegexAst::And(parts));
        }
        self.make(RegexAst::Or(all))
    }

    fn factor(&mut self, factor: &'a Factor) -> Result<ExprRef, String> {
        let atom = self.atom(&factor.atom)?;
        match factor.times {
            None => Ok(atom),
            Some((low, high)) => {
                let high = high.unwrap_or(u32::MAX);
                self.make(RegexAst::Repeat(Box::new(RegexAst::ExprRef(atom)), low, high))
            }
        }
    }

    fn atom(&mut self, atom: &'a Atom) -> Result<ExprRef, String> {
        match atom {
            Atom::Group(choice) => self.choice(choice),
            Atom::Not(inner) => {
                let inner = self.atom(inner)?;
                self.make(RegexAst::Not(Box::new(RegexAst::ExprRef(inner))))
            }
            Atom::Name(name) => self.named(name),
            Atom::Text(text, false) => self.make(RegexAst::Literal(text.clone())),
            Atom::Text(text, true) => self.make(RegexAst::Regex(any_case(text))),
            Atom::Regex(pattern) => self.make(RegexAst::Regex(pattern.clone())),
            Atom::Run(chunks) => {
                let chunks = chunks.iter().map(String::as_str).collect();
                substring(&mut self.regexes, chunks).map_err(|e| e.to_string())
            }
        }
    }

    fn named(&mut self, name: &'a str) -> Result<ExprRef, String> {
        match self.named.get(name) {
            Some(Some(built)) => return Ok(*built),
            Some(None) => return Err(format!("terminal `{name}` is made of itself")),
            None => {}
        }
        let body = *self.terminals.get(name).ok_or_else(|| format!("`{name}` is not defined"))?;
        self.named.insert(name, None);
        let built = self.choice(body)?;
        self.named.insert(name, Some(built));
        Ok(built)
    }
}
