//! A SELECT in SQLite's dialect, which `ask` and the description of a schema are written in, as PostgreSQL and MySQL take it.
//!
//! It covers what those statements are made of: `strftime` of days and months, `julianday`, conditions that are added up, aliases in
//! HAVING and GROUP BY, where NULLs are sorted, integer division, quoted names, truth values.
//!
//! Invariant: the rows are those that SQLite would give; what is not known here is left, for the server to refuse.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident,
    ObjectName, ObjectNamePart, OrderByExpr, OrderBySort, Select, SelectItem, UnaryOperator, VisitMut,
    VisitorMut,
};

use crate::rejoin::expression;
use crate::repair::parse;
use crate::{Database, HostError, Rows, SqlDialect, TableInfo};

/// A database that takes SQLite's dialect whatever its own is.
pub struct Translated<'a, D> {
    inner: &'a D,
    dialect: SqlDialect,
    /// Columns of truth values, as `table.column` in lower case.
    truths: BTreeSet<String>,
}

impl<'a, D: Database> Translated<'a, D> {
    /// A database behind the translation.
    #[must_use]
    pub fn new(inner: &'a D) -> Translated<'a, D> {
        let dialect = inner.dialect();
        let truths = if dialect == SqlDialect::Postgres { truths(inner) } else { BTreeSet::new() };
        Translated { inner, dialect, truths }
    }

    /// The statement as the database takes it.
    #[must_use]
    pub fn translate(&self, sql: &str) -> String {
        if self.dialect == SqlDialect::Sqlite {
            return sql.to_owned();
        }
        translate(sql, self.dialect, &self.truths).unwrap_or_else(|| sql.to_owned())
    }
}

impl<D: Database> Database for Translated<'_, D> {
    fn dialect(&self) -> SqlDialect {
        SqlDialect::Sqlite
    }

    fn tables(&self) -> Result<Vec<TableInfo>, HostError> {
        self.inner.tables()
    }

    fn query(&self, sql: &str, max_rows: u32) -> Result<Rows, HostError> {
        self.inner.query(&self.translate(sql), max_rows)
    }
}

fn truths(database: &impl Database) -> BTreeSet<String> {
    let mut truths = BTreeSet::new();
    for (table, definition) in crate::schema::definitions(database).unwrap_or_default() {
        let own = definition.columns.iter().filter(|column| column.declared.to_lowercase().contains("bool"));
        truths.extend(own.map(|column| format!("{table}.{}", column.name).to_lowercase()));
    }
    truths
}

/// The statement in the other dialect; none where it cannot be read.
fn translate(sql: &str, dialect: SqlDialect, truths: &BTreeSet<String>) -> Option<String> {
    let mut statement = parse(sql)?;
    let mut translating = Translating { mysql: dialect == SqlDialect::Mysql, truths };
    let _: ControlFlow<()> = VisitMut::visit(&mut statement, &mut translating);
    Some(statement.to_string())
}

struct Translating<'a> {
    mysql: bool,
    truths: &'a BTreeSet<String>,
}

impl Translating<'_> {
    fn quote(&self, name: &mut Ident) {
        name.quote_style = Some(if self.mysql { '`' } else { '"' });
    }

    fn call(&self, name: &str, arguments: &[&Expr]) -> Option<Expr> {
        let text = match (name, arguments) {
            ("strftime", [format, day]) if self.mysql => format!("DATE_FORMAT({day}, {format})"),
            ("strftime", [format, day]) => {
                let format = format.to_string().replace("%Y", "YYYY").replace("%m", "MM").replace("%d", "DD");
                format!("to_char(CAST({day} AS TIMESTAMP), {format})")
            }
            ("julianday", [day]) if self.mysql => {
                format!("(TIMESTAMPDIFF(SECOND, '1970-01-01', {day}) / 86400.0)")
            }
            ("julianday", [day]) => format!("(EXTRACT(EPOCH FROM CAST({day} AS TIMESTAMP)) / 86400.0)"),
            ("round", [number, places]) if !self.mysql => {
                format!("ROUND(CAST({number} AS NUMERIC), {places})")
            }
            ("sum" | "avg", [part]) if !self.mysql && (self.is_truth(part) || is_condition(part)) => {
                format!("{name}(CASE WHEN {part} THEN 1 ELSE 0 END)").replacen(name, &name.to_uppercase(), 1)
            }
            _ => return None,
        };
        expression(&text)
    }

    fn is_truth(&self, part: &Expr) -> bool {
        let parts: Vec<&str> = match part {
            Expr::CompoundIdentifier(parts) => parts.iter().map(|part| part.value.as_str()).collect(),
            _ => return false,
        };
        self.truths.contains(&parts.join(".").to_lowercase())
    }

    /// `paid = 1` of a column of truth values.
    fn truth(&self, node: &Expr) -> Option<Expr> {
        let Expr::BinaryOp { left, op, right } = node else { return None };
        let value = match right.to_string().as_str() {
            "1" => "TRUE",
            "0" => "FALSE",
            _ => return None,
        };
        let compares = matches!(op, BinaryOperator::Eq | BinaryOperator::NotEq);
        (compares && self.is_truth(left)).then(|| expression(&format!("{left} {op} {value}"))).flatten()
    }
}

impl VisitorMut for Translating<'_> {
    type Break = ();

    fn post_visit_relation(&mut self, name: &mut ObjectName) -> ControlFlow<()> {
        for part in &mut name.0 {
            if let ObjectNamePart::Identifier(name) = part {
                self.quote(name);
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, node: &mut Expr) -> ControlFlow<()> {
        if let Some(written) = self.truth(node) {
            *node = written;
        }
        match node {
            Expr::Identifier(name) => self.quote(name),
            Expr::CompoundIdentifier(parts) => parts.iter_mut().for_each(|part| self.quote(part)),
            Expr::Cast { data_type, .. } if self.mysql => *data_type = DataType::Signed,
            // The one cast that is divided is that of a month: quarters are whole.
            Expr::BinaryOp { left, op: BinaryOperator::Divide, .. }
                if self.mysql && left.to_string().contains("CAST(") =>
            {
                if let Some(floor) = expression(&format!("FLOOR({node})")) {
                    *node = floor;
                }
            }
            Expr::Function(function) => {
                let name = function.name.to_string().to_lowercase();
                let FunctionArguments::List(list) = &function.args else { return ControlFlow::Continue(()) };
                let arguments: Option<Vec<&Expr>> = list
                    .args
                    .iter()
                    .map(|argument| match argument {
                        FunctionArg::Unnamed(FunctionArgExpr::Expr(one)) => Some(one),
                        _ => None,
                    })
                    .collect();
                if let Some(written) = arguments.and_then(|arguments| self.call(&name, &arguments)) {
                    *node = written;
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    /// SQLite and MySQL hold NULL for the smallest, PostgreSQL for the largest.
    fn post_visit_order_by_expr(&mut self, order: &mut OrderByExpr) -> ControlFlow<()> {
        if !self.mysql && order.options.nulls_first.is_none() {
            order.options.nulls_first = Some(!matches!(order.options.sort, Some(OrderBySort::Desc)));
        }
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let named: Vec<(String, Expr)> = select
            .projection
            .iter()
            .filter_map(|item| match item {
                SelectItem::ExprWithAlias { expr, alias } => Some((alias.value.clone(), expr.clone())),
                _ => None,
            })
            .collect();
        let mut meant = Meant { named };
        if let Some(having) = &mut select.having {
            let _ = VisitMut::visit(having, &mut meant);
        }
        if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
            for key in keys {
                let _ = VisitMut::visit(key, &mut meant);
            }
        }
        ControlFlow::Continue(())
    }
}

/// Writes what an alias stands for.
struct Meant {
    named: Vec<(String, Expr)>,
}

impl VisitorMut for Meant {
    type Break = ();

    fn post_visit_expr(&mut self, node: &mut Expr) -> ControlFlow<()> {
        if let Expr::Identifier(name) = node
            && let Some((_, meant)) =
                self.named.iter().find(|(alias, _)| alias.eq_ignore_ascii_case(&name.value))
        {
            *node = meant.clone();
        }
        ControlFlow::Continue(())
    }
}

/// Whether an expression is true or false in itself.
fn is_condition(node: &Expr) -> bool {
    match node {
        Expr::Nested(inner) | Expr::UnaryOp { op: UnaryOperator::Not, expr: inner } => is_condition(inner),
        Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::Between { .. }
        | Expr::InList { .. }
        | Expr::InSubquery { .. } => true,
        Expr::BinaryOp { op, .. } => matches!(
            op,
            BinaryOperator::Eq
                | BinaryOperator::NotEq
                | BinaryOperator::Lt
                | BinaryOperator::LtEq
                | BinaryOperator::Gt
                | BinaryOperator::GtEq
                | BinaryOperator::And
                | BinaryOperator::Or
        ),
        _ => false,
    }
}
