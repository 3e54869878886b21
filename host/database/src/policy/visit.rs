//! Every part of a statement's tree against what is named.
//!
//! Invariant: an expression, table, query or type whose kind is not named in a match here breaks the visit.

use std::ops::ControlFlow;

use sqlparser::ast::{
    DataType, Expr, Ident, ObjectName, Query, Select, SelectFlavor, SetExpr, Statement, TableFactor, Value,
    ValueWithSpan,
};

use super::{Refusal, Surroundings, folded, functions, parts, visited};
use crate::Dialect;
use crate::effects::is_reserved;

/// PostgreSQL's description of the tables that this connection may use anyway.
const DESCRIPTIONS: &[&str] = &[
    "columns",
    "constraint_column_usage",
    "key_column_usage",
    "referential_constraints",
    "table_constraints",
    "tables",
    "views",
];

pub(super) struct Visitor<'a> {
    pub(super) dialect: Dialect,
    pub(super) around: &'a Surroundings,
}

type Flow = ControlFlow<Refusal>;

fn no(what: impl Into<String>) -> Flow {
    ControlFlow::Break(Refusal::Says(what.into()))
}

impl Visitor<'_> {
    pub(super) fn all(&mut self, statement: &Statement) -> Result<(), Refusal> {
        visited(statement, self)
    }

    /// A table's name.
    pub(super) fn relation(&self, name: &ObjectName) -> Flow {
        let refused = || no(format!("table {name}"));
        let Some(parts) = parts(name, self.dialect) else { return refused() };
        if parts.iter().any(|part| is_reserved(part)) {
            return no(format!("table {name} (the host's own)"));
        }
        if parts.last().is_some_and(|view| self.is_refused_view(view)) {
            let why = match self.dialect {
                Dialect::Mysql => {
                    "whose definition reaches beyond this database or cannot be seen by this user"
                }
                _ => "which calls functions that this database defines itself",
            };
            return no(format!("view {name}, {why},"));
        }
        match parts.as_slice() {
            // pg_catalog is always searched, and all that it holds is named so.
            [table] if !self.system(table) => ControlFlow::Continue(()),
            [schema, table] => {
                let own = match &self.around.schema {
                    Some(own) => own == schema,
                    None if schema == "information_schema" => DESCRIPTIONS.contains(&table.as_str()),
                    None => !schema.to_ascii_lowercase().starts_with("pg_"),
                };
                if own && !self.system(table) { ControlFlow::Continue(()) } else { refused() }
            }
            _ => refused(),
        }
    }

    fn is_refused_view(&self, name: &str) -> bool {
        let views = &self.around.views;
        if self.dialect != Dialect::Mysql {
            return views.contains(name);
        }
        // A server that takes capital letters for small ones has an opinion of its own on those beyond ASCII.
        let capital = |letter: char| !letter.is_ascii() && !letter.to_lowercase().eq([letter]);
        views.contains(&name.to_lowercase()) || !views.is_empty() && name.contains(capital)
    }

    fn system(&self, table: &str) -> bool {
        self.dialect == Dialect::Postgres && table.to_ascii_lowercase().starts_with("pg_")
    }

    fn function(&self, name: &ObjectName) -> Flow {
        let refused = || no(format!("function {name}"));
        let Some(mut parts) = parts(name, self.dialect) else { return refused() };
        if self.dialect == Dialect::Mysql {
            parts.iter_mut().for_each(|part| part.make_ascii_lowercase());
        }
        let (function, shadowed) = match parts.as_slice() {
            [function] => (function, self.around.functions.contains(function)),
            [schema, function] if schema == "pg_catalog" && self.dialect == Dialect::Postgres => {
                (function, false)
            }
            _ => return refused(),
        };
        if shadowed {
            return no(format!("function {name}, which this database defines itself,"));
        }
        if functions::known(function, self.dialect) { ControlFlow::Continue(()) } else { refused() }
    }

    /// A column's or a cast's type.
    pub(super) fn data_type(&self, data_type: &DataType) -> Flow {
        use DataType as T;
        let own = |name: &str| {
            let postgres = [
                "bigserial",
                "bpchar",
                "cidr",
                "inet",
                "int4range",
                "int8range",
                "daterange",
                "macaddr",
                "money",
                "numrange",
                "serial",
                "serial4",
                "serial8",
                "smallserial",
                "timestamptz",
                "timetz",
                "tsrange",
                "tstzrange",
                "varbit",
                "xml",
            ];
            match self.dialect {
                Dialect::Mysql => {
                    let name = name.to_ascii_lowercase();
                    ["year", "json", "inet4", "inet6", "uuid", "double"].contains(&name.as_str())
                }
                _ => postgres.contains(&name) || self.around.enums.contains(name),
            }
        };
        match data_type {
            T::Custom(name, arguments) if arguments.is_empty() => {
                match parts(name, self.dialect).as_deref() {
                    Some([name]) if own(name) => ControlFlow::Continue(()),
                    _ => no(format!("type {name}")),
                }
            }
            T::Array(
                sqlparser::ast::ArrayElemTypeDef::SquareBracket(element, _)
                | sqlparser::ast::ArrayElemTypeDef::AngleBracket(element)
                | sqlparser::ast::ArrayElemTypeDef::Parenthesis(element),
            ) => self.data_type(element),
            T::Custom(..)
            | T::Array(_)
            | T::Table(_)
            | T::NamedTable { .. }
            | T::Regclass
            | T::Map(..)
            | T::Tuple(_)
            | T::Nested(_)
            | T::Struct(..)
            | T::Union(_)
            | T::Nullable(_)
            | T::LowCardinality(_)
            | T::Unspecified
            | T::Trigger
            | T::AnyType => no(format!("type {data_type}")),
            _ => ControlFlow::Continue(()),
        }
    }

    fn body(body: &SetExpr) -> Flow {
        match body {
            // Their own queries are visited.
            SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::Values(_) => ControlFlow::Continue(()),
            SetExpr::SetOperation { left, right, .. } => {
                Self::body(left)?;
                Self::body(right)
            }
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                no("a write inside a query")
            }
            SetExpr::Table(_) => no("TABLE"),
        }
    }
}

impl sqlparser::ast::Visitor for Visitor<'_> {
    type Break = Refusal;

    fn pre_visit_query(&mut self, query: &Query) -> Flow {
        if !query.locks.is_empty() {
            return no("FOR UPDATE or SHARE");
        }
        let other = query.for_clause.is_some() || query.settings.is_some() || query.format_clause.is_some();
        if other || !query.pipe_operators.is_empty() {
            return no("a clause of another dialect");
        }
        Self::body(&query.body)
    }

    fn pre_visit_select(&mut self, select: &Select) -> Flow {
        if select.into.is_some() {
            return no("SELECT INTO");
        }
        let lists = select.lateral_views.is_empty()
            && select.connect_by.is_empty()
            && select.cluster_by.is_empty()
            && select.distribute_by.is_empty()
            && select.sort_by.is_empty()
            && select.optimizer_hints.is_empty();
        let options = select.top.is_none()
            && select.exclude.is_none()
            && select.prewhere.is_none()
            && select.qualify.is_none()
            && select.value_table_mode.is_none()
            && select.select_modifiers.is_none();
        if lists && options && select.flavor == SelectFlavor::Standard {
            ControlFlow::Continue(())
        } else {
            no("a clause of another dialect")
        }
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> Flow {
        self.relation(relation)
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> Flow {
        match factor {
            TableFactor::Table {
                name,
                args,
                with_hints,
                version,
                json_path,
                sample,
                index_hints,
                partitions,
                ..
            } => {
                if !with_hints.is_empty()
                    || version.is_some()
                    || json_path.is_some()
                    || sample.is_some()
                    || !index_hints.is_empty()
                    || !partitions.is_empty()
                {
                    return no(format!("an option of table {name}"));
                }
                match args {
                    Some(_) => self.function(name),
                    None => self.relation(name),
                }
            }
            TableFactor::Function { name, .. } => self.function(name),
            TableFactor::Derived { sample: None, .. }
            | TableFactor::NestedJoin { .. }
            | TableFactor::UNNEST { .. } => ControlFlow::Continue(()),
            _ => no("this kind of table expression"),
        }
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> Flow {
        match expr {
            Expr::Function(function) if function.uses_odbc_syntax => no("{fn …}"),
            Expr::Function(function) => self.function(&function.name),
            Expr::Cast { data_type, .. } => self.data_type(data_type),
            Expr::TypedString(typed) => self.data_type(&typed.data_type),
            Expr::Convert { data_type, .. } => match data_type {
                Some(data_type) => self.data_type(data_type),
                None => ControlFlow::Continue(()),
            },
            Expr::BinaryOp { op: sqlparser::ast::BinaryOperator::Assignment, .. } => no("an assignment"),
            Expr::BinaryOp { op: sqlparser::ast::BinaryOperator::PGCustomBinaryOperator(_), .. } => {
                no("OPERATOR(…)")
            }
            Expr::Identifier(_)
            | Expr::CompoundIdentifier(_)
            | Expr::CompoundFieldAccess { .. }
            | Expr::JsonAccess { .. }
            | Expr::IsFalse(_)
            | Expr::IsNotFalse(_)
            | Expr::IsTrue(_)
            | Expr::IsNotTrue(_)
            | Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsUnknown(_)
            | Expr::IsNotUnknown(_)
            | Expr::IsDistinctFrom(..)
            | Expr::IsNotDistinctFrom(..)
            | Expr::IsJson { .. }
            | Expr::IsNormalized { .. }
            | Expr::InList { .. }
            | Expr::InSubquery { .. }
            | Expr::Between { .. }
            | Expr::BinaryOp { .. }
            | Expr::Like { .. }
            | Expr::ILike { .. }
            | Expr::SimilarTo { .. }
            | Expr::RLike { .. }
            | Expr::AnyOp { .. }
            | Expr::AllOp { .. }
            | Expr::UnaryOp { .. }
            | Expr::AtTimeZone { .. }
            | Expr::Extract { .. }
            | Expr::Ceil { .. }
            | Expr::Floor { .. }
            | Expr::Position { .. }
            | Expr::Substring { .. }
            | Expr::Trim { .. }
            | Expr::Overlay { .. }
            | Expr::Collate { .. }
            | Expr::Nested(_)
            | Expr::Value(_)
            | Expr::Case { .. }
            | Expr::Exists { .. }
            | Expr::Subquery(_)
            | Expr::GroupingSets(_)
            | Expr::Cube(_)
            | Expr::Rollup(_)
            | Expr::Tuple(_)
            | Expr::Array(_)
            | Expr::Interval(_)
            | Expr::MatchAgainst { .. }
            | Expr::Wildcard(_)
            | Expr::QualifiedWildcard(..) => ControlFlow::Continue(()),
            other => no(format!("the expression {}", other.to_string().chars().take(60).collect::<String>())),
        }
    }

    fn pre_visit_value(&mut self, value: &ValueWithSpan) -> Flow {
        match &value.value {
            Value::Number(..)
            | Value::SingleQuotedString(_)
            | Value::Boolean(_)
            | Value::Null
            | Value::Placeholder(_) => ControlFlow::Continue(()),
            Value::DoubleQuotedString(_) if self.dialect == Dialect::Mysql => ControlFlow::Continue(()),
            _ => no("this kind of string"),
        }
    }

    /// `table.name` calls a function of that name where there is no such column.
    fn pre_visit_ident(&mut self, ident: &Ident) -> Flow {
        let name = folded(ident, self.dialect);
        // Also as the name of an index or a constraint, which shares the names of tables in PostgreSQL.
        if is_reserved(&name) {
            return no(format!("the name {name} (the host's own)"));
        }
        if self.around.methods.contains(&name) {
            return no(format!(
                "the name {name}, which is also a function that this database defines itself,"
            ));
        }
        ControlFlow::Continue(())
    }
}
