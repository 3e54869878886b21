//! Bad .ics files (`tests/cases/calendar/bad/`, and some too long to keep): each gives an error that names its line, or
//! what is right comes in and what was left out is said. Then everything is listed, exported and read again.
//!
//! Invariant: each file has its line here, and none takes longer than a call may, 5 s.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use pawl_plugin_calendar::memory::Memory;
use pawl_plugin_calendar::zone::Zone;
use pawl_plugin_calendar::{Error, args, book, exchange};

/// The file, how many events come in (none: the whole is refused) and what must be said.
const FILES: [(&str, Option<u32>, &[&str]); 25] = [
    ("crlf-mix", Some(1), &[]),
    ("cut-off", None, &["END:VEVENT is missing", "line 4"]),
    ("dst-gap", Some(1), &[]),
    ("duplicate-uid", Some(2), &["a@x: the UID is there twice"]),
    ("empty", None, &["no VEVENT"]),
    ("endless", Some(3), &[]),
    ("ends-before", Some(2), &["a@x: line 4: it ends before it begins"]),
    ("folding", None, &["line 8", "begins with a space"]),
    ("html", None, &["line 1", "<!DOCTYPE html>"]),
    ("negative-duration", Some(3), &["a@x: line 7: DURATION:-PT1H", "b@x: line 12: DURATION:soon"]),
    ("nested", None, &["line 7", "too many components"]),
    ("no-dtstart", Some(1), &["a@x: line 4: DTSTART is missing"]),
    (
        "no-such-day",
        Some(1),
        &["a@x: line 6: DTSTART:20310230T090000", "b@x: line 10", "c@x: line 14", "d@x: line 18"],
    ),
    ("no-uid", Some(2), &[]),
    ("nul", Some(1), &["line 7: control characters"]),
    ("old-mac", Some(1), &[]),
    ("outside", None, &["line 1", "SUMMARY:x", "outside BEGIN and END"]),
    ("override-alone", Some(1), &[]),
    (
        "rules",
        Some(1),
        &[
            "r0@x: line 7: RRULE:FREQ=NEVER",
            "r1@x: line 12",
            "r2@x: line 17",
            "r3@x: line 22",
            "r4@x: line 27",
            "r5@x: line 32",
        ],
    ),
    ("to-do", None, &["1 VTODO"]),
    ("two-rules", Some(1), &["a@x: of several RRULE the first counts"]),
    ("unclosed-quote", None, &["line 7", "ATTENDEE"]),
    ("wrong-end", None, &["line 6", "write END:VEVENT before"]),
    ("wrong-exdate", Some(1), &["a@x: line 8: EXDATE:never is no time"]),
    ("zones", Some(2), &["a@x: the zone Mars/Olympus is unknown"]),
];

/// Imports a text, lists and exports, and reads the export again; gives the titles of March 2031 with their starts.
fn check(name: &str, text: &str, events: Option<u32>, said: &[&str]) -> Vec<(String, String)> {
    let (begun, mut store) = (Instant::now(), Memory::default());
    let zone = Zone::named("Europe/Berlin").expect("known");
    let answer = match exchange::import(&mut store, text, None, None) {
        Ok(done) => {
            assert_eq!(Some(done.events), events, "{name}: {:?}", done.skipped);
            done.skipped.join("\n")
        }
        Err(Error::InvalidIcs(reason)) => {
            assert_eq!(events, None, "{name}: {reason}");
            assert!(store.0.is_empty(), "{name}: something was kept");
            reason
        }
        Err(other) => panic!("{name}: {other:?}"),
    };
    for part in said {
        assert!(answer.contains(part), "{name}: no `{part}` in {answer}");
    }
    assert!(events.is_none() || said.is_empty() == answer.is_empty(), "{name}: {answer}");
    let days = args::Days::new("2031-03-01", "2031-03-31").expect("days");
    let listed = book::list_events(&store, days, None, &zone).expect(name);
    let out = exchange::export(&store, None).expect(name);
    assert!(!out.contains('\0'), "{name}");
    if let Some(events) = events {
        let again = exchange::import(&mut Memory::default(), &out, None, None).expect(name);
        assert_eq!(again.events, events, "{name}: {:?}", again.skipped);
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{name}: {:?}", begun.elapsed());
    listed.events.into_iter().map(|event| (event.title, event.start)).collect()
}

#[test]
fn each_bad_file_is_refused_by_line_or_kept_as_far_as_it_is_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases/calendar/bad");
    let there = std::fs::read_dir(&folder).expect("the corpus").map(|file| file.expect("a file").path());
    let there: BTreeSet<String> =
        there.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    assert_eq!(there, FILES.iter().map(|(name, ..)| (*name).to_owned()).collect());
    for (name, events, said) in FILES {
        let text = std::fs::read_to_string(folder.join(format!("{name}.ics"))).expect(name);
        let seen = check(name, &text, events, said);
        let has = |title: &str, start: &str| seen.contains(&(title.to_owned(), start.to_owned()));
        match name {
            // The gap: read with the offset from before.
            "dst-gap" => assert!(has("gap", "2031-03-30T03:30"), "{seen:?}"),
            "crlf-mix" => assert!(has("one two", "2031-03-04T10:00"), "{seen:?}"),
            "nul" => assert!(has("before", "2031-03-04T10:00"), "{seen:?}"),
            "old-mac" | "rules" | "no-such-day" => assert!(has("Good", "2031-03-04T10:00"), "{seen:?}"),
            _ => {}
        }
    }
}

#[test]
fn what_is_too_much_is_refused_or_left_out_in_time() {
    let event = |uid: usize, lines: &str| {
        format!("BEGIN:VEVENT\nUID:{uid}\nDTSTART:20310304T090000Z\n{lines}\nEND:VEVENT\n")
    };
    let file = |events: &str| format!("BEGIN:VCALENDAR\n{events}END:VCALENDAR\n");
    let many = |count: usize| file(&(0..count).map(|uid| event(uid, "SUMMARY:x")).collect::<String>());
    check("100,000 events", &many(100_000), None, &["900000 at most", "several parts"]);
    check("501 events", &many(501), None, &["501 events; 500 at most"]);
    let huge = file(&(event(0, &format!("SUMMARY:{}", "x".repeat(800_000))) + &event(1, "SUMMARY:x")));
    check("a line of 800,000 bytes", &huge, Some(1), &["0: line 2: the event has", "524288 at most"]);
    let dates = "20310305T090000Z,".repeat(25_000);
    check(
        "25,000 RDATE and one empty",
        &file(&event(0, &format!("RDATE:{dates}"))),
        Some(1),
        &["is no time"],
    );
    let folds = "SUMMARY:x".to_owned() + &"\n ".repeat(250_000);
    check("250,000 empty folds", &file(&event(0, &folds)), Some(1), &[]);
    let endless: String = (0..500).map(|uid| event(uid, "RRULE:FREQ=SECONDLY")).collect();
    check("500 events each second", &file(&endless), Some(500), &[]);
    let lines = "X-A:b\n".repeat(60_000);
    check("60,000 properties", &file(&event(0, lines.trim_end())), Some(1), &[]);
    let quotes = format!("ATTENDEE{}:mailto:a@example.org", ";CN=\"a\"".repeat(40_000));
    check("40,000 parameters", &file(&event(0, &quotes)), Some(1), &[]);
}
