//! What a plan costs, from `EXPLAIN FORMAT=JSON`.
//!
//! Invariant: none is better than a wrong one: what is not understood counts nothing, and a plan without a number gives none.
//! <https://dev.mysql.com/doc/refman/8.4/en/explain.html>, <https://mariadb.com/kb/en/explain-format-json/>

use serde_json::Value as Json;

use crate::Cost;

pub(super) fn cost(json: &str) -> Option<Cost> {
    let plan: Json = serde_json::from_str(json).ok()?;
    if let Some(plan) = plan.get("query_plan") {
        let units = plan.get("estimated_total_cost").and_then(number);
        return Some(Cost { rows: most(plan), units });
    }
    let block = plan.get("query_block")?;
    // MySQL writes it as text; MariaDB from 11 as a number, and before that not at all.
    let units = block.pointer("/cost_info/query_cost").or_else(|| block.get("cost")).and_then(number);
    let mut rows = None;
    count(block, &mut rows);
    // A statement without a table reads nothing.
    Some(Cost { rows: rows.unwrap_or(0.0), units })
}

/// The most rows that a step of a plan is expected to give, in the form that MySQL 9 has.
fn most(plan: &Json) -> f64 {
    let own = plan.get("estimated_rows").and_then(number).unwrap_or(0.0);
    let steps = plan.get("inputs").and_then(Json::as_array);
    steps.into_iter().flatten().map(most).fold(own, f64::max)
}

/// Adds up the rows that are read of the tables in `plan`; those of a join once for each row before.
fn count(plan: &Json, rows: &mut Option<f64>) {
    match plan {
        Json::Object(parts) => {
            for (name, part) in parts {
                match (name.as_str(), part) {
                    ("nested_loop", Json::Array(steps)) => nested(steps, rows),
                    ("table", table) => {
                        step(table, 1.0, rows);
                    }
                    (_, part) => count(part, rows),
                }
            }
        }
        Json::Array(parts) => parts.iter().for_each(|part| count(part, rows)),
        _ => {}
    }
}

fn nested(steps: &[Json], rows: &mut Option<f64>) {
    let mut before = 1.0;
    for part in steps {
        // MariaDB puts the table of a buffered or sorted step deeper.
        match table(part) {
            Some(table) => before = step(table, before, rows),
            None => count(part, rows),
        }
    }
}

fn table(part: &Json) -> Option<&Json> {
    let parts = part.as_object()?;
    parts.get("table").or_else(|| parts.values().find_map(table))
}

/// Counts a table that is read for each of the rows `before`; gives how many go on.
fn step(table: &Json, before: f64, rows: &mut Option<f64>) -> f64 {
    let own = |name: &str| table.get(name).and_then(number);
    let read = before * own("rows_examined_per_scan").or_else(|| own("rows")).unwrap_or(0.0);
    *rows = Some(rows.unwrap_or(0.0) + read);
    for inner in ["materialized_from_subquery", "materialized", "attached_subqueries"] {
        if let Some(inner) = table.get(inner) {
            count(inner, rows);
        }
    }
    (read * own("filtered").unwrap_or(100.0) / 100.0).max(1.0)
}

fn number(value: &Json) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_of_a_join_are_read_for_each_row_before() {
        // As MySQL 8.4 and MariaDB 10.11 write them.
        let mysql = r#"{"query_block": {"select_id": 1, "cost_info": {"query_cost": "12.50"}, "nested_loop": [
            {"table": {"rows_examined_per_scan": 10, "filtered": "50.00"}}, {"table": {"rows_examined_per_scan": 3}}]}}"#;
        assert_eq!(cost(mysql), Some(Cost { rows: 25.0, units: Some(12.5) }));
        let mariadb = r#"{"query_block": {"select_id": 1, "nested_loop": [{"table": {"rows": 10, "filtered": 50}},
            {"block-nl-join": {"table": {"rows": 3, "filtered": 100}, "buffer_type": "flat"}}]}}"#;
        assert_eq!(cost(mariadb), Some(Cost { rows: 25.0, units: None }));
        // As MySQL 9.7 does.
        let tree = r#"{"query": "", "query_plan": {"estimated_rows": 1.5, "estimated_total_cost": 0.9, "inputs": [
            {"estimated_rows": 3.0}, {"estimated_rows": 1.0}]}, "json_schema_version": "2.0"}"#;
        assert_eq!(cost(tree), Some(Cost { rows: 3.0, units: Some(0.9) }));
        assert_eq!(cost("none"), None);
    }
}
