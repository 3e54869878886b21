//! Chat templates: messages to text, as Transformers renders them (Jinja2 with `trim_blocks` and `lstrip_blocks`,
//! Python's string methods, `raise_exception`, `strftime_now`, `tojson` that escapes nothing).
//!
//! Invariant: nothing that a message contains becomes a special token. The template never sees contents: it renders
//! markers of private-use characters, and contents take their places as [`Piece::Plain`] afterwards.
//!
//! A template that must look into contents loses a marker (it cuts, changes or drops it). Then it is rendered again
//! with the contents themselves, in which the first character of every special token (`<` in most models) is replaced
//! by a private-use stand-in, and the stand-ins are put back as plain text. Only then may the template drop a message.

use std::error::Error as _;

use minijinja::{Environment, ErrorKind, Value, syntax::SyntaxConfig, value::Kwargs};
use serde::{Deserialize, Serialize};

use crate::{Error, vocabulary::Piece};

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user`, `assistant` or what else the template knows; letters, digits, `_` and `-`, at most 32.
    pub role: String,
    /// Plain text.
    pub content: String,
}

impl Message {
    /// A message.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Message {
        Message { role: role.into(), content: content.into() }
    }
}

/// Most bytes of all contents together; far more than any context holds.
const MAX_CONTENT_BYTES: usize = 16 << 20;
const MAX_MESSAGES: usize = 10_000;

/// Markers: `OPEN`, the number of the message in `DIGITS`, `CLOSE`. Supplementary private use, planes 15 and 16.
const OPEN: char = '\u{F0000}';
const CLOSE: char = '\u{F0001}';
const DIGITS: u32 = 0xF0010;
/// Stand-ins for the first characters of special tokens.
const STAND_INS: u32 = 0x10_0000;

/// A compiled chat template.
pub(crate) struct Template {
    environment: Environment<'static>,
    bos: String,
    eos: String,
    openers: Vec<char>,
}

const NAME: &str = "chat";

impl Template {
    /// Compiles `source`. `bos` and `eos` are the texts of these tokens, `openers` the first characters of special ones.
    pub(crate) fn new(
        source: String,
        bos: String,
        eos: String,
        openers: Vec<char>,
    ) -> Result<Template, Error> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(template_error)?);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", raise_exception);
        environment.add_function("strftime_now", strftime_now);
        environment.add_filter("tojson", to_json);
        environment.add_template_owned(NAME, source).map_err(template_error)?;
        Ok(Template { environment, bos, eos, openers })
    }

    /// The rendered conversation with the generation prompt. Where the template refuses it (some know no `system`, no `tool`, or
    /// have user and assistant take turns), as [`folded`].
    pub(crate) fn render(&self, messages: &[Message]) -> Result<Vec<Piece>, Error> {
        check(messages)?;
        self.render_as_it_is(messages).or_else(|refused| match refused {
            Error::Template(_) | Error::Conversation(_) => {
                self.render_as_it_is(&folded(messages)).map_err(|_| refused)
            }
            other => Err(other),
        })
    }

    fn render_as_it_is(&self, messages: &[Message]) -> Result<Vec<Piece>, Error> {
        let marked: Vec<_> = (0..messages.len()).map(marker).collect();
        let rendered = self.render_with(messages, &marked)?;
        let pieces = split_at_markers(&rendered, messages);
        let kept = |index: usize| messages[index].content.is_empty() || rendered.contains(&marked[index]);
        if let Some(pieces) = pieces
            && (0..messages.len()).all(kept)
        {
            return Ok(pieces);
        }
        let disguised: Vec<_> = messages.iter().map(|m| self.disguise(&m.content)).collect();
        Ok(self.reveal(&self.render_with(messages, &disguised)?))
    }

    fn render_with(&self, messages: &[Message], contents: &[String]) -> Result<String, Error> {
        let template = self.environment.get_template(NAME).map_err(template_error)?;
        let messages: Vec<_> = messages
            .iter()
            .zip(contents)
            .map(|(message, content)| minijinja::context! { role => &message.role, content => content })
            .collect();
        let context = minijinja::context! {
            messages => messages, add_generation_prompt => true, bos_token => &self.bos, eos_token => &self.eos,
        };
        template.render(context).map_err(template_error)
    }

    fn disguise(&self, content: &str) -> String {
        let stand_in = |c: char| match self.openers.iter().position(|&opener| opener == c) {
            Some(index) => char::from_u32(STAND_INS + index as u32).unwrap_or(c),
            None => c,
        };
        content.chars().map(stand_in).collect()
    }

    fn reveal(&self, rendered: &str) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut template = String::new();
        for c in rendered.chars() {
            let index = (c as u32).checked_sub(STAND_INS).map(|i| i as usize);
            match index.and_then(|i| self.openers.get(i)) {
                Some(opener) => {
                    pieces.push(Piece::Template(std::mem::take(&mut template)));
                    pieces.push(Piece::Plain(opener.to_string()));
                }
                None => template.push(c),
            }
        }
        pieces.push(Piece::Template(template));
        pieces
    }
}

/// A conversation of `user` and `assistant` only, in turns: what a system message says begins the user's next one, a tool's result
/// is a user's message in the element that most models know, and neighbours of one role are one message.
fn folded(messages: &[Message]) -> Vec<Message> {
    let mut folded: Vec<Message> = Vec::new();
    for Message { role, content } in messages {
        let (role, content) = match role.as_str() {
            "tool" => ("user", format!("<tool_response>\n{content}\n</tool_response>")),
            "assistant" => ("assistant", content.clone()),
            _ => ("user", content.clone()),
        };
        match folded.last_mut() {
            Some(last) if last.role == role => {
                last.content.push_str("\n\n");
                last.content.push_str(&content);
            }
            _ => folded.push(Message::new(role, content)),
        }
    }
    folded
}

fn check(messages: &[Message]) -> Result<(), Error> {
    if messages.len() > MAX_MESSAGES {
        return Err(Error::Request(format!("{} messages, {MAX_MESSAGES} at most", messages.len())));
    }
    let bytes: usize = messages.iter().map(|m| m.content.len()).sum();
    if bytes > MAX_CONTENT_BYTES {
        return Err(Error::Request(format!("messages of {bytes} bytes, {MAX_CONTENT_BYTES} at most")));
    }
    for Message { role, .. } in messages {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if role.is_empty() || role.len() > 32 || !role.chars().all(plain) {
            let shown: String = role.chars().take(40).collect();
            return Err(Error::Request(format!(
                "role {shown:?}; a role is 1 to 32 letters, digits, `_` or `-`"
            )));
        }
    }
    Ok(())
}

fn marker(index: usize) -> String {
    let digit = |d: u8| char::from_u32(DIGITS + u32::from(d - b'0')).unwrap_or(OPEN);
    let digits: String = index.to_string().bytes().map(digit).collect();
    format!("{OPEN}{digits}{CLOSE}")
}

/// `None` when something that begins like a marker is not one.
fn split_at_markers(rendered: &str, messages: &[Message]) -> Option<Vec<Piece>> {
    let mut parts = rendered.split(OPEN);
    let mut pieces = vec![Piece::Template(parts.next()?.to_owned())];
    for part in parts {
        let (digits, after) = part.split_once(CLOSE)?;
        let mut index = 0_usize;
        for c in digits.chars() {
            let digit = (c as u32).checked_sub(DIGITS).filter(|d| *d < 10)?;
            index = index.checked_mul(10)?.checked_add(digit as usize)?;
        }
        pieces.push(Piece::Plain(messages.get(index)?.content.clone()));
        pieces.push(Piece::Template(after.to_owned()));
    }
    Some(pieces)
}

fn template_error(error: minijinja::Error) -> Error {
    if error.source().is_some_and(|source| source.is::<Refused>()) {
        return Error::Conversation(error.detail().unwrap_or("it does not say why").to_owned());
    }
    let at = error.line().map(|line| format!(" (line {line})")).unwrap_or_default();
    Error::Template(format!("{}{at}", error.detail().map_or_else(|| error.to_string(), str::to_owned)))
}

fn raise_exception(message: String) -> Result<Value, minijinja::Error> {
    Err(minijinja::Error::new(ErrorKind::InvalidOperation, message).with_source(Refused))
}

/// Marks what the template itself raised.
#[derive(Debug, thiserror::Error)]
#[error("raised by the chat template")]
struct Refused;

/// The local date and time, as Python's `datetime.now().strftime(format)`.
fn strftime_now(format: &str) -> Result<String, minijinja::Error> {
    jiff::fmt::strtime::format(format, &jiff::ZonedDateTime::now())
        .map_err(|e| minijinja::Error::new(ErrorKind::InvalidOperation, e.to_string()))
}

/// `json.dumps(value, ensure_ascii=False, indent=indent)`.
fn to_json(value: &Value, arguments: Kwargs) -> Result<Value, minijinja::Error> {
    let indent: Option<usize> = arguments.get("indent")?;
    let mut out = Vec::new();
    let written = match indent {
        Some(indent) => {
            let indent = " ".repeat(indent.min(16));
            let pretty = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
            value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, pretty))
        }
        None => value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, PythonFormatter)),
    };
    let failed = |e: String| minijinja::Error::new(ErrorKind::BadSerialization, e);
    written.map_err(|e| failed(e.to_string()))?;
    String::from_utf8(out).map(Value::from_safe_string).map_err(|e| failed(e.to_string()))
}

/// JSON as a model writes it under a grammar: with Python's separators, `, ` and `: `.
pub fn json_text(value: &serde_json::Value) -> String {
    let mut out = Vec::new();
    let written = value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, PythonFormatter));
    // Writing a JSON value to memory cannot fail; the plain form would say the same.
    written.ok().and_then(|()| String::from_utf8(out).ok()).unwrap_or_else(|| value.to_string())
}

/// Python's separators: `, ` and `: `.
struct PythonFormatter;

impl serde_json::ser::Formatter for PythonFormatter {
    fn begin_array_value<W: ?Sized + std::io::Write>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, out: &mut W) -> std::io::Result<()> {
        out.write_all(b": ")
    }
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
