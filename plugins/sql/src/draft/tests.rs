//! The draft against gold statements: on a small database here, and on any other by `PAWL_DRAFT`.

use super::*;
use crate::testing::Memory;

const FARM: &str = "CREATE TABLE farms(id INTEGER PRIMARY KEY, name TEXT, county TEXT);
    CREATE TABLE cows( -- animals that give milk
      id INTEGER PRIMARY KEY, farm_id INTEGER REFERENCES farms(id), name TEXT, born_on TEXT, breed TEXT);
    CREATE TABLE milkings(id INTEGER PRIMARY KEY, cow_id INTEGER REFERENCES cows(id), milked_on TEXT, qty_l REAL, amount REAL, shift TEXT);
    INSERT INTO farms VALUES (1, 'Alder', 'Kerra'), (2, 'Birch', 'Lunde'), (3, 'Cedar', 'Lunde');
    INSERT INTO cows VALUES (1, 1, 'Ada', '2020-02-01', 'Jersey'), (2, 2, 'Bo', '2021-05-01', 'Angus'), (3, 2, 'Cy', '2022-01-01', 'Jersey');
    INSERT INTO milkings VALUES (1, 1, '2024-01-05', 10, 5, 'dawn'), (2, 1, '2024-02-05', 12, 6, 'dusk'), (3, 2, '2024-02-07', 9, 4, 'dawn');";

fn drafted(request: &str) -> Option<String> {
    crate::relate::drafted(&Memory::new(FARM), request)
}

#[test]
fn the_questions_of_a_business_become_statements_that_count_nothing_twice() {
    for (request, sql) in [
        ("How many cows do we have?", "SELECT COUNT(*) AS n FROM cows c"),
        ("How many cows per breed?", "SELECT c.breed, COUNT(*) AS n FROM cows c GROUP BY c.breed"),
        (
            "How many milkings were there in February 2024?",
            "SELECT COUNT(*) AS n FROM milkings m WHERE m.milked_on >= '2024-02-01' AND m.milked_on < '2024-03-01'",
        ),
        (
            "Which three farms earned the most in 2024?",
            "SELECT f.name, SUM(m.amount) AS amount FROM milkings m JOIN cows c ON c.id = m.cow_id JOIN farms f ON f.id = c.farm_id WHERE \
             m.milked_on >= '2024-01-01' AND m.milked_on < '2025-01-01' GROUP BY f.id ORDER BY amount DESC LIMIT 3",
        ),
        (
            "What percentage of the milkings were dawn?",
            "SELECT SUM(CASE WHEN m.shift = 'dawn' THEN 1 ELSE 0 END) * 100.0 / COUNT(*) AS percentage FROM milkings m",
        ),
        (
            "Which farms have no cows?",
            "SELECT f.name FROM farms f WHERE NOT EXISTS (SELECT 1 FROM cows c WHERE c.farm_id = f.id)",
        ),
    ] {
        assert_eq!(drafted(request).as_deref(), Some(sql), "{request}");
    }
}

#[test]
fn a_word_that_is_not_understood_and_an_attack_draft_nothing() {
    for request in ["How many purple cows sing opera?", "hello", "", "'; DROP TABLE cows; --"] {
        assert_eq!(drafted(request), None, "{request}");
    }
}

/// `PAWL_DRAFT=FILE.sqlite:QUESTIONS.json cargo test -p pawl-plugin-sql drafts -- --ignored --nocapture`
#[test]
#[ignore = "measures: it needs a database and questions, and says how many drafts give the gold figures"]
#[expect(clippy::unwrap_used, reason = "a measurement that cannot be made should say why and stop")]
fn drafts_beside_gold_statements() {
    let (file, questions) = std::env::var("PAWL_DRAFT")
        .map(|both| {
            both.split_once(':').map(|(file, questions)| (file.to_owned(), questions.to_owned())).unwrap()
        })
        .unwrap();
    let database = Memory::open(&file);
    let all: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(questions).unwrap()).unwrap();
    let (mut right, mut wrong, mut silent) = (0, 0, 0);
    for case in all["cases"].as_array().unwrap() {
        let (id, request) = (case["id"].as_str().unwrap(), case["messages"][0]["content"].as_str().unwrap());
        let Some(sql) = crate::relate::drafted(&database, request) else {
            silent += 1;
            println!("silent {id}: {request}");
            continue;
        };
        let got = table(&database, &sql);
        let same = case["expect"]["gold_sql"].as_array().unwrap().iter().any(|gold| {
            let gold = table(&database, gold.as_str().unwrap());
            gold.len() == got.len() && gold.iter().all(|column| got.iter().any(|other| other == column))
                || within(&gold, &got)
        });
        if same {
            right += 1
        } else {
            wrong += 1;
            println!("WRONG {id}: {request}\n    {sql}");
        }
    }
    println!("right {right}, wrong {wrong}, silent {silent}");
}

/// Each column with its cells in order.
#[cfg(test)]
fn table(database: &Memory, sql: &str) -> Vec<Vec<String>> {
    let Ok(rows) = database.query(sql, 1_000) else { return Vec::new() };
    let cell = |value: &Value| crate::table::cell(value).unwrap_or_default();
    (0..rows.columns.len())
        .map(|column| {
            let mut cells: Vec<String> = rows.rows.iter().map(|row| cell(&row[column])).collect();
            cells.sort();
            cells
        })
        .collect()
}

/// Whether every column of the gold is among those that were got, rows in any order.
#[cfg(test)]
fn within(gold: &[Vec<String>], got: &[Vec<String>]) -> bool {
    !gold.is_empty() && gold.iter().all(|column| got.contains(column))
}
