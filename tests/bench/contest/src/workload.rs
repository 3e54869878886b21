//! The three calls that are timed: a small record, a list of 100 records, a string of a million bytes.

use serde_json::{Value, json};

/// A function and its arguments as JSON text.
pub struct Work {
    /// As the tables name it.
    pub title: &'static str,
    /// The function's name.
    pub function: &'static str,
    /// An object of its parameters.
    pub arguments: String,
    /// Calls of a contender in a round.
    pub calls: usize,
}

/// A record of six fields to one of four.
pub fn small() -> Work {
    let arguments = json!({ "order": order(7) }).to_string();
    Work { title: "small record", function: "quote", arguments, calls: 200 }
}

/// The same a hundred times over.
pub fn list() -> Work {
    let orders: Vec<Value> = (0..100).map(order).collect();
    let arguments = json!({ "orders": orders }).to_string();
    Work { title: "100 records", function: "quotes", arguments, calls: 40 }
}

/// Words, with something to escape now and then.
pub fn text() -> Work {
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
