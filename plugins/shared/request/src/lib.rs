//! What the words of a request say before anything is known of what it is about: words, numbers, periods. Shared by the
//! plugins that draft a call for the model by code (`bi.suggest`, `sql.relate`).

mod period;
mod text;

pub use period::{Grain, Span, grain, plus, span, start};
pub use text::{Text, also, count, phrase, singular};
