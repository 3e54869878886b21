//! The axis of a picture's figures: its ends, its marks, how figures are written on it.
//!
//! Invariant: 0 lies on every axis, so that lengths can be compared; marks are 1, 2 or 5 times a power of ten apart.

use crate::ChartKind;
use crate::chart::Plot;
use crate::layer::Format;

/// An axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    low: f64,
    high: f64,
    step: f64,
}

impl Axis {
    /// The axis that holds all figures of a plot.
    #[must_use]
    pub fn of(plot: &Plot) -> Axis {
        let mut ends = (0.0_f64, 0.0_f64);
        for place in 0..plot.places.len() {
            let figures = plot.series.iter().filter_map(|(_, figures)| figures.get(place).copied().flatten());
            if plot.kind == ChartKind::StackedBar {
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
        let step = if plot.whole() { step.max(1.0) } else { step };
        let high = if ends.1 > ends.0 { ends.1 } else { ends.0 + span };
        Axis { low: (ends.0 / step).floor() * step, high: (high / step).ceil() * step, step }
    }

    /// Where a figure lies, from 0 to 1.
    #[must_use]
    pub fn place(&self, figure: f64) -> f64 {
        (figure - self.low) / (self.high - self.low)
    }

    /// The figures with a mark.
    pub fn marks(&self) -> impl Iterator<Item = f64> {
        let first = (self.low / self.step).round();
        let last = (self.high / self.step).round();
        let step = self.step;
        // whole multiples, so that 0 is 0; the ends are at most some 10 steps apart
        (first as i64..=last as i64).map(move |index| index as f64 * step)
    }

    /// A mark: `0`, `0.5`, `20k`, `1.5M`.
    #[must_use]
    pub fn written(&self, figure: f64) -> String {
        let (unit, letter) = match self.high.max(-self.low) {
            widest if widest >= 1e6 => (1e6, "M"),
            widest if widest >= 1e4 => (1e3, "k"),
            _ => (1.0, ""),
        };
        let decimals = (-(self.step / unit).log10() - 1e-9).ceil().clamp(0.0, 12.0) as usize;
        if figure == 0.0 {
            return "0".into();
        }
        let format = Format { decimals: decimals as i64, ..Format::default() };
        crate::answer::said(Some(figure / unit), &format) + letter
    }
}

/// A figure beside its bar, with as many digits as tell it from the others.
#[must_use]
pub fn figure(figure: f64, plot: &Plot) -> String {
    let all = plot.series.iter().flat_map(|(_, figures)| figures.iter().flatten());
    let widest = all.fold(0.0_f64, |widest, figure| widest.max(figure.abs()));
    let decimals = match widest {
        _ if plot.whole() => 0,
        1000.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => (2.0 - widest.max(1e-12).log10()).ceil().clamp(0.0, 12.0) as i64,
    };
    let format = Format { decimals: decimals.min(9), ..Format::default() };
    crate::answer::said(Some(figure), &format)
}
