//! What somebody made in the database that changes how the server understands a statement.
//!
//! Invariant: a function that could be taken for one of the allow-list is known, and so is a view that does more than read the
//! tables of its server, also through other views. Built-in functions come before those that somebody made, and those of
//! other databases are called by two names, which the policy refuses.
//! <https://dev.mysql.com/doc/refman/8.4/en/function-resolution.html>

use std::collections::{HashMap, HashSet};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error as Client, Params, Row};

use super::{texts, views};
use crate::policy::{self, Surroundings};

const FUNCTIONS: &str = "SELECT ROUTINE_NAME FROM information_schema.ROUTINES \
     WHERE ROUTINE_TYPE = 'FUNCTION' AND ROUTINE_SCHEMA = DATABASE()";
/// Those of shared objects; whoever may not read this cannot have made one.
const LOADED: &str = "SELECT name FROM mysql.func";
const VIEWS: &str = "SELECT TABLE_NAME, VIEW_DEFINITION FROM information_schema.VIEWS WHERE TABLE_SCHEMA = ?";
const SCHEMAS: &str = "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA";

pub(super) async fn surroundings(conn: &mut Conn) -> Result<Surroundings, Client> {
    let mut around = Surroundings::default();
    let mut made = conn.query::<String, _>(FUNCTIONS).await?;
    match conn.query::<String, _>(LOADED).await {
        Ok(loaded) => made.extend(loaded),
        Err(Client::Server(_)) => {}
        Err(error) => return Err(error),
    }
    let shadowed = made.iter().flat_map(|name| policy::taken_for(name)).map(str::to_owned);
    around.functions = shadowed.collect();
    let own: Option<String> = conn.query_first("SELECT DATABASE()").await?;
    let own = own.unwrap_or_default();
    around.views = refused(conn, &own).await?;
    around.schema = Some(own);
    Ok(around)
}

/// The views of `own`, in small letters, that do more than read.
async fn refused(conn: &mut Conn, own: &str) -> Result<HashSet<String>, Client> {
    let schemas: HashSet<String> = conn.query::<String, _>(SCHEMAS).await?.into_iter().collect();
    let mut definitions: HashMap<(String, String), views::Definition> = HashMap::new();
    let (mut wanted, mut seen) = (vec![own.to_owned()], HashSet::new());
    while let Some(schema) = wanted.pop() {
        if !seen.insert(schema.clone()) {
            continue;
        }
        let rows: Vec<Row> = conn.exec(VIEWS, Params::Positional(vec![schema.as_str().into()])).await?;
        for row in rows {
            let [name, definition] = texts(row);
            let definition = views::Definition::read(&definition.unwrap_or_default());
            let others = definition.names.iter().map(|(schema, _)| schema);
            wanted.extend(others.filter(|name| schemas.contains(*name)).cloned());
            definitions.insert((schema.clone(), name.unwrap_or_default()), definition);
        }
    }
    let mut bad: HashSet<(String, String)> =
        definitions.iter().filter(|(_, view)| view.beyond).map(|(name, _)| name.clone()).collect();
    loop {
        let through = definitions
            .iter()
            .filter(|(name, view)| !bad.contains(*name) && view.names.iter().any(|read| bad.contains(read)));
        let through: Vec<_> = through.map(|(name, _)| name.clone()).collect();
        if through.is_empty() {
            break;
        }
        bad.extend(through);
    }
    Ok(bad.into_iter().filter(|(schema, _)| schema == own).map(|(_, view)| view.to_lowercase()).collect())
}
