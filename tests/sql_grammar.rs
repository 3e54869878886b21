//! The grammar that the `sql` plugin gives the decoder: every statement that a person would call right can be written
//! under it, and nothing that names what does not exist.

use anyhow::{Context, Result, ensure};
use pawl_tests::plugins::{host, load, shop_at};
use pawl_tests::server::pawl;
use serde_json::{Value, json};

/// The schema of the argument `sql`, narrowed to the shop.
async fn schema() -> Result<Value> {
    let data = tempfile::tempdir()?;
    let (code, _, said) = pawl(&["sample"], data.path())?;
    ensure!(code == 0, "pawl sample: {said}");
    let plugin = load(&host(data.path())?, "sql", shop_at(&data.path().join("shop.sqlite")))?;
    let refined = plugin.refined().await?;
    let query = refined.iter().find(|each| each.tool.function == "query").context("query is a tool")?;
    Ok(query.tool.parameters.clone())
}

fn allows(schema: &Value, sql: &str) -> bool {
    pawl_llm::holds(schema, &json!({ "sql": sql })).is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_question_of_the_suite_has_a_right_statement_under_it() -> Result<()> {
    let schema = schema().await?;
    let suite: Value = serde_json::from_str(include_str!("cases/chat.json"))?;
    let cases = suite["cases"].as_array().context("the suite has cases")?;
    let gold: Vec<(&Value, &Vec<Value>)> =
        cases.iter().filter_map(|case| Some((&case["id"], case["expect"]["gold_sql"].as_array()?))).collect();
    assert!(gold.len() > 15, "{}", gold.len());
    let missing: Vec<_> = gold
        .iter()
        .filter(|(_, gold)| !gold.iter().filter_map(Value::as_str).any(|sql| allows(&schema, sql)))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_write_passes_and_what_does_not_exist_does_not() -> Result<()> {
    let schema = schema().await?;
    for sql in [
        "SELECT COUNT(*) FROM orders",
        "SELECT DISTINCT p.category FROM products AS p ORDER BY 1",
        "SELECT name FROM customers WHERE name LIKE '%O''Neill%' OR signed_up IS NULL LIMIT 5 OFFSET 10",
        "SELECT o.status, COUNT(*) AS n, ROUND(AVG(o.total), 2) FROM orders o GROUP BY o.status HAVING COUNT(*) > 3 ORDER BY n DESC NULLS LAST",
        "SELECT strftime('%Y-%m', ordered_at) AS month, SUM(CASE WHEN status = 'cancelled' THEN 1 ELSE 0 END) FROM orders GROUP BY month",
        "WITH t1 AS (SELECT customer_id, SUM(total) AS spent FROM orders GROUP BY customer_id) SELECT c.name, t1.spent, RANK() OVER (ORDER BY spent DESC) FROM t1 JOIN customers c ON c.id = t1.customer_id",
        "SELECT name FROM products WHERE id NOT IN (SELECT product_id FROM order_items WHERE quantity BETWEEN 2 AND 9)",
        "SELECT o1.id FROM orders o1 JOIN orders o2 ON o2.customer_id = o1.customer_id AND o2.id > o1.id",
        "SELECT name FROM customers UNION SELECT '茶' || name FROM products",
    ] {
        assert!(allows(&schema, sql), "{sql}");
    }
    for sql in [
        "",
        "DELETE FROM orders",
        "SELECT * FROM order",
        "SELECT * FROM sqlite_schema",
        "SELECT revenue FROM orders",
        "SELECT o.name FROM orders o",
        "SELECT customers.total FROM customers",
        "SELECT COUNT(*) FROM orders; DROP TABLE orders",
        "SELECT load_extension('x')",
        "SELECT total FROM orders -- all",
        "SELECT strftime('%Q', ordered_at) FROM orders",
        "WITH t1 AS (DELETE FROM orders RETURNING id) SELECT * FROM t1",
        "SELECT 1 INTO orders",
    ] {
        assert!(!allows(&schema, sql), "{sql}");
    }
    Ok(())
}
