//! MySQL as a user meets it: types come through, limits hold also on the server, errors help and tell no password. Against a
//! real MariaDB, as somebody with all privileges.
#![cfg(feature = "mysql")]

mod support;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pawl_database::{Dialect, Error, Limits, Location, Purpose, Reader, Secret, Value, Writer};
use support::mariadb::shop;
use support::soon;

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[test]
fn every_type_comes_through() -> Result<()> {
    let Some(shop) = shop("types")? else { return Ok(()) };
    shop.admin.run(
        "CREATE TABLE kinds (id int PRIMARY KEY, tiny tinyint, big bigint unsigned, f float, d double, b bit(9), y year, t time,
            dt datetime(1), ts timestamp NULL, zero date, j json, v varbinary(4), s set('a', 'b'), yes boolean)",
    )?;
    shop.admin.run("SET sql_mode = ''")?;
    shop.admin.run(
        "INSERT INTO kinds VALUES (1, -5, 18446744073709551615, 0.1, 0.1, 257, 2024, '-100:00:01', '2024-02-29 23:59:59.5',
            '2024-02-29 01:02:03', '0000-00-00', '{\"a\": 1}', x'00ff', 'a,b', true)",
    )?;
    let mut reader = shop.reader(&Limits::default())?;
    ensure!(reader.dialect() == Dialect::Mysql);
    // The expected texts are the forms that the server's own client shows.
    for (sql, wanted) in [
        ("NULL", Value::Null),
        ("42", Value::Integer(42)),
        ("cast(-9223372036854775808 AS signed)", Value::Integer(i64::MIN)),
        ("(SELECT tiny FROM kinds)", Value::Integer(-5)),
        ("(SELECT big FROM kinds)", text("18446744073709551615")),
        ("(SELECT f FROM kinds)", Value::Real(0.1)),
        ("(SELECT d FROM kinds)", Value::Real(0.1)),
        ("(SELECT b FROM kinds)", Value::Integer(257)),
        ("(SELECT y FROM kinds)", Value::Integer(2024)),
        ("(SELECT t FROM kinds)", text("-100:00:01")),
        ("(SELECT dt FROM kinds)", text("2024-02-29 23:59:59.5")),
        ("(SELECT ts FROM kinds)", text("2024-02-29 01:02:03")),
        ("(SELECT zero FROM kinds)", text("0000-00-00")),
        ("(SELECT j FROM kinds)", text("{\"a\": 1}")),
        ("(SELECT v FROM kinds)", Value::Blob(vec![0, 255])),
        ("(SELECT s FROM kinds)", text("a,b")),
        ("(SELECT yes FROM kinds)", Value::Integer(1)),
        ("1 = 1", Value::Integer(1)),
        ("'ö''x'", text("ö'x")),
        ("\"a'b\"", text("a'b")),
        ("'a' || 'b'", text("ab")),
        ("123456789012345678901234567890.5", text("123456789012345678901234567890.5")),
        ("date '2024-02-29'", text("2024-02-29")),
        ("(SELECT mood FROM customer WHERE id = 1)", text("happy")),
        ("(SELECT score FROM customer WHERE id = 1)", text("12.50")),
        ("(SELECT photo FROM customer WHERE id = 1)", Value::Blob(vec![0, 255])),
        // MySQL has not these.
        (
            "cast('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11' AS uuid)",
            text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ),
        ("cast('::1' AS inet6)", text("::1")),
    ] {
        let rows = reader.query(&format!("SELECT {sql} AS x"), &[], 5, soon()).context(sql)?;
        assert_eq!(rows.columns, ["x"]);
        assert_eq!(rows.rows, [[wanted]], "{sql}");
    }
    let bits =
        reader.query("SELECT k.b, k.b AS c, v.b FROM kinds k, (SELECT b FROM kinds) v", &[], 5, soon())?;
    assert_eq!(bits.rows, [[Value::Integer(257), Value::Integer(257), Value::Integer(257)]]);
    Ok(())
}

#[test]
fn ordinary_analysis_is_allowed() -> Result<()> {
    let Some(shop) = shop("analysis")? else { return Ok(()) };
    let mut reader = shop.reader(&Limits::default())?;
    for sql in [
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 5) SELECT sum(x) FROM n",
        "SELECT date_format(joined, '%Y-%m'), year(joined), quarter(joined), extract(year FROM joined), count(*) FROM customer GROUP BY 1, 2, 3, 4 ORDER BY 1",
        "SELECT name, row_number() OVER (PARTITION BY mood ORDER BY name DESC), lag(name) OVER w FROM customer WINDOW w AS (ORDER BY id)",
        "SELECT c.name, coalesce(sum(o.total), 0) FROM analysis.customer c LEFT JOIN `order` o ON o.customer_id = c.id GROUP BY c.name HAVING count(*) > 0 ORDER BY 2 DESC LIMIT 5 OFFSET 0;",
        "SELECT group_concat(name ORDER BY name SEPARATOR ', '), upper(name) FROM customer WHERE name LIKE 'a%' OR name REGEXP '^B' GROUP BY name",
        "SELECT CASE WHEN score > 1 THEN 'high' ELSE 'low' END, name || '!', cast(score AS signed), score % 2, 7 DIV 2 FROM customer -- all",
        "SELECT sum(total > 6), if(total > 6, 'a', 'b'), ifnull(total, 0) FROM `order` GROUP BY total LIMIT 1, 2",
        "SELECT name FROM names UNION SELECT 'x' EXCEPT SELECT 'y' /* fine */",
        "(SELECT 1) UNION ALL (SELECT 2)",
        "SELECT mood, count(*) FROM customer GROUP BY mood WITH ROLLUP",
        "SELECT json_extract('{\"a\": 1}', '$.a'), json_unquote(json_extract('{\"a\": \"b\"}', '$.a'))",
        "SELECT substring(name FROM 1 FOR 2), trim(both ' ' FROM name), position('n' IN name), substring_index(name, 'n', 1) FROM customer",
        "SELECT datediff(current_date, joined), now() > joined, timestampdiff(MONTH, joined, now()), joined + interval 1 day, date_sub(joined, interval 1 month) FROM customer WHERE joined BETWEEN '2025-01-01' AND '2025-12-31'",
        "SELECT exists (SELECT 1 FROM customer WHERE id IN (1, 2)), id = ANY (SELECT 1) FROM customer",
        "SELECT c.name FROM customer c JOIN `order` USING (id)",
        "SELECT 'http://x' AS `a:b`, 1 - 2 /* it's :fine */ FROM customer",
    ] {
        reader.query(sql, &[], 100, soon()).with_context(|| sql.to_owned())?;
    }
    Ok(())
}

#[test]
fn parameters_are_values_of_the_type_that_the_statement_wants() -> Result<()> {
    let Some(shop) = shop("parameters")? else { return Ok(()) };
    let mut reader = shop.reader(&Limits::default())?;
    let sql =
        "SELECT name FROM customer WHERE id = ? AND joined = ? AND score = ? AND photo = ? AND mood = ?";
    let parameters =
        [Value::Integer(1), text("2025-03-01"), Value::Real(12.5), Value::Blob(vec![0, 255]), text("happy")];
    assert_eq!(reader.query(sql, &parameters, 5, soon())?.rows, [[text("Ann")]]);
    for hostile in ["Ann' OR '1'='1", "Ann\\' OR 1=1 -- ", "x'; DELETE FROM customer; -- "] {
        let rows = reader.query("SELECT name FROM customer WHERE name = ?", &[text(hostile)], 5, soon())?;
        assert_eq!(rows.rows.len(), 0);
    }
    let Err(Error::Sql(said)) = reader.query("SELECT ? + 1", &[], 5, soon()) else { panic!() };
    ensure!(said.contains("1 parameters") && said.contains("0 were"), "{said}");
    // What the client would take for a parameter with a name is not sent as another text.
    let taken = reader.query("SELECT 1 -':b'", &[], 5, soon());
    ensure!(matches!(&taken, Err(Error::Sql(said)) if said.contains(":name")), "{taken:?}");
    assert_eq!(reader.query("SELECT 'a :b'", &[], 5, soon())?.rows, [[text("a :b")]]);
    Ok(())
}

#[test]
fn rows_bytes_and_statement_are_limited() -> Result<()> {
    let Some(shop) = shop("limits")? else { return Ok(()) };
    let digits = "(SELECT 0 AS n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9)";
    let series = (0..6).map(|index| format!("{digits} d{index}")).collect::<Vec<_>>().join(", ");
    let mut reader = shop.reader(&Limits::default())?;
    let connection = || {
        shop.admin.one("SELECT group_concat(id) FROM information_schema.processlist WHERE user = 'all' AND db = 'limits'")
    };
    let first = connection()?;
    let rows = reader.query(&format!("SELECT d0.n FROM {series}"), &[], 7, soon())?;
    assert_eq!((rows.rows.len(), rows.truncated), (7, true));
    let rows = reader.query(&format!("SELECT d0.n FROM {series}"), &[], usize::MAX, soon())?;
    assert_eq!((rows.rows.len(), rows.truncated), (10_000, true));
    let rows =
        reader.query(&format!("SELECT 1 FROM {digits} a, {digits} b, {digits} c"), &[], 1000, soon())?;
    assert_eq!((rows.rows.len(), rows.truncated), (1000, false));
    // None of these cost the connection; the next does.
    assert_eq!(connection()?, first);
    let rows = reader.query(&format!("SELECT d0.n FROM {series} LIMIT 500000"), &[], 7, soon())?;
    assert_eq!((rows.rows.len(), rows.truncated), (7, true));
    let rows = reader.query(&format!("SELECT repeat('x', 1000000) FROM {series}"), &[], 100, soon())?;
    assert_eq!((rows.rows.len(), rows.truncated), (4, true));
    for sql in [
        "SELECT repeat('x', 5000000)".to_owned(),
        "SELECT repeat('x', 15000000), repeat('x', 15000000)".to_owned(),
        format!("SELECT '{}'", "x".repeat(64 << 10)),
    ] {
        let error = reader.query(&sql, &[], 1, soon()).map(|rows| rows.rows.len());
        ensure!(matches!(&error, Err(Error::Limit(_))), "{error:?}");
    }
    // The connection that was given up has a successor.
    assert_eq!(reader.query("SELECT 1", &[], 1, soon())?.rows, [[Value::Integer(1)]]);
    Ok(())
}

#[test]
fn what_runs_too_long_is_stopped_on_the_server_too() -> Result<()> {
    let Some(shop) = shop("slow")? else { return Ok(()) };
    let digits = "(SELECT 0 AS n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6 UNION SELECT 7)";
    let series = (0..12).map(|index| format!("{digits} d{index}")).collect::<Vec<_>>().join(", ");
    let slow = format!("SELECT count(*) FROM {series} WHERE rand() < 2");
    let running = "SELECT count(*) FROM information_schema.processlist WHERE user = 'all' AND db = 'slow' AND command NOT IN ('Sleep', 'Killed')";
    // Once by the server's limit, once by the caller's deadline, which is earlier.
    for (limit, deadline) in [(400, 20_000), (20_000, 400)] {
        let limits = Limits { time: Duration::from_millis(limit), ..Limits::default() };
        let mut reader = shop.reader(&limits)?;
        let begun = Instant::now();
        let ended = reader.query(&slow, &[], 1, begun + Duration::from_millis(deadline));
        ensure!(matches!(&ended, Err(Error::Limit(said)) if said.contains("longer")), "{ended:?}");
        ensure!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        let end = Instant::now() + Duration::from_secs(1);
        while shop.admin.one(running)? != "0" {
            ensure!(Instant::now() < end, "the query still runs on the server");
        }
        ensure!(reader.query("SELECT 1", &[], 1, soon()).is_ok());
    }
    // A writer that waits for somebody's lock does not wait for ever, and leaves none.
    shop.admin.run("START TRANSACTION")?;
    shop.admin.run("UPDATE customer SET score = 1 WHERE id = 1")?;
    let begun = Instant::now();
    let mut trial = shop.writer(Purpose::Trial)?;
    let waited = trial.execute("DELETE FROM customer WHERE id = 1", &[], begun + Duration::from_millis(600));
    ensure!(matches!(&waited, Err(Error::Limit(_))), "{waited:?}");
    ensure!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    shop.admin.run("ROLLBACK")?;
    Ok(())
}

#[test]
fn tables_are_written_as_the_server_writes_them() -> Result<()> {
    let Some(shop) = shop("tables")? else { return Ok(()) };
    shop.admin.run("CREATE TABLE gone (id int)")?;
    shop.admin.run("CREATE VIEW orphan AS SELECT id FROM gone")?;
    shop.admin.run("DROP TABLE gone")?;
    let tables = shop.reader(&Limits::default())?.tables(soon())?;
    let names: Vec<_> = tables.iter().map(|table| (table.name.as_str(), table.row_count)).collect();
    let wanted =
        [("customer", Some(2)), ("names", None), ("note", Some(1)), ("order", Some(3)), ("orphan", None)];
    assert_eq!(names, wanted);
    let customer = "CREATE TABLE `customer` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `name` varchar(100) NOT NULL,
  `mood` enum('sad','ok','happy') DEFAULT NULL,
  `score` decimal(6,2) DEFAULT 0.00,
  `joined` date DEFAULT NULL COMMENT 'day of the first order',
  `photo` blob DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `name` (`name`)
) COMMENT='companies that buy'";
    assert_eq!(tables[0].sql, customer);
    let order = &tables[3].sql;
    ensure!(order.contains("REFERENCES `customer` (`id`) ON DELETE CASCADE"), "{order}");
    let view = &tables[1].sql;
    ensure!(view.starts_with("CREATE VIEW `names` AS select"), "{view}");
    ensure!(view.ends_with("\n-- columns: `name` varchar(100) NOT NULL"), "{view}");
    Ok(())
}

#[test]
fn the_planner_tells_what_a_query_reads() -> Result<()> {
    let Some(shop) = shop("costs")? else { return Ok(()) };
    let mut reader = shop.reader(&Limits::default())?;
    let mut cost = |sql| anyhow::Ok(reader.cost(sql, &[Value::Integer(1)], soon())?.context("a cost")?);
    let small = cost("SELECT * FROM customer WHERE id = ?")?;
    let large = cost("SELECT ? + 1 FROM `order` a, `order` b, `order` c")?;
    ensure!(small.rows <= 3.0 && large.rows >= 27.0, "{small:?} {large:?}");
    ensure!(reader.cost("SELECT nme FROM customer", &[], soon()).is_err());
    Ok(())
}

#[test]
fn errors_help_and_tell_no_password() -> Result<()> {
    let Some(shop) = shop("errors")? else { return Ok(()) };
    let mut reader = shop.reader(&Limits::default())?;
    for (sql, said) in
        [("SELECT nme FROM customer", "nme"), ("SELEC 1", "SELEC"), ("SELECT * FROM t", "errors.t")]
    {
        let Err(Error::Sql(message)) = reader.query(sql, &[], 1, soon()) else { panic!("{sql}") };
        ensure!(message.contains(said), "{message}");
    }
    let port = shop.server.port;
    let closed = support::free_port()?;
    for (address, said) in [
        (format!("mysql://all:wr0ngp4ss@127.0.0.1:{port}/errors"), "access denied"),
        (format!("mysql://all:wr0ngp4ss@127.0.0.1:{port}/no_such"), "access denied"),
        (format!("mysql://all:wr0ngp4ss@127.0.0.1:{closed}/errors"), "cannot be reached"),
        (format!("mysql://all:wr0ng@p4ss@127.0.0.1:{closed}/errors"), ""),
        (format!("mysql://all:wr0ng/p4ss@127.0.0.1:{closed}/errors"), ""),
        (format!("mysql://all:wr0ng%23p4ss@127.0.0.1:{closed}/errors"), ""),
        ("mysql://all:wr0ngp4ss@127.0.0.1/errors?what=1".to_owned(), "what"),
        ("mysql://all:wr0ngp4ss@127.0.0.1/".to_owned(), "database"),
        ("mysql://127.0.0.1/wr0ngp4ss".to_owned(), "user"),
        ("mysql://all:wr0ngp4ss@".to_owned(), ""),
        ("wr0ngp4ss".to_owned(), ""),
        // This server has no encryption, and `required` does not go on without.
        (format!("mysql://all:wr0ngp4ss@127.0.0.1:{port}/errors?ssl-mode=required"), "TLS"),
        (format!("mysql://all:wr0ngp4ss@127.0.0.1:{port}/errors?sslmode=verify-full"), "TLS"),
        (format!("mysql://all:wr0ngp4ss@127.0.0.1:{port}/errors?require_ssl=true"), "TLS"),
    ] {
        let location = Location::Mysql(Secret::new(address));
        ensure!(!format!("{location:?}").contains("wr0ng"), "{location:?}");
        for error in [
            Reader::open("shop", &location, &Limits::default(), soon()).map(|_| ()),
            Writer::open("shop", &location, &Limits::default(), Purpose::Trial, soon()).map(|_| ()),
        ] {
            let Err(Error::Unavailable(message)) = error else { panic!("{error:?}") };
            ensure!(message.contains(said), "{message}");
            ensure!(!message.contains("wr0ng") && !message.contains("p4ss"), "{message}");
        }
    }
    Ok(())
}

#[test]
fn it_works_on_the_blocking_threads_of_a_runtime() -> Result<()> {
    let Some(shop) = shop("threads")? else { return Ok(()) };
    let location = shop.location();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let reading = tokio::task::spawn_blocking(move || {
            let mut reader = Reader::open("shop", &location, &Limits::default(), soon())?;
            reader.query("SELECT 1", &[], 1, soon())?;
            Ok::<_, Error>(reader)
        });
        let reader = reading.await??;
        // Dropped where nothing may block.
        drop(reader);
        anyhow::Ok(())
    })?;
    // Nothing of it stays on the server.
    let end = Instant::now() + Duration::from_secs(2);
    let there = "SELECT count(*) FROM information_schema.processlist WHERE user = 'all' AND db = 'threads'";
    while shop.admin.one(there)? != "0" {
        ensure!(Instant::now() < end, "the connection is still there");
    }
    Ok(())
}
