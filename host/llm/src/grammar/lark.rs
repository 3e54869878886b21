//! Lark as llguidance takes it, read into a tree, for grammars that are rewritten to stand inside a JSON string.
//!
//! Invariant: what is read here is read as llguidance's own parser does (its `lark/lexer.rs`, `lark/parser.rs`); what
//! has no meaning inside a string, or is not known, is refused by name. The rewritten grammar is compiled by
//! llguidance, which resolves names and makes its own checks.

mod lex;

use std::collections::HashMap;

pub(super) use self::lex::common;
use self::lex::{Token, lex};

/// A grammar: its rules, terminals and statements in their order.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) rules: Vec<(String, Choice)>,
    pub(super) terminals: Vec<(String, Choice)>,
    pub(super) ignored: Vec<Choice>,
}

/// Alternatives.
#[derive(Debug)]
pub(super) struct Choice(pub(super) Vec<Meet>);

/// Sequences that must hold all at once (`&`); one, outside of terminals.
#[derive(Debug)]
pub(super) struct Meet(pub(super) Vec<Vec<Factor>>);

/// An atom, and how often.
#[derive(Debug)]
pub(super) struct Factor {
    pub(super) atom: Atom,
    pub(super) times: Option<(u32, Option<u32>)>,
}

#[derive(Debug)]
pub(super) enum Atom {
    Group(Choice),
    Not(Box<Atom>),
    Name(String),
    /// A literal; `true`: in any case.
    Text(String, bool),
    /// A regex with its flags in front.
    Regex(String),
    /// A run of these chunks.
    Run(Vec<String>),
}

/// As many as llguidance takes.
const MAX_NESTING: usize = 30;
/// Beyond this a repetition is no use.
const MAX_TIMES: u32 = 100_000;

/// Reads a grammar.
pub(super) fn parse(lark: &str) -> Result<Tree, String> {
    let mut parser = Parser { tokens: lex(lark)?, at: 0, depth: 0 };
    let mut tree = Tree::default();
    while parser.at < parser.tokens.len() {
        if parser.take(&Token::Newline) {
            continue;
        }
        parser.item(&mut tree)?;
    }
    let terminals = tree.terminals.iter().map(|(name, body)| (name.as_str(), body)).collect();
    let ignored = std::mem::take(&mut tree.ignored);
    tree.ignored = ignored.into_iter().map(|body| once(body, &terminals)).collect();
    if tree.rules.iter().any(|(name, _)| name == "start") {
        Ok(tree)
    } else {
        Err("there is no rule `start`".into())
    }
}

/// What is ignored may come any number of times, so a repetition in it says nothing, and makes it longer than need be:
/// `/[ \t]+/` to `/[ \t]/`.
fn once(body: Choice, terminals: &HashMap<&str, &Choice>) -> Choice {
    let named = match only(&body) {
        Some(Factor { atom: Atom::Name(name), .. }) => terminals.get(name.as_str()).copied(),
        _ => None,
    };
    let repeated = only(named.unwrap_or(&body)).and_then(|factor| match &factor.atom {
        Atom::Regex(pattern) => super::escape::repeated(pattern),
        _ => None,
    });
    match repeated {
        Some(pattern) => Choice(vec![Meet(vec![vec![Factor { atom: Atom::Regex(pattern), times: None }]])]),
        None => body,
    }
}

/// The one factor that a body consists of.
fn only(body: &Choice) -> Option<&Factor> {
    match &body.0[..] {
        [Meet(parts)] => match &parts[..] {
            [sequence] => match &sequence[..] {
                [factor] if !matches!(factor.times, Some((_, Some(_)))) => Some(factor),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn take(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        self.at += usize::from(found);
        found
    }

    fn sign(&mut self, sign: &'static str) -> bool {
        self.take(&Token::Sign(sign))
    }

    fn expect(&mut self, sign: &'static str) -> Result<(), String> {
        if self.sign(sign) { Ok(()) } else { Err(format!("`{sign}` is expected before {}", self.here())) }
    }

    fn here(&self) -> String {
        match self.peek() {
            Some(Token::Rule(name) | Token::Terminal(name) | Token::Keyword(name)) => format!("`{name}`"),
            Some(Token::Sign(sign)) => format!("`{sign}`"),
            Some(Token::Text(text, _)) => format!("{text:.20?}"),
            Some(Token::Newline) => "the end of the line".to_owned(),
            Some(_) => "a number or a regex".to_owned(),
            None => "the end".to_owned(),
        }
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn item(&mut self, tree: &mut Tree) -> Result<(), String> {
        match self.next() {
            Some(Token::Rule(name)) => {
                self.plain_head(&name)?;
                let body = self.choice()?;
                tree.rules.push((name, body));
            }
            Some(Token::Terminal(name)) => {
                self.plain_head(&name)?;
                let body = self.choice()?;
                tree.terminals.push((name, body));
            }
            Some(Token::Keyword(keyword)) if keyword == "%ignore" => {
                let body = self.choice()?;
                tree.ignored.push(body);
            }
            Some(Token::Keyword(_)) => self.import(tree)?,
            _ => {
                self.at -= 1;
                return Err(format!("a rule or a terminal is expected at {}", self.here()));
            }
        }
        match self.peek() {
            None | Some(Token::Newline) => Ok(()),
            _ => Err(format!("the line should end before {}", self.here())),
        }
    }

    /// What may stand between a name and its colon changes how it matches.
    fn plain_head(&mut self, name: &str) -> Result<(), String> {
        match self.peek() {
            Some(Token::Sign("[")) => {
                Err(format!("attributes of `{name}` (`[…]`) are not supported inside a string"))
            }
            Some(Token::Sign("{" | ".")) => {
                Err(format!("parameters and priority of `{name}` are not supported"))
            }
            _ => self.expect(":"),
        }
    }

    /// `common.NAME`, `common.NAME -> NAME` or `common (NAME, …)`.
    fn import(&mut self, tree: &mut Tree) -> Result<(), String> {
        if !self.take(&Token::Rule("common".to_owned())) {
            return Err(format!("only `common` can be imported, not {}", self.here()));
        }
        let mut names = Vec::new();
        if self.sign("(") {
            loop {
                let name = self.terminal_name()?;
                names.push((name.clone(), name));
                if !self.sign(",") {
                    break;
                }
            }
            self.expect(")")?;
        } else {
            self.expect(".")?;
            let name = self.terminal_name()?;
            let alias = if self.sign("->") { self.terminal_name()? } else { name.clone() };
            names.push((name, alias));
        }
        for (name, alias) in names {
            let pattern = common(&name).ok_or_else(|| format!("`common.{name}` is not known"))?;
            let factor = Factor { atom: Atom::Regex(pattern.to_owned()), times: None };
            tree.terminals.push((alias, Choice(vec![Meet(vec![vec![factor]])])));
        }
        Ok(())
    }

    fn terminal_name(&mut self) -> Result<String, String> {
        match self.next() {
            Some(Token::Terminal(name)) => Ok(name),
            _ => Err("the name of a terminal is expected after `%import`".into()),
        }
    }

    fn choice(&mut self) -> Result<Choice, String> {
        self.depth += 1;
        if self.depth > MAX_NESTING {
            return Err(format!("nested more than {MAX_NESTING} deep"));
        }
        let mut all = vec![self.meet()?];
        loop {
            let before = self.at;
            self.take(&Token::Newline);
            if !self.sign("|") {
                self.at = before;
                break;
            }
            all.push(self.meet()?);
        }
        self.depth -= 1;
        Ok(Choice(all))
    }

    fn meet(&mut self) -> Result<Meet, String> {
        let mut all = vec![self.sequence()?];
        while self.sign("&") {
            all.push(self.sequence()?);
        }
        // The name of a branch is for parse trees.
        if self.sign("->") && !matches!(self.next(), Some(Token::Rule(_))) {
            return Err("the name of a rule is expected after `->`".into());
        }
        Ok(Meet(all))
    }

    fn sequence(&mut self) -> Result<Vec<Factor>, String> {
        let mut all = Vec::new();
        while !matches!(
            self.peek(),
            None | Some(Token::Newline | Token::Sign("|" | "->" | ")" | "]" | "}" | "&"))
        ) {
            all.push(self.factor()?);
        }
        Ok(all)
    }

    fn factor(&mut self) -> Result<Factor, String> {
        let (atom, optional) = self.atom()?;
        let times = match self.peek() {
            Some(Token::Sign("+")) => Some((1, None)),
            Some(Token::Sign("*")) => Some((0, None)),
            Some(Token::Sign("?")) => Some((0, Some(1))),
            _ => None,
        };
        let times = if times.is_some() {
            self.at += 1;
            times
        } else if self.peek() == Some(&Token::Sign("~"))
            && matches!(self.tokens.get(self.at + 1), Some(Token::Number(_)))
        {
            self.at += 1;
            let low = self.number()?;
            let high = if self.sign("..") { self.number()? } else { low };
            Some((low, Some(high)))
        } else if self.sign("{") {
            let low = if self.peek() == Some(&Token::Sign(",")) { 0 } else { self.number()? };
            let high = match self.sign(",") {
                true if self.peek() == Some(&Token::Sign("}")) => None,
                true => Some(self.number()?),
                false => Some(low),
            };
            self.expect("}")?;
            Some((low, high))
        } else {
            None
        };
        if let Some((low, Some(high))) = times
            && low > high
        {
            return Err(format!("a repetition of {low} to {high} times"));
        }
        match (optional, times) {
            (false, times) => Ok(Factor { atom, times }),
            (true, None) => Ok(Factor { atom, times: Some((0, Some(1))) }),
            (true, times) => {
                let inner = Factor { atom, times: Some((0, Some(1))) };
                Ok(Factor { atom: Atom::Group(Choice(vec![Meet(vec![vec![inner]])])), times })
            }
        }
    }

    fn number(&mut self) -> Result<u32, String> {
        match self.next() {
            Some(Token::Number(digits)) => {
                let number = digits.parse().ok().filter(|n| *n <= MAX_TIMES);
                number.ok_or_else(|| format!("{digits} repetitions, {MAX_TIMES} at most"))
            }
            _ => Err("a number is expected in a repetition".into()),
        }
    }

    /// `true`: it stands in brackets and may be left out.
    fn atom(&mut self) -> Result<(Atom, bool), String> {
        if self.sign("~") {
            let (atom, optional) = self.atom_once()?;
            let factor = Factor { atom, times: optional.then_some((0, Some(1))) };
            let inner = Atom::Group(Choice(vec![Meet(vec![vec![factor]])]));
            return Ok((Atom::Not(Box::new(inner)), false));
        }
        self.atom_once()
    }

    fn atom_once(&mut self) -> Result<(Atom, bool), String> {
        for (open, close) in [("(", ")"), ("[", "]")] {
            if self.sign(open) {
                let inner = self.choice()?;
                self.expect(close)?;
                return Ok((Atom::Group(inner), open == "["));
            }
        }
        let atom = match self.next() {
            Some(Token::Text(first, false)) if self.sign("..") => match self.next() {
                Some(Token::Text(last, false)) => range(&first, &last)?,
                _ => return Err("a range needs a literal on both sides".into()),
            },
            Some(Token::Text(text, any_case)) => Atom::Text(text, any_case),
            Some(Token::Regex(pattern)) => Atom::Regex(pattern),
            Some(Token::Run(chunks)) => Atom::Run(chunks),
            Some(Token::Rule(name) | Token::Terminal(name)) => {
                if self.peek() == Some(&Token::Sign(":")) {
                    return Err(format!("parameters of `{name}` are not supported inside a string"));
                }
                Atom::Name(name)
            }
            _ => {
                self.at -= 1;
                return Err(format!("{} is not expected", self.here()));
            }
        };
        Ok((atom, false))
    }
}

/// `"a".."z"` as a regex.
fn range(first: &str, last: &str) -> Result<Atom, String> {
    let (mut a, mut b) = (first.chars(), last.chars());
    match (a.next(), a.next(), b.next(), b.next()) {
        (Some(a), None, Some(b), None) if a <= b => {
            Ok(Atom::Regex(format!("[\\x{{{:x}}}-\\x{{{:x}}}]", u32::from(a), u32::from(b))))
        }
        _ => Err(format!("{first:?}..{last:?} is not a range of characters")),
    }
}
