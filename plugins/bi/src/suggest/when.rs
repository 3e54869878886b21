//! Periods and comparisons in the words of a request, English and Chinese.
//!
//! Invariant: the first day is not after the last. A month or quarter without a year is the last one that has begun.

use jiff::civil::Date;

use pawl_request::{Span, Text, span};

use crate::Comparison;
use crate::period::Period;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct When {
    pub(super) from: Option<Date>,
    pub(super) to: Option<Date>,
    pub(super) compare: Option<Comparison>,
}

const LAST_YEAR: [&str; 9] = [
    "same period last year",
    "year over year",
    "year on year",
    "yoy",
    "the year before",
    "year earlier",
    "than last year",
    "同比",
    "a year ago",
];
const PREVIOUS: [&str; 8] = [
    "previous period",
    "the quarter before",
    "the month before",
    "previous quarter",
    "previous month",
    "quarter over quarter",
    "month over month",
    "环比",
];
/// "Did fees rise from May to June?" compares June with May.
const MOVED: [&str; 14] = [
    "rise", "rose", "risen", "fall", "fell", "fallen", "up", "down", "change", "changed", "grow", "grew",
    "drop", "dropped",
];
const AGAINST: [&str; 6] = ["versus", "vs", "against", "than", "compared", "with"];

/// Reads them and marks their words as understood.
pub(super) fn read(text: &mut Text, today: Date) -> When {
    let mut when = When::default();
    let compares = |words: &[&str], text: &mut Text| words.iter().filter(|word| text.take(word)).count() > 0;
    if compares(&LAST_YEAR, text) {
        when.compare = Some(Comparison::SamePeriodLastYear);
    } else if compares(&PREVIOUS, text) {
        when.compare = Some(Comparison::PreviousPeriod);
    }
    let mut spans: Vec<Span> = Vec::new();
    let mut at = 0;
    while at < text.len() && spans.len() < 2 {
        match span(text, at, today) {
            Some(span) => {
                at += span.len.max(1);
                text.mark(span.at, span.len);
                spans.push(span);
            }
            None => at += 1,
        }
    }
    match spans.as_slice() {
        [one] => {
            let before = text.before(one.at, 1);
            when.from = Some(one.from).filter(|_| !["until", "till", "through"].contains(&before));
            when.to = Some(one.to).filter(|_| before != "since");
            for word in ["since", "until", "till", "through"] {
                text.take(word);
            }
        }
        [one, other] => {
            let mut between = one.at + one.len..other.at;
            let moved = text.words().any(|word| MOVED.contains(&word)) && text.before(one.at, 1) == "from";
            if moved || between.any(|place| AGAINST.contains(&text.at(place))) {
                let (now, then) = if one.from > other.from { (one, other) } else { (other, one) };
                let (now, then) = (Period::between(now.from, now.to), Period::between(then.from, then.to));
                let is = |comparison| now.compared(comparison).is_ok_and(|past| past == then);
                let all = [Comparison::SamePeriodLastYear, Comparison::PreviousPeriod];
                when.compare = all.into_iter().find(|comparison| is(*comparison)).or(when.compare);
                (when.from, when.to) = (Some(now.from), Some(now.to));
                for word in AGAINST {
                    text.take(word);
                }
            } else {
                (when.from, when.to) = (Some(one.from.min(other.from)), Some(one.to.max(other.to)));
                text.take("between");
                text.take("until");
            }
        }
        _ => {}
    }
    when
}
