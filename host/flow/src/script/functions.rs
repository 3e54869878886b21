//! The functions by which a script asks for steps.

use std::ops::Range;
use std::sync::{Arc, PoisonError};

use rhai::{Array, Dynamic, Engine, EvalAltResult, FnPtr, Map, Module, NativeCallContext};
use serde_json::Value;

use super::engine::MAX_ITEMS;
use super::parallel::{AT_ONCE, parallel};
use super::{Run, WAITS, place};
use crate::advance::Step;
use crate::journal::{Failure, MAX_DEPTH, too_deep};
use crate::request::{Consent, Policy, Request};

/// Turns of a search that does not say how many.
const RECALLED: u32 = 10;
/// The most turns of a search.
const MAX_RECALLED: u32 = 100;

pub(super) type Result<T> = std::result::Result<T, Box<EvalAltResult>>;

/// Those that have no module.
pub(super) fn steps() -> Module {
    let mut module = Module::new();
    module.set_native_fn("tool", |context: NativeCallContext, tool: &str, arguments: Map| {
        call(&context, tool, arguments, Map::new())
    });
    module.set_native_fn("tool", |context: NativeCallContext, tool: &str, arguments: Map, policy: Map| {
        call(&context, tool, arguments, policy)
    });
    module.set_native_fn("approve", |context: NativeCallContext, what: Dynamic| {
        approve(&context, &what, Map::new())
    });
    module.set_native_fn("approve", |context: NativeCallContext, what: Dynamic, consent: Map| {
        approve(&context, &what, consent)
    });
    module.set_native_fn("sleep", |context: NativeCallContext, seconds: i64| sleep(&context, seconds as f64));
    module.set_native_fn("sleep", |context: NativeCallContext, seconds: f64| sleep(&context, seconds));
    module.set_native_fn("sleep_until", |context: NativeCallContext, time: &str| {
        if time.parse::<jiff::Timestamp>().is_err() {
            let why = format!("sleep_until(\"{time}\"): give a time such as 2031-03-03T09:00:00Z");
            return Err(thrown(&context, &Failure::new("argument", why)));
        }
        step(&context, Request::Until { time: time.to_owned() })
    });
    module.set_native_fn("wait_for", |context: NativeCallContext, signal: &str| {
        step(&context, Request::Wait { signal: signal.to_owned(), timeout: None })
    });
    module.set_native_fn("wait_for", |context: NativeCallContext, signal: &str, seconds: i64| {
        step(&context, Request::Wait { signal: signal.to_owned(), timeout: Some(seconds as f64) })
    });
    module.set_native_fn("wait_for", |context: NativeCallContext, signal: &str, seconds: f64| {
        step(&context, Request::Wait { signal: signal.to_owned(), timeout: Some(seconds) })
    });
    module.set_native_fn("child", |context: NativeCallContext, flow: &str, input: Dynamic| {
        let input = json(&context, &input)?;
        step(&context, Request::Child { flow: flow.to_owned(), input })
    });
    module.set_native_fn("emit", |context: NativeCallContext, value: Dynamic| {
        let value = json(&context, &value)?;
        step(&context, Request::Emit { value })
    });
    module.set_native_fn("log", |context: NativeCallContext, text: &str| {
        step(&context, Request::Log { text: text.to_owned() })
    });
    module.set_native_fn("now", |context: NativeCallContext| step(&context, Request::Now));
    module.set_native_fn("random", |context: NativeCallContext| step(&context, Request::Random));
    module.set_native_fn("parallel", |context: NativeCallContext, list: Array, each: FnPtr| {
        parallel(&context, list, AT_ONCE, &each)
    });
    module.set_native_fn("parallel", |context: NativeCallContext, list: Array, at_once: i64, each: FnPtr| {
        parallel(&context, list, at_once, &each)
    });
    // `0..n` for a list of numbers.
    module.set_native_fn("parallel", |context: NativeCallContext, range: Range<i64>, each: FnPtr| {
        parallel(&context, numbers(&context, range)?, AT_ONCE, &each)
    });
    module.set_native_fn(
        "parallel",
        |context: NativeCallContext, range: Range<i64>, at_once: i64, each: FnPtr| {
            parallel(&context, numbers(&context, range)?, at_once, &each)
        },
    );
    module
}

/// `llm::…`
pub(super) fn model() -> Module {
    let mut module = Module::new();
    module.set_native_fn("prompt", |context: NativeCallContext, template: &str, slots: Map| {
        let slots = json(&context, &Dynamic::from_map(slots))?;
        step(&context, Request::Prompt { template: template.to_owned(), slots })
    });
    module.set_native_fn("ask", |context: NativeCallContext, prompt: &str| {
        ask(&context, prompt.to_owned(), None)
    });
    module.set_native_fn("extract", |context: NativeCallContext, text: &str, schema: Map| {
        let schema = json(&context, &Dynamic::from_map(schema))?;
        ask(&context, text.to_owned(), Some(schema))
    });
    module.set_native_fn("choose", |context: NativeCallContext, text: &str, options: Array| {
        let options = json(&context, &Dynamic::from_array(options))?;
        ask(&context, text.to_owned(), Some(serde_json::json!({ "enum": options })))
    });
    module
}

/// `memory::…`
pub(super) fn memory() -> Module {
    let mut module = Module::new();
    module.set_native_fn("search", |context: NativeCallContext, words: &str| {
        step(&context, Request::Recall { words: words.to_owned(), most: RECALLED })
    });
    module.set_native_fn("search", |context: NativeCallContext, words: &str, most: i64| {
        let Some(most) = u32::try_from(most).ok().filter(|most| (1..=MAX_RECALLED).contains(most)) else {
            let why = format!("memory::search: {most} turns; give 1 to {MAX_RECALLED}");
            return Err(thrown(&context, &Failure::new("argument", why)));
        };
        step(&context, Request::Recall { words: words.to_owned(), most })
    });
    module
}

/// `calendar::create_event(#{…})` for `calendar.create-event`.
pub(super) fn register_tools(engine: &mut Engine, tools: &[String]) {
    let mut modules: std::collections::BTreeMap<&str, Module> = std::collections::BTreeMap::new();
    for tool in tools {
        let Some((plugin, function)) = tool.split_once('.') else { continue };
        let module = modules.entry(plugin).or_default();
        let name = function.replace('-', "_");
        let (bare, plain, careful) = (tool.clone(), tool.clone(), tool.clone());
        module.set_native_fn(name.as_str(), move |context: NativeCallContext| {
            call(&context, &bare, Map::new(), Map::new())
        });
        module.set_native_fn(name.as_str(), move |context: NativeCallContext, arguments: Map| {
            call(&context, &plain, arguments, Map::new())
        });
        module.set_native_fn(
            name.as_str(),
            move |context: NativeCallContext, arguments: Map, policy: Map| {
                call(&context, &careful, arguments, policy)
            },
        );
    }
    for (plugin, module) in modules {
        engine.register_static_module(plugin.replace('-', "_"), module.into());
    }
}

fn numbers(context: &NativeCallContext, range: Range<i64>) -> Result<Array> {
    let count = range.end.saturating_sub(range.start);
    if count > MAX_ITEMS as i64 {
        let why = format!("{count} branches; {MAX_ITEMS} at most");
        return Err(thrown(context, &Failure::new("argument", why)));
    }
    Ok(range.map(Dynamic::from_int).collect())
}

fn call(context: &NativeCallContext, tool: &str, arguments: Map, policy: Map) -> Result<Dynamic> {
    let arguments = renamed(json(context, &Dynamic::from_map(arguments))?, '_', '-');
    // By way of JSON, where a whole number of seconds is a number.
    let policy = serde_json::from_value(json(context, &Dynamic::from_map(policy))?);
    let policy: Policy = policy.map_err(|error| {
        thrown(context, &Failure::new("policy", format!("attempts, backoff and timeout in seconds: {error}")))
    })?;
    answered(context, Request::Call { tool: tool.to_owned(), arguments, policy }, |value| {
        renamed(value, '-', '_')
    })
}

/// The same value with other names of fields. WIT writes `duration-minutes`, a script `duration_minutes`: with a hyphen it would subtract.
fn renamed(value: Value, from: char, to: char) -> Value {
    match value {
        Value::Object(fields) => {
            let rename = |(name, value): (String, Value)| {
                (name.replace(from, &to.to_string()), renamed(value, from, to))
            };
            Value::Object(fields.into_iter().map(rename).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(|item| renamed(item, from, to)).collect()),
        other => other,
    }
}

fn ask(context: &NativeCallContext, prompt: String, schema: Option<Value>) -> Result<Dynamic> {
    step(context, Request::Ask { prompt, schema })
}

fn approve(context: &NativeCallContext, what: &Dynamic, consent: Map) -> Result<Dynamic> {
    let what = json(context, what)?;
    let consent = serde_json::from_value(json(context, &Dynamic::from_map(consent))?);
    let consent: Consent = consent.map_err(|error| {
        thrown(context, &Failure::new("argument", format!("people, and expires in seconds: {error}")))
    })?;
    let sound = consent.expires > 0.0 && consent.expires.is_finite();
    if !sound || !(1..=2).contains(&consent.people) {
        let why = format!(
            "people = {}, expires = {}: give 1 or 2 people, and seconds",
            consent.people, consent.expires
        );
        return Err(thrown(context, &Failure::new("argument", why)));
    }
    step(context, Request::Approve { what, consent })
}

fn sleep(context: &NativeCallContext, seconds: f64) -> Result<Dynamic> {
    if seconds.is_finite() && seconds >= 0.0 {
        return step(context, Request::Sleep { seconds });
    }
    Err(thrown(context, &Failure::new("argument", format!("sleep({seconds}): give seconds, 0 or more"))))
}

fn step(context: &NativeCallContext, request: Request) -> Result<Dynamic> {
    answered(context, request, |value| value)
}

/// A step, and how the script sees what came of it.
fn answered(
    context: &NativeCallContext,
    request: Request,
    seen: impl FnOnce(Value) -> Value,
) -> Result<Dynamic> {
    let run = shared(context)?;
    match run.steps.step(place::next_step(), request) {
        Step::Ended(Ok(value)) => rhai::serde::to_dynamic(seen(value)),
        Step::Ended(Err(failure)) => Err(thrown(context, &failure)),
        Step::Waits => Err(EvalAltResult::ErrorTerminated(WAITS.into(), context.call_position()).into()),
        Step::Diverged(failure) => {
            *run.diverged.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
            Err(EvalAltResult::ErrorTerminated("diverged".into(), context.call_position()).into())
        }
    }
}

pub(super) fn shared(context: &NativeCallContext) -> Result<Arc<Run>> {
    let run = context.tag().and_then(|tag| tag.clone().try_cast::<Arc<Run>>());
    run.ok_or_else(|| "a step outside of a run".into())
}

fn json(context: &NativeCallContext, value: &Dynamic) -> Result<Value> {
    let value = rhai::serde::from_dynamic(value)
        .map_err(|error| thrown(context, &Failure::new("argument", format!("no JSON value: {error}"))))?;
    if too_deep(&value) {
        let why = format!("a value is nested more than {MAX_DEPTH} deep; make it flatter");
        return Err(thrown(context, &Failure::new("argument", why)));
    }
    Ok(value)
}

/// A failure as `catch` gets it: `#{code, message}`.
pub(super) fn thrown(context: &NativeCallContext, failure: &Failure) -> Box<EvalAltResult> {
    let value = Map::from([
        ("code".into(), failure.code.clone().into()),
        ("message".into(), failure.message.clone().into()),
    ]);
    EvalAltResult::ErrorRuntime(value.into(), context.call_position()).into()
}

/// What was thrown, where it is a failure.
pub(super) fn failure(value: &Dynamic) -> Option<Failure> {
    let map = value.as_map_ref().ok()?;
    let text = |key: &str| map.get(key)?.clone().into_string().ok();
    Some(Failure::new(&text("code")?, text("message")?))
}

/// Whether it is that a person stopped the run.
pub(super) fn is_cancellation(error: &EvalAltResult) -> bool {
    let EvalAltResult::ErrorRuntime(value, _) = error.unwrap_inner() else { return false };
    failure(value).is_some_and(|failure| failure.code == crate::live::CANCELLED)
}
