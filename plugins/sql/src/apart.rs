//! Statements that run and do not say what was asked for, written so that they do: groups that are only counted, the halves of a UNION
//! that differ in a period or a value alone, a total for each of something that is not selected, a share of rows that are all of its
//! kind.
//!
//! Invariant: each function does the one thing that it is called for, or nothing.

use sqlparser::ast::{Expr, GroupByExpr, Query, Select, SelectItem, SetExpr, SetOperator, Statement};

use crate::conditions::conjuncts;
use crate::rejoin::{Found, expression};
use crate::repair::parse;
use crate::statement::literal;

/// The query, where the statement is one.
fn query(sql: &str) -> Option<Query> {
    match parse(sql)? {
        Statement::Query(query) => Some(*query),
        _ => None,
    }
}

fn keys(select: &Select) -> &[Expr] {
    match &select.group_by {
        GroupByExpr::Expressions(keys, _) => keys,
        GroupByExpr::All(_) => &[],
    }
}

fn selected(item: &SelectItem) -> Option<&Expr> {
    match item {
        SelectItem::UnnamedExpr(expression) | SelectItem::ExprWithAlias { expr: expression, .. } => {
            Some(expression)
        }
        _ => None,
    }
}

/// Whether nothing but totals is selected.
fn only_totals(select: &Select) -> bool {
    select.projection.iter().all(|item| selected(item).map(Found::of).is_some_and(|found| found.total))
}

/// `SELECT COUNT(*) … GROUP BY key HAVING …` without its key gives a count for each of the groups: how many groups there are is meant.
#[must_use]
pub fn count_of_groups(sql: &str) -> Option<String> {
    let query = query(sql)?;
    let SetExpr::Select(select) = &*query.body else { return None };
    let [item] = select.projection.as_slice() else { return None };
    let counts = selected(item)?.to_string().starts_with("COUNT(");
    if !counts || keys(select).is_empty() || select.having.is_none() || query.limit_clause.is_some() {
        return None;
    }
    let name = match item {
        SelectItem::ExprWithAlias { alias, .. } => format!(" AS {alias}"),
        _ => String::new(),
    };
    Some(format!("SELECT COUNT(*){name} FROM ({select}) AS t"))
}

/// The halves of a UNION that differ only in what they are compared with get a column that says with what.
#[must_use]
pub fn named_halves(sql: &str) -> Option<String> {
    let mut query = query(sql)?;
    let SetExpr::SetOperation { op: SetOperator::Union, left, right, .. } = &mut *query.body else {
        return None;
    };
    let (SetExpr::Select(first), SetExpr::Select(second)) = (&mut **left, &mut **right) else { return None };
    if !only_totals(first) || !only_totals(second) {
        return None;
    }
    let (own, other) = (literals(&first.to_string()), literals(&second.to_string()));
    if own.0 != other.0 {
        return None;
    }
    let (one, two) = own.1.iter().zip(&other.1).find(|(one, two)| one != two)?;
    let same = |length: usize| one.get(..length) == two.get(..length);
    let is_day = |text: &str| text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok();
    let length = match (is_day(one) && is_day(two), same(4), same(7)) {
        (true, false, _) => 4,
        (true, true, false) => 7,
        _ => usize::MAX,
    };
    let name = if is_day(one) { "period" } else { "part" };
    for (select, text) in [(first, one), (second, two)] {
        let text = literal(text.get(..length).unwrap_or(text));
        let named = crate::repair::select(&format!("SELECT {text} AS {name}"))?;
        select.projection.splice(0..0, named.projection);
    }
    Some(query.to_string())
}

/// The text without its literals, and the literals.
fn literals(sql: &str) -> (String, Vec<String>) {
    let (mut rest, mut found) = (String::new(), Vec::new());
    for (place, part) in sql.split('\'').enumerate() {
        if place % 2 == 0 {
            rest.push_str(part);
            rest.push('?');
        } else {
            found.push(part.to_owned());
        }
    }
    (rest, found)
}

/// Totals that are told apart by this column in place of what they were grouped by and did not show.
#[must_use]
pub fn by(sql: &str, column: &str) -> Option<String> {
    let mut query = query(sql)?;
    let SetExpr::Select(select) = &mut *query.body else { return None };
    if !only_totals(select) {
        return None;
    }
    let column = expression(column)?;
    select.projection.insert(0, SelectItem::UnnamedExpr(column.clone()));
    match &mut select.group_by {
        GroupByExpr::Expressions(keys, _) => *keys = vec![column],
        GroupByExpr::All(_) => return None,
    }
    Some(query.to_string())
}

/// A share of rows that all are of its kind is always the whole: the condition that is counted is not set on all rows too.
#[must_use]
pub fn share(sql: &str) -> Option<String> {
    let mut query = query(sql)?;
    let SetExpr::Select(select) = &mut *query.body else { return None };
    let divided = select.projection.iter().map(ToString::to_string).find(|text| text.contains(" / "))?;
    let (part, whole) = divided.split_once(" / ")?;
    let mut conditions = Vec::new();
    conjuncts(select.selection.as_ref()?, &mut conditions);
    let conditions: Vec<String> = conditions.iter().map(ToString::to_string).collect();
    let counted = |one: &String| {
        let is =
            [format!("CASE WHEN {one} THEN"), format!("SUM({one})")].iter().any(|form| part.contains(form));
        is && !whole.contains(one.as_str())
    };
    let kept: Vec<String> = conditions.iter().filter(|one| !counted(one)).cloned().collect();
    if kept.len() == conditions.len() {
        return None;
    }
    select.selection = if kept.is_empty() { None } else { Some(expression(&kept.join(" AND "))?) };
    Some(query.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_that_are_only_counted_are_counted_together() {
        assert_eq!(
            count_of_groups(
                "SELECT COUNT(*) AS visits FROM given GROUP BY given.visit_id HAVING visits >= 3"
            )
            .as_deref(),
            Some(
                "SELECT COUNT(*) AS visits FROM (SELECT COUNT(*) AS visits FROM given GROUP BY given.visit_id HAVING visits >= 3) AS t"
            )
        );
        for told in [
            "SELECT given.visit_id, COUNT(*) FROM given GROUP BY given.visit_id HAVING COUNT(*) >= 3",
            "SELECT COUNT(*) FROM given",
            "SELECT SUM(given.amount) FROM given GROUP BY given.visit_id HAVING SUM(given.amount) > 3",
        ] {
            assert_eq!(count_of_groups(told), None, "{told}");
        }
    }

    #[test]
    fn halves_of_a_union_say_what_they_are_of() {
        let half = |from: &str, to: &str| {
            format!(
                "SELECT SUM(visits.fee) AS fees FROM visits WHERE visits.seen_on BETWEEN '{from}' AND '{to}'"
            )
        };
        let both =
            format!("{} UNION ALL {}", half("2029-01-01", "2029-06-30"), half("2030-01-01", "2030-06-30"));
        let named = named_halves(&both).unwrap_or_default();
        assert!(
            named.starts_with("SELECT '2029' AS period, SUM(visits.fee) AS fees FROM visits WHERE"),
            "{named}"
        );
        assert!(named.contains(" UNION ALL SELECT '2030' AS period, SUM("), "{named}");
        let wards = "SELECT COUNT(*) FROM wards WHERE wards.name = 'Eyes' UNION ALL SELECT COUNT(*) FROM wards WHERE wards.name = 'Surgery'";
        let named = named_halves(wards).unwrap_or_default();
        assert!(named.starts_with("SELECT 'Eyes' AS part, COUNT(*)"), "{named}");
        for told in [
            "SELECT wards.name, COUNT(*) FROM wards UNION ALL SELECT wards.name, COUNT(*) FROM wards",
            "SELECT COUNT(*) FROM wards WHERE wards.name = 'Eyes' UNION ALL SELECT COUNT(*) FROM doctors WHERE doctors.name = 'A'",
            "SELECT COUNT(*) FROM wards",
        ] {
            assert_eq!(named_halves(told), None, "{told}");
        }
    }

    #[test]
    fn totals_are_told_apart_by_a_column() {
        assert_eq!(
            by("SELECT AVG(visits.fee) AS fee FROM visits GROUP BY visits.patient_id", "patients.city")
                .as_deref(),
            Some("SELECT patients.city, AVG(visits.fee) AS fee FROM visits GROUP BY patients.city")
        );
        assert_eq!(by("SELECT patients.name FROM patients", "patients.city"), None);
    }

    #[test]
    fn a_share_is_not_of_its_own_kind_alone() {
        assert_eq!(
            share("SELECT 100.0 * SUM(CASE WHEN visits.state = 'missed' THEN 1 ELSE 0 END) / COUNT(*) AS percent FROM visits WHERE visits.fee > 5 AND visits.state = 'missed'").as_deref(),
            Some("SELECT 100.0 * SUM(CASE WHEN visits.state = 'missed' THEN 1 ELSE 0 END) / COUNT(*) AS percent FROM visits WHERE visits.fee > 5")
        );
        assert_eq!(
            share("SELECT 100.0 * SUM(visits.state = 'missed') / COUNT(*) FROM visits WHERE visits.state = 'missed'").as_deref(),
            Some("SELECT 100.0 * SUM(visits.state = 'missed') / COUNT(*) FROM visits")
        );
        for told in [
            "SELECT 100.0 * SUM(visits.state = 'missed') / COUNT(*) FROM visits WHERE visits.fee > 5",
            "SELECT SUM(visits.fee) / 2 FROM visits WHERE visits.state = 'missed'",
            "SELECT SUM(visits.state = 'missed') FROM visits WHERE visits.state = 'missed'",
        ] {
            assert_eq!(share(told), None, "{told}");
        }
    }
}
