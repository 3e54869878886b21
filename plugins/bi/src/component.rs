//! The component: the host's imports joined to the plain logic.
//!
//! Invariant: everything read here is read anew in each call, so that an edited layer counts from the next call on.

use std::time::SystemTime;

use jiff::civil::Date;

use crate::bindings::exports::pawl::plugin::refine::{self, Refinement};
use crate::bindings::pawl::host::{database, documents};
use crate::layer::Layer;
use crate::{
    Answer, Comparison, Created, Database, Error, Explanation, Grain, HostError, Picture, Question, Rows,
    analysis, answer, bindings, chart, draft, ground, period, suggest,
};

struct Granted(String);

impl Database for Granted {
    fn tables(&self) -> Result<Vec<Created>, HostError> {
        let tables = database::tables(&self.0)?;
        Ok(tables.into_iter().map(|table| Created { name: table.name, sql: table.sql }).collect())
    }

    fn query(&self, sql: &str, max_rows: u32) -> Result<Rows, HostError> {
        database::query(&self.0, sql, max_rows)
    }
}

/// The collection that may hold the layer, and its name there.
const COLLECTION: &str = "layer";
const FILE: &str = "layer.yaml";
const MAX_LAYER: u32 = 256 * 1024;

/// The granted layer; without a grant, the shop's.
fn opened() -> Result<(Layer, Granted), Error> {
    let text = match documents::read(COLLECTION, FILE, 0, MAX_LAYER) {
        Ok(bytes) => String::from_utf8(bytes)
            .map_err(|_| Error::Layer(format!("{FILE} is not UTF-8 text; save it as UTF-8")))?,
        Err(documents::Error::NotGranted(_)) => crate::SHOP.to_owned(),
        Err(documents::Error::Missing(_)) => {
            return Err(Error::Layer(format!(
                "the granted folder `{COLLECTION}` has no {FILE}; `pawl call bi.draft` proposes one"
            )));
        }
        Err(documents::Error::Limit(why) | documents::Error::Unreadable(why)) => {
            return Err(Error::Layer(why));
        }
    };
    let layer = Layer::read(&text).map_err(|error| Error::Layer(error.to_string()))?;
    let database = Granted(layer.database.clone());
    Ok((layer, database))
}

/// The day by the host's clock, in UTC.
fn today() -> Option<Date> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let days = i32::try_from(since.as_secs() / 86_400).ok()?;
    let today = period::plus(Date::new(1970, 1, 1).ok()?, Grain::Day, days)?;
    // Without the capability the host's clock stands at the beginning of 2000.
    (today.year() > 2000).then_some(today)
}

struct Component;

impl bindings::exports::pawl::bi::bi::Guest for Component {
    fn describe() -> Result<String, Error> {
        let (layer, database) = opened()?;
        ground::describe(&layer, &database)
    }

    fn query(question: Question) -> Result<Answer, Error> {
        let (layer, database) = opened()?;
        answer::answer(&layer, &database, &question).map(|(_, answer)| answer)
    }

    fn chart(question: Question) -> Result<Picture, Error> {
        let (layer, database) = opened()?;
        let (table, answer) = answer::answer(&layer, &database, &question)?;
        chart::picture(&table, answer.sentence)
    }

    fn explain_change(
        measure: String,
        from: Option<String>,
        to: Option<String>,
        compare: Option<Comparison>,
    ) -> Result<Explanation, Error> {
        let (layer, database) = opened()?;
        analysis::explain(&layer, &database, &measure, (from.as_deref(), to.as_deref()), compare)
    }

    fn draft(database: String) -> Result<String, Error> {
        draft::draft(&Granted(database.clone()), &database)
    }

    fn suggest(request: String) -> Result<String, Error> {
        let (layer, database) = opened()?;
        today().map_or(Ok(String::new()), |today| suggest::suggest(&layer, &database, &request, today))
    }
}

impl refine::Guest for Component {
    fn refine() -> Result<Vec<Refinement>, String> {
        let (layer, database) = opened().map_err(|error| format!("{error:?}"))?;
        ground::refinements(&layer, &database).map_err(|error| format!("{error:?}"))
    }
}

#[allow(unsafe_code, reason = "the exported symbols of the component are generated")]
mod export {
    use super::Component;
    use crate::bindings;
    bindings::export!(Component with_types_in bindings);
}
