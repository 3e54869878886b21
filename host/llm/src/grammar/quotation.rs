//! Verbatim quotation: any run of words of a given text, and nothing else.
//!
//! Invariant: what the terminal of [`terminal`] takes is what [`quotes`] says yes to. The text is normalised (white
//! space to one space, none at the ends) and cut into chunks; a quotation is some chunks in a row, without a space at
//! either end, so that no word is cut in two.

use serde_json::json;

use super::escape;

/// Most bytes of text to quote from in one grammar, all quotations together.
pub(crate) const MAX_QUOTED_BYTES: usize = 1 << 20;

/// Whether `value` is a run of whole words of `text`, letter by letter, every run of white space being one space. A
/// word is a run of letters and digits; any other character, and each one of a script that is written without spaces,
/// stands for itself. The empty string quotes nothing.
pub fn quotes(text: &str, value: &str) -> bool {
    let text = normalise(text);
    let ends = value.starts_with(' ') || value.ends_with(' ');
    let (text, wanted): (Vec<&str>, Vec<&str>) = (chunks(&text).collect(), chunks(value).collect());
    // A word is as long as it can be, so a run of chunks is cut in the same places as the text around it.
    !wanted.is_empty() && !ends && contains(&text, &wanted)
}

/// Whether `wanted`, which is not empty, stands in `text`: Knuth, Morris and Pratt, so that no text takes long.
fn contains(text: &[&str], wanted: &[&str]) -> bool {
    let mut fallback = vec![0; wanted.len()];
    let step = |fallback: &[usize], mut matched: usize, chunk: &str| {
        while matched > 0 && wanted[matched] != chunk {
            matched = fallback[matched - 1];
        }
        matched + usize::from(wanted[matched] == chunk)
    };
    for at in 1..wanted.len() {
        fallback[at] = step(&fallback, fallback[at - 1], wanted[at]);
    }
    let mut matched = 0;
    text.iter().any(|chunk| {
        matched = step(&fallback, matched, chunk);
        matched == wanted.len()
    })
}

/// Every run of white space to one space, none at the ends.
pub(super) fn normalise(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// The smallest parts of a quotation: words, and single characters.
fn chunks(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let end = if joins(first) { rest.find(|c| !joins(c)) } else { Some(first.len_utf8()) };
        let (chunk, after) = rest.split_at(end.unwrap_or(rest.len()));
        rest = after;
        Some(chunk)
    })
}

/// Letters and digits of scripts that put spaces between words.
fn joins(c: char) -> bool {
    let unspaced = matches!(c,
        '\u{e00}'..='\u{eff}' // Thai, Lao
        | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' // Burmese, Khmer
        | '\u{2e80}'..='\u{31ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' // kana, Han
        | '\u{20000}'..='\u{3ffff}');
    c.is_alphanumeric() && !unspaced
}

/// Whether a Lark grammar has a quotation in it.
pub(super) fn is_in(lark: &str) -> bool {
    lark.contains("\"substring_chunks\"")
}

/// How long a quotation may be, in characters.
#[derive(Clone, Copy, Default)]
pub(super) struct Length {
    pub(super) min: u64,
    pub(super) max: Option<u64>,
}

/// A Lark terminal for the quotations of a text, alone or as one JSON string with its quotes.
pub(super) fn terminal(text: &str, length: Length, in_json: bool) -> Result<String, String> {
    if text.len() > MAX_QUOTED_BYTES {
        return Err(format!("{} bytes of text to quote, {MAX_QUOTED_BYTES} at most", text.len()));
    }
    let text = normalise(text);
    let characters = text.chars().count() as u64;
    if characters == 0 {
        return Err("there is no text to quote".to_owned());
    }
    if length.min.max(1) > length.max.unwrap_or(u64::MAX) || length.min > characters {
        let most = length.max.map_or_else(String::new, |max| format!(" and at most {max}"));
        return Err(format!("no quotation of {characters} characters has at least {}{most}", length.min));
    }
    let image = |chunk: &str| if in_json { escape::escape(chunk) } else { chunk.to_owned() };
    let mut list = String::with_capacity(3 * text.len());
    for chunk in chunks(&text) {
        list.push_str(if list.is_empty() { "" } else { "," });
        push_json(&mut list, &image(chunk));
    }
    let any = if in_json && text.contains(escape::is_escaped) { escape::ONE } else { "(?s:.)" };
    let mut rule = format!("%regex {{\"substring_chunks\":[{list}]}} & {}", escape::regex(ENDS));
    if length.min > 1 || length.max.is_some_and(|max| max < characters) {
        let max = length.max.map_or_else(String::new, |max| max.min(characters).to_string());
        rule.push_str(&format!(" & {}", escape::regex(&format!("{any}{{{},{max}}}", length.min))));
    }
    Ok(if in_json { format!("\"\\\"\" ({rule}) \"\\\"\"") } else { rule })
}

/// Not empty, and no space at the ends. What stands between is held by the chunks; no escape has a space in it.
const ENDS: &str = "[^ ](?:(?s:.)*[^ ])?";

/// A JSON string without brackets, which are counted in Lark.
fn push_json(out: &mut String, text: &str) {
    for c in json!(text).to_string().chars() {
        match c {
            '(' | ')' | '[' | ']' | '{' | '}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quotation_is_a_run_of_whole_words() {
        let text = "The quick\tbrown\n\n fox, aged 3½, said \"hi\\\" — 日本語。";
        for yes in
            ["The", "quick brown fox", "fox,", ",", "aged 3½, said \"hi\\\"", "\"", "本語", "— 日", "。"]
        {
            assert!(quotes(text, yes), "{yes}");
        }
        for no in [
            "",
            " ",
            "Th",
            "quick ",
            " quick",
            "quick  brown",
            "quick\tbrown",
            "the",
            "brown quick",
            "hi—",
            "aged  ",
        ] {
            assert!(!quotes(text, no), "{no}");
        }
    }

    #[test]
    fn a_near_miss_in_a_repetitive_text_takes_no_longer_than_the_text() {
        let text = "a ".repeat(200_000);
        let value = format!("{}b", "a ".repeat(100_000));
        assert!(!quotes(&text, &value));
        assert!(quotes(&format!("{text} {value}"), &value));
    }

    #[test]
    fn chunks_put_together_are_the_text() {
        let text = "naïve e\u{301} x_y 3.14 ไทย 日本go한국어 \u{1f600}";
        assert_eq!(chunks(text).collect::<String>(), text);
        let all: Vec<_> = chunks("x_y 日本go").collect();
        assert_eq!(all, ["x", "_", "y", " ", "日", "本", "go"]);
    }

    #[test]
    fn what_leaves_nothing_to_quote_is_refused() {
        let length = |min, max| Length { min, max };
        assert!(terminal(" \n", Length::default(), true).is_err());
        assert!(terminal("abc", length(4, None), true).is_err());
        assert!(terminal("abc", length(0, Some(0)), true).is_err());
        assert!(terminal("abc", length(3, Some(2)), true).is_err());
        let long = "a".repeat(MAX_QUOTED_BYTES + 1);
        assert!(terminal(&long, Length::default(), false).is_err_and(|e| e.contains("1048576")));
    }
}
