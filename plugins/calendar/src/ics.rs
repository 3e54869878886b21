//! iCalendar text: RFC 5545, section 3.1 (content lines, folding, parameters) and 3.3.11 (escapes in TEXT).
//!
//! Invariant: properties and components that nothing here knows are kept and written as they were read; a line is at
//! most 75 octets and is never folded inside a character. Depth and size of what is read are bounded.

use std::fmt::Write as _;

/// The longest text that is read, in bytes.
pub const MAX_TEXT: usize = 900_000;
/// The deepest nesting of components.
const MAX_DEPTH: usize = 6;

/// The line that something began on, from 1; 0 where it was not read. No part of what it is: any two are equal.
#[derive(Debug, Clone, Copy, Default)]
pub struct Line(pub usize);

impl PartialEq for Line {
    fn eq(&self, _: &Line) -> bool {
        true
    }
}

impl Eq for Line {}

/// `NAME;PARAMETERS:VALUE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// In capitals.
    pub name: String,
    /// What stands between the name and the colon, with its first semicolon; as it was read.
    pub parameters: String,
    /// As it stands, escapes included.
    pub value: String,
    /// Where it was read.
    pub line: Line,
}

/// `BEGIN:NAME` to `END:NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Component {
    /// In capitals.
    pub name: String,
    /// In order.
    pub properties: Vec<Property>,
    /// After the properties, in order.
    pub parts: Vec<Component>,
    /// Where it was read.
    pub line: Line,
}

impl Property {
    /// The value of a parameter, without quotes.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let mut rest = self.parameters.as_str();
        while let Some(after) = rest.strip_prefix(';') {
            let end = outside_quotes(after, ';').unwrap_or(after.len());
            let (item, next) = after.split_at(end);
            if let Some((key, value)) = item.split_once('=')
                && key.eq_ignore_ascii_case(name)
            {
                return Some(value.trim_matches('"'));
            }
            rest = next;
        }
        None
    }

    /// The value as text, without its escapes.
    #[must_use]
    pub fn text(&self) -> String {
        let (mut text, mut characters) = (String::new(), self.value.chars());
        while let Some(c) = characters.next() {
            text.push(match c {
                '\\' => match characters.next() {
                    Some('n' | 'N') => '\n',
                    Some(other) => other,
                    None => '\\',
                },
                c => c,
            });
        }
        text
    }
}

impl Component {
    /// A component without properties.
    #[must_use]
    pub fn new(name: &str) -> Component {
        Component { name: name.to_owned(), ..Component::default() }
    }

    /// The first property of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Property> {
        self.all(name).next()
    }

    /// All properties of a name.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &Property> {
        self.properties.iter().filter(move |property| property.name == name)
    }

    /// Takes all properties of a name away.
    pub fn remove(&mut self, name: &str) {
        self.properties.retain(|property| property.name != name);
    }

    /// Puts a property at the end; parameters begin with a semicolon.
    pub fn add(&mut self, name: &str, parameters: &str, value: &str) {
        let (name, parameters, value) = (name.to_owned(), parameters.to_owned(), value.to_owned());
        self.properties.push(Property { name, parameters, value, line: Line(0) });
    }

    /// The component as lines, folded.
    pub fn write(&self, out: &mut String) {
        fold(out, &format!("BEGIN:{}", self.name));
        for Property { name, parameters, value, .. } in &self.properties {
            fold(out, &format!("{name}{parameters}:{value}"));
        }
        for part in &self.parts {
            part.write(out);
        }
        fold(out, &format!("END:{}", self.name));
    }
}

/// Text as a TEXT value.
#[must_use]
pub fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace(';', "\\;")
        .replace(',', "\\,")
        .replace("\r\n", "\\n")
        .replace('\n', "\\n")
}

fn outside_quotes(text: &str, wanted: char) -> Option<usize> {
    let mut quoted = false;
    text.char_indices()
        .find(|(_, c)| {
            quoted ^= *c == '"';
            !quoted && *c == wanted
        })
        .map(|(at, _)| at)
}

fn fold(out: &mut String, line: &str) {
    let mut length = 0;
    for c in line.chars().filter(|c| !matches!(c, '\r' | '\n')) {
        if length + c.len_utf8() > 75 {
            out.push_str("\r\n ");
            length = 1;
        }
        out.push(c);
        length += c.len_utf8();
    }
    out.push_str("\r\n");
}

/// The content lines of a text, unfolded, each with the number of its first line.
fn unfolded(text: &str) -> impl Iterator<Item = (Line, String)> {
    let text = text.trim_start_matches('\u{feff}');
    let mut lines = text.split(if text.contains('\n') { '\n' } else { '\r' }).zip(1..).peekable();
    std::iter::from_fn(move || {
        let whole = |line: &str| line.strip_suffix('\r').unwrap_or(line).to_owned();
        let (first, number) = lines.next()?;
        let mut line = whole(first);
        while let Some((more, _)) = lines.next_if(|(next, _)| next.starts_with([' ', '\t'])) {
            line.push_str(&whole(more.get(1..).unwrap_or("")));
        }
        Some((Line(number), line))
    })
}

/// Reads all components at the top of a text.
///
/// # Errors
/// The line that is wrong, what is wrong with it and what to write.
pub fn parse(text: &str) -> Result<Vec<Component>, String> {
    if text.len() > MAX_TEXT {
        return Err(format!(
            "the text has {} bytes; {MAX_TEXT} at most: give its events in several parts",
            text.len()
        ));
    }
    let (mut top, mut open): (Vec<Component>, Vec<Component>) = (Vec::new(), Vec::new());
    for (at, line) in unfolded(text).filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |what: &str| {
            let mut message = format!("line {}, `", at.0);
            let _ = write!(message, "{}`: {what}", line.chars().take(40).collect::<String>().escape_debug());
            message
        };
        let colon = outside_quotes(&line, ':').ok_or_else(|| {
            wrong("no NAME:VALUE; a line that goes on from the one before begins with a space")
        })?;
        let (head, value) = (line.get(..colon).unwrap_or(""), line.get(colon + 1..).unwrap_or(""));
        let (name, parameters) = head.split_at(head.find(';').unwrap_or(head.len()));
        let name = name.trim().to_ascii_uppercase();
        if name.is_empty()
            || !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
        {
            return Err(wrong(
                "no property name before the colon; a line that goes on from the one before begins with a space",
            ));
        }
        let depth = open.len();
        match (name.as_str(), open.last_mut()) {
            ("BEGIN", _) if depth >= MAX_DEPTH => {
                return Err(wrong("too many components in each other; END them before"));
            }
            ("BEGIN", _) => {
                open.push(Component { line: at, ..Component::new(&value.trim().to_ascii_uppercase()) });
            }
            ("END", _) => {
                let done = open.pop().ok_or_else(|| wrong("nothing is open; leave it out"))?;
                if !done.name.eq_ignore_ascii_case(value.trim()) {
                    return Err(wrong(&format!(
                        "{} of line {} is open; write END:{} before",
                        done.name, done.line.0, done.name
                    )));
                }
                open.last_mut().map_or(&mut top, |outer| &mut outer.parts).push(done);
            }
            (_, Some(component)) => {
                component.add(&name, parameters, value);
                if let Some(property) = component.properties.last_mut() {
                    property.line = at;
                }
            }
            (_, None) => {
                return Err(wrong("it stands outside BEGIN and END; a file begins with BEGIN:VCALENDAR"));
            }
        }
    }
    match open.pop() {
        Some(component) => Err(format!(
            "line {}: END:{} is missing; the text is cut off, give all of it",
            component.line.0, component.name
        )),
        None => Ok(top),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_again_folded_and_escaped() {
        let text = "BEGIN:VEVENT\r\nSUMMARY;LANGUAGE=de;X-A=\"a;b:c\":Kaffee\\, Kuchen\\; und\\nmehr ä\r\n \
                    ä\r\nX-ODD-THING:kept\r\nBEGIN:VALARM\r\nTRIGGER:-PT15M\r\nEND:VALARM\r\nEND:VEVENT\r\n";
        let read = parse(text).expect("read");
        let summary = read[0].get("SUMMARY").expect("there");
        assert_eq!(summary.text(), "Kaffee, Kuchen; und\nmehr ää");
        assert_eq!((summary.parameter("x-a"), summary.parameter("language")), (Some("a;b:c"), Some("de")));
        let mut out = String::new();
        read[0].write(&mut out);
        assert_eq!(out, text.replace("ä\r\n ä", "ää"));
        let mut long = Component::new("VEVENT");
        long.add("SUMMARY", "", &"会".repeat(100));
        out.clear();
        long.write(&mut out);
        assert!(out.split("\r\n").all(|line| line.len() <= 75), "{out}");
        assert_eq!(parse(&out).expect("read"), [long]);
    }

    #[test]
    fn broken_text_is_refused_with_the_line() {
        for (text, part) in [
            ("hello", "line 1"),
            ("SUMMARY:x", "outside"),
            ("BEGIN:VEVENT\nSUMMARY:x", "END:VEVENT is missing"),
            ("BEGIN:A\nEND:B", "A of line 1 is open"),
            ("END:B", "nothing is open"),
            (&"BEGIN:A\n".repeat(1000), "too many"),
            ("BEGIN:A\n会议:x\nEND:A", "no property name"),
            (&"x".repeat(MAX_TEXT + 1), "at most"),
        ] {
            let error = parse(text).expect_err(part);
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}
