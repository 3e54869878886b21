//! A MariaDB server and somebody who may do everything on it.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Row, Value};
use pawl_database::{Limits, Location, Purpose, Reader, Secret, Writer};

use super::{done, folder, free_port, installed, lesser, missing, soon, stop};

pub(crate) const PASSWORD: &str = "s3cret/ö p@ss";
/// The same as an address writes it.
pub(crate) const ENCODED: &str = "s3cret%2F%C3%B6%20p%40ss";

pub(crate) struct Server {
    folder: tempfile::TempDir,
    child: Child,
    pub(crate) port: u16,
}

static RUNNING: Mutex<Weak<Server>> = Mutex::new(Weak::new());

/// The server of this test binary; `None` where there is none and that is known.
pub(crate) fn server() -> Result<Option<Arc<Server>>> {
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(server) = running.upgrade() {
        return Ok(Some(server));
    }
    let Some(server) = server_with(&[])? else { return Ok(None) };
    *running = Arc::downgrade(&server);
    Ok(Some(server))
}

/// A server of its own, with more options.
pub(crate) fn server_with(options: &[String]) -> Result<Option<Arc<Server>>> {
    let (Some(install), Some(mariadbd)) = (installed(&["mariadb-install-db"]), installed(&["mariadbd"]))
    else {
        return missing("mariadb-server");
    };
    Ok(Some(Arc::new(Server::start(&install, &mariadbd, options)?)))
}

impl Server {
    fn start(install: &Path, mariadbd: &Path, options: &[String]) -> Result<Server> {
        let folder = folder()?;
        let data = folder.path().join("data");
        let mut command = lesser(install);
        command.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
        command.arg(format!("--datadir={}", data.display()));
        done(command)?;
        let port = free_port()?;
        let log = std::fs::File::create(folder.path().join("log"))?;
        let mut command = lesser(mariadbd);
        command.arg("--no-defaults").arg(format!("--datadir={}", data.display()));
        command.arg(format!("--socket={}", folder.path().join("socket").display()));
        command.arg(format!("--pid-file={}", folder.path().join("pid").display()));
        command.arg(format!("--port={port}"));
        command.args([
            "--bind-address=127.0.0.1",
            "--innodb-buffer-pool-size=32M",
            "--innodb-log-file-size=16M",
        ]);
        command.args([
            "--innodb-flush-log-at-trx-commit=0",
            "--performance-schema=OFF",
            "--secure-file-priv=",
        ]);
        command.args(["--innodb-stats-auto-recalc=OFF", "--max-connections=60"]);
        command.args(options);
        let child = command.stdout(Stdio::null()).stderr(log).spawn()?;
        let mut server = Server { folder, child, port };
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            match Admin::new(&server, "mysql") {
                Ok(admin) => {
                    admin.run(&format!("CREATE USER 'all'@'%' IDENTIFIED BY '{PASSWORD}'"))?;
                    admin.run("GRANT ALL PRIVILEGES ON *.* TO 'all'@'%' WITH GRANT OPTION")?;
                    return Ok(server);
                }
                Err(error) if Instant::now() > end || server.child.try_wait()?.is_some() => {
                    let log = std::fs::read_to_string(server.folder.path().join("log"))?;
                    bail!("MariaDB does not start: {error}: {log}");
                }
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A fresh database that holds what `statements` make.
    pub(crate) fn database(self: &Arc<Server>, name: &str, statements: &[&str]) -> Result<Database> {
        Admin::new(self, "mysql")?.run(&format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"))?;
        let admin = Admin::new(self, name)?;
        for sql in statements {
            admin.run(sql)?;
        }
        Ok(Database { admin, name: name.to_owned(), server: Arc::clone(self) })
    }
}

/// What a small shop has, and a table that cannot roll back.
const SHOP: &[&str] = &[
    "CREATE TABLE customer (
        id int AUTO_INCREMENT PRIMARY KEY, name varchar(100) NOT NULL UNIQUE, mood enum('sad', 'ok', 'happy'),
        score decimal(6,2) DEFAULT 0, joined date COMMENT 'day of the first order', photo blob) COMMENT='companies that buy'",
    "CREATE TABLE `order` (
        id bigint AUTO_INCREMENT PRIMARY KEY, customer_id int NOT NULL, total decimal(10,2) CHECK (total >= 0),
        UNIQUE (customer_id, total), FOREIGN KEY (customer_id) REFERENCES customer (id) ON DELETE CASCADE)",
    "CREATE TABLE note (what text) ENGINE=MyISAM",
    "CREATE VIEW names AS SELECT name FROM customer",
    "INSERT INTO customer (name, mood, score, joined, photo) VALUES
        ('Ann', 'happy', 12.50, '2025-03-01', x'00ff'), ('Bo', NULL, NULL, NULL, NULL)",
    "INSERT INTO `order` (customer_id, total) VALUES (1, 19.99), (1, 5), (2, 7)",
    "INSERT INTO note VALUES ('kept')",
    "ANALYZE TABLE customer, `order`",
];

/// A fresh database with it; `None` where there is no server and that is known.
pub(crate) fn shop(name: &str) -> Result<Option<Database>> {
    match server()? {
        Some(server) => Ok(Some(server.database(name, SHOP)?)),
        None => Ok(None),
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        stop(&mut self.child, "TERM");
    }
}

pub(crate) struct Database {
    pub(crate) admin: Admin,
    pub(crate) name: String,
    pub(crate) server: Arc<Server>,
}

impl Database {
    /// Over TCP, by password, as somebody with all privileges.
    pub(crate) fn location(&self) -> Location {
        let (port, name) = (self.server.port, &self.name);
        Location::Mysql(Secret::new(format!("mysql://all:{ENCODED}@127.0.0.1:{port}/{name}")))
    }

    pub(crate) fn reader(&self, limits: &Limits) -> Result<Reader> {
        Ok(Reader::open("test", &self.location(), limits, soon())?)
    }

    pub(crate) fn writer(&self, purpose: Purpose) -> Result<Writer> {
        Ok(Writer::open("test", &self.location(), &Limits::default(), purpose, soon())?)
    }
}

/// Somebody who may do everything, by a way of their own.
pub(crate) struct Admin {
    runtime: tokio::runtime::Runtime,
    conn: Mutex<Conn>,
}

impl Admin {
    pub(crate) fn new(server: &Server, database: &str) -> Result<Admin> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let socket = server.folder.path().join("socket").display().to_string();
        let options = OptsBuilder::default().user(Some("root")).db_name(Some(database)).socket(Some(socket));
        let conn = runtime.block_on(Conn::new(options))?;
        Ok(Admin { runtime, conn: Mutex::new(conn) })
    }

    pub(crate) fn run(&self, sql: &str) -> Result<()> {
        let mut conn = self.conn.lock().unwrap_or_else(PoisonError::into_inner);
        self.runtime.block_on(conn.query_drop(sql)).with_context(|| sql.to_owned())
    }

    /// Every row of a query, each cell as text.
    pub(crate) fn rows(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        let mut conn = self.conn.lock().unwrap_or_else(PoisonError::into_inner);
        let rows: Vec<Row> = self.runtime.block_on(conn.query(sql)).with_context(|| sql.to_owned())?;
        let text = |cell| match cell {
            Value::NULL => None,
            Value::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            other => Some(format!("{other:?}")),
        };
        Ok(rows.into_iter().map(|row| row.unwrap().into_iter().map(text).collect()).collect())
    }

    /// The first cell of a query.
    pub(crate) fn one(&self, sql: &str) -> Result<String> {
        let rows = self.rows(sql)?;
        rows.into_iter().next().and_then(|row| row.into_iter().next()?).with_context(|| sql.to_owned())
    }
}
