//! What an answer may look like: a JSON Schema, a Lark grammar or a choice, compiled to a token matcher by llguidance.
//!
//! Invariant: a grammar is enforced or refused; nothing is decoded more freely than it says. JSON comes out on one
//! line, spaced as Python's `json.dumps` does, keys in the order of the schema. What of JSON Schema is taken is in `schema.rs`, and in llguidance's
//! `docs/json_schema.md`; Lark as in its `docs/syntax.md`.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use llguidance::{Matcher, ParserFactory, api::TopLevelGrammar, earley::SlicedBiasComputer};
use serde_json::{Value, json};
use toktrie::InferenceCapabilities;

use crate::{
    Error, schema,
    vocabulary::{Vocabulary, token_env},
};

/// What an answer may look like.
#[derive(Clone, Debug, PartialEq)]
pub enum Grammar {
    /// Anything.
    Free,
    /// JSON valid under this schema, in the form of [`crate::json_text`].
    JsonSchema(Value),
    /// A Lark grammar of llguidance; JSON inside it by [`json_in_lark`].
    Lark(String),
    /// One of these strings.
    Choice(Vec<String>),
}

/// `%json {…}` for the right side of a rule in a Lark grammar, with the same spacing and the same narrowing as
/// [`Grammar::JsonSchema`]. What is refused there makes the whole Lark grammar be refused, in the same words.
pub fn json_in_lark(schema: &Value) -> String {
    match schema::prepare(schema) {
        Ok(prepared) => format!("%json {prepared}"),
        Err(refusal) => format!("{REFUSAL}{}", json!(refusal.to_string())),
    }
}

/// Stands where a schema was refused; no Lark grammar holds it otherwise.
const REFUSAL: &str = "%refused\u{F0002}";

/// Most bytes of a Lark grammar: a document to quote from may be in it.
const MAX_LARK_BYTES: usize = 1 << 20;
const MAX_CHOICES: usize = 10_000;
/// Most brackets inside brackets in a Lark grammar, JSON included.
const MAX_LARK_DEPTH: usize = 200;
/// Compiled grammars that are kept for the next request with the same one.
const KEPT: usize = 8;
/// Stack for compiling: the engine recurses over the grammar.
const STACK_BYTES: usize = 16 << 20;
/// Compilations that the search for the place of a refusal may take.
const MAX_SEARCH: usize = 200;

/// The compiler, shared by the callers (who check) and the model thread (which decodes).
pub(crate) struct Grammars {
    factory: ParserFactory,
    kept: Mutex<VecDeque<(Grammar, Matcher)>>,
}

impl Grammars {
    pub(crate) fn new(vocabulary: &Arc<Vocabulary>) -> Result<Grammars, Error> {
        let capabilities = InferenceCapabilities { ff_tokens: true, ..Default::default() };
        let slices = SlicedBiasComputer::general_slices();
        let mut factory = ParserFactory::new(&token_env(vocabulary), capabilities, &slices)
            .map_err(|e| Error::Tokenizer(e.to_string()))?;
        factory.quiet();
        let limits = factory.limits_mut();
        // Errors must not carry the text decoded so far.
        limits.verbose_errors = false;
        limits.max_grammar_size = 300_000;
        // 1-2 kB each, and kept with the grammar.
        limits.max_lexer_states = 50_000;
        Ok(Grammars { factory, kept: Mutex::new(VecDeque::new()) })
    }

    /// A fresh matcher; `None` for [`Grammar::Free`].
    pub(crate) fn matcher(&self, grammar: &Grammar) -> Result<Option<Matcher>, Error> {
        if *grammar == Grammar::Free {
            return Ok(None);
        }
        if let Some(matcher) = self.take_kept(grammar) {
            return Ok(Some(matcher));
        }
        let matcher = on_large_stack(|| self.compile(grammar))?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.truncate(KEPT - 1);
        kept.push_front((grammar.clone(), matcher.clone()));
        Ok(Some(matcher))
    }

    /// A copy shares the lexer states found so far, which makes the next masks faster.
    fn take_kept(&self, grammar: &Grammar) -> Option<Matcher> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|(known, _)| known == grammar)?;
        let entry = kept.remove(at)?;
        let matcher = entry.1.clone();
        kept.push_front(entry);
        Some(matcher)
    }

    fn compile(&self, grammar: &Grammar) -> Result<Matcher, Error> {
        match grammar {
            Grammar::Free => Err(Error::Grammar("there is nothing to compile".into())),
            Grammar::JsonSchema(original) => {
                let prepared = schema::prepare(original)?;
                self.parse(TopLevelGrammar::from_json_schema(prepared))
                    .map_err(|message| self.locate(original, message))
            }
            Grammar::Lark(lark) => {
                check_lark(lark)?;
                self.parse(TopLevelGrammar::from_lark(lark.clone())).map_err(Error::Grammar)
            }
            Grammar::Choice(choices) => {
                let lark = choice_to_lark(choices)?;
                self.parse(TopLevelGrammar::from_lark(lark)).map_err(Error::Grammar)
            }
        }
    }

    fn parse(&self, grammar: TopLevelGrammar) -> Result<Matcher, String> {
        let parser = self.factory.create_parser(grammar).map_err(|e| clean(&format!("{e:#}")))?;
        let mut matcher = Matcher::new(Ok(parser));
        // A grammar that allows nothing at all shows here, not in the middle of an answer.
        match matcher.compute_mask_or_eos() {
            Ok(_) => Ok(matcher),
            Err(e) => Err(clean(&e.to_string())),
        }
    }

    /// Where in the schema the engine's complaint comes from: the innermost schema that fails alone.
    fn locate(&self, schema: &Value, message: String) -> Error {
        let definitions = |keyword: &str| schema.get(keyword).cloned();
        let (defs, definitions) = (definitions("$defs"), definitions("definitions"));
        let (mut path, mut message, mut inner, mut budget) = ("#".to_owned(), message, schema, MAX_SEARCH);
        'deeper: loop {
            for (place, child) in schema::children(inner, &path) {
                if budget == 0 {
                    break 'deeper;
                }
                budget -= 1;
                let mut alone = child.clone();
                if let Some(alone) = alone.as_object_mut() {
                    for (keyword, value) in [("$defs", &defs), ("definitions", &definitions)] {
                        if let Some(value) = value {
                            alone.entry(keyword).or_insert_with(|| value.clone());
                        }
                    }
                }
                let failed = schema::prepare(&alone)
                    .map_err(|e| e.to_string())
                    .and_then(|prepared| self.parse(TopLevelGrammar::from_json_schema(prepared)).map(drop));
                // A reference that leads outside the child fails for another reason than the whole.
                if let Err(reason) = failed
                    && (reason == message || !reason.contains("Pointer"))
                {
                    (path, message, inner) = (place, reason, child);
                    continue 'deeper;
                }
            }
            break;
        }
        schema::refused(&path, message)
    }
}

/// Compiling recurses; the caller's stack may be a small one.
fn on_large_stack<T: Send>(work: impl FnOnce() -> Result<T, Error> + Send) -> Result<T, Error> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("pawl-grammar".into()).stack_size(STACK_BYTES);
        let thread =
            thread.spawn_scoped(scope, work).map_err(|e| Error::Grammar(format!("no thread: {e}")))?;
        thread.join().unwrap_or_else(|_| Err(Error::Grammar("the grammar engine failed on it".into())))
    })
}

/// The engine's message without its own notes.
pub(crate) fn clean(message: &str) -> String {
    let message = message.replace("<non-verbose/>", "");
    let message = match message.trim() {
        "NoExtensionBias" => "it allows no value",
        message => message,
    };
    match message.char_indices().nth(500) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

fn check_lark(lark: &str) -> Result<(), Error> {
    if let Some((_, refusal)) = lark.split_once(REFUSAL) {
        let message = serde_json::Deserializer::from_str(refusal).into_iter::<String>().next();
        let message = message.and_then(Result::ok).unwrap_or_else(|| "a schema in it was refused".into());
        return Err(Error::Grammar(message));
    }
    if lark.len() > MAX_LARK_BYTES {
        return Err(Error::Grammar(format!("{} bytes of Lark, {MAX_LARK_BYTES} at most", lark.len())));
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
    Ok(())
}

fn choice_to_lark(choices: &[String]) -> Result<String, Error> {
    if choices.is_empty() || choices.len() > MAX_CHOICES {
        return Err(Error::Grammar(format!("{} choices; 1 to {MAX_CHOICES} are needed", choices.len())));
    }
    if choices.iter().any(String::is_empty) {
        return Err(Error::Grammar("an empty choice".into()));
    }
    let quoted: Vec<String> = choices.iter().map(|choice| json!(choice).to_string()).collect();
    let lark = format!("start: {}", quoted.join(" | "));
    if lark.len() > MAX_LARK_BYTES {
        return Err(Error::Grammar(format!("{} bytes of choices, {MAX_LARK_BYTES} at most", lark.len())));
    }
    Ok(lark)
}
