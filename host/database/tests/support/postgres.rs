//! A PostgreSQL server and somebody who may do everything on it.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use pawl_database::{Limits, Location, Purpose, Reader, Secret, Writer};
use tokio::net::UnixStream;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

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
    let (Some(initdb), Some(postgres)) = (installed(&["initdb"]), installed(&["postgres"])) else {
        return missing("postgresql");
    };
    let server = Arc::new(Server::start(&initdb, &postgres)?);
    *running = Arc::downgrade(&server);
    Ok(Some(server))
}

impl Server {
    fn start(initdb: &Path, postgres: &Path) -> Result<Server> {
        let folder = folder()?;
        let (data, password) = (folder.path().join("data"), folder.path().join("password"));
        std::fs::write(&password, PASSWORD)?;
        super::own(&password)?;
        let mut command = lesser(initdb);
        command.args([
            "--username=root",
            "--auth-local=trust",
            "--auth-host=scram-sha-256",
            "--encoding=UTF8",
        ]);
        command.args(["--no-locale", "--no-sync", "--pwfile"]).arg(&password).arg("-D").arg(&data);
        done(command)?;
        let port = free_port()?;
        let log = std::fs::File::create(folder.path().join("log"))?;
        let mut command = lesser(postgres);
        command.arg("-D").arg(&data).arg("-k").arg(folder.path()).args(["-p", &port.to_string()]);
        command.args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "shared_buffers=32MB"]);
        command.args(["-c", "autovacuum=off", "-c", "max_connections=40"]);
        let child = command.stdout(Stdio::null()).stderr(log).spawn()?;
        let mut server = Server { folder, child, port };
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            match Admin::new(&server, "postgres") {
                Ok(_) => return Ok(server),
                Err(error) if Instant::now() > end || server.child.try_wait()?.is_some() => {
                    let log = std::fs::read_to_string(server.folder.path().join("log"))?;
                    bail!("PostgreSQL does not start: {error}: {log}");
                }
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A fresh database that holds what `sql` makes.
    pub(crate) fn database(self: &Arc<Server>, name: &str, sql: &str) -> Result<Database> {
        Admin::new(self, "postgres")?.run(&format!("CREATE DATABASE {name}"))?;
        let admin = Admin::new(self, name)?;
        admin.run(sql)?;
        Ok(Database { admin, name: name.to_owned(), server: Arc::clone(self) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        stop(&mut self.child, "QUIT");
    }
}

pub(crate) struct Database {
    pub(crate) admin: Admin,
    pub(crate) name: String,
    pub(crate) server: Arc<Server>,
}

impl Database {
    /// Over TCP, by password, as a superuser.
    pub(crate) fn location(&self) -> Location {
        let (port, name) = (self.server.port, &self.name);
        Location::Postgres(Secret::new(format!("postgres://root:{ENCODED}@127.0.0.1:{port}/{name}")))
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
    client: Client,
}

impl Admin {
    fn new(server: &Server, database: &str) -> Result<Admin> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let socket = server.folder.path().join(format!(".s.PGSQL.{}", server.port));
        let client = runtime.block_on(async {
            let socket = UnixStream::connect(socket).await?;
            let (client, connection) =
                Config::new().user("root").dbname(database).connect_raw(socket, NoTls).await?;
            tokio::spawn(connection);
            anyhow::Ok(client)
        })?;
        Ok(Admin { runtime, client })
    }

    pub(crate) fn run(&self, sql: &str) -> Result<()> {
        self.runtime.block_on(self.client.batch_execute(sql)).with_context(|| sql.to_owned())
    }

    /// Every row of a query, each cell as text.
    pub(crate) fn rows(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        let messages =
            self.runtime.block_on(self.client.simple_query(sql)).with_context(|| sql.to_owned())?;
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|index| row.get(index).map(str::to_owned)).collect())
            }
            _ => None,
        });
        Ok(rows.collect())
    }

    /// The first cell of a query.
    pub(crate) fn one(&self, sql: &str) -> Result<String> {
        let rows = self.rows(sql)?;
        rows.into_iter().next().and_then(|row| row.into_iter().next()?).with_context(|| sql.to_owned())
    }
}
