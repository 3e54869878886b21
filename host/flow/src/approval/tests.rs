//! What a person relies on when they approve.

use jiff::ToSpan;
use serde_json::json;

use super::*;

fn proposal() -> Proposal {
    Proposal {
        tool: "sql.change".into(),
        version: "c0ffee".into(),
        arguments: json!({"sql": "DELETE FROM orders WHERE id = 1"}),
        effects: json!([{"database": "main", "sql": "DELETE FROM orders WHERE id = 1", "parameters": [], "rows": 1}]),
        requester: "model".into(),
    }
}

fn now() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

struct Store {
    folder: tempfile::TempDir,
    approvals: Approvals,
}

impl Store {
    fn new() -> Store {
        let folder = tempfile::tempdir().unwrap();
        let approvals = Approvals::open(&folder.path().join("approvals.sqlite")).unwrap();
        Store { folder, approvals }
    }

    /// As another process, or this one after a restart, sees it.
    fn again(&self) -> Approvals {
        Approvals::open(&self.folder.path().join("approvals.sqlite")).unwrap()
    }

    fn ask(&self) -> Approval {
        self.approvals.ask(&proposal(), now(), EXPIRY).unwrap()
    }
}

#[test]
fn it_waits_over_a_restart_is_approved_and_taken_once() {
    let store = Store::new();
    let asked = store.ask();
    assert_eq!((asked.id.as_str(), asked.state), ("a1", State::Waiting));
    assert_eq!(asked.effects, proposal().effects);
    let store_again = store.again();
    assert_eq!(store_again.list(false, now()).unwrap(), std::slice::from_ref(&asked));
    let approved = store_again.decide("a1", &Decision::Approve, "reviewer", now()).unwrap();
    assert_eq!((approved.state, approved.decided_by.as_str()), (State::Approved, "reviewer"));
    let taken = store.approvals.take("a1", &asked.digest, now()).unwrap();
    assert_eq!(taken.state, State::Taken);
    for approvals in [&store.approvals, &store_again] {
        let error = approvals.take("a1", &asked.digest, now()).unwrap_err();
        assert_eq!(error.to_string(), "approval `a1` is taken and cannot be carried out");
    }
    let done = store.approvals.finish("a1", Ok(&json!({"rows": 1}))).unwrap();
    assert_eq!((done.state, done.result), (State::Done, Some(json!({"rows": 1}))));
    assert!(store.approvals.take("a1", &asked.digest, now()).is_err());
    assert!(store.approvals.list(false, now()).unwrap().is_empty());
    assert_eq!(store.approvals.list(true, now()).unwrap().len(), 1);
}

#[test]
fn of_many_who_take_it_at_the_same_time_one_gets_it() {
    let store = Store::new();
    let asked = store.ask();
    store.approvals.decide("a1", &Decision::Approve, "reviewer", now()).unwrap();
    let got = std::thread::scope(|scope| {
        let takers: Vec<_> = (0..8)
            .map(|_| {
                let approvals = store.again();
                let digest = asked.digest.clone();
                scope.spawn(move || approvals.take("a1", &digest, now()).is_ok())
            })
            .collect();
        takers.into_iter().map(|taker| taker.join().unwrap()).filter(|got| *got).count()
    });
    assert_eq!(got, 1);
}

#[test]
fn it_expires_waiting_or_approved() {
    let store = Store::new();
    let (first, later) = (store.ask(), now() + 25.hours());
    let error = store.approvals.decide("a1", &Decision::Approve, "reviewer", later).unwrap_err();
    assert_eq!(error.to_string(), "approval `a1` is expired and cannot be approved");
    let second = store.approvals.ask(&proposal(), later, EXPIRY).unwrap();
    assert_ne!(first.id, second.id);
    store.approvals.decide(&second.id, &Decision::Approve, "reviewer", later).unwrap();
    let error = store.approvals.take(&second.id, &second.digest, later + 25.hours()).unwrap_err();
    assert_eq!(error.to_string(), "approval `a2` is expired and cannot be carried out");
}

#[test]
fn another_digest_is_refused_and_every_part_of_what_is_done_changes_it() {
    let store = Store::new();
    let asked = store.ask();
    store.approvals.decide("a1", &Decision::Approve, "reviewer", now()).unwrap();
    let changes: [fn(&mut Proposal); 4] = [
        |other| other.tool = "sql.other".into(),
        |other| other.version = "beef".into(),
        |other| other.arguments = json!({"sql": "DELETE FROM orders"}),
        |other| other.effects[0]["rows"] = json!(2),
    ];
    for change in changes {
        let mut other = proposal();
        change(&mut other);
        let error = store.approvals.take("a1", &other.digest(), now()).unwrap_err();
        assert!(matches!(error, ApprovalError::Digest { .. }), "{error}");
    }
    assert!(store.approvals.take("a1", &asked.digest, now()).is_ok());
    // The order of an object's keys says nothing.
    let (mut one, mut two) = (proposal(), proposal());
    one.arguments = json!({"a": 1, "b": {"c": 2, "d": 3}});
    two.arguments = json!({"b": {"d": 3, "c": 2}, "a": 1});
    assert_eq!(one.digest(), two.digest());
}

#[test]
fn who_asked_cannot_approve_but_can_withdraw() {
    let store = Store::new();
    store.ask();
    let error = store.approvals.decide("a1", &Decision::Approve, "model", now()).unwrap_err();
    assert_eq!(error.to_string(), "approval `a1` was asked for by model; somebody else must decide");
    let rejected =
        store.approvals.decide("a1", &Decision::Reject("not today".into()), "model", now()).unwrap();
    assert_eq!((rejected.state, rejected.note.as_str()), (State::Rejected, "not today"));
    let error = store.approvals.decide("a1", &Decision::Approve, "reviewer", now()).unwrap_err();
    assert_eq!(error.to_string(), "approval `a1` is rejected and cannot be approved");
}

#[test]
fn what_waits_is_not_asked_twice_and_is_bounded() {
    let store = Store::new();
    assert_eq!(store.ask().id, store.ask().id);
    let mut large = proposal();
    large.arguments = json!("x".repeat(MAX_BYTES));
    assert!(matches!(store.approvals.ask(&large, now(), EXPIRY), Err(ApprovalError::Limit(_))));
    for id in ["a2", "x", "a", "", "a-1", "a1; DROP TABLE approvals"] {
        assert!(matches!(store.approvals.get(id, now()), Err(ApprovalError::Unknown(_))), "{id}");
    }
}
