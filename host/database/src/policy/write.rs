//! The statements that may write.
//!
//! Invariant: the statement is one of those named here with only the clauses named here; whatever expression or query it holds
//! passes the same visit as a reading statement does, so no write hides inside another.

use sqlparser::ast::helpers::stmt_create_table::CreateTableBuilder;
use sqlparser::ast::{
    AlterColumnOperation, AlterTable, AlterTableOperation, ColumnDef, ColumnOption, CreateIndex, CreateTable,
    CreateTableOptions, CreateView, Delete, FromTable, Insert, ObjectName, ObjectType, Query,
    RenameTableNameKind, SetExpr, Statement, TableFactor, TableObject, TableWithJoins, Update,
};

use super::visit::Visitor;
use super::{Refusal, first_word};
use crate::Dialect;
use std::ops::ControlFlow;

/// What a statement that was proven writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    /// CREATE, ALTER or DROP.
    pub(crate) is_ddl: bool,
    /// The tables whose rows it writes, as it names them, without quotes.
    pub(crate) tables: Vec<Vec<String>>,
}

fn no<T>(what: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Says(what.into()))
}

fn through(flow: ControlFlow<Refusal>) -> Result<(), Refusal> {
    match flow {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(refusal) => Err(refusal),
    }
}

pub(super) fn judge(statement: &Statement, visitor: &mut Visitor<'_>) -> Result<Written, Refusal> {
    if let Statement::Query(query) = statement
        && let SetExpr::Insert(write) | SetExpr::Update(write) | SetExpr::Delete(write) = &*query.body
    {
        return with(query, write, visitor);
    }
    let mut tables = Vec::new();
    let is_ddl = match statement {
        Statement::Insert(insert) => {
            tables.push(self::insert(insert)?);
            false
        }
        Statement::Update(update) => {
            tables = self::update(update)?;
            false
        }
        Statement::Delete(delete) => {
            tables = self::delete(delete)?;
            false
        }
        Statement::CreateTable(create) => {
            create_table(create, visitor)?;
            true
        }
        Statement::CreateView(create) => {
            create_view(create)?;
            through(visitor.relation(&create.name))?;
            true
        }
        Statement::CreateIndex(create) => {
            create_index(create)?;
            through(visitor.relation(&create.table_name))?;
            true
        }
        Statement::AlterTable(alter) => {
            alter_table(alter, visitor)?;
            true
        }
        Statement::Drop { object_type, names, temporary: false, table, .. } => {
            let (ObjectType::Table | ObjectType::View | ObjectType::Index) = object_type else {
                return no(format!("DROP {object_type}"));
            };
            for name in names.iter().chain(table) {
                through(visitor.relation(name))?;
            }
            true
        }
        other => return no(format!("{} statement", first_word(other))),
    };
    for table in &tables {
        through(visitor.relation(table))?;
    }
    let returning = match statement {
        Statement::Insert(insert) => &insert.returning,
        Statement::Update(update) => &update.returning,
        Statement::Delete(delete) => &delete.returning,
        _ => &None,
    };
    // MariaDB counts no rows there, and a person would be shown that nothing is written.
    if returning.is_some() && visitor.dialect == Dialect::Mysql {
        return no("RETURNING");
    }
    visitor.all(statement)?;
    let tables = tables.iter().filter_map(|table| super::parts(table, visitor.dialect)).collect();
    Ok(Written { is_ddl, tables })
}

/// WITH queries before a write; the queries themselves only read.
fn with(query: &Query, write: &Statement, visitor: &mut Visitor<'_>) -> Result<Written, Refusal> {
    let alone = query.order_by.is_none()
        && query.limit_clause.is_none()
        && query.fetch.is_none()
        && query.locks.is_empty()
        && query.for_clause.is_none()
        && query.settings.is_none()
        && query.format_clause.is_none()
        && query.pipe_operators.is_empty();
    if !alone {
        return no("a clause after the write");
    }
    super::visited(&query.with, visitor)?;
    judge(write, visitor)
}

fn insert(insert: &Insert) -> Result<ObjectName, Refusal> {
    let other = insert.or.is_some()
        || insert.overwrite
        || insert.partitioned.is_some()
        || !insert.after_columns.is_empty()
        || insert.has_table_keyword
        || insert.output.is_some()
        || insert.priority.is_some()
        || insert.settings.is_some()
        || insert.format_clause.is_some()
        || insert.multi_table_insert_type.is_some()
        || !insert.multi_table_into_clauses.is_empty()
        || !insert.multi_table_when_clauses.is_empty()
        || insert.multi_table_else_clause.is_some()
        || !insert.optimizer_hints.is_empty();
    match &insert.table {
        TableObject::TableName(name) if !other => Ok(name.clone()),
        _ => no("this form of INSERT"),
    }
}

fn named(table: &TableWithJoins) -> Result<Vec<ObjectName>, Refusal> {
    let factors = std::iter::once(&table.relation).chain(table.joins.iter().map(|join| &join.relation));
    let names = factors.filter_map(|factor| match factor {
        TableFactor::Table { name, .. } => Some(Ok(name.clone())),
        // Read beside what is written.
        TableFactor::Derived { .. } => None,
        _ => Some(no("this kind of table expression")),
    });
    names.collect()
}

fn update(update: &Update) -> Result<Vec<ObjectName>, Refusal> {
    if update.output.is_some() || update.or.is_some() || !update.optimizer_hints.is_empty() {
        return no("this form of UPDATE");
    }
    named(&update.table)
}

fn delete(delete: &Delete) -> Result<Vec<ObjectName>, Refusal> {
    if delete.output.is_some() || !delete.optimizer_hints.is_empty() {
        return no("this form of DELETE");
    }
    let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
    let mut tables = Vec::new();
    for table in from.iter().chain(delete.using.iter().flatten()) {
        tables.extend(named(table)?);
    }
    Ok(tables)
}

fn create_table(create: &CreateTable, visitor: &Visitor<'_>) -> Result<(), Refusal> {
    let mut plain = CreateTableBuilder::new(create.name.clone())
        .if_not_exists(create.if_not_exists)
        .columns(create.columns.clone())
        .constraints(create.constraints.clone())
        .query(create.query.clone())
        .build();
    // Which of these a dialect sets says nothing.
    plain.table_options = match &create.table_options {
        CreateTableOptions::None => CreateTableOptions::None,
        CreateTableOptions::Plain(options) if options.is_empty() => create.table_options.clone(),
        _ => return no("an option of CREATE TABLE"),
    };
    plain.hive_formats = create.hive_formats.clone();
    plain.hive_distribution = create.hive_distribution.clone();
    if &plain != create {
        return no("this form of CREATE TABLE");
    }
    through(visitor.relation(&create.name))?;
    create.columns.iter().try_for_each(|column| self::column(column, visitor))
}

fn column(column: &ColumnDef, visitor: &Visitor<'_>) -> Result<(), Refusal> {
    through(visitor.data_type(&column.data_type))?;
    column.options.iter().try_for_each(|option| column_option(&option.option))
}

fn column_option(option: &ColumnOption) -> Result<(), Refusal> {
    let auto_increment = |tokens: &[sqlparser::tokenizer::Token]| matches!(tokens, [word] if word.to_string().eq_ignore_ascii_case("AUTO_INCREMENT"));
    match option {
        ColumnOption::Null
        | ColumnOption::NotNull
        | ColumnOption::Default(_)
        | ColumnOption::PrimaryKey(_)
        | ColumnOption::Unique(_)
        | ColumnOption::ForeignKey(_)
        | ColumnOption::Check(_)
        | ColumnOption::CharacterSet(_)
        | ColumnOption::Collation(_)
        | ColumnOption::Comment(_)
        | ColumnOption::OnUpdate(_)
        | ColumnOption::Generated { .. } => Ok(()),
        ColumnOption::DialectSpecific(tokens) if auto_increment(tokens) => Ok(()),
        other => no(format!("the column option {other}")),
    }
}

fn create_view(create: &CreateView) -> Result<(), Refusal> {
    let other = create.or_alter
        || create.materialized
        || create.secure
        || !matches!(&create.options, CreateTableOptions::None)
        || !create.cluster_by.is_empty()
        || create.comment.is_some()
        || create.with_no_schema_binding
        || create.temporary
        || create.copy_grants
        || create.to.is_some()
        || create.params.is_some();
    if other { no("this form of CREATE VIEW") } else { Ok(()) }
}

fn create_index(create: &CreateIndex) -> Result<(), Refusal> {
    // CONCURRENTLY runs outside the transaction.
    let other = create.concurrently
        || create.r#async
        || !create.with.is_empty()
        || !create.index_options.is_empty()
        || !create.alter_options.is_empty()
        || create.columns.iter().any(|column| column.operator_class.is_some());
    if other { no("this form of CREATE INDEX") } else { Ok(()) }
}

fn alter_table(alter: &AlterTable, visitor: &Visitor<'_>) -> Result<(), Refusal> {
    if alter.location.is_some() || alter.on_cluster.is_some() || alter.table_type.is_some() {
        return no("this form of ALTER TABLE");
    }
    through(visitor.relation(&alter.name))?;
    for operation in &alter.operations {
        match operation {
            AlterTableOperation::AddColumn { column_def, .. } => column(column_def, visitor)?,
            AlterTableOperation::AlterColumn { op, .. } => match op {
                AlterColumnOperation::SetDataType { data_type, .. } => {
                    through(visitor.data_type(data_type))?;
                }
                AlterColumnOperation::SetNotNull
                | AlterColumnOperation::DropNotNull
                | AlterColumnOperation::SetDefault { .. }
                | AlterColumnOperation::DropDefault => {}
                AlterColumnOperation::AddGenerated { .. } => return no("ADD GENERATED"),
            },
            AlterTableOperation::ChangeColumn { data_type, options, .. }
            | AlterTableOperation::ModifyColumn { data_type, options, .. } => {
                through(visitor.data_type(data_type))?;
                options.iter().try_for_each(column_option)?;
            }
            AlterTableOperation::RenameTable {
                table_name: RenameTableNameKind::As(name) | RenameTableNameKind::To(name),
            } => through(visitor.relation(name))?,
            AlterTableOperation::AddConstraint { .. }
            | AlterTableOperation::DropConstraint { .. }
            | AlterTableOperation::DropColumn { .. }
            | AlterTableOperation::DropPrimaryKey { .. }
            | AlterTableOperation::DropForeignKey { .. }
            | AlterTableOperation::DropIndex { .. }
            | AlterTableOperation::RenameColumn { .. }
            | AlterTableOperation::RenameConstraint { .. } => {}
            other => return no(format!("ALTER TABLE … {other}")),
        }
    }
    Ok(())
}
