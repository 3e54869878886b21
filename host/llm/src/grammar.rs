//! What an answer may look like, compiled to a token matcher by llguidance.
//!
//! Invariant: a grammar is enforced or refused; nothing is decoded more freely than it says. JSON comes out on one
//! line, spaced as Python's `json.dumps` does, keys in the order of the schema. What of JSON Schema is taken is in
//! `schema.rs`, and in llguidance's `docs/json_schema.md`; Lark as in its `docs/syntax.md`; regexes as the `regex` crate
//! reads them, matching the whole answer.
//!
//! Rooms: `limits.rs` (what a Lark text keeps to before the engine reads it), `quotation.rs` (verbatim runs of words of a
//! text), `nested.rs` (JSON Schemas whose strings are held to a quotation or a Lark grammar by `x-pawl`), `lark.rs`,
//! `image.rs`, `escape.rs`, `lookahead.rs` (Lark rewritten for the inside of a JSON string), `holds.rs` (a second look at a
//! finished value).

mod escape;
mod holds;
mod image;
mod lark;
mod limits;
mod lookahead;
pub(crate) mod nested;
mod quotation;

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use llguidance::{
    Logger, Matcher, ParserFactory,
    api::{GrammarInit, TopLevelGrammar},
};
use serde_json::{Value, json};
use toktrie::InferenceCapabilities;

use self::limits::{MAX_LARK_BYTES, MAX_WRITTEN_BYTES, REFUSAL};
pub(crate) use self::quotation::MAX_QUOTED_BYTES;
pub use self::quotation::quotes;
use crate::{
    Error,
    schema::{self, Work},
    vocabulary::{Vocabulary, token_env},
};

/// What an answer may look like.
#[derive(Clone, Debug, PartialEq)]
pub enum Grammar {
    /// Anything.
    Free,
    /// JSON valid under this schema, in the form of [`crate::json_text`]. A string schema may be held to what exists by
    /// `"x-pawl": {"quote": "TEXT"}` (a quotation, as [`Grammar::Quotation`]) or `"x-pawl": {"lark": "GRAMMAR"}`.
    JsonSchema(Value),
    /// A Lark grammar of llguidance; JSON inside it by [`json_in_lark`]. A complement (`~`) in it is one of bytes: for one
    /// of text, meet it with `/(?s:.)*/`.
    Lark(String),
    /// What this regex matches as a whole, in the syntax of the `regex` crate without look-arounds.
    Regex(String),
    /// One of these strings.
    Choice(Vec<String>),
    /// A run of whole words of this text, verbatim but for white space; [`quotes`] says yes to it. 1 MiB at most.
    Quotation(String),
}

impl Grammar {
    /// What tells it from every other one: of two schemas also the order of the keys, which is that of the answer.
    fn text(&self) -> String {
        match self {
            Grammar::Free => String::new(),
            Grammar::JsonSchema(schema) => format!("schema {schema}"),
            Grammar::Lark(lark) => format!("lark {lark}"),
            Grammar::Regex(pattern) => format!("regex {pattern}"),
            Grammar::Choice(choices) => format!("choice {}", json!(choices)),
            Grammar::Quotation(text) => format!("quotation {text}"),
        }
    }
}

/// An expression for the right side of a rule in a Lark grammar, with the same spacing, narrowing and refusals as
/// [`Grammar::JsonSchema`]. What is refused there makes the whole Lark grammar be refused, in the same words.
pub fn json_in_lark(schema: &Value) -> String {
    let expression = || {
        schema::measure(schema)?;
        if nested::has_rule(schema) {
            on_large_stack(|| nested::lark(schema))?.map(|lines| format!("%lark {{\n{lines}\n}}"))
        } else {
            schema::prepare(schema).map(|prepared| format!("%json {prepared}"))
        }
    };
    expression().unwrap_or_else(|refusal| format!("{REFUSAL}{}", json!(refusal.to_string())))
}

/// Whether a value is valid under a JSON Schema, its `x-pawl` rules included: a second look, apart from the grammar that
/// it was decoded under. If not, says where and why.
pub fn holds(schema: &Value, value: &Value) -> Result<(), String> {
    schema::measure(schema).map_err(|e| e.to_string())?;
    on_large_stack(|| holds::holds(schema, value)).map_err(|e| e.to_string())?
}

/// Work to build the terminals of a grammar with quotations: a text of 1 MB takes about a second and a third of it.
const QUOTATION_FUEL: u64 = 8_000_000;
/// Work on one mask under quotations, 14,000 units a millisecond at least: the first looks at all words of the text.
const QUOTATION_STEP_FUEL: u64 = 2_000_000;
const MAX_CHOICES: usize = 10_000;
/// Compiled grammars that are kept for the next request with the same one.
const KEPT: usize = 8;
/// Stack for compiling: the engine recurses over the grammar. The limits of `limits.rs` and `schema/references.rs` are for
/// this one, and leave half of it. What is not used takes no memory.
const STACK_BYTES: usize = 32 << 20;
/// Longest that the search for the place of a refusal may go on; then the last place that it found is told.
const SEARCH: Duration = Duration::from_secs(1);

/// Sets of tokens that are allowed or not as a whole, which is what makes masks inside strings fast. Of llguidance's own four
/// the two that do: those of white space and of letters without end made no mask faster and take 12 MB each of a vocabulary
/// of 150,000 tokens; without the shorter one of these, masks near a string's end take 2.5 times as long.
const SLICES: [&str; 2] = [r#"[^"\\\x00-\x1F\x7F]{1,10}"#, r#"[^"\\\x00-\x1F\x7F]{1,30}"#];

/// The compiler, shared by the callers (who check) and the model thread (which decodes).
pub(crate) struct Grammars {
    factory: ParserFactory,
    /// By [`Grammar::text`].
    kept: Mutex<VecDeque<(String, Compiled)>>,
}

/// A grammar that was compiled.
#[derive(Clone)]
pub(crate) struct Compiled {
    /// Copies share a lexer, with the states that it found and the error that it met.
    pub(crate) matcher: Matcher,
    spare: Arc<Mutex<Matcher>>,
}

impl Compiled {
    /// A matcher at its beginning that shares nothing with others.
    pub(crate) fn own_matcher(&self) -> Matcher {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).deep_clone()
    }
}

impl Grammars {
    pub(crate) fn new(vocabulary: &Arc<Vocabulary>) -> Result<Grammars, Error> {
        let capabilities = InferenceCapabilities { ff_tokens: true, ..Default::default() };
        let slices = SLICES.map(str::to_owned);
        let mut factory = ParserFactory::new(&token_env(vocabulary), capabilities, &slices)
            .map_err(|e| Error::Tokenizer(e.to_string()))?;
        configure(&mut factory);
        Ok(Grammars { factory, kept: Mutex::new(VecDeque::new()) })
    }

    /// A fresh matcher; `None` for [`Grammar::Free`].
    pub(crate) fn compiled(&self, grammar: &Grammar) -> Result<Option<Compiled>, Error> {
        if *grammar == Grammar::Free {
            return Ok(None);
        }
        let text = grammar.text();
        if let Some(compiled) = self.take_kept(&text) {
            return Ok(Some(compiled));
        }
        let matcher = on_large_stack(|| self.compile(grammar))??;
        let spare = Arc::new(Mutex::new(matcher.deep_clone()));
        let compiled = Compiled { matcher, spare };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.truncate(KEPT - 1);
        kept.push_front((text, compiled.clone()));
        Ok(Some(compiled))
    }

    /// A copy shares the lexer states found so far, which makes the next masks faster; and an error of the lexer, which stays:
    /// then the grammar is compiled anew.
    fn take_kept(&self, text: &str) -> Option<Compiled> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|(known, _)| known == text)?;
        let entry = kept.remove(at)?;
        let mut compiled = entry.1.clone();
        let sound = catch_unwind(AssertUnwindSafe(|| compiled.matcher.compute_mask_or_eos().is_ok()));
        if !sound.unwrap_or(false) {
            return None;
        }
        kept.push_front(entry);
        Some(compiled)
    }

    fn compile(&self, grammar: &Grammar) -> Result<Matcher, Error> {
        match grammar {
            Grammar::Free => Err(Error::Grammar("there is nothing to compile".into())),
            Grammar::JsonSchema(original) => self.compile_schema(original),
            Grammar::Lark(lark) => self.compile_lark(lark.clone()),
            Grammar::Regex(pattern) => self.compile_lark(regex_to_lark(pattern)?),
            Grammar::Choice(choices) => self.compile_lark(choice_to_lark(choices)?),
            Grammar::Quotation(text) => {
                let terminal = quotation::terminal(text, quotation::Length::default(), false);
                self.compile_lark(format!("start: TEXT\nTEXT: {}", terminal.map_err(Error::Grammar)?))
            }
        }
    }

    fn compile_lark(&self, lark: String) -> Result<Matcher, Error> {
        limits::check(&lark)?;
        start(&self.factory, TopLevelGrammar::from_lark(lark)).map_err(Error::Grammar)
    }

    fn compile_schema(&self, original: &Value) -> Result<Matcher, Error> {
        schema::measure(original)?;
        if !nested::has_rule(original) {
            let prepared = schema::prepare(original)?;
            let compiled = start(&self.factory, TopLevelGrammar::from_json_schema(prepared));
            return compiled
                .map_err(|message| self.locate(original, "#".to_owned(), message, Instant::now()));
        }
        let lark = nested::lark(original)?;
        let within = limits::check_within(&lark, MAX_WRITTEN_BYTES).map_err(|e| match e {
            Error::Grammar(message) => message,
            other => other.to_string(),
        });
        within.and_then(|()| start(&self.factory, TopLevelGrammar::from_lark(lark))).map_err(|message| {
            let begun = Instant::now();
            let failed = |(path, part): (String, &Value)| {
                let part = nested::alone(original, part);
                let reason = self.try_schema(&part, &path).err()?;
                Some(self.locate(&part, path, reason, begun))
            };
            let parts = nested::plain_parts(original, "#").into_iter();
            let mut parts = parts.take_while(|_| begun.elapsed() < SEARCH);
            parts.find_map(failed).unwrap_or_else(|| schema::refused("#", message))
        })
    }

    fn try_schema(&self, schema: &Value, path: &str) -> Result<(), String> {
        let prepared = schema::prepare_at(schema, path, &mut Work::default()).map_err(|e| e.to_string())?;
        start(&self.factory, TopLevelGrammar::from_json_schema(prepared)).map(drop)
    }

    /// Where in the schema the engine's complaint comes from: the innermost schema that fails alone, as far as the time that
    /// is left since the search began lets it be found.
    fn locate(&self, schema: &Value, path: String, message: String, begun: Instant) -> Error {
        let definitions = |keyword: &str| schema.get(keyword).cloned();
        let (defs, definitions) = (definitions("$defs"), definitions("definitions"));
        let (mut path, mut message, mut inner) = (path, message, schema);
        'deeper: loop {
            for (place, child) in schema::children(inner) {
                if begun.elapsed() >= SEARCH {
                    break 'deeper;
                }
                let mut alone = child.clone();
                if let Some(alone) = alone.as_object_mut() {
                    for (keyword, value) in [("$defs", &defs), ("definitions", &definitions)] {
                        if let Some(value) = value {
                            alone.entry(keyword).or_insert_with(|| value.clone());
                        }
                    }
                }
                let failed = self.try_schema(&alone, "#");
                // A reference that leads outside the child fails for another reason than the whole.
                if let Err(reason) = failed
                    && (reason == message || !reason.contains("Pointer"))
                {
                    (path, message, inner) = (place.under(&path), reason, child);
                    continue 'deeper;
                }
            }
            break;
        }
        schema::refused(&path, message)
    }
}

/// The limits of a compiler.
fn configure(factory: &mut ParserFactory) {
    factory.quiet();
    let limits = factory.limits_mut();
    // Errors must not carry the text decoded so far.
    limits.verbose_errors = false;
    limits.max_grammar_size = 300_000;
    // 1-2 kB each, and kept with the grammar.
    limits.max_lexer_states = 50_000;
}

/// Compiles a grammar and looks for its first tokens.
fn start(factory: &ParserFactory, grammar: TopLevelGrammar) -> Result<Matcher, String> {
    let mut limits = factory.limits().clone();
    if grammar.grammars.iter().any(|g| g.lark_grammar.as_deref().is_some_and(quotation::is_in)) {
        limits.initial_lexer_fuel = QUOTATION_FUEL;
        limits.step_lexer_fuel = QUOTATION_STEP_FUEL;
    }
    let capabilities = InferenceCapabilities { ff_tokens: true, ..Default::default() };
    let init = GrammarInit::Serialized(grammar);
    let parser = factory.create_parser_from_init_ext(init, Logger::new(0, 0), capabilities, limits);
    let parser = parser.map_err(|e| clean(&format!("{e:#}")))?;
    let mut matcher = Matcher::new(Ok(parser));
    // A grammar that allows nothing at all shows here, not in the middle of an answer.
    match matcher.compute_mask_or_eos() {
        Ok(_) => Ok(matcher),
        Err(e) => Err(clean(&e.to_string())),
    }
}

/// Compiling recurses; the caller's stack may be a small one.
fn on_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, Error> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("pawl-grammar".into()).stack_size(STACK_BYTES);
        let thread =
            thread.spawn_scoped(scope, work).map_err(|e| Error::Grammar(format!("no thread: {e}")))?;
        thread.join().map_err(|_| Error::Grammar("the grammar engine failed on it".into()))
    })
}

/// The engine's message without its own notes.
pub(crate) fn clean(message: &str) -> String {
    let message = message.replace("<non-verbose/>", "");
    // Where it panicked: the inside of a program, told to whoever sent a schema.
    let message = message.split("<backtrace>").next().unwrap_or_default();
    let message = match message.trim() {
        "NoExtensionBias" => "it allows no value",
        message => message,
    };
    match message.char_indices().nth(500) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

fn regex_to_lark(pattern: &str) -> Result<String, Error> {
    if pattern.is_empty() {
        return Err(Error::Grammar("an empty regex".into()));
    }
    if schema::has_many_classes(pattern) {
        return Err(Error::Grammar(format!("regex `{pattern:.80}`: it has too many classes")));
    }
    escape::parse(pattern).map_err(|reason| Error::Grammar(format!("regex `{pattern:.80}`: {reason}")))?;
    Ok(format!("start: {}", escape::regex(pattern)))
}

fn choice_to_lark(choices: &[String]) -> Result<String, Error> {
    if choices.is_empty() || choices.len() > MAX_CHOICES {
        return Err(Error::Grammar(format!("{} choices; 1 to {MAX_CHOICES} are needed", choices.len())));
    }
    if choices.iter().any(String::is_empty) {
        return Err(Error::Grammar("an empty choice".into()));
    }
    let quoted: Vec<String> = choices.iter().map(|choice| escape::literal(choice)).collect();
    let lark = format!("start: {}", quoted.join(" | "));
    if lark.len() > MAX_LARK_BYTES {
        return Err(Error::Grammar(format!("{} bytes of choices, {MAX_LARK_BYTES} at most", lark.len())));
    }
    Ok(lark)
}
