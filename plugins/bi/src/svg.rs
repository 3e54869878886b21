//! A [`Plot`] as an SVG picture: no script, no font, no reference to anything outside.
//!
//! Invariant: text is escaped; axes of bars begin at 0; what has no figure is a gap, not a 0.

use std::fmt::Write as _;

use crate::ChartKind;
use crate::chart::Plot;

const WIDTH: f64 = 760.0;
const LEFT: f64 = 190.0;
const TOP: f64 = 70.0;
const ROW: f64 = 22.0;
/// Okabe and Ito's colours, which colour-blind people tell apart.
const COLOURS: [&str; 8] =
    ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#7f6f00", "#555555"];

/// Draws it.
#[must_use]
pub fn draw(plot: &Plot) -> String {
    let rows = if plot.kind == ChartKind::Bar { plot.series.len() } else { 1 };
    let line = plot.kind == ChartKind::Line;
    let height = if line { 300.0 } else { plot.places.len() as f64 * (rows as f64 * ROW * 0.8 + 8.0) };
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {0}\" width=\"{WIDTH}\" height=\"{0}\" font-family=\"sans-serif\" font-size=\"12\" role=\"img\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
        TOP + height + 50.0
    );
    text(&mut out, 16.0, 22.0, "start", 15, &plot.title);
    legend(&mut out, plot);
    let (low, high, step) = scale(plot);
    if line {
        lines(&mut out, plot, height, (low, high, step))
    } else {
        bars(&mut out, plot, height, (low, high, step))
    }
    text(&mut out, WIDTH - 20.0, TOP + height + 42.0, "end", 11, &plot.figures);
    out.push_str("</svg>\n");
    out
}

fn colour(place: usize) -> &'static str {
    COLOURS.get(place % COLOURS.len()).copied().unwrap_or("#000")
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, size: u8, words: &str) {
    let words: String = words.chars().filter(|c| !c.is_control()).collect();
    let words = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"{size}\" fill=\"#222\">{words}</text>"
    );
}

fn short(words: &str, most: usize) -> String {
    if words.chars().count() <= most {
        words.to_owned()
    } else {
        words.chars().take(most - 1).chain(['…']).collect()
    }
}

fn legend(out: &mut String, plot: &Plot) {
    if plot.series.len() < 2 {
        return;
    }
    let width = (WIDTH - 32.0) / plot.series.len().min(4) as f64;
    for (index, (name, _)) in plot.series.iter().enumerate() {
        let (x, y) = (16.0 + (index % 4) as f64 * width, 32.0 + (index / 4) as f64 * 16.0);
        let _ = writeln!(
            out,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"10\" height=\"10\" fill=\"{}\"/>",
            colour(index)
        );
        text(out, x + 15.0, y + 9.0, "start", 11, &short(name, (width / 7.0) as usize));
    }
}

/// First and last mark of the axis, and the distance between marks: 1, 2 or 5 times a power of ten.
fn scale(plot: &Plot) -> (f64, f64, f64) {
    let mut ends = (0.0_f64, 0.0_f64);
    let stacked = plot.kind == ChartKind::StackedBar;
    for place in 0..plot.places.len() {
        let figures = plot.series.iter().filter_map(|(_, figures)| figures.get(place).copied().flatten());
        if stacked {
            ends.1 = ends.1.max(figures.sum());
        } else {
            ends = figures.fold(ends, |(low, high), figure| (low.min(figure), high.max(figure)));
        }
    }
    let span = if ends.1 > ends.0 { ends.1 - ends.0 } else { 1.0 };
    let power = 10_f64.powf((span / 5.0).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|times| times * power)
        .find(|step| span / step <= 6.0)
        .unwrap_or(span);
    ((ends.0 / step).floor() * step, ((ends.1.max(ends.0 + span)) / step).ceil() * step, step)
}

fn mark(figure: f64, step: f64) -> String {
    let decimals = if step >= 1.0 { 0 } else { (-step.log10()).ceil() as usize };
    if step >= 1000.0 { format!("{:.0}k", figure / 1000.0) } else { format!("{figure:.decimals$}") }
}

fn lines(out: &mut String, plot: &Plot, height: f64, (low, high, step): (f64, f64, f64)) {
    let (left, right) = (64.0, WIDTH - 24.0);
    let y = |figure: f64| TOP + height - (figure - low) / (high - low) * height;
    let x = |place: usize| left + (right - left) * (place as f64 + 0.5) / plot.places.len() as f64;
    for index in 0..=((high - low) / step).round() as usize {
        let figure = low + index as f64 * step;
        let _ = writeln!(out, "<path d=\"M{left:.1} {0:.1}H{right:.1}\" stroke=\"#ddd\"/>", y(figure));
        text(out, left - 6.0, y(figure) + 4.0, "end", 11, &mark(figure, step));
    }
    let every = plot.places.len().div_ceil(9).max(1);
    for (place, name) in plot.places.iter().enumerate().step_by(every) {
        text(out, x(place), TOP + height + 18.0, "middle", 11, name);
    }
    for (index, (_, figures)) in plot.series.iter().enumerate() {
        let (mut path, mut gap) = (String::new(), true);
        for (place, figure) in figures.iter().enumerate() {
            if let Some(figure) = figure {
                let _ = write!(path, "{}{:.1} {:.1}", if gap { 'M' } else { 'L' }, x(place), y(*figure));
                let _ = writeln!(
                    out,
                    "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{}\"/>",
                    x(place),
                    y(*figure),
                    colour(index)
                );
            }
            gap = figure.is_none();
        }
        let _ = writeln!(
            out,
            "<path d=\"{path}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/>",
            colour(index)
        );
    }
}

fn bars(out: &mut String, plot: &Plot, height: f64, (low, high, step): (f64, f64, f64)) {
    let right = WIDTH - 24.0;
    let x = |figure: f64| LEFT + (figure - low) / (high - low) * (right - LEFT);
    for index in 0..=((high - low) / step).round() as usize {
        let figure = low + index as f64 * step;
        let _ = writeln!(out, "<path d=\"M{:.1} {TOP}V{:.1}\" stroke=\"#ddd\"/>", x(figure), TOP + height);
        text(out, x(figure), TOP + height + 18.0, "middle", 11, &mark(figure, step));
    }
    let row = height / plot.places.len().max(1) as f64;
    let stacked = plot.kind == ChartKind::StackedBar;
    let thick = if stacked { row - 8.0 } else { (row - 8.0) / plot.series.len().max(1) as f64 };
    for (place, name) in plot.places.iter().enumerate() {
        let top = TOP + place as f64 * row + 4.0;
        text(out, LEFT - 8.0, top + (row - 8.0) / 2.0 + 4.0, "end", 11, &short(name, 28));
        let mut from = 0.0;
        for (index, (_, figures)) in plot.series.iter().enumerate() {
            let Some(figure) = figures.get(place).copied().flatten() else { continue };
            let (a, b) = if stacked { (from, from + figure) } else { (0.0, figure) };
            from = b;
            let y = if stacked { top } else { top + index as f64 * thick };
            let (start, width) = (x(a.min(b)), (x(b) - x(a)).abs());
            let _ = writeln!(
                out,
                "<rect x=\"{start:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{thick:.1}\" fill=\"{}\"/>",
                colour(index)
            );
        }
    }
}
