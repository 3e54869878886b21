//! The grammar of the statements that may answer one question, in llguidance's Lark
//! (<https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md>).
//!
//! It holds the tables that bear on the question, their columns, the joins that the database declares, the values that a
//! column has, and the periods and numbers that were said. What a small model gets wrong most (a column of another table, a
//! condition that nobody asked for, a value that there is not) cannot be written. Statements are plain: a table is called by its
//! name, a subquery is a member test or the one source `t`.
//!
//! Invariant: what the grammar accepts is one SELECT that reads, with no comment and no text but those of the grammar.

use std::fmt::Write as _;

use super::question::Question;
use super::scope::{Cells, Table};
use crate::graph::Graph;
use crate::schema::plain;
use crate::statement::literal;

/// What does not depend on the question.
const COMMON: &str = r#"start: core (" UNION ALL " core)?
core: "SELECT " "DISTINCT "? item (", " item)~0..3 source where? group? order? | "SELECT " outer (", " outer)~0..3 " FROM (" inner ") AS t" (" WHERE " MADE CMP (NUMBER | MADE))? (" ORDER BY " MADE " DESC"?)? (" LIMIT " LIMIT)?
inner: "SELECT " item (", " item)~0..3 source where? group?
source: " FROM " TABLE JOIN*
where: " WHERE " cond
outer: figure (" AS " ALIAS)?
figure: MADE | "COUNT(*)" | ("SUM(" | "AVG(" | "MIN(" | "MAX(") MADE ")"
group: " GROUP BY " key (", " key)? (" HAVING " having (" AND " having)?)?
order: " ORDER BY " by (", " by)? (" LIMIT " LIMIT)?
by: (expr | ALIAS) (" DESC" | " ASC")?
key: ANY | period | ALIAS
item: expr (" AS " ALIAS)?
expr: ANY | period | window | sum | "ROUND(" sum ", 2)"
sum: term (ARITHMETIC term)~0..3
term: NUMBER | NUMERIC | total | age | case | "(" sum ")" | "COALESCE(" NUMERIC ", 0)"
total: "COUNT(*)" | ("SUM(" | "AVG(") (plain | all) ")" | ("MIN(" | "MAX(") (plain | ANY) ")" | "COUNT(" "DISTINCT "? ANY ")"
plain: part (ARITHMETIC part)~0..3
part: NUMBER | NUMERIC | age | case | "(" plain ")" | "COALESCE(" NUMERIC ", 0)"
case: "CASE WHEN " all " THEN " plain (" ELSE " plain)? " END"
window: ("RANK()" | "ROW_NUMBER()") " OVER (" ("PARTITION BY " ANY " ")? "ORDER BY " (total | ANY) " DESC"? ")"
having: (total | ALIAS) CMP (NUMBER | total)
cond: test (" AND " test)~0..5 | test (" OR " test)~1..5
test: "(" all " OR " all ")" | simple | member
all: simple (" AND " simple)~0..3
simple: value | when | number | absent
ARITHMETIC: " + " | " - " | " * " | " / "
IN: " IN (" | " NOT IN ("
EQUAL: " = " | " <> "
CMP: " = " | " <> " | " < " | " <= " | " > " | " >= "
ALIAS: /[a-z][a-z_]{1,30}/
MADE: /t\.[a-z][a-z_]{0,30}/
"#;

/// The largest LIMIT.
const MAX_LIMIT: u32 = 1_000;

/// The grammar of a question over these tables; none where there is no column.
#[must_use]
pub fn grammar(graph: &Graph<'_>, tables: &[Table<'_>], question: &Question) -> Option<String> {
    let mut lists = Lists::default();
    for table in tables {
        for seen in &table.columns {
            let name = format!("{}.{}", plain(table.name), plain(&seen.column.name));
            lists.nulls.extend(seen.null.then(|| text(&name)));
            lists.add(&name, &seen.cells);
        }
    }
    if lists.any.is_empty() {
        return None;
    }
    let (joins, members) = ways(graph, tables);
    let mut grammar = COMMON.to_owned();
    let mut rule = |name: &str, choices: &[String], none: &str| {
        let choices: Vec<String> = choices.iter().map(|choice| text(choice)).collect();
        let choices = if choices.is_empty() { text(none) } else { choices.join(" | ") };
        let _ = writeln!(grammar, "{name}: {choices}");
    };
    let names: Vec<String> = tables.iter().map(|table| plain(table.name)).collect();
    let numbers: Vec<String> = question.numbers.iter().cloned().collect();
    let limit = |number: &&String| number.parse::<u32>().is_ok_and(|limit| (1..=MAX_LIMIT).contains(&limit));
    let limits: Vec<String> = numbers.iter().filter(limit).cloned().collect();
    rule("TABLE", &names, "");
    rule("JOIN", &joins, " JOIN");
    rule("ANY", &lists.any, "");
    rule("NUMERIC", &lists.numbers, "0");
    rule("NUMBER", &numbers, "0");
    let said: Vec<String> = question.said().map(str::to_owned).collect();
    rule("SAID", &said, "0");
    rule("LIMIT", &limits, "1");
    grammar.push_str(numbers_rule(question, !said.is_empty()));
    members_rule(&mut grammar, &members);
    // Of a column without a NULL there is nothing to test.
    let _ = if lists.nulls.is_empty() || !question.asks_for_absence() {
        writeln!(grammar, "absent: {}", text("1 = 1"))
    } else {
        writeln!(
            grammar,
            "absent: NULLABLE (\" IS NULL\" | \" IS NOT NULL\")\nNULLABLE: {}",
            lists.nulls.join(" | ")
        )
    };
    values_rule(&mut grammar, &lists.values);
    days_rule(&mut grammar, &lists.days, question);
    Some(grammar)
}

/// The columns, by what a statement may do with them.
#[derive(Default)]
struct Lists {
    any: Vec<String>,
    numbers: Vec<String>,
    days: Vec<String>,
    /// Those with a NULL, as Lark writes them.
    nulls: Vec<String>,
    /// A column, and the literals that it may be compared with.
    values: Vec<(String, Vec<String>)>,
}

impl Lists {
    fn add(&mut self, name: &str, cells: &Cells) {
        self.any.push(name.to_owned());
        match cells {
            Cells::Key => {}
            Cells::Day { .. } => self.days.push(name.to_owned()),
            Cells::Text(values) if values.is_empty() => {}
            Cells::Text(values) => {
                self.values.push((name.to_owned(), values.iter().map(|value| literal(value)).collect()));
            }
            Cells::Flag(flags) => {
                self.values.push((name.to_owned(), flags.iter().map(ToString::to_string).collect()));
                self.numbers.push(name.to_owned());
            }
            Cells::Number => self.numbers.push(name.to_owned()),
        }
    }
}

/// A member test: the column, and what its subquery begins with.
struct Member {
    column: String,
    selected: String,
    from: String,
}

/// The joins between these tables, and the member tests along the same references, both ways: what a row has one of could be
/// joined, but where the model has begun a test it goes astray if it may not write it.
fn ways(graph: &Graph<'_>, tables: &[Table<'_>]) -> (Vec<String>, Vec<Member>) {
    let (mut joins, mut members) = (Vec::new(), Vec::new());
    let name = |place: usize| tables.iter().find(|table| table.place == place).map(|table| plain(table.name));
    for table in tables {
        for join in graph.joins(table.place) {
            let (Some(new), Some(with)) = (name(join.table), name(join.with)) else { continue };
            let (own, other) = (plain(join.column), plain(join.other));
            joins.push(format!(" JOIN {new} ON {new}.{own} = {with}.{other}"));
            let selected = format!("{new}.{own}");
            members.push(Member { column: format!("{with}.{other}"), selected, from: new });
        }
    }
    joins.sort();
    joins.dedup();
    (joins, members)
}

/// Member tests. Few conditions within: with room for more the model adds some that nobody asked for.
fn members_rule(grammar: &mut String, members: &[Member]) {
    let tests = members.iter().map(|Member { column, selected, from }| {
        let (column, begin) = (text(column), text(&format!("SELECT {selected} FROM {from}")));
        let many = format!("\" GROUP BY \" {} \" HAVING \" having", text(selected));
        format!("{column} IN {begin} JOIN* (\" WHERE \" simple (\" AND \" simple)?)? ({many})? \")\"")
    });
    let tests: Vec<String> = tests.collect();
    let _ = writeln!(grammar, "member: {}", if tests.is_empty() { text("1 = 1") } else { tests.join(" | ") });
}

fn values_rule(grammar: &mut String, values: &[(String, Vec<String>)]) {
    let names: Vec<String> = (0..values.len()).map(|index| format!("v{index}")).collect();
    let _ = writeln!(grammar, "value: {}", if names.is_empty() { text("1 = 1") } else { names.join(" | ") });
    for (index, (column, literals)) in values.iter().enumerate() {
        let literals: Vec<String> = literals.iter().map(|literal| text(literal)).collect();
        let _ = writeln!(
            grammar,
            "v{index}: {} (EQUAL V{index} | IN V{index} (\", \" V{index})~0..7 \")\")\nV{index}: {}",
            text(column),
            literals.join(" | ")
        );
    }
}

/// What was not said is compared with nothing, and one column with another only where that is asked for: with room for it the model adds
/// conditions of its own.
fn numbers_rule(question: &Question, is_said: bool) -> &'static str {
    match (question.compares_amounts(), is_said) {
        (true, true) => {
            "number: amount CMP amount ((\" + \" | \" - \" | \" * \") amount)?\namount: SAID | NUMERIC\n"
        }
        (true, false) => "number: NUMERIC CMP NUMERIC ((\" + \" | \" - \" | \" * \") NUMERIC)?\n",
        (false, true) => "number: NUMERIC CMP SAID\n",
        (false, false) => "number: \"1 = 1\"\n",
    }
}

/// Days are compared with each other and with the periods of the question; without a period, with nothing else.
fn days_rule(grammar: &mut String, days: &[String], question: &Question) {
    let joined = |all: &[String]| all.iter().map(|one| text(one)).collect::<Vec<_>>().join(" | ");
    if days.is_empty() {
        let never = text("1 = 1");
        let _ = writeln!(grammar, "when: {never}\nperiod: {never}\nage: {never}");
        return;
    }
    let mut when = vec![if question.compares_days() { "DAY CMP DAY".to_owned() } else { text("1 = 1") }];
    if !question.periods.is_empty() {
        let between: Vec<String> = question
            .periods
            .iter()
            .map(|period| format!(" BETWEEN '{}' AND '{}'", period.from, period.to))
            .collect();
        let ends = question.periods.iter().flat_map(|period| [period.from, period.to]);
        let mut ends: Vec<String> = ends.chain([question.today]).map(|day| format!("'{day}'")).collect();
        ends.sort();
        ends.dedup();
        when.extend(["DAY BETWEEN".to_owned(), "DAY CMP DATE".to_owned()]);
        let _ = writeln!(grammar, "BETWEEN: {}\nDATE: {}", joined(&between), joined(&ends));
    }
    let _ = writeln!(
        grammar,
        "DAY: {}\nwhen: {}\nperiod: \"strftime(\" FORMAT \", \" DAY \")\" | \"quarter(\" DAY \")\" | DAY\nage: \"julianday(\" DAY \")\"\n\
         FORMAT: \"'%Y'\" | \"'%Y-%m'\" | \"'%m'\" | \"'%Y-%m-%d'\"",
        joined(days),
        when.join(" | ")
    );
}

/// A text as Lark writes it.
fn text(plain: &str) -> String {
    let mut quoted = String::from("\"");
    for character in plain.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            c if c.is_control() => quoted.push(' '),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// One to `most` of these names, with commas between.
#[must_use]
pub fn names(names: &[&str], most: usize) -> String {
    let names: Vec<String> = names.iter().map(|name| text(name)).collect();
    format!("start: NAME (\", \" NAME)~0..{}\nNAME: {}\n", most.saturating_sub(1), names.join(" | "))
}
