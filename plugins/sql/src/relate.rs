//! What of the database bears on a request: the tables that its words name, and the values that it mentions.
//!
//! Tables are ranked by the words that they share with the request (names, comments, values), rare words counting more
//! (the inverse document frequency of <https://en.wikipedia.org/wiki/Tf-idf>). Words are compared by a plain English
//! stem; a request in another language shares no words.
//!
//! Invariant: every value that is said here was read from the database a moment ago.

use std::collections::{BTreeMap, BTreeSet};

use crate::definition::Definition;
use crate::schema::{is_date, is_text, quoted};
use crate::statement::literal;
use crate::{Database, Value};

/// Tables that are described.
const MAX_TABLES: usize = 7;
/// Columns that are searched for values.
const MAX_COLUMNS: usize = 160;
/// Rows of a column that are searched.
const LOOKED_AT: usize = 20_000;
/// A table with less than this part of the best one's score is left out.
const NEAR: f64 = 0.5;
/// What a mentioned value counts, beside a word's 1 to 4.
const VALUE: f64 = 4.0;
/// What two words that follow one another count, beside what each of them does.
const PHRASE: f64 = 1.5;

/// A value of the database that the request mentions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    /// The table's place among all.
    pub table: usize,
    /// The column's name.
    pub column: String,
    /// As it is in the database.
    pub value: String,
}

/// The tables that bear on the request, best first, those between two of them included by `connected` later.
pub(crate) fn rank(tables: &[(String, Definition)], mentions: &[Mention], request: &str) -> Vec<usize> {
    let asked: BTreeSet<String> = stems(request).collect();
    let asked_pairs = pairs(request);
    let weighed: Vec<BTreeMap<String, f64>> =
        tables.iter().map(|(name, definition)| weights(name, definition)).collect();
    let paired: Vec<BTreeSet<Pair>> =
        tables.iter().map(|(name, definition)| phrases(name, definition)).collect();
    let rare = |with: usize| (1.0 + tables.len() as f64 / with.max(1) as f64).ln();
    let words: Vec<(&String, f64)> = asked
        .iter()
        .map(|word| (word, rare(weighed.iter().filter(|words| words.contains_key(word)).count())))
        .collect();
    let pairs: Vec<(&Pair, f64)> = asked_pairs
        .iter()
        .map(|pair| (pair, PHRASE * rare(paired.iter().filter(|pairs| pairs.contains(pair)).count())))
        .collect();
    let mut scored: Vec<(f64, usize)> = Vec::new();
    for (table, (own_words, own_pairs)) in weighed.iter().zip(&paired).enumerate() {
        let shared = words.iter().filter_map(|(word, rare)| Some(own_words.get(*word)? * rare));
        let together = pairs.iter().filter(|(pair, _)| own_pairs.contains(*pair)).map(|(_, counts)| counts);
        let values = mentions.iter().filter(|mention| mention.table == table).count();
        let score = shared.sum::<f64>() + together.sum::<f64>() + VALUE * values.min(2) as f64;
        if score > 0.0 {
            scored.push((score, table));
        }
    }
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let best = scored.first().map_or(0.0, |(score, _)| *score);
    let near = scored.into_iter().filter(|(score, _)| *score >= best * NEAR);
    near.map(|(_, table)| table).take(MAX_TABLES).collect()
}

/// Two words that follow one another.
type Pair = (String, String);

/// Words that follow one another: "standard cost" says more than both words apart.
fn pairs(text: &str) -> BTreeSet<Pair> {
    let stems: Vec<String> = stems(text).collect();
    stems.windows(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
}

/// The pairs of words of a table's names and comments.
fn phrases(name: &str, definition: &Definition) -> BTreeSet<Pair> {
    let columns = definition.columns.iter().flat_map(|column| [column.name.as_str(), &column.comment]);
    [name, &definition.comment].into_iter().chain(columns).flat_map(pairs).collect()
}

/// The words of a table, each with what it counts where a request shares it.
fn weights(name: &str, definition: &Definition) -> BTreeMap<String, f64> {
    let mut words = BTreeMap::new();
    let mut add = |text: &str, weight: f64| {
        for stem in stems(text) {
            let known: &mut f64 = words.entry(stem).or_default();
            *known = known.max(weight);
        }
    };
    add(name, 3.0);
    add(&definition.comment, 1.2);
    for column in &definition.columns {
        add(&column.name, if column.references.is_some() { 0.5 } else { 1.4 });
        add(&column.comment, 0.7);
    }
    words
}

/// Values of text columns that the request holds as whole words.
pub(crate) fn mentions(
    database: &impl Database,
    tables: &[(String, Definition)],
    request: &str,
) -> Vec<Mention> {
    let lower = request.to_lowercase();
    let text = literal(&lower.chars().filter(|c| !c.is_control()).take(500).collect::<String>());
    let mut found = Vec::new();
    let columns = tables.iter().enumerate().flat_map(|(table, (name, definition))| {
        let texts = definition.columns.iter().filter(|c| is_text(&c.declared) && c.references.is_none());
        texts.map(move |column| (table, name, column))
    });
    for (table, name, column) in columns.take(MAX_COLUMNS) {
        let (own, from) = (quoted(&column.name), quoted(name));
        let sql = format!(
            "SELECT DISTINCT v FROM (SELECT {own} AS v FROM {from} WHERE {own} IS NOT NULL LIMIT {LOOKED_AT}) AS s \
             WHERE length(v) > 1 AND instr({text}, lower(v)) > 0"
        );
        let Ok(rows) = database.query(&sql, 20) else { continue };
        for value in rows.rows.into_iter().flatten() {
            let Value::Text(value) = value else { continue };
            if !is_date(&value) && is_word_of(&lower, &value.to_lowercase()) {
                found.push(Mention { table, column: column.name.clone(), value });
            }
        }
    }
    // A longer value is meant rather than one inside it.
    found.sort_by_key(|mention| std::cmp::Reverse(mention.value.len()));
    let mut kept: Vec<Mention> = Vec::new();
    for mention in found {
        let inside = |other: &Mention| {
            other.value.len() > mention.value.len()
                && other.value.to_lowercase().contains(&mention.value.to_lowercase())
        };
        if !kept.iter().any(inside) {
            kept.push(mention);
        }
    }
    kept
}

/// Whether `value` stands in `text` as whole words; an English plural of it too. Languages without spaces have no ends of
/// words.
fn is_word_of(text: &str, value: &str) -> bool {
    let latin = |c: char| c.is_alphanumeric() && (c.is_ascii() || ('\u{c0}'..'\u{250}').contains(&c));
    text.match_indices(value).any(|(start, _)| {
        let before = text[..start].chars().next_back();
        let after = &text[start + value.len()..];
        let after = ["es", "s"]
            .iter()
            .find_map(|plural| after.strip_prefix(plural).filter(|rest| !rest.starts_with(latin)))
            .unwrap_or(after);
        let open = value.starts_with(latin) && before.is_some_and(latin);
        let goes_on = value.ends_with(latin) && after.starts_with(latin);
        !open && !goes_on
    })
}

/// The words of a text, in small letters.
pub(crate) fn words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

/// The words of a text, without endings and without those that say nothing.
fn stems(text: &str) -> impl Iterator<Item = String> + '_ {
    let words = words(text).into_iter().filter(|word| word.len() > 1);
    words.map(|word| stem(&word)).filter(|stem| !COMMON.contains(&stem.as_str()))
}

/// Words that every request has.
const COMMON: [&str; 36] = [
    "the", "of", "in", "and", "or", "to", "for", "by", "on", "at", "is", "are", "wa", "were", "how", "many",
    "much", "what", "which", "who", "do", "did", "doe", "we", "our", "ha", "have", "had", "with", "from",
    "that", "id", "all", "per", "each", "it",
];

/// Without a plural's or a participle's ending: `deliveries`, `delivery` and `delivered` are near enough.
pub(crate) fn stem(word: &str) -> String {
    for (ending, instead) in
        [("ies", "y"), ("sses", "ss"), ("ches", "ch"), ("xes", "x"), ("ing", ""), ("ed", ""), ("s", "")]
    {
        if let Some(start) = word.strip_suffix(ending)
            && start.len() > 2 - usize::from(ending == "s")
            && !(ending == "s" && start.ends_with('s'))
        {
            return format!("{start}{instead}");
        }
    }
    word.to_owned()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "the databases of these tests are their own")]
mod tests {
    use super::*;
    use crate::schema;
    use crate::testing::Memory;

    const SHOP: &str = "CREATE TABLE makers(id INTEGER PRIMARY KEY, name TEXT);
        CREATE TABLE lamps( -- what we sell
          id INTEGER PRIMARY KEY, maker_id INTEGER REFERENCES makers(id), name TEXT, kind TEXT);
        CREATE TABLE repairs(id INTEGER PRIMARY KEY, lamp_id INTEGER REFERENCES lamps(id), done_on TEXT, cost REAL);
        CREATE TABLE holidays(day TEXT, name TEXT);
        INSERT INTO makers VALUES (1, 'Velora'), (2, 'Velora North');
        INSERT INTO lamps VALUES (1, 1, 'Desk Lamp', 'desk'), (2, 2, '落地灯', 'floor');
        INSERT INTO repairs VALUES (1, 1, '2025-03-04', 12.5);";

    fn said(request: &str) -> Vec<(String, String)> {
        let database = Memory::new(SHOP);
        let tables = schema::definitions(&database).unwrap();
        let found = mentions(&database, &tables, request).into_iter();
        found.map(|one| (format!("{}.{}", tables[one.table].0, one.column), one.value)).collect()
    }

    fn ranked(sql: &str, request: &str) -> Vec<String> {
        let database = Memory::new(sql);
        let tables = schema::definitions(&database).unwrap();
        let ranked = rank(&tables, &mentions(&database, &tables, request), request);
        ranked.into_iter().map(|place| tables[place].0.clone()).collect()
    }

    fn pair(column: &str, value: &str) -> (String, String) {
        (column.to_owned(), value.to_owned())
    }

    #[test]
    fn mentioned_values_are_found_and_the_longer_is_meant() {
        assert_eq!(
            said("What did repairing Desk Lamps of Velora North cost?"),
            [pair("makers.name", "Velora North"), pair("lamps.name", "Desk Lamp")]
        );
    }

    #[test]
    fn a_value_is_found_in_a_language_without_spaces_and_not_inside_a_word() {
        assert_eq!(said("我们卖了多少落地灯?"), [pair("lamps.name", "落地灯")]);
        assert_eq!(said("Is the desktop repaired?"), []);
    }

    #[test]
    fn tables_are_ranked_by_the_words_and_values_that_they_share() {
        let ranked_here = ranked(SHOP, "What did repairing Desk Lamps of Velora North cost?");
        assert!(
            ranked_here.contains(&"repairs".to_owned()) && ranked_here.contains(&"lamps".to_owned()),
            "{ranked_here:?}"
        );
        assert!(!ranked_here.contains(&"holidays".to_owned()), "{ranked_here:?}");
        let many: String = (0..300)
            .map(|i| format!("CREATE TABLE archive_{i:03}(id INTEGER, some_rather_long_column_name TEXT);"))
            .collect();
        let ranked_of_many = ranked(&format!("{SHOP}{many}"), "How much did repairs cost by lamp kind?");
        assert_eq!(ranked_of_many.first().map(String::as_str), Some("repairs"));
        assert!(
            ranked_of_many.len() <= MAX_TABLES && !ranked_of_many.iter().any(|name| name.contains("archive")),
            "{ranked_of_many:?}"
        );
    }

    #[test]
    fn words_that_follow_one_another_count_more_than_apart() {
        let sql = "CREATE TABLE stock(id INTEGER, hand INTEGER, cost REAL);
            CREATE TABLE goods(id INTEGER, std REAL -- standard cost of one
            );
            CREATE TABLE bills(id INTEGER, cost REAL, standard TEXT);";
        assert_eq!(ranked(sql, "The standard cost, please").first().map(String::as_str), Some("goods"));
    }

    #[test]
    fn a_request_with_quotes_and_odd_characters_is_only_text() {
        for request in ["it's '; DROP TABLE lamps; --", "\u{0}\\\"", "", "'''"] {
            said(request);
        }
        assert_eq!(Memory::new(SHOP).tables().unwrap().len(), 4);
    }
}
