//! Days in a statement: the last one of a period counts whole where a column holds moments; quarters are written out; a column
//! that is called a year, a quarter or hours holds it.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use jiff::ToSpan;
use jiff::civil::Date;
use sqlparser::ast::{
    BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Select, SelectItem,
    Value,
};

use super::expression;
use crate::statement::literal;

/// Units of time that columns are called after, in seconds.
const UNITS: [(&str, u32); 4] = [("seconds", 1), ("minutes", 60), ("hours", 3_600), ("days", 86_400)];

fn unit(name: &str) -> Option<u32> {
    let word = |word: &str| UNITS.iter().find(|(unit, _)| *unit == word).map(|(_, seconds)| *seconds);
    name.split('_').rev().find_map(word)
}

/// A column that is called hours, and is plain minutes, in hours; none where it is what it is called.
fn in_unit(expr: &Expr, name: &str) -> Option<Expr> {
    let called = unit(name)?;
    let text = expr.to_string();
    if text.contains("julianday(") && text.contains(" - ") {
        // Days, unless it is counted on.
        let plain = !text.contains(" * ") && !text.contains(" / ");
        return match 86_400 / called {
            1 => None,
            times if plain => expression(&format!("{text} * {times}")),
            _ => None,
        };
    }
    let (total, column) = match expr {
        Expr::CompoundIdentifier(_) => (None, expr),
        Expr::Function(function) => match &function.args {
            FunctionArguments::List(list) => match list.args.as_slice() {
                [FunctionArg::Unnamed(FunctionArgExpr::Expr(column))] => {
                    (Some(function.name.to_string()), column)
                }
                _ => return None,
            },
            _ => return None,
        },
        _ => return None,
    };
    let Expr::CompoundIdentifier(parts) = column else { return None };
    if total.is_some_and(|total| total.eq_ignore_ascii_case("count")) {
        return None;
    }
    let held = unit(&parts.last()?.value)?;
    match called.cmp(&held) {
        Ordering::Equal => None,
        Ordering::Greater => expression(&format!("{expr} / {}.0", called / held)),
        Ordering::Less => expression(&format!("{expr} * {}", held / called)),
    }
}

/// A column that is called `year` or `quarter` and holds months, or `hours` and holds minutes, is made to hold what it is called.
pub(super) fn as_called(select: &mut Select) {
    for item in &mut select.projection {
        let SelectItem::ExprWithAlias { expr, alias } = item else { continue };
        let text = expr.to_string();
        let day = text.strip_prefix("strftime('%Y-%m', ").and_then(|rest| rest.strip_suffix(')'));
        let called = in_unit(expr, &alias.value).or_else(|| match (alias.value.as_str(), day?) {
            ("year", day) => expression(&format!("strftime('%Y', {day})")),
            ("quarter", day) => quarter(&expression(&format!("quarter({day})"))?),
            _ => None,
        });
        let Some(called) = called else { continue };
        if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
            keys.iter_mut().filter(|key| **key == *expr).for_each(|key| *key = called.clone());
        }
        *expr = called;
    }
}

/// `quarter(day)`, which SQLite has not, as `2030-Q1`.
pub(super) fn quarter(written: &Expr) -> Option<Expr> {
    let Expr::Function(function) = written else { return None };
    let FunctionArguments::List(list) = &function.args else { return None };
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(day))] = list.args.as_slice() else { return None };
    let is = function.name.to_string().eq_ignore_ascii_case("quarter");
    let text = format!("strftime('%Y', {day}) || '-Q' || ((CAST(strftime('%m', {day}) AS INTEGER) + 2) / 3)");
    is.then(|| expression(&text)).flatten()
}

/// A comparison of moments with a day, so that all of the day is meant; none where it is another expression.
pub(super) fn whole_days(expression: &Expr, moments: &BTreeSet<String>) -> Option<Expr> {
    let is_moment = |side: &Expr| match side {
        Expr::CompoundIdentifier(_) => moments.contains(&side.to_string()),
        _ => false,
    };
    let written = match expression {
        Expr::Between { expr, negated, low, high } if is_moment(expr) => {
            let (low, next) = (literal(&day(low)?.to_string()), after(high)?);
            let not = if *negated { "NOT " } else { "" };
            format!("{not}({expr} >= {low} AND {expr} < {next})")
        }
        Expr::BinaryOp { left, op: BinaryOperator::LtEq, right } if is_moment(left) => {
            format!("{left} < {}", after(right)?)
        }
        Expr::BinaryOp { left, op: BinaryOperator::Gt, right } if is_moment(left) => {
            format!("{left} >= {}", after(right)?)
        }
        _ => return None,
    };
    super::expression(&written)
}

fn day(expression: &Expr) -> Option<Date> {
    match expression {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) if text.len() == 10 => text.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

/// The day after, as a literal.
fn after(expression: &Expr) -> Option<String> {
    let next = day(expression)?.checked_add(1.day()).ok()?;
    Some(literal(&next.to_string()))
}
