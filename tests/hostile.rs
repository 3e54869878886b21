//! Hostile guests: each is contained, the error names the limit, memory stays within its bound, and the host answers
//! other calls meanwhile.
//!
//! One file per way in: [`running`] (what a guest does when it is called), [`loading`] (what a file does when it is
//! loaded), [`reaching`] (what it tries to get at), [`crowd`] (many calls at once), [`limits`] (one line per limit,
//! and no limit without one).

#[path = "hostile/crowd.rs"]
mod crowd;
#[path = "hostile/limits.rs"]
mod limits;
#[path = "hostile/loading.rs"]
mod loading;
#[path = "hostile/reaching.rs"]
mod reaching;
#[path = "hostile/running.rs"]
mod running;

use pawl_plugin::Grant;

/// The capabilities that the built guest may ask for here.
const ASKS: &str = "[capabilities]\nclocks = true\nkeyvalue = true\n";

fn grant() -> Grant {
    Grant { clocks: true, keyvalue: true, ..Grant::default() }
}

/// The built guest of `tests/guests/hostile` under a name and further text of its manifest.
fn guest(home: &pawl_tests::hostile::Home, name: &str, more: &str) -> anyhow::Result<pawl_plugin::Plugin> {
    let file = pawl_tests::plugins::guest("hostile");
    anyhow::ensure!(file.is_file(), "{} is missing; `cargo xtask test` builds it", file.display());
    home.load_file(&file, name, &format!("{ASKS}{more}"), grant())
}
