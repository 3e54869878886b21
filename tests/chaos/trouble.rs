//! What disturbs beside the kills: files that are locked, a disk that is full.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::Random;

/// The size of the small file system. Four databases with their logs fit, and a filler.
const DISK: &str = "size=64m";
/// Files that another program may hold.
const FILES: [&str; 4] = ["runs/runs.sqlite", "approvals.sqlite", "keyvalue.sqlite", "shop.sqlite"];

/// Puts a small file system where the data is to lie.
pub(crate) fn mount(data: &Path) -> Result<()> {
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", DISK, "tmpfs"]).arg(data).status();
    ensure!(
        mounted.context("mount")?.success(),
        "a small file system cannot be mounted; --trouble disk wants root"
    );
    Ok(())
}

#[derive(Clone)]
pub(crate) struct Trouble {
    kind: Kind,
    data: PathBuf,
    count: Arc<AtomicUsize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    None,
    Lock,
    Disk,
}

impl Trouble {
    pub(crate) fn new(name: &str, data: &Path) -> Result<Trouble> {
        let kind = match name {
            "none" => Kind::None,
            "lock" => Kind::Lock,
            "disk" => Kind::Disk,
            other => bail!("--trouble {other}: none, lock or disk"),
        };
        Ok(Trouble { kind, data: data.to_path_buf(), count: Arc::default() })
    }

    pub(crate) fn is_any(&self) -> bool {
        self.kind != Kind::None
    }

    pub(crate) fn told(&self) -> String {
        let count = self.count.load(Ordering::SeqCst);
        match self.kind {
            Kind::None => "no other trouble".to_owned(),
            Kind::Lock => format!("{count} times a file was locked"),
            Kind::Disk => format!("{count} times the disk was full"),
        }
    }

    /// Disturbs until it is told to stop.
    pub(crate) fn start(&self, stop: Arc<AtomicBool>, seed: u64) -> JoinHandle<()> {
        let trouble = self.clone();
        std::thread::spawn(move || {
            let random = Random(AtomicUsize::new(seed as usize ^ 0x5EED));
            while trouble.is_any() && !stop.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(300 + random.below(2_000)));
                let held = Duration::from_millis(200 + random.below(3_000));
                let done = match trouble.kind {
                    Kind::Lock => trouble.lock(FILES[random.below(4) as usize], held),
                    _ => trouble.fill(held),
                };
                match done {
                    Ok(()) => drop(trouble.count.fetch_add(1, Ordering::SeqCst)),
                    Err(error) => println!("no trouble this time: {error}"),
                }
            }
        })
    }

    fn lock(&self, file: &str, held: Duration) -> Result<()> {
        let file = self.data.join(file);
        ensure!(file.is_file(), "{} is not there yet", file.display());
        let connection = rusqlite::Connection::open(file)?;
        connection.busy_timeout(Duration::from_secs(2))?;
        connection.execute_batch("BEGIN IMMEDIATE")?;
        std::thread::sleep(held);
        Ok(connection.execute_batch("ROLLBACK")?)
    }

    /// Fills the file system to the last byte.
    fn fill(&self, held: Duration) -> Result<()> {
        use std::io::Write;
        let path = self.data.join("filler");
        let mut file = std::fs::File::create(&path)?;
        let block = vec![0_u8; 64 << 10];
        let mut size = block.len();
        while size > 0 {
            if file.write(&block[..size]).is_err() {
                size /= 2;
            }
        }
        std::thread::sleep(held);
        Ok(std::fs::remove_file(path)?)
    }
}
