//! What code can mend in a statement without guessing: a table that is called by another of its names than the FROM gives it, a
//! table whose column is used and that was not joined, and a join that only counts rows twice.
//!
//! The statement is read by `sqlparser`, changed as a tree and written again. Invariant: a join that is added follows a
//! reference that the database declares; a table that is left out is used nowhere but in its own join. What was mended is
//! told (`ran` of the result); a statement that this reader does not follow is left as it is.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Ident, Join, JoinConstraint, JoinOperator, Select, Statement, TableFactor, TableWithJoins,
    VisitMut, VisitorMut, visit_expressions,
};
use sqlparser::dialect::SQLiteDialect;
use sqlparser::parser::Parser;

use crate::graph::Graph;

/// How deep a statement may nest to be read.
const DEPTH: usize = 40;

/// The statement with the tables joined whose columns it names without joining them; none where there is nothing to
/// mend or no way leads there.
#[must_use]
pub fn connect(graph: &Graph<'_>, sql: &str) -> Option<String> {
    let mut statement = parse(sql)?;
    let mut connecting = Connecting { graph, scopes: Vec::new(), changed: false };
    let ended: ControlFlow<()> = statement.visit(&mut connecting);
    (ended.is_continue() && connecting.changed).then(|| statement.to_string())
}

/// The statement without the tables that reference another one of their FROM and are used nowhere; none where there is no
/// such table.
#[must_use]
pub fn lean(graph: &Graph<'_>, sql: &str) -> Option<String> {
    let mut statement = parse(sql)?;
    let mut leaning = Leaning { graph, changed: false };
    let ended: ControlFlow<()> = statement.visit(&mut leaning);
    (ended.is_continue() && leaning.changed).then(|| statement.to_string())
}

/// One query, read.
pub(crate) fn parse(sql: &str) -> Option<Statement> {
    let dialect = SQLiteDialect {};
    let parser = Parser::new(&dialect).with_recursion_limit(DEPTH);
    let mut statements = parser.try_with_sql(sql).ok()?.parse_statements().ok()?;
    let statement = statements.pop()?;
    (statements.is_empty() && matches!(statement, Statement::Query(_))).then_some(statement)
}

/// The name under which a statement knows a table, and the table's own.
pub(crate) fn names(factor: &TableFactor) -> Option<(String, Option<String>)> {
    match factor {
        TableFactor::Table { name, alias, .. } => {
            let own = name.0.last()?.as_ident()?.value.clone();
            let known = alias.as_ref().map_or_else(|| own.clone(), |alias| alias.name.value.clone());
            Some((known, Some(own)))
        }
        TableFactor::Derived { alias, .. } => Some((alias.as_ref()?.name.value.clone(), None)),
        _ => None,
    }
}

fn factors(select: &Select) -> impl Iterator<Item = &TableFactor> {
    select
        .from
        .iter()
        .flat_map(|from| std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)))
}

/// One SELECT while its expressions are read.
struct Scope {
    /// Known names, and the place of each in the graph.
    known: Vec<(String, Option<usize>)>,
    /// Names that are used and not known here nor around.
    wanted: Vec<String>,
}

struct Connecting<'a> {
    graph: &'a Graph<'a>,
    scopes: Vec<Scope>,
    changed: bool,
}

impl Connecting<'_> {
    fn is_known(&self, name: &str) -> bool {
        let known = |scope: &Scope| scope.known.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        self.scopes.iter().any(known)
    }

    /// The joins that bring `wanted` into the scope; none where one of them has no way.
    fn joins(&self, scope: &Scope) -> Option<Vec<Join>> {
        let mut known: Vec<(String, usize)> =
            scope.known.iter().filter_map(|(name, table)| Some((name.clone(), (*table)?))).collect();
        let mut joins = Vec::new();
        for name in &scope.wanted {
            if known.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
                continue;
            }
            let there: Vec<usize> = known.iter().map(|(_, table)| *table).collect();
            let wanted = self.graph.named(name)?;
            for step in self.graph.way(&there, wanted)? {
                let alias =
                    if step.table == wanted { name.clone() } else { self.graph.alias(step.table).to_owned() };
                known.push((alias, step.table));
                let alias = |table: usize| {
                    let found = known.iter().find(|(_, known)| *known == table);
                    found.map_or_else(String::new, |(name, _)| name.clone())
                };
                joins.push(join(&self.graph.written(&step, alias))?);
            }
        }
        Some(joins)
    }
}

/// A SELECT without WITH and sets, read.
pub(crate) fn select(text: &str) -> Option<Select> {
    let Statement::Query(query) = parse(text)? else { return None };
    query.body.as_select().cloned()
}

/// A join as text, read.
pub(crate) fn join(text: &str) -> Option<Join> {
    select(&format!("SELECT 1 FROM x {text}"))?.from.first()?.joins.first().cloned()
}

impl VisitorMut for Connecting<'_> {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let known = factors(select)
            .filter_map(names)
            .map(|(known, own)| {
                (
                    known,
                    own.and_then(|own| {
                        self.graph.tables.iter().position(|(t, _)| t.eq_ignore_ascii_case(&own))
                    }),
                )
            })
            .collect();
        self.scopes.push(Scope { known, wanted: Vec::new() });
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        let Expr::CompoundIdentifier(parts) = expression else { return ControlFlow::Continue(()) };
        if let [table, _] = parts.as_mut_slice()
            && !self.is_known(&table.value)
            && let Some(named) = self.graph.named(&table.value)
            && let Some(scope) = self.scopes.last_mut()
        {
            let mut here = scope.known.iter().filter(|(_, known)| *known == Some(named));
            match (here.next(), here.next()) {
                (Some((known, _)), None) => {
                    table.value.clone_from(known);
                    self.changed = true;
                }
                (None, _) => scope.wanted.push(table.value.clone()),
                // Joined with itself: which one is meant, nobody knows.
                _ => return ControlFlow::Break(()),
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let Some(scope) = self.scopes.pop() else { return ControlFlow::Break(()) };
        if scope.wanted.is_empty() {
            return ControlFlow::Continue(());
        }
        match (self.joins(&scope), select.from.last_mut()) {
            (Some(joins), Some(from)) if !joins.is_empty() => {
                from.joins.extend(joins);
                self.changed = true;
                ControlFlow::Continue(())
            }
            _ => ControlFlow::Break(()),
        }
    }
}

struct Leaning<'a> {
    graph: &'a Graph<'a>,
    changed: bool,
}

impl VisitorMut for Leaning<'_> {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        while let Some(without) = self.leaner(select) {
            select.from = vec![without];
            self.changed = true;
        }
        ControlFlow::Continue(())
    }
}

impl Leaning<'_> {
    /// The FROM without one table that is used nowhere.
    fn leaner(&self, select: &Select) -> Option<TableWithJoins> {
        let [from] = select.from.as_slice() else { return None };
        let mut bare = select.clone();
        bare.from = Vec::new();
        let used = identifiers(&bare);
        let all: Vec<(&TableFactor, Option<&Expr>)> = std::iter::once(Some((&from.relation, None)))
            .chain(from.joins.iter().map(|join| match &join.join_operator {
                JoinOperator::Join(JoinConstraint::On(on)) | JoinOperator::Inner(JoinConstraint::On(on)) => {
                    Some((&join.relation, Some(on)))
                }
                _ => None,
            }))
            .collect::<Option<_>>()?;
        (0..all.len()).find_map(|place| self.without(from, &all, place, &used))
    }

    fn without(
        &self,
        from: &TableWithJoins,
        all: &[(&TableFactor, Option<&Expr>)],
        place: usize,
        used: &Used,
    ) -> Option<TableWithJoins> {
        let (known, own) = names(all.get(place)?.0)?;
        let table = self.graph.named(&own?)?;
        let others: Vec<String> = all
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != place)
            .filter_map(|(_, (factor, _))| names(factor)?.1)
            .collect();
        let references = self.graph.parents(table).any(|join| {
            others.iter().any(|other| self.graph.tables[join.table].0.eq_ignore_ascii_case(other))
        });
        let columns = &self.graph.tables[table].1.columns;
        let is_used = used.qualified.contains(&known.to_lowercase())
            || used.star
            || columns.iter().any(|column| used.bare.contains(&column.name.to_lowercase()));
        if !references || is_used {
            return None;
        }
        let holding: Vec<usize> = (0..all.len())
            .filter(|other| *other != place)
            .filter(|other| all[*other].1.is_some_and(|on| of(on).qualified.contains(&known.to_lowercase())))
            .collect();
        if place > 0 {
            // Nothing else hangs on it.
            let mut from = from.clone();
            from.joins.remove(place - 1);
            return holding.is_empty().then_some(from);
        }
        // The first: the one table that hangs on it comes first instead.
        let [next] = holding.as_slice() else { return None };
        let own = names(all[*next].0)?.0.to_lowercase();
        let on = of(all[*next].1?);
        if on.qualified.iter().any(|name| *name != own && *name != known.to_lowercase())
            || !on.bare.is_empty()
        {
            return None;
        }
        let mut joins = from.joins.clone();
        let first = joins.remove(*next - 1);
        // What stands before it may not hang on it yet; afterwards it may.
        Some(TableWithJoins { relation: first.relation, joins })
    }
}

/// The names that expressions use, in lower case.
#[derive(Default)]
struct Used {
    /// Before a dot.
    qualified: BTreeSet<String>,
    bare: BTreeSet<String>,
    /// `*`, or something that may be anything.
    star: bool,
}

fn identifiers(select: &Select) -> Used {
    use sqlparser::ast::SelectItem;
    let mut used = of(select);
    used.star |= select
        .projection
        .iter()
        .any(|item| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)));
    used
}

fn of(node: &impl sqlparser::ast::Visit) -> Used {
    let mut used = Used::default();
    let lower = |ident: &Ident| ident.value.to_lowercase();
    let _: ControlFlow<()> = visit_expressions(node, |expression| {
        match expression {
            Expr::Identifier(name) => {
                used.bare.insert(lower(name));
            }
            Expr::CompoundIdentifier(parts) => {
                used.qualified.extend(parts.first().map(lower));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    });
    used
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::{self, Definition};

    fn shop() -> Vec<(String, Definition)> {
        [
            ("regions", "CREATE TABLE regions(id INTEGER, name TEXT)"),
            ("customers", "CREATE TABLE customers(id INTEGER, name TEXT, region_id INTEGER REFERENCES regions(id))"),
            (
                "orders",
                "CREATE TABLE orders(id INTEGER, customer_id INTEGER REFERENCES customers(id), ordered_at TEXT, total REAL)",
            ),
            (
                "order_items",
                "CREATE TABLE order_items(order_id INTEGER REFERENCES orders(id), quantity INTEGER, line_total REAL)",
            ),
        ]
        .map(|(name, sql)| (name.to_owned(), definition::read(sql)))
        .into()
    }

    #[test]
    fn a_table_that_is_used_and_not_joined_is_joined_along_its_references() {
        let tables = shop();
        let graph = Graph::new(&tables);
        for (given, mended) in [
            (
                "SELECT SUM(i.line_total) FROM orders o WHERE i.quantity > 2",
                "SELECT SUM(i.line_total) FROM orders o JOIN order_items i ON i.order_id = o.id WHERE i.quantity > 2",
            ),
            (
                "SELECT r.name, SUM(o.total) AS spent FROM orders AS o GROUP BY r.name ORDER BY spent",
                "SELECT r.name, SUM(o.total) AS spent FROM orders AS o JOIN customers c ON c.id = o.customer_id \
                 JOIN regions r ON r.id = c.region_id GROUP BY r.name ORDER BY spent",
            ),
            (
                "SELECT SUM(orders.total) FROM orders WHERE o.total > 3",
                "SELECT SUM(orders.total) FROM orders WHERE orders.total > 3",
            ),
            (
                "SELECT name FROM customers c WHERE EXISTS (SELECT 1 FROM orders o WHERE o.customer_id = c.id AND i.quantity = 1)",
                "SELECT name FROM customers c WHERE EXISTS (SELECT 1 FROM orders o JOIN order_items i ON i.order_id = o.id \
                 WHERE o.customer_id = c.id AND i.quantity = 1)",
            ),
        ] {
            assert_eq!(connect(&graph, given).as_deref(), Some(mended), "{given}");
        }
    }

    #[test]
    fn what_is_whole_or_cannot_be_connected_is_left_as_it_is() {
        let mut tables = shop();
        tables.push(("notes".to_owned(), definition::read("CREATE TABLE notes(id INTEGER, text TEXT)")));
        let graph = Graph::new(&tables);
        for sql in [
            "SELECT o.total FROM orders o",
            "SELECT n.text, o.total FROM orders o",
            "SELECT z.total FROM orders o",
            "SELECT t1.n FROM (SELECT COUNT(*) AS n FROM orders) t1",
            "SELECT (SELECT COUNT(*) FROM orders o WHERE o.customer_id = c.id) FROM customers c",
            "SELECT o.total",
            "SELECT o.total FROM orders o1 JOIN orders o2 ON o1.id = o2.id",
            "not SQL at all (",
        ] {
            assert_eq!(connect(&graph, sql), None, "{sql}");
        }
    }

    #[test]
    fn a_table_that_only_counts_others_twice_is_left_out() {
        let tables = shop();
        let graph = Graph::new(&tables);
        for (given, mended) in [
            (
                "SELECT AVG(o.total) FROM orders o JOIN order_items i ON i.order_id = o.id",
                Some("SELECT AVG(o.total) FROM orders o"),
            ),
            (
                "SELECT r.name, AVG(o.total) AS a FROM order_items i JOIN orders o ON o.id = i.order_id JOIN customers c \
                 ON c.id = o.customer_id JOIN regions r ON r.id = c.region_id GROUP BY r.name ORDER BY a",
                Some(
                    "SELECT r.name, AVG(o.total) AS a FROM orders o JOIN customers c \
                     ON c.id = o.customer_id JOIN regions r ON r.id = c.region_id GROUP BY r.name ORDER BY a",
                ),
            ),
            (
                "SELECT AVG(o.total) FROM orders o JOIN order_items i ON i.order_id = o.id WHERE i.quantity > 1",
                None,
            ),
            (
                "SELECT AVG(total) FROM orders o JOIN order_items i ON i.order_id = o.id WHERE quantity > 1",
                None,
            ),
            ("SELECT * FROM orders o JOIN order_items i ON i.order_id = o.id", None),
            ("SELECT o.total FROM orders o LEFT JOIN order_items i ON i.order_id = o.id", None),
        ] {
            assert_eq!(lean(&graph, given).as_deref(), mended, "{given}");
        }
    }
}
