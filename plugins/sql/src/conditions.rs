//! The conditions of a statement: one more, or one less.
//!
//! Invariant: nothing but conditions that all have to hold (WHERE … AND …) is added or left out.

use std::ops::ControlFlow;

use sqlparser::ast::{BinaryOperator, Expr, Select, SetExpr, Statement, VisitMut, VisitorMut};

use crate::rejoin::expression;
use crate::repair::parse;

/// The statement with one more condition.
#[must_use]
pub fn and(sql: &str, condition: &str) -> Option<String> {
    let mut statement = parse(sql)?;
    let Statement::Query(query) = &mut statement else { return None };
    let SetExpr::Select(select) = &mut *query.body else { return None };
    let text = match &select.selection {
        Some(all @ Expr::BinaryOp { op: BinaryOperator::Or, .. }) => format!("({all}) AND {condition}"),
        Some(all) => format!("{all} AND {condition}"),
        None => condition.to_owned(),
    };
    select.selection = Some(expression(&text)?);
    Some(statement.to_string())
}

/// The statement without the conditions of which that is said; none where there is none of them.
#[must_use]
pub fn without(sql: &str, mut left_out: impl FnMut(&str) -> bool) -> Option<String> {
    let mut statement = parse(sql)?;
    let mut leaving = LeaveOut { left_out: &mut left_out, some: false };
    let _: ControlFlow<()> = VisitMut::visit(&mut statement, &mut leaving);
    leaving.some.then(|| statement.to_string())
}

/// Each condition of the statement and of its subqueries, with the statement that lacks it.
#[must_use]
pub fn without_each(sql: &str) -> Vec<(String, String)> {
    let mut conditions: Vec<String> = Vec::new();
    let _ = without(sql, |condition| {
        conditions.push(condition.to_owned());
        false
    });
    let shorter = conditions.into_iter().enumerate().filter_map(|(place, condition)| {
        // Conditions are met in the same order each time, up to the one that is left out.
        let mut met = 0..;
        without(sql, |_| met.next() == Some(place)).map(|shorter| (condition, shorter))
    });
    shorter.collect()
}

struct LeaveOut<'a, F> {
    left_out: &'a mut F,
    some: bool,
}

impl<F: FnMut(&str) -> bool> VisitorMut for LeaveOut<'_, F> {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let Some(all) = &select.selection else { return ControlFlow::Continue(()) };
        let mut conditions = Vec::new();
        conjuncts(all, &mut conditions);
        let before = conditions.len();
        conditions.retain(|condition| !(self.left_out)(&condition.to_string()));
        if conditions.len() < before {
            self.some = true;
            let and = |left, right| Expr::BinaryOp {
                left: Box::new(left),
                op: BinaryOperator::And,
                right: Box::new(right),
            };
            select.selection = conditions.into_iter().cloned().reduce(and);
        }
        ControlFlow::Continue(())
    }
}

/// The conditions that all have to hold.
pub(crate) fn conjuncts<'a>(node: &'a Expr, found: &mut Vec<&'a Expr>) {
    match node {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            conjuncts(left, found);
            conjuncts(right, found);
        }
        other => found.push(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_added_to_those_that_there_are() {
        for (given, wanted) in [
            ("SELECT a.b FROM a", "SELECT a.b FROM a WHERE a.c > a.d"),
            ("SELECT a.b FROM a WHERE a.e = 1", "SELECT a.b FROM a WHERE a.e = 1 AND a.c > a.d"),
            (
                "SELECT a.b FROM a WHERE a.e = 1 OR a.f = 1",
                "SELECT a.b FROM a WHERE (a.e = 1 OR a.f = 1) AND a.c > a.d",
            ),
        ] {
            assert_eq!(and(given, "a.c > a.d").as_deref(), Some(wanted));
        }
    }

    #[test]
    fn each_condition_is_left_out_once() {
        let sql = "SELECT a.b FROM a WHERE a.c BETWEEN 1 AND 2 AND (a.d = 1 OR a.d = 2) AND a.e IN (SELECT f.e FROM f WHERE f.g = 3)";
        let all = without_each(sql);
        assert_eq!(
            all.iter().map(|(condition, _)| condition.as_str()).collect::<Vec<_>>(),
            [
                "a.c BETWEEN 1 AND 2",
                "(a.d = 1 OR a.d = 2)",
                "a.e IN (SELECT f.e FROM f WHERE f.g = 3)",
                "f.g = 3"
            ]
        );
        assert_eq!(
            all[3].1,
            "SELECT a.b FROM a WHERE a.c BETWEEN 1 AND 2 AND (a.d = 1 OR a.d = 2) AND a.e IN (SELECT f.e FROM f)"
        );
        assert_eq!(
            all[0].1,
            "SELECT a.b FROM a WHERE (a.d = 1 OR a.d = 2) AND a.e IN (SELECT f.e FROM f WHERE f.g = 3)"
        );
        assert_eq!(without_each("SELECT a.b FROM a"), []);
        assert_eq!(
            without("SELECT a.b FROM a WHERE a.c = 1", |_| true).as_deref(),
            Some("SELECT a.b FROM a")
        );
        assert_eq!(without("SELECT a.b FROM a WHERE a.c = 1", |_| false), None);
    }
}
