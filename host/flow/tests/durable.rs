//! Runs that go on after whatever became of the process that drove them.

#![expect(clippy::unwrap_used, reason = "what is missing fails the test")]

mod scripts;
mod world;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pawl_flow::{
    Decision, Document, Failure, FlowError, JobState, NewItem, NewJob, Resolution, RunState, Scope, Sources,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use world::{Outside, Process, Shop, runtime};

const NEVER: usize = usize::MAX;

fn outside() -> Arc<Outside> {
    Arc::default()
}

#[test]
fn a_run_gives_its_result_and_its_steps_are_on_record() {
    let (folder, runtime, outside) = (tempfile::tempdir().unwrap(), runtime(), outside());
    let process = Process::start(folder.path(), &runtime, Shop::new(&outside, NEVER));
    let id = process.begin(
        "let a = shop::write(#{n: input.n}); emit(#{a: a}); log(\"on\"); a + shop::price_of(#{n: a}) + llm::ask(\"four\")",
        json!({"n": 2}),
    );
    assert_eq!(process.result(id), Ok(json!(16)));
    let steps = process.orchestrator.steps(id, 0, 100).unwrap();
    let titles: Vec<String> = steps.iter().map(|step| step.request.title()).collect();
    assert_eq!(titles, ["shop.write", "emit: {\"a\":4}", "log: on", "shop.price-of", "ask: four"]);
    assert_eq!(steps[4].detail, Some(json!({"completion_tokens": 1})));
    let run = process.orchestrator.run(id).unwrap();
    assert_eq!((run.state, run.requester.as_str(), run.flow.as_str()), (RunState::Done, "ana", "test"));
}

#[test]
fn branches_run_side_by_side() {
    let (folder, runtime, outside) = (tempfile::tempdir().unwrap(), runtime(), outside());
    let process = Process::start(folder.path(), &runtime, Shop::new(&outside, NEVER));
    // Each waits for a signal of its own; they wait at the same time, and their order does not matter.
    let id = process.begin(
        "parallel([\"a\", \"b\", \"c\"], |name| { let x = wait_for(name); x + shop::write(#{n: x}) })",
        json!(null),
    );
    process.until(id, |run| run.state == RunState::Waiting);
    for (name, value) in [("c", 3), ("a", 1), ("b", 2)] {
        process.orchestrator.signal(id, name, &json!(value)).unwrap();
    }
    assert_eq!(process.result(id), Ok(json!([3, 6, 9])));
    assert_eq!(outside.effects.lock().unwrap().len(), 3);
}

#[test]
fn what_a_dead_process_left_goes_on_in_the_next_one_and_nothing_is_done_twice() {
    let text =
        "let sum = 0; for n in 0..4 { sum += shop::write(#{n: n}); sum += shop::price_of(#{n: sum}); } sum";
    let (runtime, expected) = (runtime(), json!(108));
    let moments = {
        let (folder, outside) = (tempfile::tempdir().unwrap(), outside());
        let process = Process::start(folder.path(), &runtime, Shop::new(&outside, NEVER));
        let id = process.begin(text, Value::Null);
        assert_eq!(process.result(id), Ok(expected.clone()));
        process.shop.moments.load(Ordering::SeqCst)
    };
    assert_eq!(moments, 16);
    for ends_at in 0..moments {
        let (result, effects) = interrupted(&runtime, text, &Value::Null, ends_at);
        assert_eq!((result, effects.len()), (Ok(expected.clone()), 4), "ended at {ends_at}");
    }
}

/// What a run gives that is interrupted at this moment of its calls and goes on in another process, and its effects.
fn interrupted(
    runtime: &Runtime,
    text: &str,
    input: &Value,
    ends_at: usize,
) -> (Result<Value, Failure>, Vec<String>) {
    let (folder, outside) = (tempfile::tempdir().unwrap(), outside());
    let dying = Process::start(folder.path(), runtime, Shop::new(&outside, ends_at));
    let id = dying.begin(text, input.clone());
    while !dying.crashed() {
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(dying);
    let next = Process::start(folder.path(), runtime, Shop::new(&outside, NEVER));
    let result = next.result(id);
    (result, effects(&outside))
}

/// The steps that took effect, without the name of the store that they are of.
fn effects(outside: &Outside) -> Vec<String> {
    let step = |key: &String| key.split_once('/').unwrap().1.to_owned();
    let mut effects: Vec<String> = outside.effects.lock().unwrap().iter().map(step).collect();
    effects.sort();
    effects
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the script, and wherever its process ends, the next one brings it to the same end, with each effect once.
    #[test]
    fn a_run_interrupted_anywhere_ends_as_one_that_was_not(body in scripts::body(&scripts::durable_steps(), 2)) {
        let text = format!("let x = input;\n{body}\nx");
        let (runtime, outside, folder) = (runtime(), outside(), tempfile::tempdir().unwrap());
        let process = Process::start(folder.path(), &runtime, Shop::new(&outside, NEVER));
        let id = process.begin(&text, json!(1));
        let expected = process.result(id);
        prop_assert!(expected.is_ok(), "{expected:?}");
        let effects = effects(&outside);
        for ends_at in 0..process.shop.moments.load(Ordering::SeqCst) {
            let (result, same) = interrupted(&runtime, &text, &json!(1), ends_at);
            prop_assert_eq!(&result, &expected, "ended at {}", ends_at);
            prop_assert_eq!(&same, &effects, "ended at {}", ends_at);
        }
    }
}

#[test]
fn an_effect_that_nobody_can_be_asked_about_is_reported_and_not_repeated() {
    let (runtime, outside) = (runtime(), outside());
    let ways: [(Resolution, Result<Value, &str>, usize); 3] = [
        (Resolution::Done(json!(7)), Ok(json!(7)), 1),
        (Resolution::Retry, Ok(json!(6)), 2),
        (Resolution::Fail, Err("in-doubt"), 1),
    ];
    for (resolution, expected, effects) in ways {
        outside.effects.lock().unwrap().clear();
        let folder = tempfile::tempdir().unwrap();
        // Between the effect and its record.
        let dying = Process::start(folder.path(), &runtime, Shop::new(&outside, 1));
        let id = dying.begin("shop::send(#{n: 3})", Value::Null);
        while !dying.crashed() {
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(dying);
        let next = Process::start(folder.path(), &runtime, Shop::new(&outside, NEVER));
        next.until(id, |run| run.state == RunState::InDoubt);
        assert_eq!(outside.effects.lock().unwrap().len(), 1);
        let steps = next.orchestrator.steps(id, 0, 9).unwrap();
        assert!(steps[0].waits_for.as_ref().unwrap().contains("shop.send"), "{steps:?}");
        assert!(matches!(
            next.orchestrator.resolve(id, "7", Resolution::Retry, "ana"),
            Err(FlowError::NotInDoubt { .. })
        ));
        next.orchestrator.resolve(id, "0", resolution, "ana").unwrap();
        assert_eq!(next.result(id).map_err(|failure| failure.code), expected.map_err(str::to_owned));
        assert_eq!(outside.effects.lock().unwrap().len(), effects);
    }
}

#[test]
fn a_script_can_say_that_an_effect_in_doubt_does_no_harm_twice() {
    let (runtime, outside, folder) = (runtime(), outside(), tempfile::tempdir().unwrap());
    let dying = Process::start(folder.path(), &runtime, Shop::new(&outside, 1));
    let id = dying.begin("shop::send(#{n: 3}, #{in_doubt: \"retry\"})", Value::Null);
    while !dying.crashed() {
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(dying);
    let next = Process::start(folder.path(), &runtime, Shop::new(&outside, NEVER));
    assert_eq!(next.result(id), Ok(json!(6)));
}

#[test]
fn an_approval_outlives_the_process_and_is_used_once() {
    let (runtime, outside, folder) = (runtime(), outside(), tempfile::tempdir().unwrap());
    let process = Process::start(folder.path(), &runtime, Shop::new(&outside, NEVER));
    let text = "let said = \"\"; try { let who = approve(#{hire: input}); said = who.by[0]; shop::write(#{n: 1}); } catch (e) { said = `${e.code}: ${e.message}`; } said";
    let yes = process.begin(text, json!("ben"));
    let no = process.begin(text, json!("eve"));
    let late = process.begin("approve(1, #{expires: 1})", Value::Null);
    process.until(yes, |run| run.state == RunState::Waiting);
    process.until(no, |run| run.state == RunState::Waiting);
    drop(process);
    let process = Process::start(folder.path(), &runtime, Shop::new(&outside, NEVER));
    let now = || jiff::Timestamp::now();
    let of = |id| process.orchestrator.steps(id, 0, 9).unwrap()[0].approval.clone().unwrap();
    let own = process.approvals.decide(&of(yes), &Decision::Approve, "ana", None, now());
    assert!(own.unwrap_err().to_string().contains("somebody else must decide"));
    process.approvals.decide(&of(yes), &Decision::Approve, "carl", None, now()).unwrap();
    process.approvals.decide(&of(no), &Decision::Reject("not now".into()), "carl", None, now()).unwrap();
    assert_eq!(process.result(yes), Ok(json!("carl")));
    assert_eq!(process.result(no), Ok(json!("rejected: carl rejected it: not now")));
    assert_eq!(process.result(late).unwrap_err().code, "expired");
    assert_eq!(outside.effects.lock().unwrap().len(), 1);
}

#[test]
fn a_call_that_would_write_waits_for_a_person_and_gives_what_it_gave_them() {
    let (runtime, outside, folder) = (runtime(), outside(), tempfile::tempdir().unwrap());
    let process = Process::start(folder.path(), &runtime, Shop::new(&outside, NEVER));
    let id = process.begin("shop::change(#{n: 4})", Value::Null);
    process.until(id, |run| run.state == RunState::Waiting);
    let approval = process.approvals.list(false, jiff::Timestamp::now()).unwrap().remove(0);
    assert!(approval.origin.as_ref().unwrap().ends_with(&format!("/{id}/0")), "{approval:?}");
    assert_eq!((approval.requester.as_str(), &approval.effects), ("ana", &json!([{"rows": 4}])));
    process.approvals.decide(&approval.id, &Decision::Approve, "ben", None, jiff::Timestamp::now()).unwrap();
    process.approvals.take(&approval.id, &approval.digest, jiff::Timestamp::now()).unwrap();
    process.approvals.finish(&approval.id, Ok(&json!({"rows": 4})), jiff::Timestamp::now()).unwrap();
    assert_eq!(process.result(id), Ok(json!({"rows": 4})));
}

#[test]
fn children_run_once_and_their_failures_are_values() {
    let (runtime, outside, folder) = (runtime(), outside(), tempfile::tempdir().unwrap());
    let mut shop = Shop::new(&outside, NEVER);
    shop.flows.insert("double".into(), "shop::write(#{n: input})".into());
    shop.flows.insert("fails".into(), "throw #{code: \"no\", message: \"never\"}".into());
    let process = Process::start(folder.path(), &runtime, shop);
    let id = process.begin(
        "let a = child(\"double\", 4); let said = \"\"; try { child(\"fails\", ()); } catch (e) { said = e.code; } \
         try { child(\"nowhere\", ()); } catch (e) { said += \" \" + e.code; } [a, said]",
        Value::Null,
    );
    assert_eq!(process.result(id), Ok(json!([8, "no not-found"])));
    assert_eq!(process.orchestrator.runs(false, 10).unwrap().len(), 3);
}

#[test]
fn a_step_that_fails_is_tried_as_often_as_its_policy_says() {
    let (runtime, outside, folder) = (runtime(), outside(), tempfile::tempdir().unwrap());
    let process = Process::start(folder.path(), &runtime, Shop::new(&outside, NEVER));
    let id =
        process.begin("shop::price_of(#{fail: true}, #{attempts: 3, backoff: 0, timeout: 5})", Value::Null);
    assert_eq!(process.result(id).unwrap_err().code, "refused");
    assert_eq!(process.orchestrator.steps(id, 0, 9).unwrap()[0].attempts, 3);
}

#[test]
fn cancelling_reaches_calls_waits_and_children_and_the_script_can_undo_what_it_did() {
    let (runtime, outside, folder) = (runtime(), outside(), tempfile::tempdir().unwrap());
    let mut shop = Shop::new(&outside, NEVER);
    shop.flows.insert("waits".into(), "wait_for(\"never\")".into());
    let process = Process::start(folder.path(), &runtime, shop);
    let running = process.begin("shop::slow(#{})", Value::Null);
    let undoing = process
        .begin("try { wait_for(\"never\"); } catch (e) { shop::write(#{n: 5}); throw e; }", Value::Null);
    let parent = process.begin("child(\"waits\", ())", Value::Null);
    let many = process.begin("parallel(0..100, 4, |n| shop::slow(#{}))", Value::Null);
    for id in [undoing, parent] {
        process.until(id, |run| run.state == RunState::Waiting);
    }
    std::thread::sleep(Duration::from_millis(100));
    for id in [running, undoing, parent, many] {
        process.orchestrator.cancel(id).unwrap();
        let run = process.until(id, |run| run.state.ended());
        assert_eq!(run.state, RunState::Cancelled, "{run:?}");
    }
    assert_eq!(outside.effects.lock().unwrap().len(), 1);
    let child =
        process.orchestrator.runs(false, 10).unwrap().into_iter().find(|run| run.parent.is_some()).unwrap();
    process.until(child.id, |run| run.state == RunState::Cancelled);
    assert!(process.orchestrator.cancel(running).is_err());
}

#[test]
fn two_processes_share_a_folder_and_each_run_has_one() {
    let (runtime, outside, folder) = (runtime(), outside(), tempfile::tempdir().unwrap());
    let one = Process::with(folder.path(), &runtime, Shop::new(&outside, NEVER), Scope::Own);
    let id = one.begin("wait_for(\"go\"); shop::write(#{n: 1})", Value::Null);
    one.until(id, |run| run.state == RunState::Waiting);
    let other = Process::start(folder.path(), &runtime, Shop::new(&outside, NEVER));
    assert!(other.orchestrator.go_on(id).unwrap_err().to_string().contains("another process"));
    // The signal comes by the process that does not drive it.
    other.orchestrator.signal(id, "go", &Value::Null).unwrap();
    assert_eq!(one.result(id), Ok(json!(2)));
    let id = one.begin("wait_for(\"go\"); shop::write(#{n: 2})", Value::Null);
    one.until(id, |run| run.state == RunState::Waiting);
    drop(one);
    other.orchestrator.signal(id, "go", &Value::Null).unwrap();
    assert_eq!(other.result(id), Ok(json!(4)));
    assert_eq!(outside.effects.lock().unwrap().len(), 2);
}

#[test]
fn a_locked_file_delays_and_loses_nothing() {
    let (runtime, outside, folder) = (runtime(), outside(), tempfile::tempdir().unwrap());
    let process = Process::start(folder.path(), &runtime, Shop::new(&outside, NEVER));
    let locking = rusqlite::Connection::open(folder.path().join("runs.sqlite")).unwrap();
    let id = process.begin("for n in 0..20 { shop::write(#{n: n}); sleep(0.01); } 1", Value::Null);
    std::thread::sleep(Duration::from_millis(60));
    locking.execute_batch("BEGIN IMMEDIATE").unwrap();
    let started = std::time::Instant::now();
    while process.orchestrator.trouble().is_none() {
        assert!(started.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(5));
    }
    locking.execute_batch("ROLLBACK").unwrap();
    assert_eq!(process.result(id), Ok(json!(1)));
    assert_eq!((outside.effects.lock().unwrap().len(), process.orchestrator.trouble()), (20, None));
}

#[test]
fn a_start_of_the_same_origin_begins_nothing_new() {
    let (runtime, outside, folder) = (runtime(), outside(), tempfile::tempdir().unwrap());
    let process = Process::start(folder.path(), &runtime, Shop::new(&outside, NEVER));
    let start = || pawl_flow::Start {
        sources: pawl_flow::Sources::of("daily.rhai", "shop::write(#{n: 1})"),
        input: Value::Null,
        requester: "schedule".into(),
        origin: Some("daily@2031-03-03T09:00:00Z".into()),
        document: None,
        detached: false,
    };
    let first = process.orchestrator.start(start()).unwrap();
    assert_eq!(process.orchestrator.start(start()).unwrap(), first);
    process.result(first).unwrap();
    assert_eq!(process.orchestrator.start(start()).unwrap(), first);
    assert_eq!(outside.effects.lock().unwrap().len(), 1);
}

fn job(text: &str) -> NewJob {
    NewJob {
        name: "test".into(),
        sources: Sources::of("item.rhai", text),
        input: json!({"add": 1}),
        requester: "ana".into(),
        origin: Some("test".into()),
        at_once: 4,
        attempts: 2,
    }
}

fn done(process: &Process, id: pawl_flow::JobId) -> pawl_flow::Job {
    let started = std::time::Instant::now();
    loop {
        let job = process.orchestrator.job(id).unwrap();
        if job.state == JobState::Done {
            return job;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{job:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn items(count: usize) -> Vec<NewItem> {
    (0..count).map(|n| NewItem { name: format!("{n}.pdf"), input: json!({"n": n}), document: None }).collect()
}

#[test]
fn a_poisoned_item_fails_after_its_attempts_and_holds_up_no_other() {
    let (runtime, outside, folder) = (runtime(), outside(), tempfile::tempdir().unwrap());
    let process = Process::start(folder.path(), &runtime, Shop::new(&outside, NEVER));
    let text = "let n = input.item.n; if n == 3 { throw #{code: \"damaged\", message: \"no page\"}; } if n == 5 { loop {} } \
        shop::write(#{n: n}) + input.job.add";
    let id = process.orchestrator.begin_job(job(text)).unwrap();
    assert_eq!(process.orchestrator.add_items(id, items(20)).unwrap(), 20);
    let ended = done(&process, id);
    assert_eq!((ended.items.done, ended.items.failed), (18, 2));
    let all = process.orchestrator.items(id, None, 0, 100).unwrap();
    assert_eq!(all[7].outcome, Some(Ok(json!(15))));
    assert_eq!((all[3].attempts, all[3].outcome.clone().unwrap().unwrap_err().code.as_str()), (2, "damaged"));
    assert_eq!(all[5].outcome.clone().unwrap().unwrap_err().code, "limit");
    // Again, with more: what is there is not done again.
    assert_eq!(process.orchestrator.begin_job(job(text)).unwrap(), id);
    assert_eq!(process.orchestrator.add_items(id, items(22)).unwrap(), 2);
    assert_eq!(done(&process, id).items.done, 20);
    assert_eq!(outside.effects.lock().unwrap().len(), 20);
    assert_eq!(process.orchestrator.retry_failed(id).unwrap(), 2);
    assert_eq!(done(&process, id).items.failed, 2);
}

#[test]
fn documents_of_the_same_content_are_done_once_and_anew_when_they_change() {
    let (runtime, outside, folder) = (runtime(), outside(), tempfile::tempdir().unwrap());
    let process = Process::start(folder.path(), &runtime, Shop::new(&outside, NEVER));
    let id = process.orchestrator.begin_job(job("shop::write(#{n: 1})")).unwrap();
    let files = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| {
        let file = files.path().join(name);
        std::fs::write(&file, content).unwrap();
        file
    };
    let item = |name: &str, content: &str| NewItem {
        name: name.into(),
        input: json!(null),
        document: Some(Document { collection: "papers".into(), file: write(name, content) }),
    };
    process
        .orchestrator
        .add_items(id, [item("a", "x"), item("b", "y"), item("c", "x"), item("d", "x")])
        .unwrap();
    let ended = done(&process, id);
    assert_eq!((ended.items.done, ended.items.same), (2, 2));
    let all = process.orchestrator.items(id, None, 0, 100).unwrap();
    assert_eq!((all[2].same_as.as_deref(), &all[2].outcome), (Some("a"), &Some(Ok(json!(2)))));
    assert_eq!(outside.effects.lock().unwrap().len(), 2);
    // What they were the same as is not any more what it was.
    assert!(process.orchestrator.renew(id).unwrap().is_empty());
    write("a", "z");
    assert_eq!(process.orchestrator.renew(id).unwrap(), ["a"]);
    let ended = done(&process, id);
    assert_eq!((ended.items.done, ended.items.same), (3, 1));
    let all = process.orchestrator.items(id, None, 0, 100).unwrap();
    assert_eq!((all[0].same_as.as_deref(), all[3].same_as.as_deref()), (None, Some("c")));
    assert_eq!(outside.effects.lock().unwrap().len(), 4);
}

#[test]
fn a_job_goes_on_in_the_next_process_with_no_item_lost_or_done_twice() {
    let (runtime, outside, folder) = (runtime(), outside(), tempfile::tempdir().unwrap());
    let text = "let a = shop::price_of(#{n: input.item.n}); shop::write(#{n: a})";
    let mut id = None;
    for ends_at in [3, 10, 17, 24, 31] {
        let dying = Process::start(folder.path(), &runtime, Shop::new(&outside, ends_at));
        let job = dying.orchestrator.begin_job(job(text)).unwrap();
        assert_eq!(*id.get_or_insert(job), job);
        dying.orchestrator.add_items(job, items(60)).unwrap();
        while !dying.crashed() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    let next = Process::start(folder.path(), &runtime, Shop::new(&outside, NEVER));
    let ended = done(&next, id.unwrap());
    assert_eq!((ended.items.done, ended.items.all()), (60, 60));
    let effects = outside.effects.lock().unwrap().clone();
    let keys: std::collections::BTreeSet<&String> = effects.iter().collect();
    assert_eq!((effects.len(), keys.len()), (60, 60));
    let all = next.orchestrator.items(id.unwrap(), None, 0, 100).unwrap();
    assert!(
        all.iter().all(|item| item.attempts == 1 && item.outcome == Some(Ok(json!(item.n * 4)))),
        "{all:?}"
    );
}

#[test]
fn a_job_that_is_paused_begins_nothing() {
    let (runtime, outside, folder) = (runtime(), outside(), tempfile::tempdir().unwrap());
    let process = Process::start(folder.path(), &runtime, Shop::new(&outside, NEVER));
    let id = process.orchestrator.begin_job(job("shop::write(#{n: 1})")).unwrap();
    process.orchestrator.pause(id, true).unwrap();
    process.orchestrator.add_items(id, items(5)).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(process.orchestrator.job(id).unwrap().items.queued, 5);
    process.orchestrator.pause(id, false).unwrap();
    assert_eq!(done(&process, id).items.done, 5);
    assert!(process.orchestrator.pause(id, true).is_err());
}

#[test]
fn a_value_that_could_not_be_read_back_is_refused_at_the_door() {
    let (runtime, outside, folder) = (runtime(), outside(), tempfile::tempdir().unwrap());
    let process = Process::start(folder.path(), &runtime, Shop::new(&outside, NEVER));
    let nested = |deep: usize| (0..deep).fold(json!(1), |inner, _| json!([inner]));
    let id = process.begin("[[[input]]]", nested(80));
    assert_eq!(process.result(id), Ok(nested(83)));
    let id = process.begin("let x = 1; for n in 0..60 { x = [x]; } emit([input, x]); [x]", nested(60));
    process.result(id).unwrap();
    let id = process.begin("let x = input; for n in 0..60 { x = [x]; } x", nested(60));
    assert_eq!(process.result(id).unwrap_err().code, "result");
    let id = process.begin("let x = input; for n in 0..60 { x = [x]; } emit(x)", nested(60));
    assert_eq!(process.result(id).unwrap_err().code, "argument");
    let start = pawl_flow::Start {
        sources: Sources::of("a.rhai", "1"),
        input: nested(100),
        requester: "ana".into(),
        origin: None,
        document: None,
        detached: false,
    };
    assert!(process.orchestrator.start(start).unwrap_err().to_string().contains("nested"));
}

#[test]
fn what_ended_long_ago_is_deleted_and_what_began_it_begins_it_no_more() {
    let (runtime, outside, folder) = (runtime(), outside(), tempfile::tempdir().unwrap());
    let mut shop = Shop::new(&outside, NEVER);
    shop.flows.insert("inner".into(), "shop::write(#{n: input})".into());
    let process = Process::start(folder.path(), &runtime, shop);
    let parent = process.begin("child(\"inner\", 1)", Value::Null);
    process.result(parent).unwrap();
    let start = || pawl_flow::Start {
        sources: Sources::of("once.rhai", "shop::write(#{n: 1})"),
        input: Value::Null,
        requester: "trigger".into(),
        origin: Some("trigger inbox file 1".into()),
        document: None,
        detached: false,
    };
    let once = process.orchestrator.start(start()).unwrap();
    process.result(once).unwrap();
    let job = process
        .orchestrator
        .begin_job(job("if input.item.n == 0 { throw \"no\"; } shop::write(#{n: 1})"))
        .unwrap();
    process.orchestrator.add_items(job, items(3)).unwrap();
    done(&process, job);
    let open = process.begin("wait_for(\"go\") + shop::price_of(#{n: 1})", Value::Null);
    process.until(open, |run| run.state == RunState::Waiting);
    let now = jiff::Timestamp::now();
    assert_eq!(process.orchestrator.prune(now - jiff::ToSpan::hours(1)).unwrap().runs, 0);
    let pruned = process.orchestrator.prune(now).unwrap();
    // Parent and child, the one of the trigger, two items and both attempts of the third.
    assert_eq!((pruned.runs, pruned.jobs), (7, 1));
    let left: Vec<_> = process.orchestrator.runs(false, 100).unwrap().into_iter().map(|run| run.id).collect();
    assert_eq!(left, [open]);
    assert!(process.orchestrator.steps(once, 0, 10).is_err() && process.orchestrator.job(job).is_err());
    assert_eq!(process.orchestrator.start(start()).unwrap(), once);
    assert!(process.orchestrator.begin_job(self::job("1")).is_err());
    assert_eq!(outside.effects.lock().unwrap().len(), 4);
    process.orchestrator.signal(open, "go", &json!(5)).unwrap();
    assert_eq!(process.result(open), Ok(json!(7)));
}

#[test]
fn fields_are_redacted_in_what_has_ended_and_not_in_what_goes_on() {
    let (runtime, outside, folder) = (runtime(), outside(), tempfile::tempdir().unwrap());
    let fields = ["email".to_owned()];
    let text = "emit(#{email: input.email, n: 1}); let n = wait_for(\"go\"); #{email: input.email, n: n}";
    let (ended, open) = {
        let process = Process::start(folder.path(), &runtime, Shop::new(&outside, NEVER));
        let ended = process.begin(text, json!({"email": "ada@example.com"}));
        process.orchestrator.signal(ended, "go", &json!(1)).unwrap();
        process.result(ended).unwrap();
        let open = process.begin(text, json!({"email": "bo@example.com"}));
        process.until(open, |run| run.state == RunState::Waiting);
        let job = process.orchestrator.begin_job(job("#{email: input.item.email}")).unwrap();
        let item = NewItem { name: "a".into(), input: json!({"email": "cy@example.com"}), document: None };
        process.orchestrator.add_items(job, [item]).unwrap();
        done(&process, job);
        assert_eq!(process.orchestrator.redact(&fields).unwrap(), 3);
        assert_eq!(process.orchestrator.redact(&fields).unwrap(), 0);
        let items = process.orchestrator.items(job, None, 0, 10).unwrap();
        assert_eq!(items[0].outcome, Some(Ok(json!({"email": "[redacted]"}))));
        // What is not known any more cannot be done again.
        assert!(process.orchestrator.retry_failed(job).is_err());
        (ended, open)
    };
    // The one that goes on is replayed with what it had.
    let process = Process::start(folder.path(), &runtime, Shop::new(&outside, NEVER));
    let run = process.orchestrator.run(ended).unwrap();
    assert_eq!(
        (run.input, run.outcome),
        (json!({"email": "[redacted]"}), Some(Ok(json!({"email": "[redacted]", "n": 1}))))
    );
    let steps = process.orchestrator.steps(ended, 0, 10).unwrap();
    assert!(!format!("{steps:?}").contains("ada@"), "{steps:?}");
    process.orchestrator.signal(open, "go", &json!(2)).unwrap();
    assert_eq!(process.result(open), Ok(json!({"email": "bo@example.com", "n": 2})));
}
