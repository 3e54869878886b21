//! Drafts over a small database of its own: what a person says, and the call by hand.
#![expect(clippy::unwrap_used, reason = "the layer and the database of these tests are their own")]

use jiff::civil::date;

use super::*;
use crate::testing::Memory;

const LAYER: &str = "
database: d
entities:
  visits: {table: visits, key: id, time: day, joins: {doctors: {on: doctor, cardinality: many-to-one}}}
  doctors: {table: doctors, key: id}
measures:
  visits: {synonyms: [就诊量], entity: visits, aggregate: count}
  fees: {synonyms: [charged fees], entity: visits, aggregate: sum, expression: fee}
dimensions:
  doctor: {entity: doctors, expression: name, synonyms: [physician]}
  ward: {entity: doctors, expression: ward}
";

fn drafted(request: &str) -> String {
    let database = Memory::new(
        "CREATE TABLE doctors (id INTEGER PRIMARY KEY, name TEXT, ward TEXT);
         CREATE TABLE visits (id INTEGER PRIMARY KEY, doctor INTEGER, day TEXT, fee REAL);
         INSERT INTO doctors VALUES (1, 'Ash Grove', 'Eye'), (2, 'Elm Hill', 'Heart');
         INSERT INTO visits VALUES (1, 1, '2029-02-03', 10), (2, 2, '2030-02-04', 20), (3, 2, '2030-05-04', 7);",
    );
    suggest(&Layer::read(LAYER).unwrap(), &database, request, date(2030, 6, 15)).unwrap()
}

/// The call alone.
fn call(request: &str) -> String {
    let text = drafted(request);
    text.lines().next().unwrap_or_default().strip_prefix("draft of the call: ").unwrap_or_default().to_owned()
}

#[test]
fn the_words_of_a_request_become_a_call() {
    for (request, wanted) in [
        (
            "How many visits were there in February 2030?",
            r#"{"from":"2030-02-01","measures":["visits"],"to":"2030-02-28"}"#,
        ),
        (
            "charged fees by physician last month",
            r#"{"by":["doctor"],"from":"2030-05-01","measures":["fees"],"to":"2030-05-31"}"#,
        ),
        (
            "the two wards with the lowest fees",
            r#"{"by":["ward"],"measures":["fees"],"order":"lowest-first","top":2}"#,
        ),
        (
            "top 3 physicians by fees",
            r#"{"by":["doctor"],"measures":["fees"],"order":"highest-first","top":3}"#,
        ),
        (
            "visits per quarter without Elm Hill",
            r#"{"by":["quarter"],"excluding":["doctor: Elm Hill"],"measures":["visits"]}"#,
        ),
        (
            "share of fees of each ward, Q1 2030",
            r#"{"by":["ward"],"calculate":"share-of-total","from":"2030-01-01","measures":["fees"],"to":"2030-03-31"}"#,
        ),
        (
            "Fees of the Heart ward in 2030 versus 2029",
            r#"{"compare":"same-period-last-year","from":"2030-01-01","measures":["fees"],"only":["ward: Heart"],"to":"2030-12-31"}"#,
        ),
        (
            "Did the charged fees rise from Q1 2030 to Q2 2030?",
            r#"{"compare":"previous-period","from":"2030-04-01","measures":["fees"],"to":"2030-06-30"}"#,
        ),
        (
            "Which ward had the highest fees in 2030, Ash Grove left out?",
            r#"{"by":["ward"],"excluding":["doctor: Ash Grove"],"from":"2030-01-01","measures":["fees"],"order":"highest-first","to":"2030-12-31","top":1}"#,
        ),
        (
            "fees per ward and quarter in 2030",
            r#"{"by":["ward","quarter"],"from":"2030-01-01","measures":["fees"],"to":"2030-12-31"}"#,
        ),
        ("2030年第二季度的就诊量", r#"{"from":"2030-04-01","measures":["visits"],"to":"2030-06-30"}"#),
        ("2030年2月的就诊量", r#"{"from":"2030-02-01","measures":["visits"],"to":"2030-02-28"}"#),
    ] {
        let sorted = |text: &str| serde_json::from_str::<Json>(text).unwrap();
        let got = call(request);
        let (function, arguments) = got.split_once(' ').unwrap_or_default();
        assert_eq!(function, "query", "{request}");
        assert_eq!(sorted(arguments)["question"], sorted(wanted), "{request}");
    }
}

#[test]
fn the_function_follows_the_request() {
    assert!(call("Plot the fees month by month").starts_with("chart "));
    assert_eq!(
        call("Why did fees fall in May 2030?"),
        r#"explain-change {"measure":"fees","from":"2030-05-01","to":"2030-05-31"}"#
    );
    assert!(call("How can we raise fees?").starts_with("explain-change "));
}

#[test]
fn what_is_not_about_figures_gets_nothing() {
    for request in [
        "",
        "Hello!",
        "Remind me to pay the fees on Friday",
        "Which doctor is on duty?",
        "🦀".repeat(999).as_str(),
    ] {
        assert_eq!(drafted(request), "", "{request}");
    }
    assert!(drafted("fees of the basement").ends_with("not understood of the request: basement"));
}
