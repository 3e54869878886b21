//! PostgreSQL as a user meets it: types come through, limits hold also on the server, errors help and tell no password, and a
//! writer keeps what was approved and nothing else. Against a real server, as a superuser.
#![cfg(feature = "postgres")]

mod support;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pawl_database::{Dialect, Error, Limits, Location, Purpose, Reader, Secret, Value, Writer};
use support::postgres::{Database, server};
use support::soon;

const SHOP: &str = "
    CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
    CREATE DOMAIN positive AS integer CHECK (value > 0);
    CREATE TABLE customer (
        id serial PRIMARY KEY, name text NOT NULL UNIQUE, mood mood, score numeric(6,2) DEFAULT 0, joined date, photo bytea);
    CREATE TABLE \"order\" (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer_id integer NOT NULL REFERENCES customer (id) ON DELETE CASCADE,
        total numeric CHECK (total >= 0), UNIQUE (customer_id, total));
    CREATE VIEW names AS SELECT name FROM customer;
    COMMENT ON TABLE customer IS 'companies
        that buy';
    COMMENT ON COLUMN customer.joined IS 'day of the first order';
    INSERT INTO customer (name, mood, score, joined, photo) VALUES
        ('Ann', 'happy', 12.50, '2025-03-01', '\\x00ff'), ('Bo', NULL, NULL, NULL, NULL);
    INSERT INTO \"order\" (customer_id, total) VALUES (1, 19.99), (1, 5), (2, 7);
    ANALYZE;";

fn shop(name: &str) -> Result<Option<Database>> {
    match server()? {
        Some(server) => Ok(Some(server.database(name, SHOP)?)),
        None => Ok(None),
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[test]
fn every_type_comes_through() -> Result<()> {
    let Some(shop) = shop("types")? else { return Ok(()) };
    let mut reader = shop.reader(&Limits::default())?;
    ensure!(reader.dialect() == Dialect::Postgres);
    // The expected texts are PostgreSQL's manual's own output formats.
    for (sql, wanted) in [
        ("NULL::int", Value::Null),
        ("42::smallint", Value::Integer(42)),
        ("(-9223372036854775808)::bigint", Value::Integer(i64::MIN)),
        ("1.5::real", Value::Real(1.5)),
        ("0.1::double precision", Value::Real(0.1)),
        ("1 = 1", Value::Integer(1)),
        ("false", Value::Integer(0)),
        ("'ö''x'", text("ö'x")),
        ("123456789012345678901234567890.5::numeric", text("123456789012345678901234567890.5")),
        ("date '2024-02-29'", text("2024-02-29")),
        ("timestamp '2024-02-29 23:59:59.5'", text("2024-02-29 23:59:59.5")),
        ("time '12:30'", text("12:30:00")),
        ("interval '1 day 2 hours'", text("1 day 02:00:00")),
        (
            "cast('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11' as uuid)",
            text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ),
        ("cast('{\"a\": 1}' as json)", text("{\"a\": 1}")),
        ("cast('{\"a\":1}' as jsonb)", text("{\"a\": 1}")),
        ("array[1, 2, NULL]", text("{1,2,NULL}")),
        ("cast('happy' as mood)", text("happy")),
        ("cast('10.0.0.1' as inet)", text("10.0.0.1")),
        ("int4range(1, 5)", text("[1,5)")),
        ("(SELECT photo FROM customer WHERE id = 1)", Value::Blob(vec![0, 255])),
    ] {
        let rows = reader.query(&format!("SELECT {sql} AS x"), &[], 5, soon()).context(sql)?;
        assert_eq!(rows.columns, ["x"]);
        assert_eq!(rows.rows, [[wanted]], "{sql}");
    }
    Ok(())
}

#[test]
fn ordinary_analysis_is_allowed() -> Result<()> {
    let Some(shop) = shop("analysis")? else { return Ok(()) };
    let mut reader = shop.reader(&Limits::default())?;
    for sql in [
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 5) SELECT sum(x) FROM n",
        "SELECT date_trunc('month', joined), to_char(joined, 'YYYY-MM'), extract(year FROM joined), count(*) FROM customer GROUP BY 1, 2, 3 ORDER BY 1 NULLS LAST",
        "SELECT name, row_number() OVER (PARTITION BY mood ORDER BY name DESC), lag(name) OVER w FROM customer WINDOW w AS (ORDER BY id)",
        "SELECT c.name, coalesce(sum(o.total), 0) FROM public.customer c LEFT JOIN \"order\" o ON o.customer_id = c.id GROUP BY c.name HAVING count(*) > 0 ORDER BY 2 DESC LIMIT 5 OFFSET 0;",
        "SELECT string_agg(name, ', ' ORDER BY name), upper(name) FROM customer WHERE name ILIKE 'a%' OR name ~ '^B' GROUP BY name",
        "SELECT CASE WHEN score > 1 THEN 'high' ELSE 'low' END, name || '!', score::int, score % 2 FROM customer -- all",
        "SELECT count(*) FILTER (WHERE total > 6), percentile_cont(0.5) WITHIN GROUP (ORDER BY total) FROM \"order\"",
        "SELECT * FROM generate_series(1, 3) AS g(x), LATERAL (SELECT x * 2) AS t(y)",
        "SELECT d::date FROM generate_series(date '2025-01-01', date '2025-01-03', interval '1 day') d",
        "SELECT name FROM names UNION SELECT 'x' EXCEPT SELECT 'y' /* fine */",
        "VALUES (1, 'a'), (2, 'b')",
        "(SELECT 1) UNION ALL (SELECT 2)",
        "SELECT DISTINCT ON (customer_id) customer_id, total FROM \"order\" ORDER BY customer_id, total DESC",
        "SELECT mood, count(*) FROM customer GROUP BY ROLLUP (mood)",
        "SELECT x->>'a', x @> '{\"a\": 1}' FROM (SELECT cast('{\"a\": 1}' AS jsonb) AS x) AS t",
        "SELECT substring(name FROM 1 FOR 2), trim(both ' ' FROM name), position('n' IN name), joined AT TIME ZONE 'UTC' FROM customer",
        "SELECT current_date - joined, now() > joined, age(joined) FROM customer WHERE joined BETWEEN '2025-01-01' AND '2025-12-31'",
        "SELECT exists (SELECT 1 FROM customer WHERE id IN (1, 2)), id = ANY (array[1, 2]) FROM customer",
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'customer'",
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
        "SELECT name FROM customer WHERE id = $1 AND joined = $2 AND score = $3 AND photo = $4 AND mood = $5";
    let parameters =
        [Value::Integer(1), text("2025-03-01"), Value::Real(12.5), Value::Blob(vec![0, 255]), text("happy")];
    assert_eq!(reader.query(sql, &parameters, 5, soon())?.rows, [[text("Ann")]]);
    let hostile = [text("Ann' OR '1'='1")];
    assert_eq!(reader.query("SELECT name FROM customer WHERE name = $1", &hostile, 5, soon())?.rows.len(), 0);
    let Err(Error::Sql(said)) = reader.query("SELECT $1::int", &[], 5, soon()) else { panic!() };
    ensure!(said.contains("1 parameters") && said.contains("0 were"), "{said}");
    Ok(())
}

#[test]
fn rows_bytes_and_statement_are_limited() -> Result<()> {
    let Some(shop) = shop("limits")? else { return Ok(()) };
    let mut reader = shop.reader(&Limits::default())?;
    let series = "FROM generate_series(1, 1000000) AS g(x)";
    let rows = reader.query(&format!("SELECT x {series}"), &[], 7, soon())?;
    assert_eq!((rows.rows.len(), rows.truncated), (7, true));
    let rows = reader.query(&format!("SELECT x {series}"), &[], usize::MAX, soon())?;
    assert_eq!((rows.rows.len(), rows.truncated), (10_000, true));
    let rows = reader.query("SELECT 1 FROM generate_series(1, 1000)", &[], 1000, soon())?;
    assert_eq!((rows.rows.len(), rows.truncated), (1000, false));
    let rows = reader.query(&format!("SELECT repeat('x', 1000000) {series}"), &[], 100, soon())?;
    assert_eq!((rows.rows.len(), rows.truncated), (4, true));
    for sql in [
        "SELECT repeat('x', 5000000)".to_owned(),
        "SELECT repeat('x', 500000000)".to_owned(),
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
    let slow =
        "SELECT count(*) FROM generate_series(1, 100000000) AS a(x), generate_series(1, 100000) AS b(y)";
    let running = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND application_name = 'pawl' AND state = 'active'",
        shop.name
    );
    // Once by the server's limit, once by the caller's deadline, which is earlier.
    for (limit, deadline) in [(400, 20_000), (20_000, 400)] {
        let limits = Limits { time: Duration::from_millis(limit), ..Limits::default() };
        let mut reader = shop.reader(&limits)?;
        let begun = Instant::now();
        let ended = reader.query(slow, &[], 1, begun + Duration::from_millis(deadline));
        ensure!(matches!(&ended, Err(Error::Limit(said)) if said.contains("longer")), "{ended:?}");
        ensure!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        // The server looks for a cancellation every few milliseconds.
        let end = Instant::now() + Duration::from_secs(1);
        while shop.admin.one(&running)? != "0" {
            ensure!(Instant::now() < end, "the query still runs on the server");
        }
        ensure!(reader.query("SELECT 1", &[], 1, soon()).is_ok());
    }
    Ok(())
}

#[test]
fn tables_are_written_from_the_catalogue() -> Result<()> {
    let Some(shop) = shop("tables")? else { return Ok(()) };
    let tables = shop.reader(&Limits::default())?.tables(soon())?;
    let names: Vec<_> = tables.iter().map(|table| (table.name.as_str(), table.row_count)).collect();
    assert_eq!(names, [("\"order\"", Some(3)), ("customer", Some(2)), ("names", None)]);
    let customer = "CREATE TABLE customer ( -- companies that buy
  id integer NOT NULL DEFAULT nextval('customer_id_seq'::regclass),
  name text NOT NULL,
  mood mood, -- one of 'sad', 'ok', 'happy'
  score numeric(6,2) DEFAULT 0,
  joined date, -- day of the first order
  photo bytea,
  PRIMARY KEY (id),
  UNIQUE (name)
)";
    assert_eq!(tables[1].sql, customer);
    for part in [
        "CREATE TABLE \"order\" (\n",
        "id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,\n",
        "  FOREIGN KEY (customer_id) REFERENCES customer(id) ON DELETE CASCADE,\n",
        "  UNIQUE (customer_id, total),\n",
        "CHECK (total >= 0::numeric)\n)",
    ] {
        ensure!(tables[0].sql.contains(part), "{part}: {}", tables[0].sql);
    }
    ensure!(tables[2].sql.starts_with("CREATE VIEW names AS\nSELECT"), "{}", tables[2].sql);
    Ok(())
}

#[test]
fn the_planner_tells_what_a_query_costs() -> Result<()> {
    let Some(shop) = shop("costs")? else { return Ok(()) };
    let mut reader = shop.reader(&Limits::default())?;
    let mut cost = |sql| anyhow::Ok(reader.cost(sql, &[Value::Integer(1)], soon())?.context("a cost")?);
    let small = cost("SELECT * FROM customer WHERE id = $1")?;
    let large = cost("SELECT $1::int FROM generate_series(1, 1000000) AS a(x), \"order\"")?;
    ensure!(small.rows <= 3.0 && large.rows >= 1e6, "{small:?} {large:?}");
    ensure!(small.units < large.units, "{small:?} {large:?}");
    Ok(())
}

#[test]
fn errors_help_and_tell_no_password() -> Result<()> {
    let Some(shop) = shop("errors")? else { return Ok(()) };
    let mut reader = shop.reader(&Limits::default())?;
    for (sql, said) in
        [("SELECT nme FROM customer", "nme"), ("SELEC 1", "SELEC"), ("SELECT * FROM t", "\"t\" does not")]
    {
        let Err(Error::Sql(message)) = reader.query(sql, &[], 1, soon()) else { panic!("{sql}") };
        ensure!(message.contains(said), "{message}");
    }
    let port = shop.server.port;
    let closed = support::free_port()?;
    for (address, said) in [
        (format!("postgres://root:wr0ngp4ss@127.0.0.1:{port}/errors"), "password authentication failed"),
        (format!("postgres://root:wr0ngp4ss@127.0.0.1:{closed}/errors"), "cannot be reached"),
        (format!("postgres://root:wr0ng@p4ss@127.0.0.1:{closed}/errors"), ""),
        (format!("postgres://root:wr0ng/p4ss@127.0.0.1:{closed}/errors"), ""),
        ("postgres://root:wr0ngp4ss@127.0.0.1/errors?what=1".to_owned(), "what"),
        ("postgres://root:wr0ngp4ss@".to_owned(), ""),
        ("wr0ngp4ss".to_owned(), ""),
        // This server has no encryption, and `require` does not go on without.
        (format!("postgres://root:wr0ngp4ss@127.0.0.1:{port}/errors?sslmode=require"), "TLS"),
        (format!("postgres://root:wr0ngp4ss@127.0.0.1:{port}/errors?sslmode=verify-full"), "TLS"),
    ] {
        let location = Location::Postgres(Secret::new(address));
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
    })
}

#[test]
fn approved_writes_are_kept_when_they_are_committed_and_only_then() -> Result<()> {
    let Some(shop) = shop("approved")? else { return Ok(()) };
    let names = "SELECT string_agg(name, ',' ORDER BY id) FROM customer";
    let mut writer = shop.writer(Purpose::Approved)?;
    let insert =
        "INSERT INTO customer (name, mood) VALUES ($1, $2), ('Di', 'ok') ON CONFLICT (name) DO NOTHING";
    assert_eq!(writer.execute(insert, &[text("Cy"), text("sad")], soon())?, 2);
    assert_eq!(writer.execute("UPDATE customer SET name = upper(name) WHERE id < 3", &[], soon())?, 2);
    assert_eq!(
        writer.execute(
            "DELETE FROM customer c USING \"order\" o WHERE o.customer_id = c.id AND c.id = 2 RETURNING c.id",
            &[],
            soon()
        )?,
        1
    );
    assert_eq!(shop.admin.one(names)?, "Ann,Bo");
    writer.commit()?;
    assert_eq!(shop.admin.one(names)?, "ANN,Cy,Di");
    let mut writer = shop.writer(Purpose::Approved)?;
    writer.execute("DELETE FROM customer", &[], soon())?;
    drop(writer);
    assert_eq!(shop.admin.one(names)?, "ANN,Cy,Di");
    // After an error nothing is kept, not even what went before.
    let mut writer = shop.writer(Purpose::Approved)?;
    writer.execute("DELETE FROM customer WHERE id = 1", &[], soon())?;
    ensure!(matches!(
        writer.execute("INSERT INTO customer (name) VALUES ('Cy')", &[], soon()),
        Err(Error::Sql(_))
    ));
    ensure!(matches!(writer.commit(), Err(Error::Sql(_))));
    assert_eq!(shop.admin.one(names)?, "ANN,Cy,Di");
    Ok(())
}

#[test]
fn a_trial_leaves_nothing() -> Result<()> {
    let Some(shop) = shop("trial")? else { return Ok(()) };
    let mut trial = shop.writer(Purpose::Trial)?;
    assert_eq!(trial.execute("DELETE FROM \"order\" WHERE total > 6", &[], soon())?, 2);
    assert_eq!(trial.execute("DROP TABLE \"order\"", &[], soon())?, 0);
    ensure!(matches!(trial.commit(), Err(Error::NotAllowed(_))));
    assert_eq!(shop.admin.one("SELECT count(*) FROM \"order\"")?, "3");
    Ok(())
}

#[test]
fn tables_indices_and_views_are_made_altered_and_dropped() -> Result<()> {
    let Some(shop) = shop("ddl")? else { return Ok(()) };
    let mut writer = shop.writer(Purpose::Approved)?;
    for sql in [
        "CREATE TABLE part (id serial PRIMARY KEY, code varchar(20) UNIQUE NOT NULL, size real CHECK (size > 0), owner integer REFERENCES customer (id) ON DELETE CASCADE, mood mood DEFAULT 'ok', tags text[], made timestamptz DEFAULT now())",
        "CREATE TABLE IF NOT EXISTS copy AS SELECT * FROM customer",
        "INSERT INTO part (code, size, owner) SELECT name, 1, id FROM customer",
        "CREATE UNIQUE INDEX IF NOT EXISTS part_size ON part USING btree (size, lower(code)) WHERE size > 1",
        "CREATE OR REPLACE VIEW big AS SELECT * FROM part WHERE size > 1",
        "ALTER TABLE part ADD COLUMN weight integer DEFAULT 7 CHECK (weight > 0)",
        "ALTER TABLE part ALTER COLUMN weight TYPE bigint, ALTER COLUMN weight SET NOT NULL",
        "ALTER TABLE part DROP COLUMN weight",
        "ALTER TABLE copy RENAME COLUMN score TO points",
        "ALTER TABLE copy RENAME TO copied",
        "ALTER TABLE part ADD CONSTRAINT one CHECK (size < 100)",
        "WITH long AS (SELECT id FROM part) UPDATE part SET size = size + 1 WHERE id IN (SELECT id FROM long)",
        "DROP VIEW IF EXISTS big",
        "DROP INDEX part_size",
        "DROP TABLE copied",
    ] {
        writer.execute(sql, &[], soon()).with_context(|| sql.to_owned())?;
    }
    writer.commit()?;
    assert_eq!(shop.admin.one("SELECT string_agg(code || size, ',' ORDER BY id) FROM part")?, "Ann2,Bo2");
    Ok(())
}

#[test]
fn whatever_is_not_to_be_written_is_refused() -> Result<()> {
    let Some(shop) = shop("refused")? else { return Ok(()) };
    for sql in [
        "SELECT * FROM customer",
        "TRUNCATE customer",
        "COPY customer TO PROGRAM 'cat'",
        "CREATE TEMP TABLE t (x int)",
        "CREATE UNLOGGED TABLE t (x int)",
        "CREATE TABLE t (x int) WITH (fillfactor = 10)",
        "CREATE TABLE t (x int DEFAULT nextval('customer_id_seq'))",
        "CREATE TABLE t (x regclass)",
        "CREATE MATERIALIZED VIEW v AS SELECT 1",
        "CREATE INDEX CONCURRENTLY i ON customer (name)",
        "CREATE VIEW v AS SELECT pg_read_file('/etc/passwd')",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TRIGGER t BEFORE INSERT ON customer EXECUTE FUNCTION f()",
        "CREATE EXTENSION dblink",
        "CREATE SCHEMA s",
        "CREATE ROLE r",
        "CREATE DATABASE d",
        "DROP SCHEMA public CASCADE",
        "DROP DATABASE postgres",
        "DROP ROLE root",
        "DROP SEQUENCE customer_id_seq CASCADE",
        "DROP TABLE pg_catalog.pg_class",
        "DROP TYPE mood CASCADE",
        "ALTER TABLE customer OWNER TO root",
        "ALTER TABLE customer DISABLE TRIGGER ALL",
        "ALTER TABLE customer ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE pg_class ADD COLUMN x int",
        "ALTER ROLE root NOSUPERUSER",
        "ALTER SYSTEM SET work_mem = '1GB'",
        "GRANT ALL ON customer TO PUBLIC",
        "UPDATE pg_catalog.pg_class SET relname = 'x'",
        "DELETE FROM pg_authid",
        "INSERT INTO customer (name) VALUES (pg_read_file('/etc/passwd'))",
        "INSERT INTO customer (name) SELECT rolpassword FROM pg_authid",
        "WITH gone AS (DELETE FROM \"order\" RETURNING 1) DELETE FROM customer",
        "DELETE FROM customer; DELETE FROM \"order\"",
        "UPDATE customer SET name = $a$x$a$",
        "VACUUM",
        "BEGIN",
        "COMMIT",
        "DO $$ BEGIN END $$",
        "",
        "-- nothing",
    ] {
        let mut trial = shop.writer(Purpose::Trial)?;
        let refused = trial.execute(sql, &[], soon());
        // What the parser does not know at all is not understood.
        ensure!(matches!(&refused, Err(Error::NotAllowed(_) | Error::Sql(_))), "{sql}: {refused:?}");
        if let Err(Error::Sql(said)) = refused {
            ensure!(said.contains("Expected") || said.contains("expected"), "{sql}: {said}");
        }
    }
    Ok(())
}

#[test]
fn what_the_database_defines_itself_is_not_taken_for_what_is_known() -> Result<()> {
    let Some(shop) = shop("planted")? else { return Ok(()) };
    shop.admin.run(
        "CREATE FUNCTION lower(varchar) RETURNS text LANGUAGE sql AS 'SELECT ''planted''';
         CREATE FUNCTION secret(customer) RETURNS text LANGUAGE sql AS 'SELECT ''planted''';
         CREATE FUNCTION more(integer, text) RETURNS integer LANGUAGE sql AS 'SELECT 1';
         CREATE OPERATOR ### (LEFTARG = integer, RIGHTARG = text, FUNCTION = more);",
    )?;
    let mut reader = shop.reader(&Limits::default())?;
    for sql in [
        "SELECT lower(name::varchar) FROM customer",
        "SELECT customer.secret FROM customer",
        "SELECT (customer).secret FROM customer",
        "SELECT c.\"secret\" FROM customer AS c",
        "SELECT id ### name FROM customer",
        "SELECT id OPERATOR(public.###) name FROM customer",
        "SELECT public.lower(name) FROM customer",
    ] {
        let refused = reader.query(sql, &[], 1, soon());
        ensure!(matches!(&refused, Err(Error::NotReadOnly(_) | Error::Sql(_))), "{sql}: {refused:?}");
        ensure!(!format!("{refused:?}").contains("\"planted\""), "{sql}: {refused:?}");
    }
    ensure!(reader.query("SELECT pg_catalog.lower(name), upper(name) FROM customer", &[], 1, soon()).is_ok());
    Ok(())
}
