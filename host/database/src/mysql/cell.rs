//! Cells and parameters.
//!
//! Invariant: what has no variant in [`Value`] becomes the text that the server itself shows of it.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_binary_resultset.html>

use mysql_async::consts::ColumnType;
use mysql_async::{Column, Value as Sent};

use crate::Value;

/// The character set of what is not text.
const BINARY: u16 = 63;
/// The number of digits that says that there is no fixed number.
const ANY: u8 = 31;

/// A cell as it was sent, with its column.
pub(super) fn cell(sent: Sent, column: &Column, mariadb: bool) -> Value {
    match sent {
        Sent::NULL => Value::Null,
        Sent::Int(value) => Value::Integer(value),
        Sent::UInt(value) => unsigned(value),
        // As short as it can be written, not as near as a longer number can be.
        Sent::Float(value) => Value::Real(value.to_string().parse().unwrap_or(f64::from(value))),
        Sent::Double(value) => Value::Real(value),
        Sent::Date(year, month, day, hour, minute, second, micros) => {
            let date = format!("{year:04}-{month:02}-{day:02}");
            match column.column_type() {
                ColumnType::MYSQL_TYPE_DATE | ColumnType::MYSQL_TYPE_NEWDATE => Value::Text(date),
                _ => Value::Text(format!(
                    "{date} {hour:02}:{minute:02}:{second:02}{}",
                    fraction(micros, column.decimals())
                )),
            }
        }
        Sent::Time(negative, days, hours, minutes, seconds, micros) => Value::Text(format!(
            "{}{:02}:{minutes:02}:{seconds:02}{}",
            if negative { "-" } else { "" },
            u64::from(days) * 24 + u64::from(hours),
            fraction(micros, column.decimals())
        )),
        Sent::Bytes(bytes) => match column.column_type() {
            ColumnType::MYSQL_TYPE_BIT => {
                // Where it is not a column's own, MariaDB sends its digits.
                let digits = mariadb && column.org_name_ref().is_empty();
                let number = digits.then(|| String::from_utf8_lossy(&bytes).parse().ok()).flatten();
                let binary = || bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
                unsigned(number.unwrap_or_else(binary))
            }
            ColumnType::MYSQL_TYPE_GEOMETRY | ColumnType::MYSQL_TYPE_VECTOR => Value::Blob(bytes),
            ColumnType::MYSQL_TYPE_STRING
            | ColumnType::MYSQL_TYPE_VAR_STRING
            | ColumnType::MYSQL_TYPE_VARCHAR
            | ColumnType::MYSQL_TYPE_TINY_BLOB
            | ColumnType::MYSQL_TYPE_MEDIUM_BLOB
            | ColumnType::MYSQL_TYPE_LONG_BLOB
            | ColumnType::MYSQL_TYPE_BLOB
                if column.character_set() == BINARY =>
            {
                Value::Blob(bytes)
            }
            _ => Value::Text(String::from_utf8_lossy(&bytes).into_owned()),
        },
    }
}

fn unsigned(value: u64) -> Value {
    i64::try_from(value).map_or_else(|_| Value::Text(value.to_string()), Value::Integer)
}

fn fraction(micros: u32, digits: u8) -> String {
    let all = format!(".{micros:06}");
    match digits {
        0 => String::new(),
        ANY if micros == 0 => String::new(),
        _ => all.chars().take(1 + usize::from(digits.min(6))).collect(),
    }
}

pub(super) fn parameter(value: &Value) -> Sent {
    match value {
        Value::Null => Sent::NULL,
        Value::Integer(value) => Sent::Int(*value),
        Value::Real(value) => Sent::Double(*value),
        Value::Text(text) => Sent::Bytes(text.clone().into_bytes()),
        Value::Blob(bytes) => Sent::Bytes(bytes.clone()),
    }
}

/// The text of a cell of our own query; nothing where there is NULL.
pub(super) fn text(sent: Sent) -> Option<String> {
    match sent {
        Sent::NULL => None,
        Sent::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Sent::Int(value) => Some(value.to_string()),
        Sent::UInt(value) => Some(value.to_string()),
        Sent::Float(value) => Some(value.to_string()),
        Sent::Double(value) => Some(value.to_string()),
        Sent::Date(..) | Sent::Time(..) => None,
    }
}
