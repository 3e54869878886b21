//! Timing: contenders take turns, a round is a turn of each; what is kept of a turn is its median.

use anyhow::{Context, Result, ensure};
use contest::workload::{self, Work};
use contest::{Contender, micros};
use serde_json::Value;

use crate::contender::{self, Files, Kind};

/// One figure per round, of one contender.
#[derive(Clone, Default)]
pub(crate) struct Series(pub(crate) Vec<f64>);

impl Series {
    /// The value below which this share of the rounds lies.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().saturating_sub(1);
        sorted.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// Round by round, this over the other.
    pub(crate) fn over(&self, other: &Series) -> Series {
        Series(self.0.iter().zip(&other.0).map(|(one, other)| one / other).collect())
    }
}

/// Those who take part, in the order of `kinds`.
pub(crate) fn load(kinds: &[Kind], files: &Files) -> Result<Vec<Box<dyn Contender>>> {
    kinds.iter().map(|kind| contender::load(kind.key, files, None).with_context(|| kind.key)).collect()
}

/// Fails where two contenders do not give the same JSON for the same arguments.
pub(crate) fn agree(kinds: &[Kind], contenders: &mut [Box<dyn Contender>], work: &Work) -> Result<()> {
    let mut expected: Option<Value> = None;
    for (kind, contender) in kinds.iter().zip(contenders) {
        let text = contender.call(work.function, &work.arguments).with_context(|| kind.key)?;
        let value = serde_json::from_str(&text).with_context(|| kind.key)?;
        let expected = expected.get_or_insert_with(|| Value::clone(&value));
        ensure!(*expected == value, "{} gives another result of {}", kind.key, work.function);
    }
    Ok(())
}

/// Microseconds per warm call: the median of each turn.
pub(crate) fn warm(
    kinds: &[Kind],
    contenders: &mut [Box<dyn Contender>],
    work: &Work,
    rounds: usize,
) -> Result<Vec<Series>> {
    turns(kinds, contenders, rounds, |kind, contender| {
        let calls = (work.calls / kind.slow).max(5);
        let times = contender.times(work.function, &work.arguments, calls)?;
        Ok(Series(times.iter().map(micros).collect()).median())
    })
}

/// Milliseconds for `calls` calls at once.
pub(crate) fn storm(
    kinds: &[Kind],
    contenders: &mut [Box<dyn Contender>],
    work: &Work,
    calls: usize,
    rounds: usize,
) -> Result<Vec<Series>> {
    turns(kinds, contenders, rounds, |_, contender| {
        Ok(micros(&contender.storm(work.function, &work.arguments, calls)?) / 1000.0)
    })
}

/// One figure from each in turn, after a round that is not counted.
fn turns(
    kinds: &[Kind],
    contenders: &mut [Box<dyn Contender>],
    rounds: usize,
    mut turn: impl FnMut(&Kind, &mut dyn Contender) -> Result<f64>,
) -> Result<Vec<Series>> {
    let mut series = vec![Series::default(); kinds.len()];
    for round in 0..=rounds {
        for ((kind, contender), series) in kinds.iter().zip(contenders.iter_mut()).zip(&mut series) {
            let figure = turn(kind, contender.as_mut()).with_context(|| kind.key)?;
            if round > 0 {
                series.0.push(figure);
            }
        }
    }
    Ok(series)
}

/// Nothing but calls, for a profiler.
pub(crate) fn spin(key: &str, function: &str, count: &str, files: &Files) -> Result<()> {
    let work = [workload::small(), workload::list(), workload::text()];
    let work = work.into_iter().find(|work| work.function == function).context("no such function")?;
    let mut contender = contender::load(key, files, None)?;
    contender.times(work.function, &work.arguments, 100)?;
    let times = contender.times(work.function, &work.arguments, count.parse()?)?;
    let series = Series(times.iter().map(micros).collect());
    println!(
        "{key} {function}: {:.1} us median, {:.1} p10, {:.1} p90",
        series.median(),
        series.quantile(0.1),
        series.quantile(0.9)
    );
    Ok(())
}
