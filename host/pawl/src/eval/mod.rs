//! Suites of chat requests with the expected call, and the score of a turn against one.
//!
//! Invariant: scoring is a function of the case, the calls and the shop's file; it runs no model and writes
//! nothing. The format and the rules of scoring are in `tests/cases/README.md`.

mod cases;
mod rows;
mod score;

pub(crate) use cases::{Case, Suite};
pub(crate) use score::{Score, score};
