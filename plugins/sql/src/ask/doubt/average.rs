//! Averages of the parts of something, where the question asks for those of the whole.

use super::{Asked, Doubt};
use crate::ask::scope::Cells;
use crate::relate::stem;
use crate::schema::plain;

impl Asked<'_> {
    /// Where the question says a column of an order by its whole name, "the mean total of an order", and the statement averages one of the
    /// order's lines that is called so by half, `line_total`.
    pub(super) fn average(&self, sql: &str) -> Option<Doubt> {
        let (_, rest) = sql.split_once("AVG(")?;
        let part = rest.split_once(')')?.0;
        let (name, column) = part.split_once('.')?;
        let table = self.tables.iter().find(|table| plain(table.name) == name)?;
        let half = stems(column);
        for reference in &table.columns {
            let Some(parent) = reference.column.parent() else { continue };
            let Some(whole) = self.tables.iter().find(|one| one.name == parent && one.name != table.name)
            else {
                continue;
            };
            let numbers = whole.columns.iter().filter(|seen| seen.cells == Cells::Number);
            let is_meant = |own: &[String]| {
                own.len() < half.len() && half.ends_with(own) && self.says(own) && !self.says(&half)
            };
            let last = stems(parent).into_iter().next_back()?;
            let mut meant = numbers.filter(|seen| is_meant(&stems(&seen.column.name)));
            let Some(meant) = meant.next().filter(|_| self.says(&[last])) else { continue };
            let right = format!("{}.{}", plain(parent), plain(&meant.column.name));
            let why = format!(
                "the question asks for the average {right}, not {part}: write AVG({right}) and leave {name} out"
            );
            let joined =
                format!(" FROM {name} JOIN {parent} ON {parent}.id = {name}.{} ", reference.column.name);
            let mended = sql.replace(part, &right).replacen(&joined, &format!(" FROM {parent} "), 1);
            let is_out = !mended.contains(&format!("{name}.")) && !mended.contains(&format!(" {name} "));
            return Some(Doubt { why, mended: is_out.then_some(mended) });
        }
        None
    }

    fn says(&self, all: &[String]) -> bool {
        all.iter().all(|word| self.stems.contains(word))
    }
}

fn stems(name: &str) -> Vec<String> {
    name.split('_').map(stem).collect()
}
