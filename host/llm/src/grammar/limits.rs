//! What every Lark text keeps to before the grammar engine reads it, one that we wrote as any other.
//!
//! Invariant: the engine recurses over brackets, over rules and terminals that lead to others, and over what is in a
//! `%json`; a text that passes [`check`] takes half of its stack at most. The text is cut as the engine's
//! `lark/lexer.rs` cuts it. Where that fails, nothing more is looked at: the engine refuses the whole of it.

use std::collections::HashMap;

use serde::de::IgnoredAny;
use serde_json::Value;

use super::quotation;
use crate::{
    Error,
    schema::{chain, check_references, has_many_classes},
};

/// Stands where a schema was refused; no Lark grammar holds it otherwise.
pub(super) const REFUSAL: &str = "%refused\u{F0002}";

/// Most bytes of a Lark grammar.
pub(super) const MAX_LARK_BYTES: usize = 1 << 20;
/// Most bytes of one with texts to quote from in it, which are longer in Lark than they are, and of one that we wrote.
pub(super) const MAX_WRITTEN_BYTES: usize = 8 << 20;
/// Most brackets inside brackets in a Lark grammar, JSON included.
const MAX_LARK_DEPTH: usize = 200;
/// Most rules, or terminals, that lead from one to the next, with the brackets that each stands in: a rule takes 3.2 KB of
/// the engine's stack and a bracket 2 KB, of which there are 32 MiB.
const MAX_CHAIN: usize = 2_000;

/// Most `patternProperties` of all `%json` together; 100 of one object take 50 ms.
const MAX_PATTERNS: usize = 1_000;

/// Refuses a Lark text that holds a refusal, or is too large or too deep for the engine.
pub(super) fn check(lark: &str) -> Result<(), Error> {
    check_within(lark, if quotation::is_in(lark) { MAX_WRITTEN_BYTES } else { MAX_LARK_BYTES })
}

/// [`check`] with a limit of bytes.
pub(super) fn check_within(lark: &str, limit: usize) -> Result<(), Error> {
    if let Some((_, refusal)) = lark.split_once(REFUSAL) {
        let message = serde_json::Deserializer::from_str(refusal).into_iter::<String>().next();
        let message = message.and_then(Result::ok).unwrap_or_else(|| "a schema in it was refused".into());
        return Err(Error::Grammar(message));
    }
    if lark.len() > limit {
        return Err(Error::Grammar(format!("{} bytes of Lark, {limit} at most", lark.len())));
    }
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in lark.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    // Brackets in strings count too; a grammar of real use is far from this.
    if deepest > MAX_LARK_DEPTH {
        return Err(Error::Grammar(format!("{deepest} brackets inside brackets, {MAX_LARK_DEPTH} at most")));
    }
    Names::of(lark)?.check()
}

/// A part of a Lark text.
enum Piece<'a> {
    Blank,
    Newline,
    /// Of a rule or a terminal.
    Name(&'a str),
    Sign(char),
    Keyword(&'a str),
}

const KEYWORDS: [&str; 9] =
    ["%ignore", "%import", "%override", "%declare", "%json", "%regex", "%llguidance", "%if", "%lark"];

/// The first part of a text and its length; `None` at the end, and where the engine's lexer fails. Counts the
/// `patternProperties` that were come by.
fn piece<'a>(rest: &'a str, patterns: &mut usize) -> Result<Option<(Piece<'a>, usize)>, Error> {
    let Some(first) = rest.chars().next() else { return Ok(None) };
    let blank = |length: usize| Some((Piece::Blank, length));
    Ok(match first {
        ' ' | '\t' => blank(1),
        '\r' | '\n' => Some((Piece::Newline, 1)),
        '#' => blank(rest.find('\n').unwrap_or(rest.len())),
        '/' if rest.starts_with("//") => blank(rest.find('\n').unwrap_or(rest.len())),
        '"' => closed(rest, first).map(|length| {
            let flag = usize::from(rest[length..].starts_with('i'));
            (Piece::Sign(first), length + flag)
        }),
        '/' => {
            let length = closed(rest, first);
            if length.is_some_and(|length| has_many_classes(&rest[..length])) {
                return Err(Error::Grammar("a regex has too many classes; write a smaller one".into()));
            }
            length.map(|length| (Piece::Sign(first), length + run(&rest[length..], |c| "imslux".contains(c))))
        }
        '0'..='9' => Some((Piece::Sign(first), number(rest))),
        '@' => {
            let is_of = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            Some((Piece::Sign(first), 1 + run(&rest[1..], is_of)))
        }
        // Of a rule with parameters.
        ':' if rest.starts_with("::") => Some((Piece::Sign('.'), 2)),
        '<' => {
            let end = rest.char_indices().skip(1).find(|(_, c)| matches!(c, '<' | '>') || c.is_whitespace());
            end.filter(|(_, c)| *c == '>').map(|(end, _)| (Piece::Sign(first), end + 1))
        }
        '%' => {
            let Some(keyword) = KEYWORDS.into_iter().find(|keyword| rest.starts_with(keyword)) else {
                return Ok(None);
            };
            json(keyword, &rest[keyword.len()..], patterns)?
                .map(|length| (Piece::Keyword(keyword), keyword.len() + length))
        }
        _ => Some(name(rest).unwrap_or((Piece::Sign(first), first.len_utf8()))),
    })
}

/// How many bytes at the beginning are such characters.
fn run(rest: &str, is_of: impl Fn(char) -> bool) -> usize {
    rest.find(|c| !is_of(c)).unwrap_or(rest.len())
}

/// The length of a number: `0[xX][0-9a-fA-F]+`, or `[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?`.
fn number(rest: &str) -> usize {
    let digits = |rest: &str| run(rest, |c| c.is_ascii_digit());
    let hex = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X"));
    let hex = hex.map_or(0, |hex| run(hex, |c| c.is_ascii_hexdigit()));
    if hex > 0 {
        return 2 + hex;
    }
    let mut length = digits(rest);
    if let Some(fraction) = rest[length..].strip_prefix('.') {
        length += 1 + digits(fraction);
    }
    if let Some(exponent) = rest[length..].strip_prefix(['e', 'E']) {
        let sign = usize::from(exponent.starts_with(['+', '-']));
        let exponent = digits(&exponent[sign..]);
        length += if exponent > 0 { 1 + sign + exponent } else { 0 };
    }
    length
}

/// The length of a literal or a regex with its signs at both ends.
fn closed(rest: &str, sign: char) -> Option<usize> {
    let mut quoted = false;
    let end = rest.bytes().skip(1).position(|byte| {
        let ends = byte == sign as u8 && !quoted;
        quoted = byte == b'\\' && !quoted;
        ends
    });
    end.map(|end| end + 2)
}

/// The length of the JSON that belongs to a keyword, which is checked if it is a schema; `None` if it is not JSON.
fn json(keyword: &str, rest: &str, patterns: &mut usize) -> Result<Option<usize>, Error> {
    match keyword {
        "%json" => {
            let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
            let Some(Ok(schema)) = values.next() else { return Ok(None) };
            let length = values.byte_offset();
            if has_many_classes(&rest[..length]) {
                return Err(Error::Grammar("the patterns of a `%json` have too many classes".into()));
            }
            *patterns += check_references(&schema).map_err(|e| Error::Grammar(format!("`%json`: {e}")))?;
            if *patterns > MAX_PATTERNS {
                let message = format!("more than {MAX_PATTERNS} `patternProperties` in all `%json` together");
                return Err(Error::Grammar(message));
            }
            Ok(Some(length))
        }
        "%regex" | "%llguidance" => {
            let mut values = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
            Ok(values.next().and_then(Result::ok).map(|_| values.byte_offset()))
        }
        _ => Ok(Some(0)),
    }
}

/// `!?[_?]?[a-z][_a-z0-9\-]*` for a rule, `_?[A-Z][_A-Z0-9\-]*` for a terminal. The signs `!` and `?` do not belong to it.
fn name(rest: &str) -> Option<(Piece<'_>, usize)> {
    let marked = rest.strip_prefix('!').unwrap_or(rest);
    let bare = marked.strip_prefix(['_', '?']).unwrap_or(marked);
    let is_of = match bare.chars().next()? {
        'a'..='z' => |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-',
        'A'..='Z' => |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_' || c == '-',
        _ => return None,
    };
    let begin = rest.len() - if marked.starts_with('_') { marked.len() } else { bare.len() };
    let end = rest.len() - bare.len() + bare.find(|c| !is_of(c)).unwrap_or(bare.len());
    Some((Piece::Name(&rest[begin..end]), end))
}

/// The rules and terminals of a text, each `%lark { … }` with names of its own, and which lead to which.
#[derive(Default)]
struct Names<'a> {
    numbers: HashMap<(usize, &'a str), usize>,
    names: Vec<&'a str>,
    /// With how many brackets the deepest name in it stands in.
    costs: Vec<usize>,
    /// From which to what name of which grammar.
    uses: Vec<(usize, usize, &'a str)>,
}

/// A grammar that is being read.
struct Scope {
    number: usize,
    /// Curly brackets that are open in it.
    open: usize,
    /// The rule or terminal that the text is in, and the brackets around the place in it.
    within: Option<usize>,
    depth: usize,
    begins_line: bool,
    /// Whether a colon may come: after the name of a rule or terminal that begins a line, once.
    awaits_colon: bool,
}

impl Scope {
    fn new(number: usize) -> Scope {
        Scope { number, open: 0, within: None, depth: 0, begins_line: true, awaits_colon: false }
    }
}

impl<'a> Names<'a> {
    fn of(lark: &'a str) -> Result<Names<'a>, Error> {
        let mut names = Names::default();
        let (mut scope, mut outer, mut count) = (Scope::new(0), Vec::new(), 1);
        let (mut rest, mut before, mut patterns) = (lark, Piece::Newline, 0);
        while let Some((piece, length)) = piece(rest, &mut patterns)? {
            rest = &rest[length..];
            match piece {
                Piece::Blank => continue,
                Piece::Newline => {}
                Piece::Sign('{') if matches!(before, Piece::Keyword("%lark")) => {
                    outer.push(std::mem::replace(&mut scope, Scope::new(count)));
                    count += 1;
                    before = Piece::Newline;
                    continue;
                }
                Piece::Sign('}') if scope.open == 0 => {
                    if let Some(around) = outer.pop() {
                        scope = around;
                    }
                }
                Piece::Sign('{') => scope.open += 1,
                Piece::Sign('}') => scope.open -= 1,
                // The engine takes several items on a line; what leads to what could not be told so simply then.
                Piece::Sign(':') if scope.depth == 0 && scope.open == 0 => {
                    if !std::mem::take(&mut scope.awaits_colon) {
                        let message = "a `:` that belongs to no rule or terminal at the beginning of its line; give each a line of its own";
                        return Err(Error::Grammar(message.into()));
                    }
                }
                Piece::Sign('(' | '[') => scope.depth += 1,
                Piece::Sign(')' | ']') => scope.depth = scope.depth.saturating_sub(1),
                Piece::Name(name) if scope.begins_line => {
                    names.begin(&mut scope, name);
                    scope.awaits_colon = true;
                }
                // `%ignore` leads to terminals, as a rule does.
                Piece::Keyword(keyword) if scope.begins_line => names.begin(&mut scope, keyword),
                // The name of a branch leads nowhere.
                Piece::Name(_) if matches!(before, Piece::Sign('>')) => {}
                Piece::Name(name) => {
                    if let Some(within) = scope.within {
                        names.costs[within] = names.costs[within].max(1 + scope.depth);
                        names.uses.push((within, scope.number, name));
                    }
                }
                Piece::Sign(_) | Piece::Keyword(_) => {}
            }
            scope.begins_line = matches!(piece, Piece::Newline);
            before = piece;
        }
        Ok(names)
    }

    fn begin(&mut self, scope: &mut Scope, name: &'a str) {
        let number = *self.numbers.entry((scope.number, name)).or_insert(self.names.len());
        if number == self.names.len() {
            self.names.push(name);
            self.costs.push(1);
        }
        (scope.within, scope.depth, scope.awaits_colon) = (Some(number), 0, false);
    }

    fn check(&self) -> Result<(), Error> {
        let mut leads_to = vec![Vec::new(); self.names.len()];
        for (from, scope, name) in &self.uses {
            leads_to[*from].extend(self.numbers.get(&(*scope, *name)));
        }
        let depths = chain::depths(&self.costs, &leads_to);
        match depths.iter().position(|depth| *depth > MAX_CHAIN) {
            None => Ok(()),
            Some(begin) => Err(Error::Grammar(format!(
                "from `{}` on, rules or terminals lead from one to the next {} deep, brackets included; {MAX_CHAIN} at most",
                self.names[begin], depths[begin]
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::{holds, on_large_stack};

    fn refusal(lark: &str) -> String {
        check(lark).err().map(|e| e.to_string()).unwrap_or_default()
    }

    /// `start`, and `count` more that lead from one to the next.
    fn chain(count: usize, one: fn(usize) -> String) -> String {
        (0..count).fold("start: a0 A0\n".to_owned(), |lark, at| lark + &one(at))
            + &format!("a{count}: \"x\"\nA{count}: \"x\"\n")
    }

    const RULES: fn(usize) -> String = |at| format!("a{at}: a{}\n", at + 1);
    const TERMINALS: fn(usize) -> String = |at| format!("A{at}: \"y\" A{}\n", at + 1);
    const BRACKETS: fn(usize) -> String =
        |at| format!("a{at}: {}a{}{}\n", "[\"y\" ".repeat(9), at + 1, "]".repeat(9));

    #[test]
    fn a_chain_of_names_is_refused_beyond_what_the_stack_holds() {
        for (count, one) in
            [(50_000, RULES), (30_000, TERMINALS), (10_000, BRACKETS), (2_001, RULES), (201, BRACKETS)]
        {
            let refusal = refusal(&chain(count, one));
            assert!(refusal.contains("`start`") && refusal.contains("2000 at most"), "{count}: {refusal}");
        }
        // What ends without a blank before the next name.
        let close: [fn(usize) -> String; 3] = [
            |at| format!("a{at}:\"y\"ia{}\n", at + 1),
            |at| format!("a{at}:/y/isa{}\n", at + 1),
            |at| format!("a{at}:\"y\"~2a{}\n", at + 1),
        ];
        for one in close {
            assert!(refusal(&chain(3_000, one)).contains("2000 at most"), "{}", one(0));
        }
        for line in ["start: a0 -> x a0: a1 -> y a1: \"z\"", "start: \"z\"\n%llguidance {} a0: \"z\""] {
            assert!(refusal(line).contains("a line of its own"), "{line}");
        }
        let nested = format!("start: %lark {{\n{}}}", chain(3_000, RULES));
        assert!(refusal(&nested).contains("deep"));
        let ignored = format!("{}%ignore A0", chain(3_000, TERMINALS).replace("a0 A0", "\"s\""));
        assert!(refusal(&ignored).contains("`A0`"));
    }

    #[test]
    fn chains_just_below_the_limit_compile() {
        for (count, one) in [(1_990, RULES), (1_990, TERMINALS), (198, BRACKETS)] {
            // What the other name leads to.
            let lark =
                chain(count, one) + if chain(1, one).contains("A0:") { "a0: \"z\"\n" } else { "A0: \"z\"\n" };
            let compiled = on_large_stack(|| holds::compile(&lark).map(drop));
            assert!(matches!(compiled, Ok(Ok(()))), "{count}: {compiled:?}");
        }
    }

    #[test]
    fn what_is_no_name_leads_nowhere() {
        // Each line has names in it that would make one chain: in a literal, a regex, a comment, a special token, JSON.
        let one = |at: usize| {
            let to = format!("a{}", at + 1);
            format!(
                "a{at}: \"{to}\" /{to}\\/ {to}/ <{to}> %json {{\"const\": \"{to}\"}} -> {to} // {to}\n# {to}\n"
            )
        };
        assert_eq!(refusal(&chain(3_000, one)), "");
        // Nor do the names of one grammar to those of another.
        let apart: String = (0..3_000)
            .map(|at| format!("b{at}: %lark {{\n start: b{}\n b{}: \"x\"\n}}\n", at + 1, at + 1))
            .collect();
        assert_eq!(refusal(&format!("start: b0\n{apart}")), "");
    }

    #[test]
    fn names_that_lead_to_one_another_count_once() {
        let around = |count: usize| {
            let rules = (0..count).map(|at| format!("a{at}: \"x\" | a{} a{at}\n", (at + 1) % count));
            format!("start: a0\n{}", rules.collect::<String>())
        };
        assert_eq!(refusal(&around(1_900)), "");
        assert!(refusal(&around(2_100)).contains("2101 deep"), "{}", refusal(&around(2_100)));
    }

    #[test]
    fn json_in_it_keeps_to_the_limits_of_schemas() {
        let defs: serde_json::Map<String, Value> = (0..15_000)
            .map(|at| (format!("a{at}"), serde_json::json!({"$ref": format!("#/$defs/a{}", at + 1)})))
            .collect();
        let schema = serde_json::json!({"$ref": "#/$defs/a0", "$defs": defs});
        assert!(refusal(&format!("start: %json {schema}")).contains("`%json`: schema at `#/$defs/a0`"));
        let patterns: serde_json::Map<String, Value> =
            (0..90).map(|at| (format!("^{at}$"), Value::Bool(true))).collect();
        let schema = serde_json::json!({ "patternProperties": patterns });
        let many: String = (0..12).map(|at| format!("j{at}: %json {schema}\n")).collect();
        assert!(refusal(&many).contains("1000 `patternProperties`"));
        assert!(refusal(&format!("start: /{}/", "\\p{L}".repeat(20_000))).contains("classes"));
    }
}
