//! What must be true when everything has ended.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use pawl_tests::server::Server;
use serde_json::{Value, json};

use crate::{BROKEN, COPIES, Place, Plan, command};

pub(crate) async fn all(server: &Server, place: &Place, plan: &Plan) -> Result<()> {
    let failures = [
        ("runs", runs(place, plan)),
        ("writes", writes(place, plan)),
        ("documents", documents(server, plan).await),
        ("events", events(server, plan).await),
        ("approvals", approvals(server, plan).await),
    ];
    let mut bad = 0;
    for (what, ended) in failures {
        match ended {
            Ok(said) => println!("{what}: {said}"),
            Err(error) => {
                bad += 1;
                println!("{what}: WRONG: {error:#}");
            }
        }
    }
    ensure!(bad == 0, "{bad} of 5 are wrong");
    println!("everything ended as it would have undisturbed");
    Ok(())
}

fn runs(place: &Place, plan: &Plan) -> Result<String> {
    let last = (plan.runs * 2 + plan.documents * 2 + 100).to_string();
    let list = command(place, &["runs", "--json", "--last", &last])?;
    let mut seen = BTreeMap::new();
    for run in list.as_array().context("no list")? {
        if run["flow"] != "chaos" {
            continue;
        }
        let n = run["input"].as_u64().context("no number")?;
        let expected =
            json!({"result": {"n": n, "doubled": n * 2, "rows": 1, "by": ["checker"], "events": 2}});
        ensure!(run["state"] == "done" && run["outcome"] == expected, "run {n}: {run}");
        *seen.entry(n).or_insert(0) += 1;
    }
    ensure!(
        seen.len() == plan.runs && seen.values().all(|count| *count == 1),
        "{} runs of {}",
        seen.len(),
        plan.runs
    );
    Ok(format!("{} of {} ended as they would have, each once", seen.len(), plan.runs))
}

fn writes(place: &Place, plan: &Plan) -> Result<String> {
    let shop = rusqlite::Connection::open(place.data.join("shop.sqlite"))?;
    let mut statement = shop.prepare("SELECT run, count(*) FROM ledger GROUP BY run")?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
    let rows: Vec<(i64, i64)> = rows.collect::<rusqlite::Result<_>>()?;
    let twice: Vec<_> = rows.iter().filter(|(_, count)| *count != 1).collect();
    ensure!(
        twice.is_empty() && rows.len() == plan.runs,
        "{} runs wrote, more than once: {twice:?}",
        rows.len()
    );
    Ok(format!("{} rows, one of each run", rows.len()))
}

async fn documents(server: &Server, plan: &Plan) -> Result<String> {
    let response = server.client().get(format!("{}/v1/jobs/j1/results", server.url)).send().await?;
    let lines: Vec<Value> =
        response.text().await?.lines().map(serde_json::from_str).collect::<serde_json::Result<_>>()?;
    let (mut states, mut names) = (BTreeMap::<String, usize>::new(), BTreeMap::<String, usize>::new());
    for item in &lines {
        *states.entry(item["state"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
        *names.entry(item["name"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    let of = |each: usize, from: usize| {
        (0..plan.documents).filter(|n| (from..from + each).contains(&(n % 100))).count()
    };
    let (broken, copies) = (of(BROKEN, 0), of(COPIES, BROKEN));
    let same = copies.saturating_sub(1);
    let expected = [("done", plan.documents - broken - same), ("failed", broken), ("same", same)];
    for (state, count) in expected {
        ensure!(states.get(state).copied().unwrap_or(0) == count, "{states:?}, expected {expected:?}");
    }
    ensure!(
        names.len() == plan.documents && names.values().all(|count| *count == 1),
        "{} names",
        names.len()
    );
    Ok(format!("{} items: {states:?}", lines.len()))
}

async fn events(server: &Server, plan: &Plan) -> Result<String> {
    let mut titles = BTreeMap::<String, usize>::new();
    // Month by month: a list has an end.
    for month in 1..=12 {
        let range = json!({"from": format!("2031-{month:02}-01"), "to": format!("2031-{month:02}-28")});
        let (status, listed) = server.post("/v1/tools/calendar.list-events", &range).await?;
        ensure!(status == 200, "{status} {listed}");
        for event in listed["result"]["events"].as_array().context("no events")? {
            *titles.entry(event["title"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
        }
    }
    let twice: Vec<_> = titles.iter().filter(|(_, count)| **count != 1).take(5).collect();
    ensure!(twice.is_empty(), "more than once: {twice:?}");
    let mut expected = 0;
    for n in 0..plan.runs {
        for title in [format!("child {n}"), format!("run {n} part 0"), format!("run {n} part 1")] {
            ensure!(titles.contains_key(&title), "{title} is missing");
            expected += 1;
        }
    }
    let items = titles.keys().filter(|title| title.starts_with("item ")).count();
    ensure!(
        titles.len() == expected + items,
        "{} events, {expected} of runs and {items} of items",
        titles.len()
    );
    Ok(format!("{} events, each once ({items} of items)", titles.len()))
}

async fn approvals(server: &Server, plan: &Plan) -> Result<String> {
    let (_, list) = server.get("/v1/approvals?all=true").await?;
    let data = list["data"].as_array().context("no approvals")?;
    let done = data.iter().filter(|approval| approval["state"] == "done").count();
    let others: Vec<&Value> = data.iter().filter(|approval| approval["state"] != "done").collect();
    ensure!(others.is_empty() && done == (plan.runs * 2).min(1_000), "{done} done; {others:?}");
    Ok(format!("{done} approvals, each used once"))
}
