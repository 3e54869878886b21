//! A second look at a finished value, apart from the matcher that it was decoded under.
//!
//! Invariant: the JSON Schema part is judged by `jsonschema`, quotations by [`super::quotes`], Lark by the plain
//! grammar over bytes: by neither the escapes nor the rewriting of this folder.

use std::sync::OnceLock;

use jsonschema::{Keyword, ValidationError, paths::Location};
use llguidance::{Matcher, ParserFactory, api::TopLevelGrammar};
use serde_json::{Map, Value};
use toktrie::{ApproximateTokEnv, TokEnv};

use super::{
    clean, configure, limits,
    nested::{self, KEYWORD, Rule},
    quotes,
};

/// Whether a value is valid under a JSON Schema with `x-pawl` rules; if not, where and why. Not on a small stack.
pub(super) fn holds(schema: &Value, value: &Value) -> Result<(), String> {
    // Of formats the grammar knows a wider form (29 February of any year), and some drafts ask for none: it has the word.
    let options = jsonschema::options().should_validate_formats(false);
    let validator = options.with_keyword(KEYWORD, keyword).build(schema);
    let validator = validator.map_err(|e| format!("not a JSON Schema: {e}"))?;
    validator.validate(value).map_err(|e| format!("at \"{}\": {e}", e.instance_path()))
}

/// The two kinds of rule, ready to judge strings.
enum Judge {
    Quote(String),
    Lark(Box<Matcher>),
}

fn keyword<'a>(
    parent: &'a Map<String, Value>,
    _: &'a Value,
    _: Location,
) -> Result<Box<dyn for<'i> Keyword<'i>>, ValidationError<'a>> {
    let rule = nested::rule(parent, "").map_err(|e| ValidationError::custom(e.to_string()))?;
    Ok(Box::new(match rule {
        Rule::Quote(text) => Judge::Quote(text.to_owned()),
        Rule::Lark(grammar) => Judge::Lark(Box::new(compile(grammar).map_err(ValidationError::custom)?)),
    }))
}

impl<'i> Keyword<'i> for Judge {
    fn validate(&self, instance: &'i Value) -> Result<(), ValidationError<'i>> {
        match (self, instance) {
            (Judge::Quote(text), Value::String(value)) if !quotes(text, value) => {
                Err(ValidationError::custom(format!("{value:.80?} is no quotation of the text")))
            }
            (Judge::Lark(matcher), Value::String(value)) if !accepts(matcher, value) => {
                Err(ValidationError::custom(format!("{value:.80?} is not in the grammar")))
            }
            _ => Ok(()),
        }
    }

    fn is_valid(&self, instance: &'i Value) -> bool {
        self.validate(instance).is_ok()
    }
}

/// Compiles a Lark grammar for bytes instead of a model's tokens.
pub(super) fn compile(lark: &str) -> Result<Matcher, String> {
    static FACTORY: OnceLock<Result<ParserFactory, String>> = OnceLock::new();
    limits::check(lark).map_err(|e| e.to_string())?;
    let factory = FACTORY.get_or_init(|| {
        let bytes: TokEnv = ApproximateTokEnv::single_byte_env();
        let mut factory = ParserFactory::new_simple(&bytes).map_err(|e| e.to_string())?;
        configure(&mut factory);
        Ok(factory)
    });
    let factory = factory.as_ref().map_err(Clone::clone)?;
    super::start(factory, TopLevelGrammar::from_lark(lark.to_owned())).map_err(|e| clean(&e))
}

/// Whether a fresh matcher over bytes takes a whole text.
pub(super) fn accepts(matcher: &Matcher, text: &str) -> bool {
    let mut matcher = matcher.deep_clone();
    let bytes: Vec<u32> = text.bytes().map(u32::from).collect();
    matcher.try_consume_tokens(&bytes).is_ok_and(|taken| taken == bytes.len())
        && (matcher.is_accepting().unwrap_or(false) || matcher.is_stopped() && matcher.stop_reason().is_ok())
}
