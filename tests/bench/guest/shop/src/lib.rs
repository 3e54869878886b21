//! The work that every contender does, once for all: a shop prices orders.
//!
//! Invariant: little work, so that what is measured is the way in and out; and each result depends on its argument, so
//! that nothing can be left out.

use serde::{Deserialize, Serialize};

/// What a customer wants.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Order {
    /// Number of the order.
    pub id: String,
    /// Who pays.
    pub customer: String,
    /// How many pieces.
    pub quantity: u32,
    /// Price of one, in euros.
    pub price: f64,
    /// Delivered tomorrow.
    pub express: bool,
    /// What else is known.
    pub tags: Vec<String>,
}

/// What it costs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Quote {
    /// Number of the order.
    pub id: String,
    /// One line for the customer.
    pub label: String,
    /// In euros.
    pub total: f64,
    /// As they were given.
    pub tags: Vec<String>,
}

/// Arguments of `quote`, as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub struct QuoteArguments {
    /// The order.
    pub order: Order,
}

/// Arguments of `quotes`, as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub struct QuotesArguments {
    /// The orders.
    pub orders: Vec<Order>,
}

/// Arguments of `shout`, as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub struct ShoutArguments {
    /// Any text.
    pub text: String,
}

/// Prices one order.
pub fn quote(order: Order) -> Quote {
    let delivery = if order.express { 9.5 } else { 0.0 };
    Quote {
        label: format!("{} pieces for {}", order.quantity, order.customer),
        id: order.id,
        total: f64::from(order.quantity) * order.price + delivery,
        tags: order.tags,
    }
}

/// Prices each of a list.
pub fn quotes(orders: Vec<Order>) -> Vec<Quote> {
    orders.into_iter().map(quote).collect()
}

/// The text with its ASCII letters in upper case.
pub fn shout(mut text: String) -> String {
    text.make_ascii_uppercase();
    text
}
