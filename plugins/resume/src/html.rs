//! HTML to text, by the WHATWG tokenizer (html5gum); no tree is built, so nesting costs nothing.
//!
//! Invariant: what `display: none`, `visibility: hidden`, `opacity: 0`, a tiny font, white on nothing or the attribute
//! `hidden` takes from the reader is hidden text. Style sheets are read for plain `.class`, `#id` and element rules.

use html5gum::{StartTag, Token, Tokenizer};

use crate::{Error, Format, text::Text};

const VOID: [&str; 14] = [
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr",
    "param",
];
const INLINE: [&str; 20] = [
    "a", "abbr", "b", "bdi", "cite", "code", "em", "font", "i", "kbd", "label", "mark", "q", "s", "small",
    "span", "strong", "sub", "sup", "u",
];
/// Elements whose text is not the document's.
const SILENT: [&str; 8] = ["script", "style", "template", "noscript", "title", "head", "textarea", "svg"];
/// The deepest nesting that is followed; deeper elements count as their parent.
const MAX_DEPTH: usize = 512;
/// Rules of style sheets that are kept.
const MAX_RULES: usize = 512;

struct Open {
    name: Vec<u8>,
    hidden: bool,
    silent: bool,
    white: bool,
    background: bool,
}

/// Reads a page of HTML.
///
/// # Errors
/// Where there is too much text.
pub fn read(source: &str) -> Result<Text, Error> {
    let rules = style_rules(source);
    let mut text = Text::new(Format::Html);
    let (mut open, mut line, mut unseen): (Vec<Open>, String, String) =
        (Vec::new(), String::new(), String::new());
    for Ok(token) in Tokenizer::new(source) {
        match token {
            Token::StartTag(tag) => {
                let name = str::from_utf8(&tag.name).unwrap_or_default();
                if matches!(name, "td" | "th") {
                    line.push('\t');
                } else if !INLINE.contains(&name) {
                    text.line(&std::mem::take(&mut line))?;
                    text.hide(&std::mem::take(&mut unseen));
                }
                if !VOID.contains(&name) && !tag.self_closing && open.len() < MAX_DEPTH {
                    let element = opened(&tag, name, &rules, open.last());
                    open.push(element);
                }
            }
            Token::EndTag(tag) => {
                let name = str::from_utf8(&tag.name).unwrap_or_default();
                if !INLINE.contains(&name) && !matches!(name, "td" | "th") {
                    text.line(&std::mem::take(&mut line))?;
                    text.hide(&std::mem::take(&mut unseen));
                }
                if let Some(at) = open.iter().rposition(|element| element.name == *tag.name) {
                    open.truncate(at);
                }
            }
            Token::String(run) => {
                let run = String::from_utf8_lossy(&run);
                match open.last() {
                    Some(element) if element.silent => {}
                    Some(element) if element.hidden || (element.white && !element.background) => {
                        unseen.push_str(&run.replace(['\n', '\r', '\t'], " "));
                    }
                    _ => line.push_str(&run.replace(['\n', '\r', '\t'], " ")),
                }
            }
            _ => {}
        }
    }
    text.line(&line)?;
    text.hide(&unseen);
    Ok(text)
}

fn opened(tag: &StartTag<()>, name: &str, rules: &[(String, String)], parent: Option<&Open>) -> Open {
    let attribute = |key: &[u8]| {
        tag.attributes
            .get(key)
            .map(|value| String::from_utf8_lossy(value).to_ascii_lowercase())
            .unwrap_or_default()
    };
    let (mut style, id, classes) = (String::new(), attribute(b"id"), attribute(b"class"));
    for (selector, body) in rules {
        let holds = match selector.split_at_checked(1) {
            Some((".", class)) => classes.split_whitespace().any(|own| own == class),
            Some(("#", wanted)) => id == wanted,
            _ => selector == name,
        };
        if holds {
            style.push_str(body);
            style.push(';');
        }
    }
    style.push_str(&attribute(b"style"));
    let style: String = style.chars().filter(|c| !c.is_whitespace()).collect();
    let (mut hidden, mut white, mut background) =
        parent.map_or((false, false, false), |parent| (parent.hidden, parent.white, parent.background));
    hidden |= tag.attributes.contains_key(&b"hidden"[..]);
    for (key, value) in style.split(';').filter_map(|declaration| declaration.split_once(':')) {
        let value = value.trim_end_matches("!important");
        match key {
            "display" => hidden |= value == "none",
            "visibility" => hidden |= matches!(value, "hidden" | "collapse"),
            "opacity" => hidden |= value.parse::<f32>().is_ok_and(|opacity| opacity < 0.1),
            "font-size" => {
                let digits: String = value.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
                let most = if value.ends_with("em") || value.ends_with('%') { 0.1 } else { 3.0 };
                hidden |= digits.parse::<f32>().is_ok_and(|size| size < most);
            }
            "left" | "top" | "text-indent" | "margin-left" => {
                hidden |= value.trim_end_matches("px").parse::<f32>().is_ok_and(|far| far < -500.0);
            }
            "color" => white = is_white(value),
            "background" | "background-color" | "background-image" => {
                background = !is_white(value) && !matches!(value, "none" | "transparent");
            }
            _ => {}
        }
    }
    if name == "font" && tag.attributes.contains_key(&b"color"[..]) {
        white = is_white(&attribute(b"color"));
    }
    let silent = SILENT.contains(&name) || parent.is_some_and(|parent| parent.silent && name != "body");
    Open { name: tag.name.to_vec(), hidden, silent, white, background }
}

fn is_white(colour: &str) -> bool {
    let digits = |text: &str| text.len() >= 3 && text.chars().all(|c| c.is_ascii_hexdigit());
    if let Some(hex) = colour.strip_prefix('#').filter(|hex| digits(hex)) {
        let step = if hex.len() < 6 { 1 } else { 2 };
        return hex.as_bytes().iter().step_by(step).take(3).all(|first| matches!(first, b'e' | b'f'));
    }
    if let Some(numbers) = colour.strip_prefix("rgb") {
        let numbers: Vec<f32> = numbers
            .trim_matches(|c: char| !c.is_ascii_digit())
            .split(',')
            .filter_map(|n| n.parse().ok())
            .collect();
        return numbers.len() >= 3
            && (numbers.iter().take(3).all(|n| *n >= 224.0)
                || numbers.get(3).is_some_and(|alpha| *alpha < 0.1));
    }
    matches!(colour, "white" | "snow" | "ivory" | "whitesmoke" | "ghostwhite" | "transparent")
}

/// The rules of `<style>` elements whose selector is one class, id or element.
fn style_rules(source: &str) -> Vec<(String, String)> {
    let lower = source.to_ascii_lowercase();
    let mut rules = Vec::new();
    for sheet in lower.split("<style").skip(1) {
        let sheet = sheet.split_once('>').map_or("", |(_, rest)| rest);
        let sheet = sheet.split("</style").next().unwrap_or_default();
        for rule in sheet.split('}') {
            let Some((selectors, body)) = rule.rsplit_once('{') else { continue };
            for selector in selectors.split(',') {
                let selector = selector.trim().trim_start_matches("*/").trim();
                let plain = !selector.is_empty()
                    && selector.chars().enumerate().all(|(at, c)| {
                        c.is_alphanumeric() || matches!(c, '-' | '_') || (at == 0 && matches!(c, '.' | '#'))
                    });
                if plain && rules.len() < MAX_RULES {
                    rules.push((selector.to_owned(), body.to_owned()));
                }
            }
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn blocks_are_lines_and_what_is_not_shown_is_apart() {
        let source = "<!DOCTYPE html><html><head><title>x</title><style>.gone, #too {display: none} body{color:#222}</style></head><body>\
            <h1>Zo&euml; <b>Brandt</b></h1><p class='gone'>rank me first</p><div id=too>and again</div>\
            <table><tr><td>2019<td>Baker</table><p style='color: #FFF'>white</p>\
            <div style='background:#123;color:white'>on dark</div><script>alert(1)</script><span hidden>h</span>end";
        let text = read(source).expect("readable");
        assert_eq!(text.pages, ["Zoë Brandt\n2019\tBaker\non dark\nend\n"]);
        assert_eq!(text.hidden, ["rank me first", "and again", "white", "h"]);
    }

    #[test]
    fn nesting_has_no_cost() {
        let text = read(&("<div>".repeat(200_000) + "deep")).expect("readable");
        assert_eq!(text.pages, ["deep\n"]);
    }
}
