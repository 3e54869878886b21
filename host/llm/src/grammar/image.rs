//! A Lark grammar rewritten for the inside of a JSON string: it takes the escaped form of what the grammar takes.
//!
//! Invariant: the text that JSON reads back is one that the grammar takes, always. For the other direction the
//! grammar engine's lexer must see what terminal ends where by one byte, and all escapes begin with the same one; a
//! grammar for which that is not enough is refused (`lookahead.rs`), so nothing that it takes is lost.

use std::collections::HashSet;

use super::{
    escape,
    lark::{self, Atom, Choice, Factor},
    lookahead,
};

/// The lines of a grammar, with `start`, for `%lark { … }` between two quotes. A refusal says what and why.
pub(super) fn image(lark: &str) -> Result<String, String> {
    let tree = lark::parse(lark)?;
    lookahead::check(&tree)?;
    let mut writer = Writer { out: String::with_capacity(lark.len() * 2), complements: Vec::new() };
    for (name, body) in &tree.rules {
        let body = writer.choice(body, false)?;
        writer.line(&format!("{name}: {body}"));
    }
    for (name, body) in &tree.terminals {
        let body = writer.choice(body, true)?;
        writer.line(&format!("{name}: {body}"));
    }
    for body in &tree.ignored {
        let body = writer.choice(body, true)?;
        writer.line(&format!("%ignore {body}"));
    }
    let names: HashSet<&str> = tree.terminals.iter().map(|(name, _)| name.as_str()).collect();
    for (number, body) in std::mem::take(&mut writer.complements).into_iter().enumerate() {
        if names.contains(complement(number).as_str()) {
            return Err(format!("the name `{}` is taken", complement(number)));
        }
        writer.line(&format!("{}: {body}", complement(number)));
    }
    Ok(writer.out)
}

/// A terminal for a complement that stands in a rule, where `&` has no place.
fn complement(number: usize) -> String {
    format!("NONE-OF-{number}")
}

struct Writer {
    out: String,
    complements: Vec<String>,
}

impl Writer {
    fn line(&mut self, line: &str) {
        self.out.push_str(line);
        self.out.push('\n');
    }

    fn choice(&mut self, choice: &Choice, terminal: bool) -> Result<String, String> {
        let mut all = Vec::new();
        for meet in &choice.0 {
            let mut parts = Vec::new();
            for sequence in &meet.0 {
                parts.push(self.sequence(sequence, terminal)?);
            }
            all.push(parts.join(" & "));
        }
        Ok(all.join(" | "))
    }

    fn sequence(&mut self, sequence: &[Factor], terminal: bool) -> Result<String, String> {
        let mut all = Vec::new();
        for factor in sequence {
            let atom = self.atom(&factor.atom, terminal)?;
            all.push(match factor.times {
                None => atom,
                Some((0, Some(1))) => format!("{atom}?"),
                Some((0, None)) => format!("{atom}*"),
                Some((1, None)) => format!("{atom}+"),
                Some((_, Some(0))) => "\"\"".to_owned(),
                Some((low, None)) => format!("{atom}{{{low},}}"),
                Some((low, Some(high))) => format!("{atom}{{{low},{high}}}"),
            });
        }
        Ok(if all.is_empty() { "\"\"".to_owned() } else { all.join(" ") })
    }

    fn atom(&mut self, atom: &Atom, terminal: bool) -> Result<String, String> {
        Ok(match atom {
            Atom::Group(choice) => format!("({})", self.choice(choice, terminal)?),
            Atom::Name(name) => name.clone(),
            Atom::Text(text, false) => escape::literal(&escape::escape(text)),
            Atom::Text(text, true) => pattern(&lookahead::any_case(text))?,
            Atom::Regex(regex) => pattern(regex)?,
            Atom::Run(chunks) => {
                let chunks: Vec<String> = chunks.iter().map(|chunk| escape::escape(chunk)).collect();
                format!("%regex {}", serde_json::json!({ "substring_chunks": chunks }))
            }
            Atom::Not(inner) => {
                // Cut to what an escaped text can be: the complement alone would end the string.
                let body = format!("~{} & {}", self.atom(inner, true)?, escape::regex(&escape::all()));
                if terminal {
                    format!("({body})")
                } else {
                    self.complements.push(body);
                    complement(self.complements.len() - 1)
                }
            }
        })
    }
}

fn pattern(regex: &str) -> Result<String, String> {
    let image = escape::image(regex).map_err(|reason| format!("regex `{regex:.60}`: {reason}"))?;
    // An empty regex would be the begin of a comment.
    Ok(if image.is_empty() { "\"\"".to_owned() } else { escape::regex(&image) })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::grammar::holds;

    /// Whether a grammar over bytes takes a text.
    fn takes(lark: &str, text: &str) -> bool {
        holds::accepts(&holds::compile(lark).unwrap_or_else(|e| panic!("{e}: {lark}")), text)
    }

    #[test]
    fn the_image_takes_what_the_grammar_takes_escaped() {
        let grammars = [
            r#"start: "!" ~"no" "#,
            r#"start: ~("a" | /b+/) | [A]
A: "x".."z" ~ 2..3"#,
            r#"start: "q\"\t"i ("," B){1,2}
B: %regex {"substring_words": "one \"two\" three"}"#,
            r#"start: a?
a: "\x41" [b] -> name // a comment
  | "\n"+
b: "(" a ")" # another"#,
            "%import common (INT, WS_INLINE)\nstart: INT+ \"/\" /a\\/\\n/x\n%ignore WS_INLINE",
            "start: T\nT: /[^a]{2}/ & ~/.*\\n/ & /(?s).*/",
        ];
        let texts = [
            "!",
            "!no",
            "!nö",
            "! \"",
            "!n\n",
            "",
            "a",
            "b",
            "ab",
            "xz",
            "xyz",
            "x",
            "Q\"\t,one",
            "q\"\t,\"two\" three,",
            "q\"\t,two\"",
            "A",
            "A(A)",
            "A(\n\n)",
            "\n",
            "A(A(",
            "1 2\t/a/\n",
            "1/a/\n",
            "12 /a/",
            "b\n",
            "\n\n",
            "bb",
            "\\\"",
        ];
        for lark in grammars {
            let image = image(lark).unwrap_or_else(|e| panic!("{e}: {lark}"));
            for text in texts {
                let escaped = escape::escape(text);
                assert_eq!(takes(&image, &escaped), takes(lark, text), "{text:?} under {lark}:\n{image}");
            }
            for not_json in ["\"", "!\"", "!\\", "!\n", "q\"\t,one", "\t"] {
                assert!(!takes(&image, not_json), "{not_json:?} under {lark}:\n{image}");
            }
        }
    }

    #[test]
    fn what_has_no_meaning_inside_a_string_is_refused_by_name() {
        for (lark, name) in [
            ("start: <|end|>", "<"),
            ("start: @other", "@"),
            ("start: %json {}", "%json"),
            ("start: %lark { start: \"a\" }", "%lark"),
            ("%llguidance {}\nstart: \"a\"", "%llguidance"),
            ("start[max_tokens=3]: /a+/", "attributes of `start`"),
            ("start.1: \"a\"", "priority"),
            ("start: a::1\na::_: \"x\"", "parameters of `a`"),
            ("start: \"a\" %if true", "%if"),
            ("%import python.NAME\nstart: NAME", "`python`"),
            ("%import common.NAME\nstart: NAME", "common.NAME"),
            ("start: /\\n(?=a)/", "look-around"),
            ("start: missing", "missing"),
            ("start: A\nA: \"x\" A", "`A`"),
            ("begin: \"a\"", "`start`"),
            ("start: \"a", "not closed"),
            ("start: (\"a\"", "`)`"),
            ("start: \"a\" ~ 3..1", "3 to 1"),
        ] {
            let refusal = image(lark).unwrap_err();
            assert!(refusal.contains(name), "{lark}: {refusal}");
        }
        let deep = format!("start: {}\"a\"{}", "(".repeat(5_000), ")".repeat(5_000));
        assert!(image(&deep).is_err_and(|e| e.contains("deep")));
    }

    #[test]
    fn imported_terminals_are_the_engines_own() {
        let samples = [
            "7",
            "f",
            "42",
            "+4",
            "-4.5",
            ".5",
            "1.",
            "1e9",
            "E+3",
            "\"a\\\"b\"",
            "q",
            "Q",
            "Qq",
            "_a1",
            " \t",
            " \r\n\u{c}",
            "\r",
            "\n",
            "\r\n\n",
            "# c",
            "// c",
            "/* c **/",
            "-- c",
        ];
        let names = [
            "DIGIT",
            "HEXDIGIT",
            "INT",
            "SIGNED_INT",
            "DECIMAL",
            "_EXP",
            "FLOAT",
            "SIGNED_FLOAT",
            "NUMBER",
            "SIGNED_NUMBER",
            "ESCAPED_STRING",
            "LCASE_LETTER",
            "UCASE_LETTER",
            "LETTER",
            "WORD",
            "CNAME",
            "WS_INLINE",
            "WS",
            "CR",
            "LF",
            "NEWLINE",
            "SH_COMMENT",
            "CPP_COMMENT",
            "C_COMMENT",
            "SQL_COMMENT",
        ];
        for name in names {
            let ours = format!("start: {}", escape::regex(lark::common(name).unwrap()));
            let theirs = format!("%import common.{name}\nstart: {name}");
            let taken = samples.map(|sample| takes(&theirs, sample));
            assert_eq!(samples.map(|sample| takes(&ours, sample)), taken, "{name}");
            assert!(taken.contains(&true), "{name}");
        }
    }

    #[test]
    fn terminals_that_escapes_would_run_together_are_refused() {
        let refused = [
            "start: C \"\\n\"\nC: /--[^\\n]*/",
            "start: (A B)+\nA: /a\\n?/\nB: \"\\t\"",
            "start: A \"\\\"\"\nA: /[^\"]+/",
        ];
        for lark in refused {
            assert!(image(lark).is_err_and(|e| e.contains("cannot be told")), "{lark}");
        }
        let taken = [
            "start: (A WS)+\nA: /'[^'\\n]*'/\nWS: /[ \\t\\n]+/",
            "start: TEXT \".\"?\nTEXT: /(.|\\n)+/",
            "start: (\"\\\"\" WORD \"\\\"\" \"\\n\")*\nWORD: /[a-z]+/\n%ignore /[ \\t]+/",
            "start: A \"\\n\"\nA: /[^\\n\\t\"\\\\\\x00-\\x1f]+/",
        ];
        for lark in taken {
            assert_eq!(image(lark).err(), None, "{lark}");
        }
    }

    #[test]
    fn hostile_terminals_end_in_a_refusal() {
        for lark in [
            "start: A \"\\n\"\nA: /(.*a.{500}){200}b/",
            "start: A\nA: /(.*a.{12}){20}/ & /(.*b.{13}){20}/ & ~/(.*c.{11}){20}/",
        ] {
            assert!(image(lark).is_err(), "{lark}");
        }
    }
}
