//! Jobs of many items.

pub(crate) const SCHEMA: &str = "";
