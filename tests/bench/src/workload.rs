//! The three calls that are timed: a small record, a list of 100 records, a string of a million bytes.

use serde_json::{Value, json};

/// A function and its arguments as JSON text.
pub(crate) struct Work {
    pub(crate) title: &'static str,
    pub(crate) function: &'static str,
    pub(crate) arguments: String,
    /// Calls of a contender in a round.
    pub(crate) calls: usize,
}

/// A record of six fields to one of four.
pub(crate) fn small() -> Work {
    let arguments = json!({ "order": order(7) }).to_string();
    Work { title: "small record", function: "quote", arguments, calls: 200 }
}

/// The same a hundred times over.
pub(crate) fn list() -> Work {
    let orders: Vec<Value> = (0..100).map(order).collect();
    let arguments = json!({ "orders": orders }).to_string();
    Work { title: "100 records", function: "quotes", arguments, calls: 40 }
}

/// Words, with something to escape now and then.
pub(crate) fn text() -> Work {
    let mut text = String::new();
    while text.len() < 1_000_000 {
        text.push_str("the quick brown fox jumps over the lazy dog, says \"hello\" and goes home \u{e9}\n");
    }
    text.truncate(1_000_000);
    let arguments = json!({ "text": text }).to_string();
    Work { title: "1 MB string", function: "shout", arguments, calls: 10 }
}

fn order(number: u32) -> Value {
    json!({
        "id": format!("o-{number}"),
        "customer": "Ada Example",
        "quantity": number % 9 + 1,
        "price": 4.25,
        "express": number % 2 == 1,
        "tags": ["garden", "gift"],
    })
}
