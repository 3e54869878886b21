//! Which chart fits the figures, and its Vega-Lite specification (schema v6).
//!
//! Lines go over time, bars over names; stacked bars only show parts that add up. Invariant: the specification and the
//! drawing ([`crate::svg`]) are made of the same [`Plot`], whose figures are the table's.

use serde_json::{Value, json};

use crate::figures::Table;
use crate::{Calculation, ChartKind, Error, Picture, answer, period, svg};

/// Series that can be told apart by colour.
const MAX_SERIES: usize = 8;
/// Bars and steps that can be read.
const MAX_PLACES: usize = 120;

/// What is drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Plot {
    /// How.
    pub kind: ChartKind,
    /// Above it.
    pub title: String,
    /// What the figures are, with the unit.
    pub figures: String,
    /// Steps or names, in order.
    pub places: Vec<String>,
    /// Name, and a figure per place.
    pub series: Vec<(String, Vec<Option<f64>>)>,
}

impl Plot {
    /// Whether all figures are whole numbers, as counts are.
    #[must_use]
    pub fn whole(&self) -> bool {
        self.series.iter().all(|(_, figures)| figures.iter().flatten().all(|figure| figure.fract() == 0.0))
    }
}

/// Draws a table.
///
/// # Errors
/// Where a chart would say nothing or too much, with the mend.
pub fn picture(table: &Table, sentence: String) -> Result<Picture, Error> {
    let plot = plot(table)?;
    let spec = vega_lite(&plot);
    Ok(Picture {
        sentence,
        kind: plot.kind,
        title: plot.title.clone(),
        vega_lite: spec.to_string(),
        svg: svg::draw(&plot),
    })
}

fn plot(table: &Table) -> Result<Plot, Error> {
    let refuse = |why: &str| Err(Error::NotAnswerable(why.to_owned()));
    let Some(column) = table.columns.first() else { return refuse("there is no measure to draw") };
    let time = table.spec.grain.is_some();
    if !time && table.spec.by.is_empty() {
        return refuse("a single figure needs no chart: use `query`, or give `by`");
    }
    let calculated = matches!(
        table.calculation,
        Some(Calculation::ShareOfTotal | Calculation::Growth | Calculation::RunningTotal)
    );
    let format = if calculated { answer::calculated_format(table, column) } else { column.format.clone() };
    let factor = format.factor.unwrap_or(1.0);
    let several = table.columns.len() > 1;
    if several && (table.compared.is_some() || table.calculation.is_some()) {
        return refuse(
            "several measures with `compare` or `calculate` are too much for one chart: draw one measure",
        );
    }
    if let Some(other) = table.columns.iter().find(|other| other.format != column.format) {
        let why = format!(
            "`{}` and `{}` are measured differently: draw a chart of each, one after the other",
            column.name, other.name
        );
        return refuse(&why);
    }
    let first = |figures: &[Option<f64>]| figures.first().copied().flatten().map(|figure| figure * factor);
    let mut places: Vec<String> = Vec::new();
    let mut cells: Vec<(String, String, Option<f64>)> = Vec::new();
    for line in &table.lines {
        let Some((place, rest)) = line.keys.split_first() else { continue };
        if !places.contains(place) {
            places.push(place.clone());
        }
        let own = if rest.is_empty() { column.name.clone() } else { rest.join(", ") };
        if let Some(then) = &table.compared {
            let now = table.spec.period.as_ref().map_or("now", |period| period.label.as_str());
            let with =
                |label: &str| if rest.is_empty() { label.to_owned() } else { format!("{own}, {label}") };
            cells.push((place.clone(), with(now), first(&line.now)));
            cells.push((place.clone(), with(&then.label), first(&line.before)));
            continue;
        }
        if several {
            for (column, figure) in table.columns.iter().zip(&line.now) {
                let name =
                    if rest.is_empty() { column.name.clone() } else { format!("{own}, {}", column.name) };
                cells.push((place.clone(), name, figure.map(|figure| figure * factor)));
            }
            continue;
        }
        cells.push((
            place.clone(),
            own.clone(),
            first(if calculated { &line.calculated } else { &line.now }),
        ));
        if table.calculation == Some(Calculation::MovingAverage) {
            cells.push((place.clone(), format!("{own}, moving average"), first(&line.calculated)));
        }
    }
    let mut series: Vec<(String, Vec<Option<f64>>)> = Vec::new();
    for (place, name, figure) in cells {
        let index = series.iter().position(|(other, _)| *other == name).unwrap_or_else(|| {
            series.push((name, vec![None; places.len()]));
            series.len() - 1
        });
        let cell = places.iter().position(|other| *other == place).zip(series.get_mut(index));
        if let Some(cell) = cell.and_then(|(at, (_, figures))| figures.get_mut(at)) {
            *cell = figure;
        }
    }
    if series.iter().all(|(_, figures)| figures.iter().all(Option::is_none)) {
        return refuse("there are no figures to draw: try another period");
    }
    if series.len() > MAX_SERIES || places.len() > MAX_PLACES {
        let why = format!(
            "{} series over {} places cannot be read; at most {MAX_SERIES} over {MAX_PLACES}: give `top`, one dimension, or a wider step of time",
            series.len(),
            places.len()
        );
        return refuse(&why);
    }
    let adds_up =
        column.additive && !several && table.calculation.is_none_or(|c| c == Calculation::ShareOfTotal);
    let positive = series.iter().all(|(_, figures)| figures.iter().flatten().all(|figure| *figure >= 0.0));
    let parts = series.len() > 1 && table.compared.is_none() && adds_up && positive;
    let share = table.calculation == Some(Calculation::ShareOfTotal);
    let kind = match (time && places.len() > 1, parts) {
        (true, true) if share => ChartKind::StackedBar,
        (true, _) => ChartKind::Line,
        (false, true) => ChartKind::StackedBar,
        (false, false) => ChartKind::Bar,
    };
    let split: Vec<&str> = table.spec.by.iter().map(String::as_str).collect();
    let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    let mut title = names.join(" and ");
    match table.calculation {
        Some(Calculation::ShareOfTotal) => title.push_str(", share"),
        Some(Calculation::Growth) => title.push_str(", growth"),
        Some(Calculation::RunningTotal) => title.push_str(", running total"),
        Some(Calculation::MovingAverage) => title.push_str(", moving average"),
        None => {}
    }
    let unit = if format.unit.is_empty() { String::new() } else { format!(" ({})", format.unit) };
    let figures = format!("{title}{unit}");
    if let Some(grain) = table.spec.grain {
        title.push_str(&format!(" per {}", period::word(grain)));
    }
    if !split.is_empty() {
        title.push_str(&format!(" by {}", split.join(" and ")));
    }
    if let Some(period) = &table.spec.period {
        title.push_str(&format!(", {}", period.label));
    }
    if let Some(then) = &table.compared {
        title.push_str(&format!(" against {}", then.label));
    }
    Ok(Plot { kind, title, figures, places, series })
}

fn vega_lite(plot: &Plot) -> Value {
    let mut values = Vec::new();
    for (index, (name, figures)) in plot.series.iter().enumerate() {
        for (place, figure) in plot.places.iter().zip(figures) {
            values.push(json!({"place": place, "series": name, "figure": figure, "order": index}));
        }
    }
    let line = plot.kind == ChartKind::Line;
    let kind = if line { "ordinal" } else { "nominal" };
    let labels = json!({"labelLimit": 280, "labelOverlap": if line { json!(true) } else { json!(false) }});
    let place = json!({"field": "place", "type": kind, "sort": null, "title": null, "axis": labels});
    let mut figure = json!({"field": "figure", "type": "quantitative", "title": plot.figures});
    if plot.whole() {
        figure["axis"] = json!({"tickMinStep": 1});
    }
    if !line {
        figure["stack"] = if plot.kind == ChartKind::StackedBar { json!("zero") } else { Value::Null };
    }
    let mut encoding = if line { json!({"x": place, "y": figure}) } else { json!({"y": place, "x": figure}) };
    if plot.series.len() > 1 {
        let colours = json!({"range": svg::COLOURS});
        encoding["color"] =
            json!({"field": "series", "type": "nominal", "sort": null, "title": null, "scale": colours});
        match plot.kind {
            ChartKind::Bar => {
                encoding["yOffset"] = json!({"field": "series", "type": "nominal", "sort": null})
            }
            ChartKind::StackedBar => encoding["order"] = json!({"field": "order", "type": "quantitative"}),
            ChartKind::Line => {}
        }
    }
    let ink = svg::COLOURS.first().copied().unwrap_or_default();
    let mut mark =
        if line { json!({"type": "line", "point": plot.places.len() <= 60}) } else { json!({"type": "bar"}) };
    if plot.series.len() == 1 {
        mark["color"] = json!(ink);
    }
    json!({
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "title": plot.title,
        "width": 560,
        "data": {"values": values},
        "mark": mark,
        "encoding": encoding,
    })
}
