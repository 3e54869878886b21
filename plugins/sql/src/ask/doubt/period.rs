//! Periods that a question names and a statement leaves out, or sets on the wrong column.

use super::{Asked, Doubt, days_of};
use crate::ask::question::Period;
use crate::conditions;
use crate::relate::stem;

/// Words that say whose period it is: "of customers who signed up in 2030".
const WHOSE: [&str; 2] = ["who", "whose"];
/// What columns are called whose days are of the record, not of what is recorded.
const RECORDED: [&str; 4] = ["created", "updated", "modified", "inserted"];

impl Asked<'_> {
    /// Where the period stands on a day of what the rows belong to, which the question does not name, and the rows have a day of their own:
    /// stops of machines in October, not of machines that were installed in October.
    pub(super) fn misplaced(&self, sql: &str) -> Option<Doubt> {
        let [Period { from, to, .. }] = self.question.periods.as_slice() else { return None };
        // Words of another language name no column.
        let is_whose = self.words.iter().any(|word| WHOSE.contains(&word.as_str()));
        if is_whose || !self.question.text.is_ascii() {
            return None;
        }
        let first = self.first(sql)?;
        let own = days_of(first);
        let [own] = own.as_slice() else { return None };
        let parts = |day: &str| -> Vec<String> {
            day.rsplit('.').next().unwrap_or(day).split('_').map(stem).collect()
        };
        if parts(own).iter().any(|part| RECORDED.iter().any(|word| stem(word) == *part)) {
            return None;
        }
        let is_named = |day: &str| parts(day).iter().any(|part| part.len() > 2 && self.stems.contains(part));
        let above: Vec<String> = self.days_above(first).into_iter().filter(|day| !is_named(day)).collect();
        // Of a column with moments a period stands in parentheses: "(day >= … AND day < …)".
        let is_of = |condition: &str, day: &str| {
            let rest = condition.trim_start_matches('(').strip_prefix(day);
            rest.is_some_and(|rest| {
                rest.starts_with(' ') && [from, to].iter().any(|end| rest.contains(&format!("'{end}'")))
            })
        };
        let (mut wrong, mut is_there) = (Vec::new(), false);
        let kept = conditions::without(sql, |condition| {
            is_there |= is_of(condition, own);
            let is_wrong = above.iter().any(|day| is_of(condition, day));
            wrong.extend(is_wrong.then(|| condition.to_owned()));
            is_wrong
        });
        // Where a total counts what is in the period, it stands in no condition.
        is_there |= [" BETWEEN", " >="].iter().any(|sign| sql.contains(&format!("{own}{sign} '{from}'")));
        let mended = if is_there {
            kept
        } else {
            conditions::and(&kept?, &format!("{own} BETWEEN '{from}' AND '{to}'"))
        };
        let mended = Some(mended?);
        Some(Doubt { why: format!("the period is that of {own}: leave out {}", wrong.join(", ")), mended })
    }

    /// Where the question names one period and the statement has nothing of its years.
    pub(super) fn period(&self, sql: &str) -> Option<Doubt> {
        let [Period { from, to, .. }] = self.question.periods.as_slice() else { return None };
        let after = to.tomorrow().unwrap_or(*to);
        if from == to || [from, to, &after].iter().any(|day| sql.contains(&day.year().to_string())) {
            return None;
        }
        let first = self.first(sql)?;
        let days: Vec<String> = self.tables.iter().flat_map(days_of).collect();
        let used: Vec<String> = days.iter().filter(|day| sql.contains(day.as_str())).cloned().collect();
        let (own, above) = (days_of(first), self.days_above(first));
        let between = |day: &str| format!("{day} BETWEEN '{from}' AND '{to}'");
        let mended = match (used.as_slice(), own.as_slice(), above.as_slice()) {
            ([day], _, _) | ([], [day], _) | ([], [], [day]) => conditions::and(sql, &between(day)),
            _ => None,
        };
        let day = [&used, &own, &above, &days].into_iter().find_map(|days| days.first())?;
        let why = format!("the question asks for {from} to {to}: add a condition such as {}", between(day));
        Some(Doubt { why, mended })
    }
}
