//! The main job with the default model: a question in, a plugin called, an answer out.
//!
//! Figures are checked against an independent query of the same database.

use anyhow::{Context, Result, ensure};
use pawl_tests::server::{Options, Server, pawl};
use serde_json::{Value, json};

const MODEL: &str = "qwen2.5-coder-1.5b-instruct-q4_k_m";

struct House {
    folder: tempfile::TempDir,
    shop: rusqlite::Connection,
}

impl House {
    fn new() -> Result<House> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("shop.sqlite");
        let (code, _, stderr) = pawl(&["sample"], folder.path())?;
        ensure!(code == 0, "pawl sample: {stderr}");
        Ok(House { shop: rusqlite::Connection::open(&file)?, folder })
    }

    fn serve(&self) -> Result<Server> {
        Server::start(&Options { model: MODEL, settings: None }, self.folder.path())
    }
}

async fn ask(server: &Server, question: &str) -> Result<(String, Vec<Value>)> {
    let body = json!({"model": MODEL, "messages": [{"role": "user", "content": question}]});
    let (status, reply) = server.post("/v1/chat/completions", &body).await?;
    ensure!(status == 200, "{reply}");
    let answer = reply["choices"][0]["message"]["content"].as_str().context("no content")?.to_owned();
    let calls = reply["pawl"]["calls"].as_array().context("no calls")?.clone();
    println!("{question}\n{answer}\n{calls:#?}");
    Ok((answer, calls))
}

fn figures(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, ',' | ' ' | '\u{a0}' | '\u{202f}')).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_are_answered_and_events_are_kept() -> Result<()> {
    let house = House::new()?;
    let server = house.serve()?;

    let (answer, calls) = ask(&server, "Hello, who are you?").await?;
    assert!(calls.is_empty(), "a greeting calls nothing");
    assert!(!answer.is_empty());

    let (answer, _) = ask(&server, "Which three customers spent the most in 2025?").await?;
    let mut query = house.shop.prepare(
        "SELECT c.name FROM customers c JOIN orders o ON o.customer_id = c.id
         WHERE o.ordered_at BETWEEN '2025-01-01' AND '2025-12-31' GROUP BY c.id ORDER BY SUM(o.total) DESC LIMIT 3",
    )?;
    let names = query.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    assert_eq!(names.len(), 3);
    for name in &names {
        assert!(answer.contains(name), "{name} is missing in: {answer}");
    }

    let (answer, calls) = ask(&server, "How did revenue per quarter develop?").await?;
    let mut query = house.shop.prepare(
        "SELECT SUM(total) FROM orders
         GROUP BY substr(ordered_at, 1, 4), (CAST(substr(ordered_at, 6, 2) AS INTEGER) + 2) / 3",
    )?;
    let revenue = query.query_map([], |row| row.get::<_, f64>(0))?.collect::<Result<Vec<_>, _>>()?;
    assert_eq!(revenue.len(), 8);
    let result = calls.iter().rev().find_map(|call| call.get("result")).context("a result")?.to_string();
    for figure in &revenue {
        let whole = format!("{}", figure.trunc());
        assert!(figures(&result).contains(&whole), "{figure} is missing in the result: {result}");
        assert!(figures(&answer).contains(&whole), "{figure} is missing in the answer: {answer}");
    }

    let (_, calls) = ask(&server, "Book a 30 minute call with the finance team tomorrow at 10:30").await?;
    assert_eq!(calls.len(), 1, "one booking, made once");
    drop(server);

    let server = house.serve()?;
    let events = events(&house)?;
    assert_eq!(events.len(), 1);
    let start = events[0]["start"].as_str().context("a start")?;
    assert!(start.ends_with("T10:30"), "{start}");
    assert!(events[0]["end"].as_str().is_some_and(|end| end.ends_with("T11:00")), "{}", events[0]);
    drop(server);
    Ok(())
}

/// What `pawl call` sees of the days around now.
fn events(house: &House) -> Result<Vec<Value>> {
    let today: String = house.shop.query_row("SELECT date('now', '-1 day')", [], |row| row.get(0))?;
    let later: String = house.shop.query_row("SELECT date('now', '+3 days')", [], |row| row.get(0))?;
    let arguments = json!({"from": today, "to": later}).to_string();
    let (code, stdout, stderr) =
        pawl(&["call", "calendar.list-events", "--json", &arguments], house.folder.path())?;
    ensure!(code == 0, "{stderr}");
    let agenda: Value = serde_json::from_str(&stdout)?;
    Ok(agenda["events"].as_array().cloned().unwrap_or_default())
}
