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
        origin: None,
        people: 1,
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
    let approved = store_again.decide("a1", &Decision::Approve, "reviewer", None, now()).unwrap();
    assert_eq!((approved.state, approved.decided_by.as_str()), (State::Approved, "reviewer"));
    let taken = store.approvals.take("a1", &asked.digest, now()).unwrap();
    assert_eq!(taken.state, State::Taken);
    for approvals in [&store.approvals, &store_again] {
        let error = approvals.take("a1", &asked.digest, now()).unwrap_err();
        assert_eq!(error.to_string(), "approval `a1` is taken and cannot be carried out");
    }
    let done = store.approvals.finish("a1", Ok(&json!({"rows": 1})), now()).unwrap();
    assert_eq!((done.state, done.result), (State::Done, Some(json!({"rows": 1}))));
    assert!(store.approvals.take("a1", &asked.digest, now()).is_err());
    assert!(store.approvals.list(false, now()).unwrap().is_empty());
    assert_eq!(store.approvals.list(true, now()).unwrap().len(), 1);
}

#[test]
fn of_many_who_take_it_at_the_same_time_one_gets_it() {
    let store = Store::new();
    let asked = store.ask();
    store.approvals.decide("a1", &Decision::Approve, "reviewer", None, now()).unwrap();
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
    let error = store.approvals.decide("a1", &Decision::Approve, "reviewer", None, later).unwrap_err();
    assert_eq!(error.to_string(), "approval `a1` is expired and cannot be approved");
    let second = store.approvals.ask(&proposal(), later, EXPIRY).unwrap();
    assert_ne!(first.id, second.id);
    store.approvals.decide(&second.id, &Decision::Approve, "reviewer", None, later).unwrap();
    let error = store.approvals.take(&second.id, &second.digest, later + 25.hours()).unwrap_err();
    assert_eq!(error.to_string(), "approval `a2` is expired and cannot be carried out");
}

#[test]
fn another_digest_is_refused_and_every_part_of_what_is_done_changes_it() {
    let store = Store::new();
    let asked = store.ask();
    store.approvals.decide("a1", &Decision::Approve, "reviewer", None, now()).unwrap();
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
    let error = store.approvals.decide("a1", &Decision::Approve, "model", None, now()).unwrap_err();
    assert_eq!(error.to_string(), "approval `a1` was asked for by model; somebody else must decide");
    let rejected =
        store.approvals.decide("a1", &Decision::Reject("not today".into()), "model", None, now()).unwrap();
    assert_eq!((rejected.state, rejected.note.as_str()), (State::Rejected, "not today"));
    let error = store.approvals.decide("a1", &Decision::Approve, "reviewer", None, now()).unwrap_err();
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

#[test]
fn a_second_person_is_another_one() {
    let store = Store::new();
    let proposal = Proposal { people: 2, ..proposal() };
    store.approvals.ask(&proposal, now(), EXPIRY).unwrap();
    let first = store.approvals.decide("a1", &Decision::Approve, "ana", None, now()).unwrap();
    assert_eq!((first.state, first.decided_by.as_str()), (State::Waiting, "ana"));
    assert!(store.approvals.take("a1", &first.digest, now()).is_err());
    let same = store.again().decide("a1", &Decision::Approve, "ana", None, now()).unwrap_err();
    assert!(matches!(same, ApprovalError::Same { .. }), "{same}");
    let second = store.again().decide("a1", &Decision::Approve, "ben", None, now()).unwrap();
    assert_eq!((second.state, second.decided_by.as_str()), (State::Approved, "ana, ben"));
}

#[test]
fn who_was_shown_something_else_does_not_approve_this() {
    let store = Store::new();
    let asked = store.ask();
    let other = store.approvals.decide("a1", &Decision::Approve, "ana", Some("c0ffee"), now()).unwrap_err();
    assert!(matches!(other, ApprovalError::Digest { .. }), "{other}");
    store.approvals.decide("a1", &Decision::Approve, "ana", Some(&asked.digest), now()).unwrap();
}

#[test]
fn a_step_of_a_run_asks_once_whatever_became_of_it() {
    let store = Store::new();
    let proposal = Proposal { origin: Some("r1/3".into()), ..proposal() };
    let asked = store.approvals.ask(&proposal, now(), EXPIRY).unwrap();
    store.approvals.decide(&asked.id, &Decision::Reject("no".into()), "ana", None, now()).unwrap();
    let again = store.again().ask(&proposal, now(), EXPIRY).unwrap();
    assert_eq!((again.id.as_str(), again.state, again.note.as_str()), ("a1", State::Rejected, "no"));
    let other = Proposal { origin: Some("r1/4".into()), ..proposal };
    assert_eq!(store.approvals.ask(&other, now(), EXPIRY).unwrap().id, "a2");
}

#[test]
fn what_was_said_is_kept_and_so_is_what_was_refused() {
    let store = Store::new();
    let asked = store.ask();
    let own = store.approvals.decide("a1", &Decision::Approve, "model", None, now());
    assert!(matches!(own, Err(ApprovalError::Own { .. })));
    store.approvals.decide("a1", &Decision::Approve, "ana", None, now()).unwrap();
    store.approvals.take("a1", &asked.digest, now()).unwrap();
    store.approvals.release("a1", "the database is locked", now()).unwrap();
    store.approvals.take("a1", &asked.digest, now()).unwrap();
    assert_eq!(store.again().unfinished(now()).unwrap().len(), 1);
    store.approvals.finish("a1", Ok(&json!(1)), now()).unwrap();
    let twice = store.approvals.decide("a1", &Decision::Approve, "ana", None, now());
    assert!(matches!(twice, Err(ApprovalError::State { .. })));
    let said: Vec<(String, String)> =
        store.again().audit("a1").unwrap().into_iter().map(|row| (row.what, row.by)).collect();
    let said: Vec<(&str, &str)> = said.iter().map(|(what, by)| (what.as_str(), by.as_str())).collect();
    let expected = [
        ("asked", "model"),
        ("refused", "model"),
        ("approved", "ana"),
        ("taken", ""),
        ("released", ""),
        ("taken", ""),
        ("done", ""),
        ("refused", "ana"),
    ];
    assert_eq!(said, expected);
    assert!(store.approvals.unfinished(now()).unwrap().is_empty());
}

#[test]
fn a_store_of_the_first_version_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("approvals.sqlite");
    let old = rusqlite::Connection::open(&file).unwrap();
    old.execute_batch(
        "CREATE TABLE approvals (id INTEGER PRIMARY KEY AUTOINCREMENT, state TEXT NOT NULL, tool TEXT NOT NULL,
           version TEXT NOT NULL, arguments TEXT NOT NULL, effects TEXT NOT NULL, digest TEXT NOT NULL,
           requester TEXT NOT NULL, created TEXT NOT NULL, expires TEXT NOT NULL, decided_by TEXT NOT NULL DEFAULT '',
           decided TEXT, note TEXT NOT NULL DEFAULT '', result TEXT) STRICT;
         INSERT INTO approvals (state, tool, version, arguments, effects, digest, requester, created, expires)
           VALUES ('waiting', 'sql.change', 'v', '{}', '[]', 'd', 'model', '2026-11-23T12:00:00Z', '2026-11-24T12:00:00Z');",
    )
    .unwrap();
    drop(old);
    let listed = Approvals::open(&file).unwrap().list(false, now()).unwrap();
    assert_eq!((listed.len(), listed[0].people), (1, 1));
}
