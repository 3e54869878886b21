//! The shop as a program: a function's name on one line and its arguments as JSON on the next give one line of JSON.

use std::io::{BufRead, BufWriter, Write, stdin, stdout};

use anyhow::{Result, bail};
use serde_json::{from_str, to_string};

fn main() -> Result<()> {
    let (mut input, mut output) = (stdin().lock(), BufWriter::new(stdout().lock()));
    let (mut function, mut arguments) = (String::new(), String::new());
    loop {
        function.clear();
        arguments.clear();
        if input.read_line(&mut function)? == 0 || input.read_line(&mut arguments)? == 0 {
            return Ok(());
        }
        let result = match function.trim_end() {
            "quote" => to_string(&shop::quote(from_str::<shop::QuoteArguments>(&arguments)?.order)),
            "quotes" => to_string(&shop::quotes(from_str::<shop::QuotesArguments>(&arguments)?.orders)),
            "shout" => to_string(&shop::shout(from_str::<shop::ShoutArguments>(&arguments)?.text)),
            other => bail!("there is no function {other}"),
        }?;
        output.write_all(result.as_bytes())?;
        output.write_all(b"\n")?;
        output.flush()?;
    }
}
