//! What a request asks for, and the statement that answers it.
//!
//! Invariant: every word that is neither understood nor small makes the reading fail.

use std::collections::BTreeSet;

use jiff::civil::Date;
use pawl_request::{Grain, Text, count, plus, span};

use super::link::{self, Link, What, is_number, label};
use super::plan::Ways;
use super::words::{self, AMOUNTS, EACH, HIGH, LEAVE, LOW, MEAN, MONEY, NONE, PIECES, SHARE, SMALL, one_of};
use crate::graph::Graph;
use crate::schema::plain;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
    Sum,
    Mean,
    Least,
    Most,
}

/// What is measured of each row.
#[derive(Debug, Clone)]
struct Measure {
    table: usize,
    written: String,
}

/// A request, read.
pub(super) struct Ask<'g, 'a> {
    graph: &'g Graph<'a>,
    ways: Ways<'a>,
    /// Every chosen meaning with its place in the text.
    meant: Vec<(usize, What)>,
    /// Places of what splits the figures, in `meant`.
    by: Vec<usize>,
    /// Conditions, each with whether it is turned round.
    only: Vec<(usize, usize, String, bool)>,
    /// From the first day, before the day after the last.
    days: Option<(Date, Date)>,
    day_column: Option<(usize, usize)>,
    month: Option<&'static str>,
    measure: Option<Measure>,
    function: Option<Function>,
    counted: Option<usize>,
    share: bool,
    /// The table that there is nothing of.
    absent: Option<usize>,
    order: Option<&'static str>,
    limit: Option<u32>,
    /// `> 25`: of a count or a measure.
    having: Option<(String, Option<usize>)>,
    subject: Option<usize>,
}

impl<'g, 'a> Ask<'g, 'a> {
    pub(super) fn read(
        graph: &'g Graph<'a>,
        values: &[(usize, String, String)],
        text: &mut Text,
        today: Date,
        is_day: &dyn Fn(usize, usize) -> bool,
    ) -> Option<Ask<'g, 'a>> {
        let tables = graph.tables;
        let (days, month) = (days(text, today), grain(text));
        let having = comparison(text);
        let links = link::links(tables, values, text);
        let ways = Ways::new(graph);
        let chosen = ways.choose(&links);
        if chosen.is_empty() {
            return None;
        }
        let meant: Vec<(usize, What)> = links.iter().map(|link| link.at).zip(chosen).collect();
        let mut ask = Ask {
            graph,
            ways,
            meant,
            by: Vec::new(),
            only: Vec::new(),
            days,
            day_column: None,
            month,
            measure: None,
            function: None,
            counted: None,
            share: false,
            absent: None,
            order: None,
            limit: None,
            having: None,
            subject: None,
        };
        ask.roles(text, &links, having);
        ask.money(text);
        if ask.days.is_some() || ask.month.is_some() {
            ask.day_column = Some(ask.when(text, is_day)?);
        }
        // What was not understood.
        let left = (0..text.len()).any(|at| {
            let word = text.at(at);
            text.free(at)
                && !SMALL.contains(&word)
                && !one_of(word, &MONEY)
                && word.chars().any(char::is_alphanumeric)
        });
        (!left).then_some(ask)
    }

    /// What each meaning is there for, by the words around it.
    fn roles(&mut self, text: &mut Text, links: &[Link], having: Option<(usize, String)>) {
        let near = |at: usize, back: usize, words: &[&str]| {
            (1..=back).any(|back| one_of(text.before(at, back), words))
        };
        let marks = |text: &mut Text, words: &[&str]| {
            let places: Vec<usize> =
                (0..text.len()).filter(|at| text.free(*at) && one_of(text.at(*at), words)).collect();
            for at in &places {
                text.mark(*at, 1);
            }
            places.first().copied()
        };
        for (place, (at, what)) in self.meant.iter().enumerate() {
            match what {
                What::Is(table, column, is) => {
                    let not = near(*at, 2, &LEAVE) || ["aside", "out"].contains(&text.at(at + 2));
                    self.only.push((*table, *column, is.clone(), not));
                }
                What::Table(_) | What::Column(..) | What::Role(..) => {
                    let split = near(*at, 1, &EACH)
                        || (near(*at, 2, &EACH) && ["the", "of", "and"].contains(&text.before(*at, 1)));
                    let asks = text.before(*at, 1) == "which" || text.before(*at, 2) == "which";
                    if split && !asks {
                        self.by.push(place);
                    }
                    if asks && self.subject.is_none() {
                        self.subject = Some(place);
                    }
                }
            }
        }
        let tables: Vec<(usize, usize)> = self
            .meant
            .iter()
            .filter_map(|(at, what)| match what {
                What::Table(table) => Some((*at, *table)),
                _ => None,
            })
            .collect();
        let after = |place: usize, reach: usize| {
            tables.iter().find(|(at, _)| *at > place && *at <= place + reach).map(|(_, table)| *table)
        };
        for at in 0..text.len() {
            let many = (text.at(at) == "how" && text.at(at + 1) == "many")
                || text.at(at) == "number"
                || text.at(at) == "count";
            if many && self.counted.is_none() {
                self.counted = after(at, 4)
                    .or_else(|| tables.iter().rfind(|(place, _)| place + 1 == at).map(|(_, table)| *table));
            }
        }
        if self.counted.is_none()
            && (0..text.len()).any(|at| text.at(at) == "how" && text.at(at + 1) == "many")
            && tables.len() == 1
        {
            self.counted = Some(tables[0].1);
        }
        if let Some(none) = (0..text.len()).find(|at| text.free(*at) && one_of(text.at(*at), &NONE))
            && let Some(table) = after(none, 5)
            && tables.iter().any(|(_, other)| *other != table)
        {
            self.absent = Some(table);
            text.mark(none, 1);
        }
        marks(text, &LEAVE);
        marks(text, &["aside", "less", "left"]);
        self.share = marks(text, &SHARE).is_some();
        if marks(text, &MEAN).is_some() {
            self.function = Some(Function::Mean);
        }
        let (high, low) = (marks(text, &HIGH), marks(text, &LOW));
        self.order = match (high, low) {
            (Some(_), _) => Some("DESC"),
            (None, Some(_)) => Some("ASC"),
            _ => None,
        };
        marks(text, &["rank", "ranked", "sort", "sorted"]);
        if self.order.is_some() {
            let linked = |at: usize| links.iter().any(|link| link.at == at);
            let places = (0..text.len()).filter(|at| text.free(*at) && count(text.at(*at)).is_some());
            let number = places
                .clone()
                .find(|at| (1..=3).any(|on| linked(at + on)) || one_of(text.before(*at, 1), &HIGH));
            if let Some(at) = number {
                self.limit = count(text.at(at));
                text.mark(at, 1);
            }
            let one = self
                .subject
                .and_then(|place| self.meant.get(place))
                .is_some_and(|(at, _)| !text.at(*at).ends_with('s'));
            self.limit = self.limit.or(one.then_some(1));
        }
        if let Some((at, bound)) = having {
            self.having = Some((bound, after(at, 4)));
        }
        if self.subject.is_none() {
            self.subject = self
                .meant
                .iter()
                .position(|(_, what)| matches!(what, What::Table(table) if Some(*table) != self.counted));
        }
    }

    /// What is added up: a number that is named, else money or pieces where the words say so.
    fn money(&mut self, text: &mut Text) {
        let column = |table: usize, column: usize| &self.graph.tables[table].1.columns[column];
        let written = |table: usize, name: &str| format!("{}.{}", self.graph.alias(table), plain(name));
        let named = self.meant.iter().enumerate().find_map(|(place, (_, what))| match what {
            What::Column(table, at) if is_number(column(*table, *at)) && !self.by.contains(&place) => {
                Some(Measure { table: *table, written: written(*table, &column(*table, *at).name) })
            }
            _ => None,
        });
        if named.is_some() {
            self.measure = named;
        } else {
            let says = |words: &[&str]| (0..text.len()).any(|at| text.free(at) && one_of(text.at(at), words));
            let (money, pieces) = (says(&MONEY), says(&PIECES));
            if money || pieces {
                let needed: BTreeSet<usize> = self.meant.iter().map(|(_, what)| what.table()).collect();
                let words: &[&str] = if money { &AMOUNTS } else { &["quantity", "qty"] };
                let mut all = Vec::new();
                for (table, (_, definition)) in self.graph.tables.iter().enumerate() {
                    let far: Option<Vec<usize>> =
                        needed.iter().map(|other| self.ways.up[table].far(*other)).collect();
                    let Some(far) = far else { continue };
                    for one in definition.columns.iter().filter(|one| is_number(one)) {
                        let own = words::spelled(&one.name);
                        let rank = words.iter().position(|word| own.iter().any(|stem| stem == word));
                        if let Some(rank) = rank {
                            all.push((far.iter().sum::<usize>(), rank, table, one.name.clone()));
                        }
                    }
                }
                all.sort();
                self.measure = all
                    .first()
                    .map(|(.., table, name)| Measure { table: *table, written: written(*table, name) });
                if pieces {
                    self.counted = None;
                    for at in 0..text.len() {
                        if one_of(text.at(at), &PIECES) {
                            text.mark(at, 1);
                        }
                    }
                }
            }
        }
        // "How many orders, and their total worth": both are told.
        if self.measure.is_some() && self.function.is_none() {
            let lists = self.order.is_some() && self.by.is_empty() && self.own_measure();
            self.function = match self.order {
                Some("ASC") if self.subject.is_none() => Some(Function::Least),
                Some(_) if self.subject.is_none() => Some(Function::Most),
                _ if lists => None,
                _ => Some(Function::Sum),
            };
        }
    }

    /// Whether the measure is a column of the very rows that are asked for.
    fn own_measure(&self) -> bool {
        let subject = self.subject.and_then(|place| self.meant.get(place));
        subject.zip(self.measure.as_ref()).is_some_and(|((_, what), measure)| what.table() == measure.table)
    }

    /// The column of days that the words mean: one that is named by its verb, else the first of the rows that are looked at.
    fn when(&self, text: &mut Text, is_day: &dyn Fn(usize, usize) -> bool) -> Option<(usize, usize)> {
        let named = self.meant.iter().find_map(|(_, what)| match what {
            What::Column(table, column) if is_day(*table, *column) => Some((*table, *column)),
            _ => None,
        });
        if named.is_some() {
            return named;
        }
        let root = self.root()?;
        let mut tables: Vec<usize> =
            (0..self.graph.tables.len()).filter(|table| self.ways.up[root].far(*table).is_some()).collect();
        tables.sort_by_key(|table| self.ways.up[root].far(*table));
        let later = ["due", "promised", "valid", "ends", "requested", "until", "planned", "expires"];
        tables
            .into_iter()
            .find_map(|table| {
                let columns = &self.graph.tables[table].1.columns;
                let of = |column: &usize| is_day(table, *column);
                let plain = (0..columns.len()).find(|column| {
                    of(column) && !later.iter().any(|word| columns[*column].name.contains(word))
                });
                plain.map(|column| (table, column))
            })
            .inspect(|_| text.mark(text.len(), 0))
    }

    /// The tables that the statement needs, but for one that there is to be nothing of.
    fn needed(&self) -> BTreeSet<usize> {
        let mut all: BTreeSet<usize> = self.meant.iter().map(|(_, what)| what.table()).collect();
        for (_, what) in &self.meant {
            if let What::Role(table, column) = what {
                all.extend(
                    self.graph
                        .parents(*table)
                        .find(|join| join.other == self.graph.tables[*table].1.columns[*column].name)
                        .map(|join| join.table),
                );
            }
        }
        all.extend(self.measure.as_ref().map(|measure| measure.table));
        all
    }

    fn root(&self) -> Option<usize> {
        match (&self.measure, self.absent) {
            (_, Some(absent)) => Some(absent),
            (Some(measure), _) if self.function.is_some() || self.own_measure() => Some(measure.table),
            _ => self.ways.root(&self.needed()).map(|(root, _)| root),
        }
    }

    /// How a split is written: what is shown, and what is grouped by.
    fn shown(&self, what: &What) -> (String, String, usize) {
        let of = |table: usize| {
            let definition = &self.graph.tables[table].1;
            let key = definition.columns.first().map_or_else(String::new, |column| plain(&column.name));
            let alias = self.graph.alias(table);
            (format!("{alias}.{}", label(definition)), format!("{alias}.{key}"), table)
        };
        match what {
            What::Table(table) => of(*table),
            What::Role(table, column) => {
                let name = &self.graph.tables[*table].1.columns[*column].name;
                let parent = self.graph.parents(*table).find(|join| join.other == name);
                parent.map_or_else(|| of(*table), |join| of(join.table))
            }
            What::Column(table, column) | What::Is(table, column, _) => {
                let written = format!(
                    "{}.{}",
                    self.graph.alias(*table),
                    plain(&self.graph.tables[*table].1.columns[*column].name)
                );
                (written.clone(), written, *table)
            }
        }
    }

    fn conditions(&self, of: Option<usize>) -> Vec<String> {
        let mut all = Vec::new();
        for (table, column, is, not) in &self.only {
            if of.is_some_and(|of| self.ways.up[of].far(*table) != Some(0)) {
                continue;
            }
            let name = format!(
                "{}.{}",
                self.graph.alias(*table),
                plain(&self.graph.tables[*table].1.columns[*column].name)
            );
            all.push(match (not, is.strip_prefix("= ")) {
                (false, _) => format!("{name} {is}"),
                (true, Some(value)) => format!("{name} <> {value}"),
                (true, None) => format!("{name} IS NOT NULL"),
            });
        }
        all
    }

    fn period(&self) -> Option<String> {
        let ((from, to), (table, column)) = self.days.zip(self.day_column)?;
        let name = format!(
            "{}.{}",
            self.graph.alias(table),
            plain(&self.graph.tables[table].1.columns[column].name)
        );
        let after = plus(to, Grain::Day, 1)?;
        Some(format!("{name} >= '{from}' AND {name} < '{after}'"))
    }

    /// The statement; none where the request is of no kind that is known.
    pub(super) fn statement(&self) -> Option<String> {
        if let Some(absent) = self.absent {
            return self.without(absent);
        }
        let root = self.root()?;
        let mut needed = self.needed();
        needed.extend(self.day_column.map(|(table, _)| table));
        needed.remove(&root);
        let from = self.ways.from(self.graph, root, &needed)?;
        let mut conditions = self.conditions(None);
        conditions.extend(self.period());
        let mut figures = Vec::new();
        let counted = self.counted.filter(|table| *table != root).map_or_else(
            || "COUNT(*)".to_owned(),
            |table| {
                let key =
                    self.graph.tables[table].1.columns.first().map_or("id", |column| column.name.as_str());
                format!("COUNT(DISTINCT {}.{})", self.graph.alias(table), plain(key))
            },
        );
        let figure = self.measure.as_ref().and_then(|measure| {
            let name = match self.function? {
                Function::Sum => "SUM",
                Function::Mean => "AVG",
                Function::Least => "MIN",
                Function::Most => "MAX",
            };
            Some(format!("{name}({})", measure.written))
        });
        if self.share {
            let case = conditions.iter().position(|_| true).filter(|_| !self.only.is_empty())?;
            let case = conditions.remove(case);
            let what = self.measure.as_ref().map_or("1", |measure| measure.written.as_str());
            let all = if what == "1" { "COUNT(*)".to_owned() } else { format!("SUM({what})") };
            figures
                .push(format!("SUM(CASE WHEN {case} THEN {what} ELSE 0 END) * 100.0 / {all} AS percentage"));
        } else {
            if self.counted.is_some() || (figure.is_none() && self.having.is_some()) {
                figures.push(format!("{counted} AS n"));
            }
            figures.extend(figure.map(|figure| format!("{figure} AS amount")));
        }
        let mut splits: Vec<(String, String, usize)> =
            self.by.iter().filter_map(|place| Some(self.shown(&self.meant.get(*place)?.1))).collect();
        let subject = self.subject.and_then(|place| self.meant.get(place)).map(|(_, what)| what);
        if splits.is_empty()
            && self.month.is_none()
            && !self.share
            && (self.order.is_some() || self.having.is_some())
            && (!figures.is_empty() || subject.is_some_and(|what| what.table() != root))
        {
            splits.extend(subject.map(|what| self.shown(what)));
        }
        if let (Some(month), Some((table, column))) = (self.month, self.day_column) {
            let name = format!(
                "{}.{}",
                self.graph.alias(table),
                plain(&self.graph.tables[table].1.columns[column].name)
            );
            let cut = format!("strftime('{month}', {name})");
            splits.push((format!("{cut} AS period"), cut, table));
        }
        if figures.is_empty() && !splits.is_empty() {
            figures.push(format!("{counted} AS n"));
        }
        let mut sql = String::from("SELECT ");
        let lists = figures.is_empty();
        if lists {
            let (shown, ..) = self.shown(subject?);
            sql.push_str(if subject?.table() == root { "" } else { "DISTINCT " });
            sql.push_str(&shown);
            if let Some(measure) = self.measure.as_ref().filter(|_| self.order.is_some()) {
                sql.push_str(&format!(", {}", measure.written));
            }
        } else {
            let shown: Vec<&str> = splits
                .iter()
                .map(|(shown, ..)| shown.as_str())
                .chain(figures.iter().map(String::as_str))
                .collect();
            sql.push_str(&shown.join(", "));
        }
        sql.push_str(&format!(" FROM {from}"));
        if !conditions.is_empty() {
            sql.push_str(&format!(" WHERE {}", conditions.join(" AND ")));
        }
        if !splits.is_empty() {
            let keys: Vec<&str> = splits.iter().map(|(_, key, _)| key.as_str()).collect();
            sql.push_str(&format!(" GROUP BY {}", keys.join(", ")));
        }
        let last = figures.last().and_then(|figure| figure.rsplit(' ').next()).unwrap_or_default().to_owned();
        if let Some((bound, _)) = &self.having {
            let figure =
                figures.last().and_then(|figure| figure.rsplit_once(" AS ")).map(|(figure, _)| figure)?;
            sql.push_str(&format!(" HAVING {figure} {bound}"));
        }
        if let Some(order) = self.order {
            let key = if lists { self.measure.as_ref()?.written.clone() } else { last };
            sql.push_str(&format!(" ORDER BY {key} {order}"));
            if let Some(limit) = self.limit {
                sql.push_str(&format!(" LIMIT {limit}"));
            }
        }
        Some(sql)
    }

    /// What has none of another: of the period and of the state that is named.
    fn without(&self, absent: usize) -> Option<String> {
        let subject = self.meant.iter().find_map(|(_, what)| match what {
            What::Table(table) if *table != absent => Some(*table),
            _ => None,
        })?;
        let key = self.graph.tables[subject].1.columns.first()?;
        let join = self.graph.parents(absent).find(|join| join.table == subject)?;
        let (one, many) = (self.graph.alias(subject), self.graph.alias(absent));
        let mut inside = vec![format!("{many}.{} = {one}.{}", plain(join.other), plain(&key.name))];
        inside.extend(self.conditions(Some(absent)));
        inside.extend(self.period().filter(|_| self.day_column.is_some_and(|(table, _)| table == absent)));
        let mut outside = self.conditions(Some(subject));
        outside.push(format!(
            "NOT EXISTS (SELECT 1 FROM {} {many} WHERE {})",
            plain(&self.graph.tables[absent].0),
            inside.join(" AND ")
        ));
        let shown = if self.counted == Some(subject) {
            "COUNT(*) AS n".to_owned()
        } else {
            self.shown(&What::Table(subject)).0
        };
        Some(format!(
            "SELECT {shown} FROM {} {one} WHERE {}",
            plain(&self.graph.tables[subject].0),
            outside.join(" AND ")
        ))
    }
}

/// The period that the words name: one, or from the first to the last of two.
fn days(text: &mut Text, today: Date) -> Option<(Date, Date)> {
    let mut all = Vec::new();
    let mut at = 0;
    while at < text.len() {
        match span(text, at, today) {
            Some(span) => {
                text.mark(span.at, span.len);
                if text.at(at + span.len) == "年" {
                    text.mark(at + span.len, 1);
                }
                at += span.len;
                all.push(span);
            }
            None => at += 1,
        }
    }
    let (first, last) = (all.first()?, all.last()?);
    Some((first.from, last.to.max(first.to)))
}

/// The step of a series.
fn grain(text: &mut Text) -> Option<&'static str> {
    for (words, format) in
        [("month by month", "%Y-%m"), ("monthly", "%Y-%m"), ("yearly", "%Y"), ("year by year", "%Y")]
    {
        if text.take(words) {
            return Some(format);
        }
    }
    for (step, format) in [("month", "%Y-%m"), ("year", "%Y"), ("day", "%Y-%m-%d")] {
        for before in ["by", "per", "each", "every", "single"] {
            if text.take(&format!("{before} {step}")) {
                text.take("of");
                return Some(format);
            }
        }
    }
    None
}

/// "more than 25": where it stands, and how it is written.
fn comparison(text: &mut Text) -> Option<(usize, String)> {
    for (words, sign) in [
        ("more than", ">"),
        ("over", ">"),
        ("above", ">"),
        ("at least", ">="),
        ("less than", "<"),
        ("fewer than", "<"),
        ("below", "<"),
        ("under", "<"),
        ("at most", "<="),
    ] {
        let phrase = pawl_request::phrase(words);
        let Some((at, len)) = text.find(&phrase, |_| true) else { continue };
        let number = text.at(at + len);
        let value = number
            .parse::<f64>()
            .ok()
            .map(|_| number.to_owned())
            .or_else(|| count(number).map(|n| n.to_string()));
        if let Some(value) = value {
            text.mark(at, len + 1);
            return Some((at + len, format!("{sign} {value}")));
        }
    }
    None
}
