//! Scripts that are stopped at their steps and go on as if they had not been.

#![expect(clippy::unwrap_used, reason = "what is missing fails the test")]

mod scripts;

use std::sync::Arc;

use pawl_flow::advance::{Advance, Command, advance};
use pawl_flow::journal::{Entry, Failure, Journal, RequestDigest};
use pawl_flow::request::Request;
use pawl_flow::script::{Script, Sources};
use proptest::prelude::*;
use serde_json::{Value, json};

fn script(text: &str) -> Script {
    Script::parse(&Sources::of("test.rhai", text), &["shop.price-of".to_owned(), "shop.write".to_owned()])
        .unwrap()
}

/// The world: what comes of a request depends on nothing but the request.
fn world(request: &Request) -> Result<Value, Failure> {
    match request {
        Request::Call { arguments, .. } if arguments["fail"] == true => {
            Err(Failure::new("refused", "it cannot be had"))
        }
        Request::Call { arguments, .. } => Ok(json!(arguments["n"].as_i64().unwrap_or(0) * 2)),
        Request::Ask { prompt, .. } => Ok(json!(prompt.len())),
        Request::Now => Ok(json!("2031-03-03T09:00:00Z")),
        Request::Random => Ok(json!(0.25)),
        _ => Ok(Value::Null),
    }
}

fn record(journal: &Arc<Journal>, Command { step, request }: Command) -> Arc<Journal> {
    let mut more = Journal::clone(journal);
    more.record(step, Entry { digest: RequestDigest::of(&request), outcome: world(&request) });
    Arc::new(more)
}

/// Runs to the end; of the commands that wait, `choose` says which one is carried out before the script is asked again.
fn run(script: &Script, input: &Value, mut choose: impl FnMut(usize) -> usize) -> (Advance, Vec<String>) {
    let (mut journal, mut steps) = (Arc::new(Journal::default()), Vec::new());
    loop {
        match advance(script, input, &journal) {
            Advance::Waits(mut commands) => {
                let command = commands.remove(choose(commands.len()) % commands.len());
                steps.push(command.step.to_string());
                journal = record(&journal, command);
            }
            ended => {
                steps.sort();
                return (ended, steps);
            }
        }
    }
}

fn done(text: &str, input: Value) -> Value {
    match run(&script(text), &input, |_| 0).0 {
        Advance::Done(value) => value,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn a_script_goes_on_where_it_stopped() {
    let script =
        script("let a = tool(\"shop.price-of\", #{n: input.n}); let b = shop::price_of(#{n: a}); a + b");
    let journal = Arc::new(Journal::default());
    let Advance::Waits(first) = advance(&script, &json!({"n": 3}), &journal) else { panic!() };
    assert_eq!((first.len(), first[0].step.as_str()), (1, "0"));
    let journal = record(&journal, first.into_iter().next().unwrap());
    let second = advance(&script, &json!({"n": 3}), &journal);
    let Advance::Waits(second) = second else { panic!("{second:?}") };
    assert!(
        matches!(&second[0].request, Request::Call { tool, arguments, .. } if tool == "shop.price-of" && arguments["n"] == 6)
    );
    let journal = record(&journal, second.into_iter().next().unwrap());
    assert_eq!(advance(&script, &json!({"n": 3}), &journal), Advance::Done(json!(18)));
}

#[test]
fn a_failure_is_a_value_that_a_script_can_catch() {
    let caught = "let said; try { shop::price_of(#{fail: true}); } catch (e) { said = `${e.code}: ${e.message}`; } said";
    assert_eq!(done(caught, Value::Null), "refused: it cannot be had");
    // What waits cannot be caught.
    let script = script("try { shop::price_of(#{n: 1}) } catch { 0 }");
    assert!(matches!(advance(&script, &Value::Null, &Arc::default()), Advance::Waits(_)));
}

#[test]
fn a_failure_that_is_not_caught_names_the_line() {
    let text = "let a = 1;\nlet b = shop::price_of(#{fail: true});\na + b";
    let (Advance::Failed(failure), _) = run(&script(text), &Value::Null, |_| 0) else { panic!() };
    assert_eq!(failure.code, "refused");
    assert_eq!(failure.to_string(), "it cannot be had (test.rhai:2: let b = shop::price_of(#{fail: true});)");
}

#[test]
fn branches_wait_at_once_up_to_the_limit_and_keep_their_order() {
    let script = script(
        "parallel([1, 2, 3, 4], 3, |n| { let a = shop::price_of(#{n: n}); a + shop::price_of(#{n: a}) })",
    );
    let Advance::Waits(commands) = advance(&script, &Value::Null, &Arc::default()) else { panic!() };
    let steps: Vec<&str> = commands.iter().map(|command| command.step.as_str()).collect();
    assert_eq!(steps, ["0.0.0", "0.1.0", "0.2.0"]);
    let (ended, steps) = run(&script, &Value::Null, |open| open - 1);
    assert_eq!(ended, Advance::Done(json!([6, 12, 18, 24])));
    assert_eq!(steps.len(), 8);
}

#[test]
fn a_branch_changes_nothing_around_it() {
    let text = "let total = 10; let all = parallel([1, 2], |n| { let a = shop::price_of(#{n: n}); total += a; total }); all + [total]";
    assert_eq!(done(text, Value::Null), json!([12, 14, 10]));
}

#[test]
fn what_fails_in_a_branch_is_raised_when_all_have_ended() {
    let text = "let said; try { parallel([true, false], |fail| shop::price_of(#{fail: fail, n: 4})); } catch (e) { said = e.code; } said";
    assert_eq!(done(text, Value::Null), "refused");
    assert_eq!(run(&script(text), &Value::Null, |_| 0).1, ["0.0.0", "0.1.0"]);
}

#[test]
fn another_script_does_not_go_on_with_this_ones_journal() {
    let journal = Arc::new(Journal::default());
    let Advance::Waits(first) = advance(&script("shop::price_of(#{n: 1})"), &Value::Null, &journal) else {
        panic!()
    };
    let journal = record(&journal, first.into_iter().next().unwrap());
    let Advance::Diverged(failure) = advance(&script("shop::price_of(#{n: 2})"), &Value::Null, &journal)
    else {
        panic!()
    };
    assert!(failure.message.contains("step 0 "), "{failure:?}");
    assert_ne!(script("1").digest(), script("1 ").digest());
}

#[test]
fn what_has_no_end_is_ended_and_named() {
    for (text, part) in [
        ("loop {}", "is there a loop without an end?"),
        ("fn f(n) { f(n + 1) } f(0)", "functions within functions"),
        ("let s = \"xxxxxxxx\"; loop { s += s; }", "too"),
        ("let a = []; loop { a.push(a); }", ""),
    ] {
        let Advance::Failed(failure) = advance(&script(text), &Value::Null, &Arc::default()) else {
            panic!("{text}")
        };
        assert_eq!(failure.code, "limit", "{text}: {failure:?}");
        assert!(failure.message.contains(part), "{text}: {failure:?}");
    }
}

#[test]
fn there_is_no_clock_no_chance_and_no_way_out_in_a_script() {
    for text in
        ["timestamp()", "eval(\"1\")", "import \"x\" as x;", "print(1)", "open(\"x\")", "shop::nothing(#{})"]
    {
        match Script::parse(&Sources::of("test.rhai", text), &[]) {
            Err(error) => assert_eq!(error.line, 1, "{text}"),
            Ok(script) => {
                let ended = advance(&script, &Value::Null, &Arc::default());
                assert!(
                    matches!(&ended, Advance::Failed(failure) if failure.code == "script"),
                    "{text}: {ended:?}"
                );
            }
        }
    }
    let error = Script::parse(&Sources::of("hire.rhai", "let a = 1;\nlet b = a +;"), &[]).unwrap_err();
    assert!(
        error.to_string().starts_with("hire.rhai:2:") && error.to_string().ends_with("let b = a +;"),
        "{error}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whichever of the open steps ends first, and whenever the script is stopped, it comes to the same end by the same steps.
    #[test]
    fn the_order_in_which_steps_end_changes_nothing(
        body in scripts::body(&scripts::steps(), 2),
        order in prop::collection::vec(0..8_usize, 1..20),
    ) {
        let script = script(&format!("let x = input;\n{body}\nx"));
        let first = run(&script, &json!(1), |_| 0);
        let mut at = 0;
        let other = run(&script, &json!(1), |_| { at += 1; order[at % order.len()] });
        prop_assert!(matches!(first.0, Advance::Done(_)), "{:?}", first.0);
        prop_assert_eq!(first, other);
    }
}

#[test]
fn fields_have_the_names_that_a_script_can_write() {
    let script = script("let got = shop::price_of(#{unit_price: [#{per_day: 1}]}); got.total_price");
    let Advance::Waits(commands) = advance(&script, &Value::Null, &Arc::default()) else { panic!() };
    let Command { step, request } = commands.into_iter().next().unwrap();
    assert!(
        matches!(&request, Request::Call { arguments, .. } if *arguments == json!({"unit-price": [{"per-day": 1}]}))
    );
    let mut journal = Journal::default();
    let entry = Entry { digest: RequestDigest::of(&request), outcome: Ok(json!({"total-price": 7})) };
    journal.record(step, entry);
    assert_eq!(advance(&script, &Value::Null, &Arc::new(journal)), Advance::Done(json!(7)));
}

#[test]
fn what_a_script_calls_is_seen_without_running_it() {
    let text = "import \"lib\" as lib;\nlet n = 3;\nshop::price_of(#{n: n, fail: true});\n\
        tool(\"shop.write\", #{});\nllm::prompt(\"sort\", #{mail: \"x\"});\nchild(\"other\", ());\n\
        fn f(x) { shop::write(x) }\nlib::g(); f(#{}).len(); parallel([1], |x| shop::price_of(#{n: x}));";
    let sources = Sources {
        modules: [("lib".to_owned(), "fn g() { 1 }".to_owned())].into(),
        ..Sources::of("a.rhai", text)
    };
    let tools = ["shop.price-of".to_owned(), "shop.write".to_owned()];
    let script = Script::parse(&sources, &tools).unwrap();
    assert_eq!(script.unknown(), []);
    let mut calls: Vec<(usize, String, Option<Value>)> = script
        .calls()
        .into_iter()
        .map(|call| (call.line, format!("{:?}", call.what), call.arguments.map(|given| json!(given))))
        .collect();
    calls.sort_by_key(|(line, _, _)| *line);
    let expected = [
        (3, r#"Tool("shop.price-of")"#.to_owned(), Some(json!({"n": null, "fail": true}))),
        (4, r#"Tool("shop.write")"#.to_owned(), Some(json!({}))),
        (5, r#"Prompt("sort")"#.to_owned(), Some(json!({"mail": "x"}))),
        (6, r#"Flow("other")"#.to_owned(), None),
        (7, r#"Tool("shop.write")"#.to_owned(), None),
        (8, r#"Tool("shop.price-of")"#.to_owned(), Some(json!({"n": null}))),
    ];
    assert_eq!(calls, expected);
    for (text, message) in [
        (
            "shop::buy(#{})",
            "a.rhai:1:7: there is no tool `shop::buy`; `pawl tools` lists those that there are",
        ),
        ("let a = 1;\nteleport(a)", "a.rhai:2:1: there is no function `teleport`"),
        ("warehouse::empty()", "a.rhai:1:12: there is no plugin or imported script `warehouse`"),
        ("llm::guess(1)", "a.rhai:1:6: there is no function `llm::guess`"),
    ] {
        let script = Script::parse(&Sources::of("a.rhai", text), &tools).unwrap();
        let unknown = script.unknown();
        assert_eq!(unknown.len(), 1, "{text}: {unknown:?}");
        assert!(unknown[0].to_string().starts_with(message), "{}", unknown[0]);
    }
}

#[test]
fn a_script_may_import_what_lies_beside_it() {
    let modules = [
        (
            "lib".to_owned(),
            "import \"deep\" as deep; fn twice(n) { let a = shop::price_of(#{n: n}); a + deep::one() }"
                .to_owned(),
        ),
        ("deep".to_owned(), "fn one() { 1 }".to_owned()),
    ];
    let text = "import \"lib\" as lib; parallel([1, 2], |n| lib::twice(n))";
    let sources = Sources { modules: modules.into(), ..Sources::of("a.rhai", text) };
    let script = Script::parse(&sources, &["shop.price-of".to_owned()]).unwrap();
    assert_eq!(run(&script, &Value::Null, |_| 0).0, Advance::Done(json!([3, 5])));
    let mut failing = sources.clone();
    failing.modules.insert("deep".into(), "fn one() {\n  throw \"never\"\n}".into());
    let failing = Script::parse(&failing, &["shop.price-of".to_owned()]).unwrap();
    let Advance::Failed(failure) = run(&failing, &Value::Null, |_| 0).0 else { panic!() };
    assert_eq!(failure.to_string(), "never (deep.rhai:2: throw \"never\")");
    let missing = Script::parse(&Sources::of("a.rhai", text), &[]).unwrap_err();
    assert!(missing.to_string().contains("a.rhai:1:") && missing.message.contains("lib.rhai"), "{missing}");
    let mut broken = sources.clone();
    broken.modules.insert("deep".into(), "fn one( { 1 }".into());
    let error = Script::parse(&broken, &[]).unwrap_err();
    assert!(error.to_string().starts_with("deep:1:"), "{error}");
    assert_ne!(broken.digest(), sources.digest());
}
