//! Tests of what SQL over joins gets wrong most: fan and chasm traps, against figures by hand-written statements.
//!
//! The database is small enough to add up by eye; the gold statements join nothing that could multiply.

use crate::layer::Layer;
use crate::testing::Memory;
use crate::{Answer, Calculation, Comparison, Database as _, Error, Question, Value, analysis, answer};

const TABLES: &str = "
CREATE TABLE regions (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, region_id INTEGER, signed_up TEXT);
CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT, category TEXT, price REAL);
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER, ordered_at TEXT, status TEXT, total REAL);
CREATE TABLE order_items (id INTEGER PRIMARY KEY, order_id INTEGER, product_id INTEGER, quantity INTEGER, line_total REAL);
INSERT INTO regions VALUES (1, 'North'), (2, 'South');
INSERT INTO customers VALUES (1, 'A', 1, '2024-05-01'), (2, 'B', 2, '2025-01-10'), (3, 'O''C', NULL, '2025-02-10');
INSERT INTO products VALUES (1, 'Tea', 'Drinks', 2), (2, 'Pot', 'Ware', 20), (3, 'Cup', 'Ware', 5);
INSERT INTO orders VALUES
 (1, 1, '2025-01-05', 'completed', 24), (2, 1, '2025-03-31', 'completed', 10), (3, 2, '2025-04-01', 'shipped', 60),
 (4, 3, '2025-04-02', 'cancelled', 0), (5, 3, '2026-01-15', 'completed', 7);
INSERT INTO order_items VALUES
 (1, 1, 1, 2, 4), (2, 1, 2, 1, 20), (3, 2, 3, 2, 10), (4, 3, 2, 2, 40), (5, 3, 1, 10, 20), (6, 5, 1, 1, 2), (7, 5, 3, 1, 5);
";

fn ask(measures: &[&str], by: &[&str]) -> Question {
    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Question {
        measures: list(measures),
        by: Some(list(by)),
        from: None,
        to: None,
        only: None,
        excluding: None,
        compare: None,
        calculate: None,
        order: None,
        top: None,
    }
}

fn answered(question: &Question) -> Result<Answer, Error> {
    let layer = Layer::read(crate::SHOP).expect("the shop's layer is whole");
    answer::answer(&layer, &Memory::new(TABLES), question).map(|(_, answer)| answer)
}

fn rows(question: &Question) -> Vec<String> {
    let answer = answered(question).unwrap_or_else(|error| panic!("{question:?}: {error:?}"));
    answer.rows.iter().map(|row| row.join("|")).collect()
}

#[test]
fn figures_of_orders_and_of_their_items_do_not_multiply_each_other() {
    // 24 + 10 + 60 + 7, 4 orders, 2+1+2+2+10+1+1 pieces; a join of the two would give 192 and 7
    assert_eq!(rows(&ask(&["revenue", "orders", "units"], &[])), ["101.00|4|19"]);
    assert_eq!(
        rows(&ask(&["revenue", "orders", "units"], &["region"])),
        ["South|60.00|1|12", "North|34.00|2|5", "(none)|7.00|1|2"]
    );
}

#[test]
fn the_trap_is_there_for_a_plain_join() {
    let naive = "SELECT sum(o.total), count(o.id) FROM orders o JOIN order_items i ON i.order_id = o.id";
    let found = Memory::new(TABLES).query(naive, 1).expect("it is SQL");
    assert_eq!(found.rows, [[Value::Real(192.0), Value::Integer(7)]], "101 EUR and 5 orders in truth");
}

/// Two tables of facts that meet only in a third: joined, each row of one is repeated for every row of the other.
#[test]
fn facts_that_meet_in_a_third_table_do_not_multiply_each_other() {
    let tables = "CREATE TABLE clients (id INTEGER PRIMARY KEY, city TEXT);
        CREATE TABLE invoices (id INTEGER PRIMARY KEY, client INTEGER, day TEXT, amount INTEGER);
        CREATE TABLE visits (id INTEGER PRIMARY KEY, client INTEGER, day TEXT, minutes INTEGER);
        INSERT INTO clients VALUES (1, 'Graz'), (2, 'Linz'), (3, 'Wels');
        INSERT INTO invoices VALUES (1, 1, '2026-01-02', 10), (2, 1, '2026-02-02', 20), (3, 2, '2026-02-03', 5);
        INSERT INTO visits VALUES (1, 1, '2026-01-05', 30), (2, 1, '2026-01-06', 30), (3, 1, '2026-02-07', 45), (4, 3, '2026-02-08', 15);";
    let database = Memory::new(tables);
    let naive = "SELECT sum(amount), sum(minutes) FROM clients c LEFT JOIN invoices i ON i.client = c.id LEFT JOIN visits v ON v.client = c.id";
    let trapped = database.query(naive, 1).expect("it is SQL");
    assert_eq!(trapped.rows, [[Value::Integer(95), Value::Integer(225)]], "35 EUR and 120 minutes in truth");
    // the joins are declared from the side of many rows, where a careless compiler would follow them
    let layer = Layer::read(
        "database: main
entities:
  clients:
    table: clients
    key: id
    joins: {invoices: {on: client, cardinality: one-to-many}, visits: {on: client, cardinality: one-to-many}}
  invoices: {table: invoices, key: id, time: day}
  visits: {table: visits, key: id, time: day}
measures:
  amount: {entity: invoices, aggregate: sum, expression: amount}
  minutes: {entity: visits, aggregate: sum, expression: minutes}
  clients: {entity: clients, aggregate: count}
dimensions:
  city: {entity: clients, expression: city}
",
    )
    .expect("the layer is whole");
    let rows = |question: &Question| {
        let answer =
            answer::answer(&layer, &database, question).map(|(_, answer)| answer).expect("it is answered");
        answer.rows.iter().map(|row| row.join("|")).collect::<Vec<_>>()
    };
    assert_eq!(rows(&ask(&["amount", "minutes", "clients"], &[])), ["35|120|3"]);
    assert_eq!(rows(&ask(&["amount", "minutes"], &["city"])), ["Graz|30|105", "Linz|5|0", "Wels|0|15"]);
    let monthly = ask(&["amount", "minutes"], &["month"]);
    assert_eq!(rows(&monthly), ["2026-01|10|60", "2026-02|25|60"]);
    let refused = answer::answer(&layer, &database, &ask(&["clients"], &["month"]));
    assert!(matches!(refused, Err(Error::NotAnswerable(_))), "{refused:?}");
}

#[test]
fn a_property_of_items_is_counted_at_the_items() {
    assert_eq!(rows(&ask(&["revenue", "orders"], &["category"])), ["Ware|75.00|4", "Drinks|26.00|3"]);
    let answer = answered(&ask(&["orders"], &["category"])).expect("it is answered");
    assert!(answer.notes.iter().any(|note| note.contains("do not add up")), "{answer:?}");
    let drinks = Question { only: Some(vec!["category: Drinks".into()]), ..ask(&["revenue"], &["region"]) };
    assert_eq!(rows(&drinks), ["South|20.00", "North|4.00", "(none)|2.00"]);
}

#[test]
fn ratios_divide_what_was_aggregated() {
    assert_eq!(rows(&ask(&["average-order-value"], &[])), ["25.25"]);
    assert_eq!(rows(&ask(&["average-price"], &["category"])), ["Ware|12.50", "Drinks|2.00"]);
    assert_eq!(rows(&ask(&["cancellation-rate"], &[])), ["20.0"]);
}

#[test]
fn what_would_count_twice_is_refused_with_the_reason() {
    for (question, why) in [
        (ask(&["active-customers"], &["category"]), "`active-customers` cannot be split by `category`"),
        (ask(&["new-customers"], &["status"]), "counted several times"),
        (Question { from: Some("2025-01-01".into()), ..ask(&["products"], &[]) }, "not dated"),
        (
            Question {
                calculate: Some(Calculation::ShareOfTotal),
                ..ask(&["active-customers"], &["region"])
            },
            "does not add up",
        ),
        (Question { compare: Some(Comparison::PreviousPeriod), ..ask(&["revenue"], &[]) }, "needs a period"),
    ] {
        match answered(&question) {
            Err(Error::NotAnswerable(said)) => assert!(said.contains(why), "{said}"),
            other => panic!("{question:?}: {other:?}"),
        }
    }
}

#[test]
fn names_and_values_that_are_not_there_are_named_with_those_that_are() {
    let only = |text: &str| Question { only: Some(vec![text.into()]), ..ask(&["revenue"], &[]) };
    for (question, near) in [
        (ask(&["profit"], &[]), "`orders`"),
        (ask(&["revenue"], &["regoin"]), "there are `region`"),
        (only("region: Nort"), "there are `North`"),
        (only("customer: x' OR 1=1 --"), "there is no customer"),
        (only("big ones"), "`large orders`"),
    ] {
        match answered(&question) {
            Err(Error::UnknownName(said)) => assert!(said.contains(near), "{said}"),
            other => panic!("{question:?}: {other:?}"),
        }
    }
    assert_eq!(rows(&only("customer: o'c")), ["7.00"], "quotes are data, case is not");
    assert_eq!(rows(&ask(&["turnover"], &[])), ["101.00"], "a synonym");
}

#[test]
fn the_rest_is_counted_anew_and_not_added_up() {
    let top = Question { top: Some(1), ..ask(&["average-order-value"], &["customer"]) };
    assert_eq!(rows(&top), ["B|60.00", "(rest)|13.67"]); // (24 + 10 + 7) / 3 orders
}

#[test]
fn steps_without_rows_are_there_and_growth_skips_none() {
    let steps = |calculate| Question { calculate: Some(calculate), ..ask(&["revenue"], &["quarter"]) };
    assert_eq!(
        rows(&steps(Calculation::Growth)),
        ["2025-Q1|34.00|", "2025-Q2|60.00|76.5", "2025-Q3|0.00|-100.0", "2025-Q4|0.00|", "2026-Q1|7.00|"]
    );
    assert_eq!(rows(&steps(Calculation::MovingAverage))[4], "2026-Q1|7.00|2.33");
    assert_eq!(rows(&steps(Calculation::RunningTotal))[4], "2026-Q1|7.00|101.00");
    let parts =
        Question { by: Some(vec!["category".into(), "quarter".into()]), ..steps(Calculation::ShareOfTotal) };
    // the first quarter sold 30 of ware and 4 of drinks
    assert_eq!(rows(&parts)[..2], ["2025-Q1|Ware|30.00|88.2", "2025-Q1|Drinks|4.00|11.8"]);
    let share = Question { calculate: Some(Calculation::ShareOfTotal), ..ask(&["revenue"], &["category"]) };
    assert_eq!(rows(&share), ["Ware|75.00|74.3", "Drinks|26.00|25.7"]);
}

#[test]
fn periods_are_compared_group_by_group() {
    let question = Question {
        from: Some("2025-04-01".into()),
        to: Some("2025-06-30".into()),
        compare: Some(Comparison::PreviousPeriod),
        ..ask(&["revenue"], &["region"])
    };
    assert_eq!(rows(&question), ["South|60.00|0.00|", "(none)|0.00|0.00|", "North|0.00|34.00|-100.0"]);
    let answer = answered(&question).expect("it is answered");
    assert!(answer.sentence.starts_with("revenue in 2025-Q2 (2025-04-01 to 2025-06-30): 60.00 EUR in all, 76.5 % more than the 34.00 EUR of 2025-Q1 (2025-01-01 to 2025-03-31). Highest revenue: South with 60.00 EUR; lowest: "), "{}", answer.sentence);
}

#[test]
fn movers_sum_to_the_change_and_name_their_statements() {
    let layer = Layer::read(crate::SHOP).expect("the shop's layer is whole");
    let explain = |measure, period| {
        analysis::explain(&layer, &Memory::new(TABLES), measure, period, Some(Comparison::PreviousPeriod))
    };
    let told = explain("sales", (Some("2025-04-01"), Some("2025-06-30"))).expect("it is explained");
    for dimension in ["region", "category"] {
        let sum: f64 = told.movers.iter().filter(|m| m.dimension == dimension).map(|m| m.change).sum();
        assert!((sum - 26.0).abs() < 1e-9, "{dimension}: {sum}");
    }
    assert!(told.movers.windows(2).all(|pair| pair[0].change.abs() >= pair[1].change.abs()));
    assert!(told.movers.iter().all(|mover| told.sql.len() > mover.query as usize + 1));
    assert!(matches!(
        explain("average-order-value", (Some("2025-04-01"), Some("2025-06-30"))),
        Err(Error::NotAnswerable(_))
    ));
}
