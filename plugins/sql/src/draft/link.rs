//! What the words of a request stand for in this database: tables, columns, values, states.
//!
//! Invariant: longer phrases come first and a word is linked once; a phrase with several meanings keeps them all, for the
//! plan to choose by what can be joined.

use std::collections::BTreeSet;

use pawl_request::Text;

use super::words::{self, NOW, SMALL, alike, spelled, stem};
use crate::definition::{Column, Definition};
use crate::schema::{is_text, plain};
use crate::statement::literal;

/// What a phrase stands for. Tables and columns by their places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    Table(usize),
    Column(usize, usize),
    /// A column that references another table by the role that it has there: `buyer_id`.
    Role(usize, usize),
    /// A condition on a column, as it is written behind the column's name.
    Is(usize, usize, String),
}

impl What {
    pub(super) fn table(&self) -> usize {
        match self {
            What::Table(table) | What::Column(table, _) | What::Role(table, _) | What::Is(table, ..) => {
                *table
            }
        }
    }
}

/// A phrase of the request and all that it can stand for.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) at: usize,
    pub(super) what: Vec<What>,
}

struct Phrase {
    words: Vec<String>,
    /// Stronger phrases are linked before weaker ones of the same length.
    weight: u8,
    what: What,
}

/// Links what is free of the text; `values` are (table, column, value) found in the database.
pub(super) fn links(
    tables: &[(String, Definition)],
    values: &[(usize, String, String)],
    text: &mut Text,
) -> Vec<Link> {
    let mut phrases = phrases(tables, values);
    phrases.sort_by_key(|phrase| (std::cmp::Reverse(phrase.words.len()), std::cmp::Reverse(phrase.weight)));
    let stems: Vec<String> = text.words().map(stem).collect();
    let mut found: Vec<Link> = Vec::new();
    let mut done: BTreeSet<Vec<String>> = BTreeSet::new();
    for phrase in &phrases {
        if !done.insert(phrase.words.clone()) {
            continue;
        }
        let len = phrase.words.len();
        for at in 0..stems.len().saturating_sub(len - 1) {
            let here = phrase
                .words
                .iter()
                .enumerate()
                .all(|(on, word)| text.free(at + on) && alike(&stems[at + on], word));
            if here {
                let what: Vec<What> = phrases
                    .iter()
                    .filter(|other| other.words == phrase.words && other.weight + 1 >= phrase.weight)
                    .map(|other| other.what.clone())
                    .collect();
                text.mark(at, len);
                found.push(Link { at, what });
            }
        }
    }
    found.sort_by_key(|link| link.at);
    found
}

fn phrases(tables: &[(String, Definition)], values: &[(usize, String, String)]) -> Vec<Phrase> {
    let mut all: Vec<Phrase> = Vec::new();
    let mut add = |words: Vec<String>, weight: u8, what: What| {
        let says =
            words.iter().any(|word| !SMALL.contains(&word.as_str()) && word.chars().any(char::is_alphabetic));
        if !words.is_empty()
            && (says || weight >= 6)
            && !all.iter().any(|one| one.words == words && one.what == what)
        {
            all.push(Phrase { words, weight, what });
        }
    };
    for (table, (name, definition)) in tables.iter().enumerate() {
        let own = spelled(name);
        add(own.clone(), 6, What::Table(table));
        if let Some(last) = own.last().filter(|_| own.len() > 1) {
            add(vec![last.clone()], 3, What::Table(table));
        }
        for word in pawl_request::phrase(&definition.comment) {
            let word = stem(&word);
            if word.len() > 3 && !words::one_of(&word, &words::MONEY) {
                add(vec![word], 1, What::Table(table));
            }
        }
        for (column, one) in definition.columns.iter().enumerate() {
            add_column(&mut add, (table, column), one);
        }
    }
    for (table, column, value) in values {
        let place = tables[*table].1.columns.iter().position(|one| one.name == *column);
        if let Some(place) = place {
            let words: Vec<String> = pawl_request::phrase(value).iter().map(|word| stem(word)).collect();
            add(words, 7, What::Is(*table, place, format!("= {}", literal(value))));
        }
    }
    all
}

fn add_column(add: &mut impl FnMut(Vec<String>, u8, What), (table, column): (usize, usize), one: &Column) {
    let mut own = spelled(&one.name);
    if one.references.is_some() {
        if own.last().is_some_and(|last| last == "id") {
            own.pop();
            add(own, 4, What::Role(table, column));
        }
        return;
    }
    if one.name == "id" {
        return;
    }
    let comment = one.comment.to_lowercase();
    // "1: purchasing may not order", "1 for the part's first choice"
    if comment.starts_with("1") && one.declared.contains("int") {
        add(own.clone(), 5, What::Is(table, column, "= 1".to_owned()));
        let mut not = vec![format!("un{}", own.first().cloned().unwrap_or_default())];
        not.extend(own.iter().skip(1).cloned());
        add(not, 5, What::Is(table, column, "= 0".to_owned()));
        return;
    }
    if let Some(state) = ["empty while ", "empty until "].iter().find_map(|start| comment.strip_prefix(start))
    {
        let words: Vec<String> = pawl_request::phrase(state).iter().map(|word| stem(word)).collect();
        if words.len() <= 3 && state.len() < 30 && !comment.starts_with("empty until") {
            add(words, 3, What::Is(table, column, "IS NULL".to_owned()));
        }
        for now in NOW {
            add(vec![now.to_owned()], 6, What::Is(table, column, "IS NULL".to_owned()));
        }
    }
    let what = What::Column(table, column);
    add(own.clone(), 5, what.clone());
    if own.len() > 1 {
        // `work_date`: "date" alone says nothing
        for word in [own.last(), own.first()].into_iter().flatten() {
            let vague = ["date", "on", "at", "name", "number", "code", "unit", "quantity"];
            if !vague.contains(&word.as_str()) {
                add(vec![word.clone()], 2, what.clone());
            }
        }
    }
}

/// A column that can be added up or averaged.
pub(super) fn is_number(column: &Column) -> bool {
    let kinds = ["int", "real", "double", "float", "decimal", "numeric", "money"];
    column.references.is_none()
        && column.name != "id"
        && !column.comment.starts_with('1')
        && kinds.iter().any(|kind| column.declared.contains(kind))
}

/// How a row of a table is called: by its name, its title, its number; by its key where there is nothing else.
pub(super) fn label(definition: &Definition) -> String {
    let texts = || definition.columns.iter().filter(|one| is_text(&one.declared) && one.references.is_none());
    let named = |ends: &str| texts().find(|one| one.name == ends || one.name.ends_with(&format!("_{ends}")));
    let best = ["name", "title", "no", "number", "code", "description"].iter().find_map(|end| named(end));
    let column = best.or_else(|| definition.columns.first());
    column.map_or_else(|| "rowid".to_owned(), |column| plain(&column.name))
}
