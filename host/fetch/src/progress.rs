//! What the person sees on stderr: numbered steps, each with a bar or a spinner; plain lines when stderr is not a terminal.
//!
//! Invariant: a step that is not finished never says so; dropping one (an error on its way up) leaves its last line standing.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

/// The steps of one command, counted.
#[derive(Debug)]
pub struct Steps {
    total: usize,
    current: usize,
}

/// One step in progress.
#[derive(Debug)]
pub struct Step {
    label: String,
    begun: Instant,
    bar: Option<ProgressBar>,
    /// Next tenth to be announced when there is no bar.
    tenth: u64,
}

impl Steps {
    /// A command of `total` steps.
    pub fn new(total: usize) -> Steps {
        Steps { total, current: 0 }
    }

    /// Announces the next step.
    pub fn begin(&mut self, title: &str) -> Step {
        self.current += 1;
        let label = format!("[{}/{}] {title}", self.current, self.total);
        let terminal = std::io::stderr().is_terminal();
        let bar = terminal.then(|| {
            let bar = ProgressBar::new_spinner().with_message(label.clone());
            bar.set_style(style("{spinner} {msg}"));
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Step { label, begun: Instant::now(), bar, tenth: 1 }
    }
}

impl Step {
    /// Says what is being done now.
    pub fn say(&mut self, what: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(format!("{}: {what}", self.label)),
            None => eprintln!("{}: {what}", self.label),
        }
    }

    /// A line that stays, above the bar.
    pub fn note(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(format!("      {line}")),
            None => eprintln!("      {line}"),
        }
    }

    /// Begins a measure of `total` bytes.
    pub fn bytes(&mut self, what: &str, total: u64) {
        self.measure(what, total, "{binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}");
        if self.bar.is_none() {
            eprintln!("{}: {what}, {}", self.label, HumanBytes(total));
        }
    }

    /// Begins a measure of `total` units of work.
    pub fn units(&mut self, what: &str, total: u64) {
        self.measure(what, total, "{pos}/{len} {elapsed}");
    }

    fn measure(&mut self, what: &str, total: u64, counts: &str) {
        self.tenth = 1;
        if let Some(bar) = &self.bar {
            bar.set_style(style(&format!("{{spinner}} {{msg}}\n  {{prefix}} {{wide_bar}} {counts}")));
            bar.set_length(total);
            bar.set_position(0);
            bar.reset_eta();
            bar.set_message(self.label.clone());
            bar.set_prefix(what.to_string());
        }
    }

    /// Where the measure stands, out of the `total` it began with.
    pub fn at(&mut self, position: u64, total: u64) {
        match &self.bar {
            Some(bar) => bar.set_position(position.min(total)),
            None if total > 0 && position < total && position * 10 / total >= self.tenth => {
                self.tenth = position * 10 / total + 1;
                eprintln!("      {} % of {}", position * 100 / total, HumanBytes(total));
            }
            None => {}
        }
    }

    /// Takes the bar away while another program writes to the terminal.
    pub fn hand_over(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
            eprintln!("{}", self.label);
        }
    }

    /// The step is finished; `what` says what is there now.
    pub fn done(self, what: &str) {
        let took = self.begun.elapsed();
        let took =
            if took < Duration::from_secs(1) { String::new() } else { format!(" ({})", seconds(took)) };
        let line = format!("{}: {what}{took}", self.label);
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        eprintln!("{line}");
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar
            && !bar.is_finished()
        {
            bar.abandon();
        }
    }
}

/// A duration as people say it: `0.4 s`, `72 s`, `5 min 12 s`.
pub fn seconds(duration: Duration) -> String {
    let whole = duration.as_secs();
    match whole {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..120 => format!("{whole} s"),
        _ => format!("{} min {} s", whole / 60, whole % 60),
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are the literals above; a bar in the default style is the worst that a mistake in one can do.
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸ ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_shortly() {
        assert_eq!(seconds(Duration::from_millis(420)), "0.4 s");
        assert_eq!(seconds(Duration::from_secs(72)), "72 s");
        assert_eq!(seconds(Duration::from_secs(312)), "5 min 12 s");
    }
}
