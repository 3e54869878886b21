//! The functions by which a script asks for steps.

use rhai::{Array, Dynamic, Engine, EvalAltResult, FnPtr, Map, Module, NativeCallContext};
use serde_json::Value;

use super::{Shared, WAITS, lock};
use crate::advance::Step;
use crate::journal::Failure;
use crate::request::{Policy, Request};

type Result<T> = std::result::Result<T, Box<EvalAltResult>>;

/// Branches of a parallel step that are open at once, where the script does not say.
const AT_ONCE: i64 = 16;

pub(super) fn register(engine: &mut Engine, tools: &[String]) {
    engine.register_fn("tool", |context: NativeCallContext, tool: &str, arguments: Map| {
        call(&context, tool, arguments, Map::new())
    });
    engine.register_fn("tool", |context: NativeCallContext, tool: &str, arguments: Map, policy: Map| {
        call(&context, tool, arguments, policy)
    });
    engine.register_fn("approve", |context: NativeCallContext, what: Dynamic| {
        let what = json(&context, &what)?;
        step(&context, Request::Approve { what })
    });
    engine.register_fn("sleep", |context: NativeCallContext, seconds: i64| sleep(&context, seconds as f64));
    engine.register_fn("sleep", |context: NativeCallContext, seconds: f64| sleep(&context, seconds));
    engine.register_fn("wait_for", |context: NativeCallContext, signal: &str| {
        step(&context, Request::Wait { signal: signal.to_owned(), timeout: None })
    });
    engine.register_fn("wait_for", |context: NativeCallContext, signal: &str, seconds: i64| {
        step(&context, Request::Wait { signal: signal.to_owned(), timeout: Some(seconds as f64) })
    });
    engine.register_fn("child", |context: NativeCallContext, flow: &str, input: Dynamic| {
        let input = json(&context, &input)?;
        step(&context, Request::Child { flow: flow.to_owned(), input })
    });
    engine.register_fn("emit", |context: NativeCallContext, value: Dynamic| {
        let value = json(&context, &value)?;
        step(&context, Request::Emit { value })
    });
    engine.register_fn("log", |context: NativeCallContext, text: &str| {
        step(&context, Request::Log { text: text.to_owned() })
    });
    engine.register_fn("now", |context: NativeCallContext| step(&context, Request::Now));
    engine.register_fn("random", |context: NativeCallContext| step(&context, Request::Random));
    engine.register_fn("parallel", |context: NativeCallContext, list: Array, each: FnPtr| {
        parallel(&context, list, AT_ONCE, &each)
    });
    engine.register_fn("parallel", |context: NativeCallContext, list: Array, at_once: i64, each: FnPtr| {
        parallel(&context, list, at_once, &each)
    });
    let mut llm = Module::new();
    llm.set_native_fn("ask", |context: NativeCallContext, prompt: &str| {
        ask(&context, prompt.to_owned(), None)
    });
    llm.set_native_fn("extract", |context: NativeCallContext, text: &str, schema: Map| {
        let schema = json(&context, &Dynamic::from_map(schema))?;
        ask(&context, text.to_owned(), Some(schema))
    });
    llm.set_native_fn("choose", |context: NativeCallContext, text: &str, options: Array| {
        let options = json(&context, &Dynamic::from_array(options))?;
        ask(&context, text.to_owned(), Some(serde_json::json!({ "enum": options })))
    });
    engine.register_static_module("llm", llm.into());
    register_tools(engine, tools);
}

/// `calendar::create_event(#{…})` for `calendar.create-event`.
fn register_tools(engine: &mut Engine, tools: &[String]) {
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

fn call(context: &NativeCallContext, tool: &str, arguments: Map, policy: Map) -> Result<Dynamic> {
    let arguments = json(context, &Dynamic::from_map(arguments))?;
    let policy: Policy = rhai::serde::from_dynamic(&Dynamic::from_map(policy)).map_err(|error| {
        thrown(context, &Failure::new("policy", format!("attempts, backoff and timeout in seconds: {error}")))
    })?;
    step(context, Request::Call { tool: tool.to_owned(), arguments, policy })
}

fn ask(context: &NativeCallContext, prompt: String, schema: Option<Value>) -> Result<Dynamic> {
    step(context, Request::Ask { prompt, schema })
}

fn sleep(context: &NativeCallContext, seconds: f64) -> Result<Dynamic> {
    if seconds.is_finite() && seconds >= 0.0 {
        return step(context, Request::Sleep { seconds });
    }
    Err(thrown(context, &Failure::new("argument", format!("sleep({seconds}): give seconds, 0 or more"))))
}

/// Runs the function on each of the list, so many at once; the values are in the list's order. What fails is raised when all have
/// ended. A branch sees the variables around it as they were, and changes none of them: which branch is first must not matter.
fn parallel(context: &NativeCallContext, list: Array, at_once: i64, each: &FnPtr) -> Result<Dynamic> {
    let run = shared(context)?;
    if at_once < 1 {
        return Err(thrown(context, &Failure::new("argument", format!("{at_once} at once: give 1 or more"))));
    }
    let depth = {
        let mut run = lock(&run);
        run.place.extend([0, 0]);
        run.place.len()
    };
    let (mut values, mut failed, mut open) = (Array::new(), None, 0);
    for (branch, item) in (0_u32..).zip(list) {
        if open == at_once {
            break;
        }
        lock(&run).place[depth - 2..].copy_from_slice(&[branch, 0]);
        let mut own = each.clone();
        own.set_curry(each.iter_curry().map(Dynamic::flatten_clone).collect::<Vec<_>>());
        let ended = own.call_within_context::<Dynamic>(context, (item,));
        lock(&run).place.truncate(depth);
        match ended {
            Ok(value) => values.push(value),
            Err(error) if super::waits(&error) => open += 1,
            // A limit, or another script: no branch matters any more.
            Err(error) if !error.is_catchable() => return Err(error),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    {
        let mut run = lock(&run);
        run.place.truncate(depth - 2);
        run.next();
    }
    match failed {
        _ if open > 0 => Err(EvalAltResult::ErrorTerminated(WAITS.into(), context.call_position()).into()),
        Some(error) => Err(error),
        None => Ok(values.into()),
    }
}

fn step(context: &NativeCallContext, request: Request) -> Result<Dynamic> {
    let run = shared(context)?;
    let (id, steps) = {
        let mut run = lock(&run);
        (run.next(), std::sync::Arc::clone(&run.steps))
    };
    let answer = steps.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).step(id, request);
    match answer {
        Step::Ended(Ok(value)) => rhai::serde::to_dynamic(value),
        Step::Ended(Err(failure)) => Err(thrown(context, &failure)),
        Step::Waits => Err(EvalAltResult::ErrorTerminated(WAITS.into(), context.call_position()).into()),
        Step::Diverged(failure) => {
            lock(&run).diverged = Some(failure);
            Err(EvalAltResult::ErrorTerminated("diverged".into(), context.call_position()).into())
        }
    }
}

fn shared(context: &NativeCallContext) -> Result<Shared> {
    let run = context.tag().and_then(|tag| tag.clone().try_cast::<Shared>());
    run.ok_or_else(|| "a step outside of a run".into())
}

fn json(context: &NativeCallContext, value: &Dynamic) -> Result<Value> {
    rhai::serde::from_dynamic(value)
        .map_err(|error| thrown(context, &Failure::new("argument", format!("no JSON value: {error}"))))
}

/// A failure as `catch` gets it: `#{code, message}`.
fn thrown(context: &NativeCallContext, failure: &Failure) -> Box<EvalAltResult> {
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
    Some(Failure { code: text("code")?, message: text("message")? })
}
