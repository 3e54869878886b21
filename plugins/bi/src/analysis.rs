//! Why a measure changed: what moved between two periods, by which dimensions, largest contributors first.
//!
//! Invariant: contributions are differences of figures that add up, so that within a dimension they sum to the whole
//! change; each mover names its two statements. Causes are not claimed: the data say what moved, people find out why.

use crate::answer::said;
use crate::figures::{percent, run, span};
use crate::layer::Layer;
use crate::period::{self, Period};
use crate::plan::{self, Spec};
use crate::{Comparison, Database, Error, Explanation, Mover, ground};

/// Movers of one dimension that are told.
const EACH: usize = 3;

/// Explains a change.
///
/// # Errors
/// For a measure that does not add up, with what to ask instead; as `query` otherwise.
pub fn explain(
    layer: &Layer,
    database: &impl Database,
    measure: &str,
    (from, to): (Option<&str>, Option<&str>),
    compare: Option<Comparison>,
) -> Result<Explanation, Error> {
    let measure = ground::measure(layer, measure)?;
    let mut spec = Spec { measures: vec![measure.clone()], ..Spec::default() };
    let Some((first, last)) = span(layer, database, &spec) else {
        return Err(Error::NotAnswerable(format!(
            "`{measure}` has no time, so that it cannot have changed; use a dated measure"
        )));
    };
    let now = match period::read(from, to, Some((first, last)))? {
        Some(period) => period,
        None => {
            Period::last_quarter(last).ok_or_else(|| Error::InvalidPeriod("give `from` and `to`".into()))?
        }
    };
    let then = now.compared(compare.unwrap_or(Comparison::SamePeriodLastYear))?;
    spec.period = Some(now.clone());
    let compiled = plan::compile(layer, &spec)?;
    if compiled.additive != [true] {
        let parts = layer.measures.get(&measure).and_then(|at| at.ratio.as_ref());
        let instead = parts.map_or_else(
            || "ask for a sum or a count".to_owned(),
            |ratio| format!("ask for its parts, `{}` and `{}`", ratio.of, ratio.to),
        );
        let why = format!("`{measure}` does not add up, so that its change has no parts; {instead}");
        return Err(Error::NotAnswerable(why));
    }
    let mut sql = Vec::new();
    let mut notes = vec!["these are the figures that moved together, not proven causes".to_owned()];
    if now.to > last {
        notes.push(format!("the data end on {last}: {} is not complete", now.label));
    }
    if then.from < first {
        notes.push(format!("the data begin on {first}: {} is not complete", then.label));
    }
    let mut pair = |spec: &Spec| both(layer, database, spec, &then, &mut sql);
    let (_, whole) = pair(&spec)?;
    let (total_now, total_before) = whole.first().map_or((0.0, 0.0), |(_, now, before)| (*now, *before));
    let change = total_now - total_before;
    let format = layer.measures.get(&measure).map(|at| layer.format(at)).unwrap_or_default();
    let mut movers = Vec::new();
    for dimension in plan::further(layer, &spec) {
        let split = Spec { by: vec![dimension.clone()], ..spec.clone() };
        if plan::compile(layer, &split)?.additive != [true] {
            continue;
        }
        let (query, mut values) = pair(&split)?;
        values.sort_by(|a, b| (b.1 - b.2).abs().total_cmp(&(a.1 - a.2).abs()).then_with(|| a.0.cmp(&b.0)));
        for (value, now, before) in values.into_iter().filter(|(_, now, before)| now != before).take(EACH) {
            let share_of_change =
                if change == 0.0 { None } else { Some(tenth(100.0 * (now - before) / change)) };
            movers.push(Mover {
                dimension: dimension.clone(),
                value,
                before: cents(before),
                now: cents(now),
                change: cents(now - before),
                share_of_change,
                query,
            });
        }
    }
    movers.sort_by(|a, b| b.change.abs().total_cmp(&a.change.abs()).then_with(|| a.value.cmp(&b.value)));
    let say = |figure: f64| said(Some(figure), &format);
    let percent = percent(change, total_before).map_or(String::new(), |p| format!(", {p:+.1} %"));
    let mut sentence = format!(
        "{measure} in {}: {}; in {}: {}. Change: {}{percent}.",
        now.words(),
        say(total_now),
        then.words(),
        say(total_before),
        say(change)
    );
    let told = |up: bool| -> Vec<String> {
        let moved = movers.iter().filter(|mover| (mover.change > 0.0) == up).take(3);
        moved
            .map(|m| format!("{} {} ({}{})", m.dimension, m.value, if up { "+" } else { "" }, say(m.change)))
            .collect()
    };
    for (up, words) in [(true, "Rose most"), (false, "Fell most")] {
        let told = told(up);
        if !told.is_empty() {
            sentence.push_str(&format!(" {words}: {}.", told.join(", ")));
        }
    }
    sentence.push_str(&related(layer, &spec, &measure, &mut pair)?);
    Ok(Explanation { sentence, movers, notes, sql })
}

type Pairs = Vec<(String, f64, f64)>;

/// The figures of both periods by value, and the place of the first of their two statements.
fn both(
    layer: &Layer,
    database: &impl Database,
    spec: &Spec,
    then: &Period,
    sql: &mut Vec<String>,
) -> Result<(u32, Pairs), Error> {
    let place = u32::try_from(sql.len()).unwrap_or(u32::MAX);
    let mut pairs: std::collections::BTreeMap<String, (f64, f64)> = std::collections::BTreeMap::new();
    for (which, period) in [spec.period.clone(), Some(then.clone())].into_iter().enumerate() {
        let compiled = plan::compile(layer, &Spec { period, ..spec.clone() })?;
        for (keys, figures) in run(database, &compiled.sql, spec.by.len())? {
            let pair = pairs.entry(keys.concat()).or_default();
            let figure = figures.first().copied().flatten().unwrap_or(0.0);
            if which == 0 { pair.0 = figure } else { pair.1 = figure }
        }
        sql.push(compiled.sql);
    }
    Ok((place, pairs.into_iter().map(|(value, (now, before))| (value, now, before)).collect()))
}

/// How the ratios of which this measure is a part moved, and their other parts: revenue is orders times their value.
fn related(
    layer: &Layer,
    spec: &Spec,
    measure: &str,
    pair: &mut impl FnMut(&Spec) -> Result<(u32, Pairs), Error>,
) -> Result<String, Error> {
    let mut text = String::new();
    for (name, at) in &layer.measures {
        let Some(ratio) = at.ratio.as_ref().filter(|ratio| ratio.of == measure) else { continue };
        for part in [&ratio.to, name] {
            let Ok((_, values)) = pair(&Spec { measures: vec![part.clone()], ..spec.clone() }) else {
                continue;
            };
            let Some((_, now, before)) = values.first() else { continue };
            let format = layer.measures.get(part).map(|at| layer.format(at)).unwrap_or_default();
            let change = percent(now - before, *before).map_or(String::new(), |p| format!(" ({p:+.1} %)"));
            let (before, now) = (said(Some(*before), &format), said(Some(*now), &format));
            text.push_str(&format!(" {part} went from {before} to {now}{change}."));
        }
    }
    Ok(text)
}

fn cents(figure: f64) -> f64 {
    (figure * 100.0).round() / 100.0
}

fn tenth(figure: f64) -> f64 {
    (figure * 10.0).round() / 10.0
}
