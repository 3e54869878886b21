//! The plugin `my-plugin`. What it exports is in `wit/world.wit`; this file says how it is done.

wit_bindgen::generate!({ path: "wit", world: "plugin" });

use exports::local::my_plugin::tools::{Bill, Guest, Shares};

struct Plugin;

impl Guest for Plugin {
    fn split_bill(bill: Bill) -> Result<Shares, String> {
        let Bill { total, people, tip_percent } = bill;
        // An error is read by the model: name the value and what to give instead.
        if !(0.0..=1e9).contains(&total) {
            return Err(format!("total is {total}; give an amount of 0 to 1000000000"));
        }
        if !(1..=1000).contains(&people) {
            return Err(format!("people is {people}; give a number of 1 to 1000"));
        }
        if !(0.0..=100.0).contains(&tip_percent) {
            return Err(format!("tip-percent is {tip_percent}; give 0 to 100"));
        }
        // In cents, so that no fraction of one is lost.
        let bill = (total * 100.0).round() as u64;
        let tip = (total * tip_percent).round() as u64;
        let each = (bill + tip).div_ceil(u64::from(people));
        let money = |cents: u64| cents as f64 / 100.0;
        Ok(Shares { tip: money(tip), total: money(bill + tip), each: money(each) })
    }
}

export!(Plugin);
