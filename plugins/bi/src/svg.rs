//! A [`Plot`] as an SVG picture: no script, no font, no reference to anything outside.
//!
//! Invariant: text is escaped and stays inside; axes begin at 0 or below; what has no figure is a gap, not a 0.

use std::fmt::Write as _;

use crate::ChartKind;
use crate::axis::{self, Axis};
use crate::chart::Plot;

const WIDTH: f64 = 760.0;
/// Height of a bar.
const BAR: f64 = 18.0;
/// Between the bars of one place and those of the next.
const GAP: f64 = 8.0;
/// Bars that have room for their figures.
const MAX_FIGURES: usize = 60;
/// Points that a line has room for.
const MAX_POINTS: usize = 60;
const LEGEND_COLUMNS: usize = 4;
/// Okabe and Ito's colours, which colour-blind people tell apart, the yellow darker.
pub const COLOURS: [&str; 8] =
    ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#7f6f00", "#555555"];

/// Draws it.
#[must_use]
pub fn draw(plot: &Plot) -> String {
    let legend_rows =
        if plot.series.len() > 1 { plot.series.len().div_ceil(LEGEND_COLUMNS) as f64 } else { 0.0 };
    let top = 44.0 + legend_rows * 18.0;
    let rows = if plot.kind == ChartKind::Bar { plot.series.len() } else { 1 };
    let line = plot.kind == ChartKind::Line;
    let height = if line { 300.0 } else { plot.places.len() as f64 * (rows as f64 * BAR + GAP) };
    let below = if line && plot.places.iter().any(|place| place.contains(" (")) { 64.0 } else { 50.0 };
    let whole = top + height + below;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {whole}\" width=\"{WIDTH}\" height=\"{whole}\" font-family=\"sans-serif\" font-size=\"12\" role=\"img\">\n<title>{}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
        escaped(&plot.title)
    );
    text(&mut out, (16.0, 24.0), "start", 15, &fitted(&plot.title, (WIDTH - 32.0) * 11.0 / 15.0));
    legend(&mut out, plot);
    let axis = Axis::of(plot);
    let area = (top, height);
    if line {
        lines(&mut out, plot, area, &axis)
    } else {
        bars(&mut out, plot, area, &axis)
    }
    text(&mut out, (WIDTH - 20.0, whole - 8.0), "end", 11, &plot.figures);
    out.push_str("</svg>\n");
    out
}

fn colour(place: usize) -> &'static str {
    COLOURS.get(place % COLOURS.len()).copied().unwrap_or("#000")
}

fn escaped(words: &str) -> String {
    let words: String = words.chars().filter(|c| !c.is_control()).collect();
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn text(out: &mut String, (x, y): (f64, f64), anchor: &str, size: u8, words: &str) {
    let _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"{size}\" fill=\"#222\">{}</text>",
        escaped(words)
    );
}

/// About how wide a text is at size 11: wide for the scripts of East Asia, and for capitals.
fn width(words: &str) -> f64 {
    let one = |c: char| match c {
        '\u{2e80}'.. => 11.5,
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | '(' | ')' | ' ' => 4.0,
        'm' | 'w' | 'A'..='Z' | '&' | '<' | '>' | '%' => 8.6,
        _ => 6.9,
    };
    words.chars().map(one).sum()
}

/// The text, or as much of it as fits a width, with an ellipsis.
fn fitted(words: &str, most: f64) -> String {
    if width(words) <= most {
        return words.to_owned();
    }
    let mut short = String::new();
    for c in words.chars() {
        if width(&short) + 14.0 + width(c.encode_utf8(&mut [0; 4])) > most {
            break;
        }
        short.push(c);
    }
    short.trim_end().to_owned() + "…"
}

/// One line or two, broken between words where that is possible.
fn broken(words: &str, most: f64) -> Vec<String> {
    if width(words) <= most {
        return vec![words.to_owned()];
    }
    let fits = |at: &usize| words.get(..*at).is_some_and(|first| width(first) <= most);
    let space = words.match_indices(' ').map(|(at, _)| at).take_while(fits).last();
    match space.and_then(|at| words.split_at_checked(at)) {
        Some((first, rest)) => vec![first.to_owned(), fitted(rest.trim_start(), most)],
        None => vec![fitted(words, most)],
    }
}

fn legend(out: &mut String, plot: &Plot) {
    if plot.series.len() < 2 {
        return;
    }
    let column = (WIDTH - 32.0) / plot.series.len().min(LEGEND_COLUMNS) as f64;
    for (index, (name, _)) in plot.series.iter().enumerate() {
        let x = 16.0 + (index % LEGEND_COLUMNS) as f64 * column;
        let y = 36.0 + (index / LEGEND_COLUMNS) as f64 * 18.0;
        let _ = writeln!(
            out,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"10\" height=\"10\" fill=\"{}\"/>",
            colour(index)
        );
        text(out, (x + 15.0, y + 9.0), "start", 11, &fitted(name, column - 24.0));
    }
}

/// A line of the grid; that of 0 is dark.
fn grid(out: &mut String, path: &str, figure: f64) {
    let stroke = if figure == 0.0 { "#666" } else { "#ddd" };
    let _ = writeln!(out, "<path d=\"{path}\" stroke=\"{stroke}\"/>");
}

fn lines(out: &mut String, plot: &Plot, (top, height): (f64, f64), axis: &Axis) {
    let (left, right) = (72.0, WIDTH - 24.0);
    let y = |figure: f64| top + height - axis.place(figure) * height;
    let x = |place: usize| left + (right - left) * (place as f64 + 0.5) / plot.places.len() as f64;
    for figure in axis.marks() {
        grid(out, &format!("M{left:.1} {0:.1}H{right:.1}", y(figure)), figure);
        text(out, (left - 6.0, y(figure) + 4.0), "end", 11, &axis.written(figure));
    }
    let halves = |name: &str| match name.split_once(" (") {
        Some((first, rest)) => (first.to_owned(), format!("({rest}")),
        None => (name.to_owned(), String::new()),
    };
    let widest = plot.places.iter().map(|name| width(&halves(name).0).max(width(&halves(name).1)));
    let room = (right - left) / (widest.fold(0.0, f64::max) + 10.0);
    let every = (plot.places.len() as f64 / room.max(1.0)).ceil().max(1.0) as usize;
    for (place, name) in plot.places.iter().enumerate().step_by(every) {
        let (first, rest) = halves(name);
        text(out, (x(place), top + height + 18.0), "middle", 11, &first);
        if !rest.is_empty() {
            text(out, (x(place), top + height + 31.0), "middle", 10, &rest);
        }
    }
    for (index, (_, figures)) in plot.series.iter().enumerate() {
        let (mut path, mut before, ink) = (String::new(), false, colour(index));
        for (place, figure) in figures.iter().enumerate() {
            if let Some(figure) = figure {
                let (x, y) = (x(place), y(*figure));
                let _ = write!(path, "{}{x:.1} {y:.1}", if before { 'L' } else { 'M' });
                let alone = !before && figures.get(place + 1).copied().flatten().is_none();
                if plot.places.len() <= MAX_POINTS || alone {
                    let _ = writeln!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{ink}\"/>");
                }
            }
            before = figure.is_some();
        }
        let _ = writeln!(out, "<path d=\"{path}\" fill=\"none\" stroke=\"{ink}\" stroke-width=\"2\"/>");
    }
}

fn bars(out: &mut String, plot: &Plot, (top, height): (f64, f64), axis: &Axis) {
    let stacked = plot.kind == ChartKind::StackedBar;
    let told = !stacked && plot.places.len() * plot.series.len() <= MAX_FIGURES;
    let names: Vec<Vec<String>> = plot.places.iter().map(|name| broken(name, 210.0)).collect();
    let widest = names.iter().flatten().map(|line| width(line)).fold(40.0, f64::max);
    let (left, right) = (24.0 + widest, WIDTH - if told { 84.0 } else { 24.0 });
    let x = |figure: f64| left + axis.place(figure) * (right - left);
    for figure in axis.marks() {
        grid(out, &format!("M{:.1} {top:.1}V{:.1}", x(figure), top + height), figure);
        text(out, (x(figure), top + height + 18.0), "middle", 11, &axis.written(figure));
    }
    let row = height / plot.places.len().max(1) as f64;
    let thick = if stacked { row - GAP } else { (row - GAP) / plot.series.len().max(1) as f64 };
    for (place, name) in names.iter().enumerate() {
        let begin = top + place as f64 * row + GAP / 2.0;
        let middle = begin + (row - GAP) / 2.0 + 4.0 - (name.len() as f64 - 1.0) * 6.0;
        for (index, line) in name.iter().enumerate() {
            text(out, (left - 8.0, middle + index as f64 * 12.0), "end", 11, line);
        }
        let mut from = 0.0;
        for (index, (_, figures)) in plot.series.iter().enumerate() {
            let Some(figure) = figures.get(place).copied().flatten() else { continue };
            let (a, b) = if stacked { (from, from + figure) } else { (0.0, figure) };
            from = b;
            let y = if stacked { begin } else { begin + index as f64 * thick };
            let (start, length) = (x(a.min(b)), (x(b) - x(a)).abs());
            let _ = writeln!(
                out,
                "<rect x=\"{start:.1}\" y=\"{y:.1}\" width=\"{length:.1}\" height=\"{thick:.1}\" fill=\"{}\"/>",
                colour(index)
            );
            if told {
                // beside the bar; that of a negative one stands where a positive one would be
                text(
                    out,
                    (x(figure.max(0.0)) + 5.0, y + thick / 2.0 + 4.0),
                    "start",
                    10,
                    &axis::figure(figure, plot),
                );
            }
        }
    }
}
