//! From a question to rows, in four steps: what of the database bears on it; the statement, which the model writes under the grammar
//! of just that; the statement run where it can only read; where the database refuses it, another one from what it said.
//!
//! Of a small database all tables stand in the prompt. Of a large one those that share words with the question, those whose values it
//! mentions, and those that the model picks from the list of all, with the tables between them.
//!
//! Invariant: what runs names only tables, columns, values, days and numbers that the database or the question has; every statement that
//! was tried is told.

pub mod doubt;
pub mod grammar;
pub mod hints;
pub mod prompt;
pub mod question;
pub mod scope;

use std::collections::BTreeSet;

use jiff::civil::Date;

use crate::bindings::pawl::host::llm::{Error as ModelError, Message};
use crate::definition::Definition;
use crate::graph::Graph;
use crate::rejoin::rejoin;
use crate::relate::{self, Mention};
use crate::{Answer, Database, Error, Table, apart, mend, schema};
use doubt::{Asked, Doubt};
use question::Question;
use scope::Cells;

/// How often a statement that failed is written anew.
const REPAIRS: usize = 2;
/// Tokens of a statement.
const MAX_TOKENS: u32 = 320;
/// Tables that a question is told of.
const MAX_TABLES: usize = 8;
/// Tables that the model picks.
const MAX_PICKED: usize = 4;
/// Tables that are taken for the words that they share.
const MAX_RANKED: usize = 3;
/// A database with so many tables or fewer is told whole.
const SMALL: usize = 8;
/// The longest question, in bytes.
const MAX_QUESTION: usize = 4 << 10;

/// The host's model, as a statement is asked of it.
pub trait Model {
    /// Answers the messages with a text of the grammar.
    ///
    /// # Errors
    /// What the host says.
    fn write(&self, messages: &[Message], lark: &str, max_tokens: u32) -> Result<String, ModelError>;
}

/// Answers a question with rows; `clock` is the day where the question does not say it.
///
/// # Errors
/// Where the database or the model cannot be reached, or the last statement failed as well.
pub fn ask(database: &impl Database, model: &impl Model, asked: &str, clock: Date) -> Result<Answer, Error> {
    if asked.trim().is_empty() || asked.len() > MAX_QUESTION {
        let bytes = asked.len();
        return Err(Error::Limit(format!("a question of {bytes} bytes; ask in 1 to {MAX_QUESTION} bytes")));
    }
    let question = Question::read(asked, clock);
    let unreadable = |error| mend::explain(database, "", error);
    let tables = schema::definitions(database).map_err(unreadable)?;
    let graph = Graph::new(&tables);
    let mut mentions = relate::mentions(database, &tables, &question.text);
    let places = bearing(model, &graph, &tables, &mentions, &question)?;
    let seen = scope::look(database, &graph, &places, &mentions);
    mentions.retain(|one| !is_role(&tables, one));
    let Some(grammar) = grammar::grammar(&graph, &seen, &question) else {
        return Err(Error::Unavailable("the database has no tables; tell the user".to_owned()));
    };
    let moments = moments(&seen);
    let asked = Asked::new(&question, &seen, &mentions);
    let mut messages = prompt::write(&seen, &mentions, &question);
    let mut repaired: Vec<String> = Vec::new();
    // The first statement that runs, where something speaks against it.
    let mut doubted: Option<Answer> = None;
    loop {
        let written = match model.write(&messages, &grammar, MAX_TOKENS) {
            // What goes round in circles may not where it is asked for less.
            Err(ModelError::Truncated) if repaired.len() < REPAIRS => {
                repaired.push(format!("a statement of more than {MAX_TOKENS} tokens: write a short one"));
                prompt::shorter(&mut messages);
                continue;
            }
            written => written.map_err(no_model)?,
        };
        let sql = whole(&question, rejoin(&graph, &moments, &written).unwrap_or_else(|| written.clone()));
        let error = match crate::run(database, &sql) {
            Ok(table)
                if doubted
                    .as_ref()
                    .is_some_and(|first| first.sql == sql || is_void(&table) || asked.is_without(&sql)) =>
            {
                let Some(first) = doubted else { return Ok(answer(sql, table, repaired)) };
                if first.sql != sql {
                    repaired.push(format!("{sql}: no better than the one before"));
                }
                return Ok(Answer { repaired, ..first });
            }
            Ok(table) => {
                let has_rows = |sql: &str| crate::run(database, sql).is_ok_and(|rows| !is_void(&rows));
                let doubt = asked.doubt(&sql, is_empty(&table), has_rows);
                let Some(doubt) = doubt.filter(|_| doubted.is_none() && repaired.len() < REPAIRS) else {
                    return Ok(answer(sql, table, repaired));
                };
                let mend = |doubt: &Doubt| {
                    let mended = rejoin(&graph, &moments, doubt.mended.as_deref()?)?;
                    let rows = crate::run(database, &mended).ok().filter(|rows| !is_void(rows))?;
                    Some((mended, rows))
                };
                if let Some((mended, rows)) = mend(&doubt) {
                    repaired.push(format!("{sql}: {}", doubt.why));
                    // What is mended of one thing may lack another.
                    if let Some(more) = asked.doubt(&mended, false, has_rows)
                        && let Some((whole, rows)) = mend(&more)
                    {
                        repaired.push(format!("{mended}: {}", more.why));
                        return Ok(answer(whole, rows, repaired));
                    }
                    return Ok(answer(mended, rows, repaired));
                }
                doubted = Some(answer(sql.clone(), table, Vec::new()));
                Error::WrongSql(doubt.why)
            }
            Err(error) => error,
        };
        let told = said(&error).to_owned();
        let again = repaired.iter().any(|before| before.starts_with(&format!("{sql}: ")));
        if again || repaired.len() == REPAIRS || matches!(error, Error::Unavailable(_)) {
            return doubted.map(|first| Answer { repaired, ..first }).ok_or(error);
        }
        repaired.push(format!("{sql}: {told}"));
        prompt::again(&mut messages, &written, &told);
    }
}

/// Whether a mention is a word for a reference to its table: a "buyer" where orders have a `buyer_id` of the employees.
fn is_role(tables: &[(String, Definition)], mention: &Mention) -> bool {
    let role = mention.value.to_lowercase();
    tables.iter().flat_map(|(_, definition)| &definition.columns).any(|column| {
        column.parent() == Some(tables[mention.table].0.as_str())
            && column.name.to_lowercase().strip_suffix("_id") == Some(&role)
    })
}

/// The statement, its rows told from each other as the question needs it.
fn whole(question: &Question, sql: String) -> String {
    let counted = if doubt::asks_for_each(question) { None } else { apart::count_of_groups(&sql) };
    counted.or_else(|| apart::named_halves(&sql)).or_else(|| apart::share(&sql)).unwrap_or(sql)
}

/// No row, or one of totals of nothing: NULL, with counts of none beside it.
fn is_empty(table: &Table) -> bool {
    let nothing = |cell: &Option<String>| cell.as_deref().is_none_or(|text| text == "0");
    table.rows.iter().all(|row| row.iter().all(nothing) && row.iter().any(Option::is_none))
}

/// Nothing but NULL and zeros.
fn is_void(table: &Table) -> bool {
    table.rows.iter().flatten().all(|cell| cell.as_deref().is_none_or(|text| text == "0"))
}

fn answer(sql: String, table: Table, repaired: Vec<String>) -> Answer {
    let Table { columns, rows, truncated, ran, .. } = table;
    Answer { sql: ran.unwrap_or(sql), columns, rows, truncated, repaired }
}

fn said(error: &Error) -> &str {
    match error {
        Error::NotASelect(text)
        | Error::UnknownName(text)
        | Error::WrongSql(text)
        | Error::Limit(text)
        | Error::Unavailable(text)
        | Error::NotAllowed(text) => text,
    }
}

fn no_model(error: ModelError) -> Error {
    Error::Unavailable(match error {
        ModelError::NotGranted => "the model is not granted to this plugin; the operator can grant `llm` in pawl.toml, and `query` takes a statement without it".to_owned(),
        ModelError::Unavailable(why) | ModelError::Refused(why) => format!("the model cannot write a statement: {why}"),
        ModelError::Limit(why) => format!("the model's limit: {why}; ask a shorter question"),
        ModelError::Truncated => format!("the statement did not end within {MAX_TOKENS} tokens; ask for less at once"),
    })
}

/// The places of the tables that bear on the question.
fn bearing(
    model: &impl Model,
    graph: &Graph<'_>,
    tables: &[(String, Definition)],
    mentions: &[Mention],
    question: &Question,
) -> Result<Vec<usize>, Error> {
    if tables.len() <= SMALL {
        return Ok((0..tables.len()).collect());
    }
    let picked = pick(model, tables, question)?;
    let ranked = relate::rank(tables, mentions, &question.text);
    let mut wanted: Vec<usize> = Vec::new();
    for place in 0..MAX_PICKED.max(MAX_RANKED) {
        wanted.extend(picked.get(place));
        wanted.extend(ranked.get(place).filter(|_| place < MAX_RANKED));
    }
    // Names first: "Eyes" says more of what is asked for than "planned".
    let is_name =
        |one: &&Mention| one.value.starts_with(char::is_uppercase) && question.text.contains(&one.value);
    let (names, others): (Vec<&Mention>, Vec<&Mention>) = mentions.iter().partition(is_name);
    wanted.extend(names.iter().chain(&others).map(|one| one.table).take(2));
    let mut once = BTreeSet::new();
    wanted.retain(|place| once.insert(*place));
    wanted.extend(apart(graph, tables, &wanted, question));
    Ok(scope::connected(graph, &wanted, MAX_TABLES))
}

/// The nearest table with a column that is called as that of which the question asks for each, where none of these has one.
fn apart(
    graph: &Graph<'_>,
    tables: &[(String, Definition)],
    there: &[usize],
    question: &Question,
) -> Option<usize> {
    let asked = doubt::of_each(question);
    let tells = |place: &usize| {
        let (name, definition) = &tables[*place];
        let own = definition.columns.iter().filter(|column| column.references.is_none());
        own.map(|column| &column.name).chain([name]).any(|name| asked.contains(&relate::stem(name)))
    };
    if asked.is_empty() || there.iter().any(tells) {
        return None;
    }
    let near =
        (0..tables.len()).filter(tells).filter_map(|place| Some((graph.way(there, place)?.len(), place)));
    near.filter(|(steps, _)| *steps <= 2).min().map(|(_, place)| place)
}

/// The tables that the model takes from the list of all.
fn pick(
    model: &impl Model,
    tables: &[(String, Definition)],
    question: &Question,
) -> Result<Vec<usize>, Error> {
    let all: Vec<String> = tables.iter().map(|(name, definition)| scope::summary(name, definition)).collect();
    let names: Vec<&str> = tables.iter().map(|(name, _)| name.as_str()).collect();
    let lark = grammar::names(&names, MAX_PICKED);
    let picked = model.write(&prompt::pick(&all, question), &lark, 64).map_err(no_model)?;
    Ok(picked.split(", ").filter_map(|name| names.iter().position(|one| *one == name)).collect())
}

/// The columns whose cells have a time of day.
fn moments(tables: &[scope::Table<'_>]) -> BTreeSet<String> {
    let mut moments = BTreeSet::new();
    for table in tables {
        for seen in &table.columns {
            if matches!(seen.cells, Cells::Day { moment: true, .. }) {
                moments.insert(format!("{}.{}", schema::plain(table.name), schema::plain(&seen.column.name)));
            }
        }
    }
    moments
}

#[cfg(test)]
#[path = "ask/tests.rs"]
mod tests;
