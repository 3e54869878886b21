//! Cells and parameters in the server's text form.
//!
//! Invariant: a parameter is a value in the server's eyes too: it travels apart from the statement.
//! <https://www.postgresql.org/docs/current/protocol-overview.html#PROTOCOL-FORMAT-CODES>

use std::error::Error;
use std::fmt::Write;

use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{Format, FromSql, IsNull, Kind, ToSql, Type};

use crate::Value;

/// A cell from its text and its column's type.
pub(super) fn cell(text: Option<&str>, kind: &Type) -> Value {
    let Some(text) = text else { return Value::Null };
    let known = match *base(kind) {
        Type::BOOL => match text {
            "t" => Some(Value::Integer(1)),
            "f" => Some(Value::Integer(0)),
            _ => None,
        },
        Type::INT2 | Type::INT4 | Type::INT8 | Type::OID => text.parse().ok().map(Value::Integer),
        Type::FLOAT4 | Type::FLOAT8 => text.parse().ok().map(Value::Real),
        Type::BYTEA => bytes(text).map(Value::Blob),
        _ => None,
    };
    known.unwrap_or_else(|| Value::Text(text.to_owned()))
}

/// What a domain is made of.
fn base(mut kind: &Type) -> &Type {
    while let Kind::Domain(inner) = kind.kind() {
        kind = inner;
    }
    kind
}

/// `\x00ff`.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x")?.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.map(byte).collect()
}

/// A parameter of whatever type the statement wants there; the server reads its text.
#[derive(Debug)]
pub(super) struct Parameter<'a>(pub(super) &'a Value);

impl ToSql for Parameter<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self.0 {
            Value::Null => return Ok(IsNull::Yes),
            Value::Integer(value) => write!(out, "{value}")?,
            Value::Real(value) => write!(out, "{value}")?,
            Value::Text(text) if text.contains('\0') => {
                return Err("a parameter holds a NUL character".into());
            }
            Value::Text(text) => out.extend_from_slice(text.as_bytes()),
            Value::Blob(bytes) => {
                out.extend_from_slice(b"\\x");
                for byte in bytes {
                    write!(out, "{byte:02x}")?;
                }
            }
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    fn to_sql_checked(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        self.to_sql(kind, out)
    }
}

/// The text of a cell whose binary form is its text (`text`, `name`, `json`).
pub(super) struct Text(pub(super) String);

impl<'a> FromSql<'a> for Text {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Text, Box<dyn Error + Sync + Send>> {
        Ok(Text(String::from_utf8_lossy(raw).into_owned()))
    }

    fn accepts(kind: &Type) -> bool {
        matches!(*kind, Type::TEXT | Type::NAME | Type::JSON | Type::VARCHAR)
    }
}
