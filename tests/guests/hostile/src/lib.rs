//! A guest that does what a plugin must not do, one export for each: `tests/hostile.rs` calls them all and
//! sees that the host contains them and tells them apart. `echo` gives every WIT type back as it came.
//!
//! The guests under `tests/guests/` are components for tests only; `cargo xtask test` builds each to
//! `target/guests/NAME/`, beside its manifest and with its WIT text inside, as plugins are.

#![expect(missing_docs, reason = "generated; documented in the WIT files")]
#![allow(unsafe_code, unreachable_pub, reason = "generated")]

use std::hint::black_box;
use std::io::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};

wit_bindgen::generate!({ world: "pawl:hostile/hostile", path: ["../../../wit/deps/keyvalue", "wit"], generate_all });

use exports::pawl::hostile::echo;
use wasi::keyvalue::store;

struct Hostile;

impl echo::Guest for Hostile {
    fn repeat_everything(value: echo::Everything) -> echo::Everything {
        value
    }

    fn repeat_numbers(value: echo::Numbers) -> echo::Numbers {
        value
    }

    fn repeat_several(
        flag: bool,
        letter: char,
        text: String,
        maybe: Option<String>,
    ) -> (bool, char, String, Option<String>) {
        (flag, letter, text, maybe)
    }

    fn repeat_outcome(value: Result<echo::Shape, echo::Label>) -> Result<echo::Shape, echo::Label> {
        value
    }

    fn do_nothing() {}
}

impl Guest for Hostile {
    fn loop_forever() {
        let mut number = 0_u64;
        loop {
            number = black_box(number.wrapping_add(1));
        }
    }

    fn allocate_forever() -> u64 {
        let mut kept = Vec::new();
        loop {
            kept.push(black_box(vec![1_u8; 1 << 20]));
        }
    }

    fn deep_recursion() -> u64 {
        #[expect(unconditional_recursion, reason = "this is what the export is for")]
        fn dive(depth: u64) -> u64 {
            black_box(dive(black_box(depth + 1)) ^ depth)
        }
        dive(0)
    }

    fn panic_now(message: String) {
        panic!("{message}");
    }

    fn trap() {
        #[cfg(target_family = "wasm")]
        core::arch::wasm32::unreachable();
    }

    fn exit_now(code: u8) {
        std::process::exit(code.into());
    }

    fn return_bytes(count: u64) -> Vec<u8> {
        vec![7; count as usize]
    }

    fn return_text(count: u64) -> String {
        "x".repeat(count as usize)
    }

    fn sleep_for(seconds: u32) {
        std::thread::sleep(std::time::Duration::from_secs(seconds.into()));
    }

    fn log_much(bytes: u64) {
        let line = [b"no one needs to read this; ".repeat(36), b"\n".to_vec()].concat();
        let mut left = bytes as usize;
        while left > 0 {
            let part = &line[..left.min(line.len())];
            let _ = std::io::stdout().write_all(part);
            let _ = std::io::stderr().write_all(part);
            left -= part.len();
        }
    }

    fn guest_error(message: String) -> Result<u32, String> {
        Err(message)
    }

    fn surroundings() -> Vec<String> {
        std::env::vars().map(|(name, value)| format!("{name}={value}")).chain(std::env::args()).collect()
    }

    fn read_file(path: String) -> Result<String, String> {
        std::fs::read_to_string(path).map_err(|error| error.to_string())
    }

    fn write_file(path: String) -> Result<(), String> {
        std::fs::write(path, b"I was here").map_err(|error| error.to_string())
    }

    fn connect_to(address: String) -> Result<(), String> {
        std::net::TcpStream::connect(address).map(drop).map_err(|error| error.to_string())
    }

    fn add(a: u32, b: u32) -> u32 {
        a.wrapping_add(b)
    }

    fn count() -> u32 {
        static CALLS: AtomicU32 = AtomicU32::new(0);
        CALLS.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn host_call_storm() {
        loop {
            black_box(std::time::Instant::now());
        }
    }

    fn copy_memory(times: u32) -> u32 {
        let mut memory = vec![7_u8; 4096];
        for time in 0..times as usize {
            let length = black_box(1024 + time % 1024);
            memory.copy_within(..length, 2048);
            black_box(&mut memory);
        }
        u32::from(memory[4095])
    }

    fn open_sockets() -> Vec<String> {
        use std::net::{TcpListener, TcpStream, ToSocketAddrs as _, UdpSocket};
        let said = |what: &str, outcome: std::io::Result<()>| format!("{what}: {outcome:?}");
        vec![
            said("listen", TcpListener::bind("127.0.0.1:0").map(drop)),
            said("connect", TcpStream::connect("127.0.0.1:9").map(drop)),
            said("connect-v6", TcpStream::connect("[::1]:9").map(drop)),
            said("datagram", UdpSocket::bind("127.0.0.1:0").map(drop)),
            said("name", "localhost:80".to_socket_addrs().map(drop)),
        ]
    }

    fn open_store(identifier: String) -> Result<(), String> {
        store::open(&identifier).map(drop).map_err(told)
    }

    fn put(key: String, value: String) -> Result<(), String> {
        own_store()?.set(&key, value.as_bytes()).map_err(told)
    }

    fn fetch(key: String) -> Result<Option<String>, String> {
        let value = own_store()?.get(&key).map_err(told)?;
        Ok(value.map(|value| String::from_utf8_lossy(&value).into_owned()))
    }

    fn delete_key(key: String) -> Result<(), String> {
        own_store()?.delete(&key).map_err(told)
    }

    fn keys() -> Result<Vec<String>, String> {
        own_store()?.list_keys(None).map(|page| page.keys).map_err(told)
    }

    fn hold(id: String) -> Result<(), String> {
        let bucket = own_store()?;
        bucket.set(&format!("in-{id}"), b"").map_err(told)?;
        while !bucket.exists("go").map_err(told)? {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        Ok(())
    }
}

fn own_store() -> Result<store::Bucket, String> {
    store::open("").map_err(told)
}

fn told(error: store::Error) -> String {
    format!("{error:?}")
}

#[cfg(target_family = "wasm")]
export!(Hostile);
