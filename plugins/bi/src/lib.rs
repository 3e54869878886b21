//! The `bi` plugin: business questions answered from a database through a semantic layer.
//!
//! A question is typed (`wit/bi.wit`), its names are held to the layer by [`ground`], it is resolved and compiled to SQL
//! by [`plan`], run and calculated by [`figures`], said by [`answer`], drawn by [`chart`], [`axis`] and [`svg`]; [`analysis`] finds
//! what moved. [`layer`] reads the layer, [`draft`] proposes one from a [`schema`].
//!
//! Invariant: no figure leaves this plugin that was not computed by a statement shown with it, and no row of a table is
//! counted more than once in a sum. The logic is plain Rust over [`Database`]; the component is the end of this file.

pub mod analysis;
pub mod answer;
pub mod axis;
pub mod chart;
pub mod draft;
pub mod figures;
pub mod fragment;
pub mod ground;
pub mod layer;
pub mod period;
pub mod plan;
pub mod schema;
pub mod suggest;
pub mod svg;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod traps;

/// Generated from `wit/`; see there.
pub mod bindings {
    #![expect(missing_docs, reason = "generated; documented in the WIT files")]
    #![allow(unsafe_code, unreachable_pub, clippy::all, reason = "generated")]
    wit_bindgen::generate!({
        world: "pawl:bi/plugin",
        path: ["../../wit", "../../wit/plugin", "wit"],
        generate_all,
        additional_derives: [PartialEq],
    });
}

pub use bindings::exports::pawl::bi::bi::{
    Answer, Calculation, ChartKind, Comparison, Error, Explanation, Mover, Order, Picture, Question,
};
pub use period::Grain;

pub use bindings::pawl::host::database::{Error as HostError, Rows, Value};

/// A table or view of the database.
#[derive(Debug, Clone)]
pub struct Created {
    /// Its name.
    pub name: String,
    /// Its CREATE statement.
    pub sql: String,
}

/// The host's `database` interface for one database.
pub trait Database {
    /// The tables and views.
    ///
    /// # Errors
    /// As the host says.
    fn tables(&self) -> Result<Vec<Created>, HostError>;
    /// Runs one SELECT and gives at most `max_rows` rows.
    ///
    /// # Errors
    /// As the host says.
    fn query(&self, sql: &str, max_rows: u32) -> Result<Rows, HostError>;
}

/// The layer of the sample shop, used where the operator granted none.
pub const SHOP: &str = include_str!("../layers/shop.yaml");

/// What the host's error means to the one who asked.
#[must_use]
pub fn failed(error: HostError) -> Error {
    Error::Database(match error {
        HostError::NotGranted(name) => {
            format!(
                "the database `{name}` is not granted; add `{name} = \"FILE.sqlite\"` to [plugins.bi.grant.database] in pawl.toml"
            )
        }
        HostError::Missing(name) => format!("the file of the database `{name}` is missing"),
        HostError::NotReadOnly(why) => format!("refused as not only reading: {why}"),
        HostError::NotAllowed(why) | HostError::NoTrial(why) | HostError::Unavailable(why) => why,
        HostError::NeedsApproval => "this plugin only reads".to_owned(),
        HostError::Sql(why) => {
            format!("SQLite says: {why}. An expression of the layer names what is not there?")
        }
        HostError::Limit(why) => format!("{why}; ask for a shorter period or fewer dimensions"),
    })
}

#[cfg(target_family = "wasm")]
mod component;
