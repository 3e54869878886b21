//! The FROM of a statement written anew from the columns that it uses: a small model chooses columns well and joins badly.
//!
//! For statements in the form of `ask`'s grammar: tables by their own names, joins along references. The statement is read by
//! `sqlparser`, changed as a tree and written again. What it does: joins every table whose column is used, along the references that
//! the database declares; groups by the columns that stand beside a total, where nothing is grouped; counts rows of the first table once
//! where a join that was added would repeat them, and lists once what a join for a condition repeats; lets the last day of a period count whole where a column holds moments; writes out
//! `quarter(day)`; gives a column that is called a year or a quarter just that.
//!
//! Invariant: no table, column or condition is left out, and none added but for these reasons; a statement that this reader does not
//! follow is left as it is.

mod days;

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    Distinct, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Query, Select, SelectItem,
    TableFactor, Visit, VisitMut, Visitor, VisitorMut,
};

use crate::graph::{Graph, Join};
use crate::repair::{join, names, parse};
use crate::schema::plain;
use days::{as_called, quarter, whole_days};

const TOTALS: [&str; 6] = ["sum", "avg", "min", "max", "count", "total"];

/// The statement with its FROM clauses written anew; `moments` are the columns, as `table.column`, whose cells have a time of day.
#[must_use]
pub fn rejoin(graph: &Graph<'_>, moments: &BTreeSet<String>, sql: &str) -> Option<String> {
    let mut statement = parse(sql)?;
    let mut rejoining = Rejoining { graph, moments, scopes: Vec::new(), next: Scope::default() };
    let ended: ControlFlow<()> = VisitMut::visit(&mut statement, &mut rejoining);
    ended.is_continue().then(|| statement.to_string())
}

struct Rejoining<'a> {
    graph: &'a Graph<'a>,
    moments: &'a BTreeSet<String>,
    scopes: Vec<Scope>,
    /// Of the ORDER BY around the SELECT that comes next.
    next: Scope,
}

/// What is known of an open SELECT.
#[derive(Default)]
struct Scope {
    /// The tables that its columns are of, in the order of their use.
    tables: Vec<usize>,
    /// Whether its rows are ordered by a total.
    by_total: bool,
    /// Whether they are ordered.
    ordered: bool,
}

/// The FROM of one SELECT.
struct From<'a> {
    steps: Vec<Join<'a>>,
    /// Whether a join that was not there before repeats rows of the first table.
    repeats: bool,
    /// The tables of which a row of another table has many.
    many: Vec<usize>,
}

impl<'a> Rejoining<'a> {
    fn place(&self, table: &str) -> Option<usize> {
        self.graph.tables.iter().position(|(name, _)| name.eq_ignore_ascii_case(table))
    }

    /// The tables of a FROM that is plain: known tables by their own names.
    fn given(&self, select: &Select) -> Option<Vec<usize>> {
        let [from] = select.from.as_slice() else { return None };
        let factors = std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation));
        let plain = |factor: &TableFactor| match (factor, names(factor)) {
            (TableFactor::Table { alias: None, .. }, Some((_, Some(own)))) => self.place(&own),
            _ => None,
        };
        factors.map(plain).collect()
    }

    /// The joins that lead from the first table to all others.
    fn from(&self, given: &[usize], used: &[usize]) -> Option<From<'a>> {
        let mut there = vec![*given.first()?];
        let (mut steps, mut repeats, mut children) = (Vec::new(), false, Vec::new());
        for table in given.iter().chain(used) {
            if there.contains(table) {
                continue;
            }
            for step in self.graph.way(&there, *table)? {
                let many = self
                    .graph
                    .parents(step.table)
                    .any(|one| one.table == step.with && one.other == step.column);
                repeats |= many && !given.contains(&step.table);
                children.extend(many.then_some(step.table));
                there.push(step.table);
                steps.push(step);
            }
        }
        Some(From { steps, repeats, many: children })
    }

    /// A list of what has some of something names each once: what it has many of is joined for a condition alone.
    fn once(&self, select: &mut Select, many: &[usize]) {
        let is_grouped = !matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
        if is_grouped || select.having.is_some() || select.distinct.is_some() {
            return;
        }
        let mut shown = Vec::new();
        for item in &select.projection {
            let (SelectItem::UnnamedExpr(column) | SelectItem::ExprWithAlias { expr: column, .. }) = item
            else {
                return;
            };
            let Expr::CompoundIdentifier(parts) = column else { return };
            shown.extend(parts.first().and_then(|table| self.place(&table.value)));
        }
        if many.iter().any(|table| !shown.contains(table)) && !shown.iter().any(|table| many.contains(table))
        {
            select.distinct = Some(Distinct::Distinct);
        }
    }

    fn key(&self, table: usize) -> Option<&str> {
        let columns = &self.graph.tables.get(table)?.1.columns;
        let key = columns.iter().find(|column| self.graph.is_key(table, &column.name));
        key.map(|column| column.name.as_str())
    }

    fn write(&self, select: &mut Select, given: &[usize], from: &From<'a>) -> Option<()> {
        let name = |table: usize| plain(&self.graph.tables[table].0);
        let joins = from.steps.iter().map(|step| {
            let (table, with) = (name(step.table), name(step.with));
            join(&format!("JOIN {table} ON {table}.{} = {with}.{}", plain(step.column), plain(step.other)))
        });
        select.from.first_mut()?.joins = joins.collect::<Option<_>>()?;
        let first = *given.first()?;
        if from.repeats
            && let Some(key) = self.key(first)
        {
            let distinct = expression(&format!("COUNT(DISTINCT {}.{})", name(first), plain(key)))?;
            let mut once = Once { distinct };
            for item in &mut select.projection {
                let _ = VisitMut::visit(item, &mut once);
            }
            if let Some(having) = &mut select.having {
                let _ = VisitMut::visit(having, &mut once);
            }
        }
        Some(())
    }
}

impl VisitorMut for Rejoining<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        // An ORDER BY stands outside of its SELECT.
        if let Some(order) = &query.order_by {
            let found = Found::of(order);
            let tables = found.tables.iter().filter_map(|table| self.place(table)).collect();
            self.next = Scope { tables, by_total: found.total, ordered: true };
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, _: &mut Select) -> ControlFlow<()> {
        self.scopes.push(std::mem::take(&mut self.next));
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        if let Some(written) = whole_days(expression, self.moments).or_else(|| quarter(expression)) {
            *expression = written;
        }
        if let Expr::CompoundIdentifier(parts) = expression
            && let [table, _] = parts.as_slice()
            && let Some(place) = self.place(&table.value)
            && let Some(scope) = self.scopes.last_mut()
            && !scope.tables.contains(&place)
        {
            scope.tables.push(place);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let Some(scope) = self.scopes.pop() else { return ControlFlow::Break(()) };
        let mut many = Vec::new();
        if let Some(given) = self.given(select) {
            let Some(from) = self.from(&given, &scope.tables) else { return ControlFlow::Break(()) };
            if self.write(select, &given, &from).is_none() {
                return ControlFlow::Break(());
            }
            many = from.many;
        }
        // A group has a row.
        if select.having.as_ref().is_some_and(|having| having.to_string() == "COUNT(*) = 0") {
            select.having = None;
        }
        as_called(select);
        group(select, scope.by_total);
        if !scope.ordered && self.scopes.is_empty() {
            self.once(select, &many);
        }
        ControlFlow::Continue(())
    }
}

/// An expression from its text.
pub(crate) fn expression(text: &str) -> Option<Expr> {
    let select = crate::repair::select(&format!("SELECT {text}"))?;
    match select.projection.into_iter().next()? {
        SelectItem::UnnamedExpr(expression) => Some(expression),
        _ => None,
    }
}

/// Counts each row of the first table once.
struct Once {
    distinct: Expr,
}

impl VisitorMut for Once {
    type Break = ();

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expression
            && function.name.to_string().eq_ignore_ascii_case("count")
            && let FunctionArguments::List(list) = &function.args
            && matches!(list.args.as_slice(), [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)])
        {
            *expression = self.distinct.clone();
        }
        ControlFlow::Continue(())
    }
}

/// Groups by what stands beside a total, where nothing is grouped.
fn group(select: &mut Select, by_total: bool) {
    let GroupByExpr::Expressions(keys, _) = &mut select.group_by else { return };
    if !keys.is_empty() {
        return;
    }
    let (mut bare, mut totals) = (Vec::new(), by_total || select.having.is_some());
    for item in &select.projection {
        let (SelectItem::UnnamedExpr(expression) | SelectItem::ExprWithAlias { expr: expression, .. }) = item
        else {
            return;
        };
        let found = Found::of(expression);
        totals |= found.total;
        if !found.total && found.column {
            bare.push(expression.clone());
        }
    }
    if totals {
        *keys = bare;
    }
}

/// What an expression holds, outside of its subqueries and windows.
#[derive(Default)]
pub(crate) struct Found {
    /// A total over rows.
    pub total: bool,
    /// A column.
    pub column: bool,
    tables: Vec<String>,
}

impl Found {
    /// Looks at it.
    pub(crate) fn of(node: &impl Visit) -> Found {
        let mut found = Found::default();
        let _: ControlFlow<()> = node.visit(&mut found);
        found
    }
}

impl Visitor for Found {
    type Break = ();

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        match expression {
            Expr::Function(function) => {
                let name = function.name.to_string().to_ascii_lowercase();
                self.total |= function.over.is_none() && TOTALS.contains(&name.as_str());
            }
            Expr::CompoundIdentifier(parts) => {
                self.column = true;
                self.tables.extend(parts.first().map(|table| table.value.clone()));
            }
            Expr::Identifier(_) => self.column = true,
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::{self, Definition};

    fn clinic() -> Vec<(String, Definition)> {
        [
            ("wards", "CREATE TABLE wards(id INTEGER, name TEXT)"),
            ("doctors", "CREATE TABLE doctors(id INTEGER, name TEXT, ward_id INTEGER REFERENCES wards(id))"),
            ("visits", "CREATE TABLE visits(id INTEGER, doctor_id INTEGER REFERENCES doctors(id), seen_at TEXT, fee REAL)"),
            ("given", "CREATE TABLE given(id INTEGER, visit_id INTEGER REFERENCES visits(id), amount REAL, minutes INTEGER)"),
            ("notes", "CREATE TABLE notes(id INTEGER, text TEXT)"),
        ]
        .map(|(name, sql)| (name.to_owned(), definition::read(sql)))
        .into()
    }

    #[track_caller]
    fn becomes(given: &str, wanted: &str) {
        let tables = clinic();
        let moments = BTreeSet::from(["visits.seen_at".to_owned()]);
        assert_eq!(rejoin(&Graph::new(&tables), &moments, given).as_deref(), Some(wanted));
    }

    #[test]
    fn tables_whose_columns_are_used_are_joined_whatever_the_from_said() {
        becomes(
            "SELECT wards.name, SUM(visits.fee) AS fees FROM wards JOIN visits ON visits.doctor_id = doctors.id GROUP BY wards.id",
            "SELECT wards.name, SUM(visits.fee) AS fees FROM wards JOIN doctors ON doctors.ward_id = wards.id JOIN visits ON visits.doctor_id = doctors.id GROUP BY wards.id",
        );
        becomes(
            "SELECT doctors.name FROM doctors WHERE doctors.id NOT IN (SELECT visits.doctor_id FROM visits WHERE given.amount > 1)",
            "SELECT doctors.name FROM doctors WHERE doctors.id NOT IN (SELECT visits.doctor_id FROM visits JOIN given ON given.visit_id = visits.id WHERE given.amount > 1)",
        );
    }

    #[test]
    fn what_stands_beside_a_total_is_grouped_by() {
        becomes(
            "SELECT doctors.name, COUNT(*) AS n FROM visits JOIN doctors ON doctors.id = visits.doctor_id HAVING n > 3",
            "SELECT doctors.name, COUNT(*) AS n FROM visits JOIN doctors ON doctors.id = visits.doctor_id GROUP BY doctors.name HAVING n > 3",
        );
        becomes(
            "SELECT doctors.name FROM doctors ORDER BY SUM(visits.fee) DESC LIMIT 3",
            "SELECT doctors.name FROM doctors JOIN visits ON visits.doctor_id = doctors.id GROUP BY doctors.name ORDER BY SUM(visits.fee) DESC LIMIT 3",
        );
        becomes("SELECT SUM(visits.fee) / 2 FROM visits", "SELECT SUM(visits.fee) / 2 FROM visits");
    }

    #[test]
    fn a_join_that_was_added_does_not_count_rows_twice_and_one_that_was_there_is_meant() {
        becomes(
            "SELECT COUNT(*) AS visits, SUM(given.amount) AS amount FROM visits",
            "SELECT COUNT(DISTINCT visits.id) AS visits, SUM(given.amount) AS amount FROM visits JOIN given ON given.visit_id = visits.id",
        );
        becomes(
            "SELECT COUNT(*) FROM visits JOIN given ON given.visit_id = visits.id",
            "SELECT COUNT(*) FROM visits JOIN given ON given.visit_id = visits.id",
        );
    }

    #[test]
    fn what_has_some_of_something_is_listed_once() {
        becomes(
            "SELECT doctors.name FROM doctors WHERE visits.fee > 50",
            "SELECT DISTINCT doctors.name FROM doctors JOIN visits ON visits.doctor_id = doctors.id WHERE visits.fee > 50",
        );
        for all in [
            "SELECT doctors.name, visits.fee FROM doctors JOIN visits ON visits.doctor_id = doctors.id",
            "SELECT visits.fee FROM visits JOIN doctors ON doctors.id = visits.doctor_id WHERE doctors.name = 'Eli'",
            "SELECT doctors.name FROM doctors",
        ] {
            becomes(all, all);
        }
    }

    #[test]
    fn the_last_day_of_a_period_counts_whole_where_there_are_moments() {
        becomes(
            "SELECT COUNT(*) FROM visits WHERE visits.seen_at BETWEEN '2030-02-01' AND '2030-02-28'",
            "SELECT COUNT(*) FROM visits WHERE (visits.seen_at >= '2030-02-01' AND visits.seen_at < '2030-03-01')",
        );
        becomes(
            "SELECT COUNT(*) FROM visits WHERE visits.seen_at <= '2030-12-31'",
            "SELECT COUNT(*) FROM visits WHERE visits.seen_at < '2031-01-01'",
        );
    }

    #[test]
    fn a_group_without_a_row_is_not_asked_for() {
        becomes(
            "SELECT visits.doctor_id FROM visits GROUP BY visits.doctor_id HAVING COUNT(*) = 0",
            "SELECT visits.doctor_id FROM visits GROUP BY visits.doctor_id",
        );
    }

    #[test]
    fn a_quarter_is_written_as_sqlite_can_say_it() {
        becomes(
            "SELECT quarter(visits.seen_at) AS quarter, SUM(visits.fee) FROM visits GROUP BY quarter",
            "SELECT strftime('%Y', visits.seen_at) || '-Q' || ((CAST(strftime('%m', visits.seen_at) AS INTEGER) + 2) / 3) AS quarter, \
             SUM(visits.fee) FROM visits GROUP BY quarter",
        );
    }

    #[test]
    fn a_column_holds_what_it_is_called() {
        becomes(
            "SELECT strftime('%Y-%m', visits.seen_at) AS year, COUNT(*) FROM visits GROUP BY strftime('%Y-%m', visits.seen_at)",
            "SELECT strftime('%Y', visits.seen_at) AS year, COUNT(*) FROM visits GROUP BY strftime('%Y', visits.seen_at)",
        );
        becomes(
            "SELECT strftime('%Y-%m', visits.seen_at) AS quarter FROM visits GROUP BY quarter",
            "SELECT strftime('%Y', visits.seen_at) || '-Q' || ((CAST(strftime('%m', visits.seen_at) AS INTEGER) + 2) / 3) AS quarter \
             FROM visits GROUP BY quarter",
        );
        for (unit, wanted) in [
            ("hours", "SUM(given.minutes) / 60.0"),
            ("seconds", "SUM(given.minutes) * 60"),
            ("minutes", "SUM(given.minutes)"),
        ] {
            becomes(
                &format!("SELECT SUM(given.minutes) AS total_{unit} FROM given"),
                &format!("SELECT {wanted} AS total_{unit} FROM given"),
            );
        }
        becomes(
            "SELECT AVG(julianday(visits.seen_at) - julianday(visits.seen_at)) AS hours FROM visits",
            "SELECT AVG(julianday(visits.seen_at) - julianday(visits.seen_at)) * 24 AS hours FROM visits",
        );
        let months = "SELECT strftime('%Y-%m', visits.seen_at) AS month FROM visits GROUP BY month";
        becomes(months, months);
    }

    #[test]
    fn what_cannot_be_joined_or_read_is_left() {
        let tables = clinic();
        let graph = Graph::new(&tables);
        for sql in ["SELECT notes.text, doctors.name FROM doctors", "SELECT FROM", "DELETE FROM notes"] {
            assert_eq!(rejoin(&graph, &BTreeSet::new(), sql), None, "{sql}");
        }
        let derived = "SELECT AVG(t.n) FROM (SELECT COUNT(*) AS n FROM given GROUP BY given.visit_id) AS t";
        assert_eq!(rejoin(&graph, &BTreeSet::new(), derived).as_deref(), Some(derived));
    }
}
