//! Imports the .ics file on standard input into an empty calendar and prints the export, for
//! tests/scripts/calendar_ics_agreement.py.
//!
//! Invariant: an import that fails prints its reason and ends with status 1.

use std::collections::BTreeMap;
use std::io::Read;
use std::process::ExitCode;

use pawl_plugin_calendar::keep::Store;
use pawl_plugin_calendar::{Error, exchange};

#[derive(Default)]
struct Memory(BTreeMap<String, Vec<u8>>);

impl Store for Memory {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.0.get(key).cloned())
    }

    fn set(&mut self, key: &str, value: &[u8]) -> Result<(), Error> {
        self.0.insert(key.to_owned(), value.to_vec());
        Ok(())
    }

    fn delete(&mut self, key: &str) -> Result<(), Error> {
        self.0.remove(key);
        Ok(())
    }

    fn keys(&self) -> Result<Vec<String>, Error> {
        Ok(self.0.keys().cloned().collect())
    }
}

fn main() -> ExitCode {
    let (mut text, mut store) = (String::new(), Memory::default());
    if std::io::stdin().read_to_string(&mut text).is_err() {
        eprintln!("standard input is no UTF-8");
        return ExitCode::FAILURE;
    }
    match exchange::import(&mut store, &text).and_then(|_| exchange::export(&store)) {
        Ok(out) => print!("{out}"),
        Err(error) => {
            eprintln!("{error:?}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
