//! A function in the same program: what the work and its JSON cost where nothing protects anybody.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use contest::Contender;
use serde_json::{from_str, to_string};
use tokio::runtime::Runtime;

use super::on_task;

pub(crate) struct Native;

fn call(function: &str, arguments: &str) -> Result<String> {
    Ok(match function {
        "quote" => to_string(&shop::quote(from_str::<shop::QuoteArguments>(arguments)?.order)),
        "quotes" => to_string(&shop::quotes(from_str::<shop::QuotesArguments>(arguments)?.orders)),
        "shout" => to_string(&shop::shout(from_str::<shop::ShoutArguments>(arguments)?.text)),
        other => bail!("there is no function {other}"),
    }?)
}

impl Contender for Native {
    fn call(&mut self, function: &str, arguments: &str) -> Result<String> {
        call(function, arguments)
    }

    fn twin(&self) -> Result<Box<dyn Contender>> {
        Ok(Box::new(Native))
    }
}

/// The same from a task, on a blocking thread: what the way there and back costs.
#[derive(Clone)]
pub(crate) struct Task(pub(crate) Arc<Runtime>);

impl Contender for Task {
    fn call(&mut self, function: &str, arguments: &str) -> Result<String> {
        let (function, arguments) = (function.to_owned(), arguments.to_owned());
        on_task(&self.0, 1, move || call(&function, &arguments))?.1.context("no call was made")
    }

    fn twin(&self) -> Result<Box<dyn Contender>> {
        Ok(Box::new(self.clone()))
    }

    fn times(&mut self, function: &str, arguments: &str, calls: usize) -> Result<Vec<Duration>> {
        let (function, arguments) = (function.to_owned(), arguments.to_owned());
        Ok(on_task(&self.0, calls, move || call(&function, &arguments))?.0)
    }
}
