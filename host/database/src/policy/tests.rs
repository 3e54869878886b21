//! What passes and what does not, without a server: MySQL's texts, which PostgreSQL's tests do not see.

use std::collections::HashSet;

use super::{Refusal, Surroundings, read, write};
use crate::Dialect;

fn around() -> Surroundings {
    Surroundings {
        schema: Some("shop".to_owned()),
        views: HashSet::from(["evil".to_owned()]),
        functions: HashSet::from(["median".to_owned()]),
        ..Surroundings::default()
    }
}

fn reads(sql: &str) -> bool {
    read(sql, Dialect::Mysql, &around()).is_ok()
}

#[test]
fn what_mysql_and_the_parser_could_read_in_two_ways_is_refused() {
    for sql in [
        "SELECT '\\' OR 1 -- '",
        "SELECT 1 /*!50000 + 1 */",
        "SELECT 1 /*M!100100 + 1 */",
        "SELECT /*+ SET_VAR(sql_mode='') */ 1",
        "SELECT 1 --1",
        "SELECT 1 # x",
        "SELECT _utf8mb4'x'",
        "SELECT _utf8mb4 'x'",
        "SELECT _latin1/* */\"x\"",
        "SELECT N'x'",
        "SELECT 'a' 'b'",
        "SELECT @a",
        "SELECT :a",
        "SELECT {fn now()}",
        "SELECT 1; SELECT 2",
    ] {
        assert!(matches!(read(sql, Dialect::Mysql, &around()), Err(Refusal::Says(_))), "{sql}");
    }
    for sql in [
        "SELECT `a'b`, 'it''s', \"x'y\" FROM t -- '\n",
        "SELECT 'a:b' AS `c;d` /* ' */ FROM shop.t",
        "SELECT a - -1",
    ] {
        assert!(reads(sql), "{sql}");
    }
}

#[test]
fn a_view_is_refused_however_its_name_is_written() {
    for sql in [
        "SELECT * FROM evil",
        "SELECT * FROM EVIL",
        "SELECT * FROM `Evil`",
        "SELECT * FROM shop.eViL",
        "SELECT * FROM ev\u{130}l",
        "INSERT INTO t SELECT * FROM Evil",
    ] {
        assert!(!reads(sql) && write(sql, Dialect::Mysql, &around()).is_err(), "{sql}");
    }
    assert!(reads("SELECT * FROM evils JOIN stra\u{df}e"));
    // Another database may have the same name in other letters.
    assert!(!reads("SELECT * FROM Shop.t") && !reads("SELECT * FROM mysql.user"));
}

#[test]
fn a_function_that_somebody_made_is_not_taken_for_a_built_in_one() {
    assert!(!reads("SELECT median(a) FROM t") && !reads("SELECT `MEDIAN`(a) FROM t"));
    assert!(!reads("SELECT shop.now()") && reads("SELECT now(), ROUND(a, 2) FROM t"));
    let taken: Vec<_> = super::taken_for("M\u{c9}DIAN").collect();
    assert_eq!(taken, ["median"]);
    assert_eq!(super::taken_for("wipe").count(), 0);
}

#[test]
fn a_table_is_not_moved_to_another_database() {
    assert!(write("ALTER TABLE t RENAME TO u", Dialect::Mysql, &around()).is_ok());
    for sql in
        ["ALTER TABLE t RENAME TO other.u", "ALTER TABLE t RENAME AS mysql.u", "CREATE TABLE other.t (x int)"]
    {
        assert!(write(sql, Dialect::Mysql, &around()).is_err(), "{sql}");
    }
}
