//! Answers JSON lines on standard input, for tests/scripts/calendar_agreement.py: `{"start": "19970902T090000",
//! "rule": "FREQ=DAILY", "most": 20}` gives the first times of the rule as a JSON list of strings, or `{"error": …}`.
//!
//! Invariant: one line out for each line in.

use std::io::BufRead;

use pawl_plugin_calendar::expand::{Expansion, PLENTY};
use pawl_plugin_calendar::rule::Rule;
use pawl_plugin_calendar::time::{Date, Time};
use pawl_plugin_calendar::zone::Zone;
use serde_json::{Value, json};

fn answer(line: &str) -> Result<Value, String> {
    let asked: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let text = |name: &str| asked[name].as_str().unwrap_or_default();
    let start = Time::parse_basic(text("start")).ok_or("no start")?;
    let most = asked["most"].as_u64().and_then(|most| usize::try_from(most).ok()).unwrap_or(20);
    let rule = Rule::parse(text("rule"))?;
    let times = Expansion::new(&rule, start, &Zone::Floating, Date::of(2100, 1, 1).at(0), PLENTY).take(most);
    Ok(times.map(|time| Value::from(time.basic())).collect())
}

fn main() {
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        println!("{}", answer(&line).unwrap_or_else(|error| json!({"error": error})));
    }
}
