//! Periods and steps of time, by the calendar: ISO dates, weeks from Monday, quarters of three months from January.
//!
//! Invariant: a [`Period`] has its first day not after its last; every label is one that SQL made for the same day
//! ([`step_sql`] and [`label`] agree); a step of which a period holds only a part says so ([`Period::cut`]).

use jiff::ToSpan;
use jiff::civil::Date;

pub use pawl_request::{Grain, plus, start};

use crate::{Comparison, Error};

/// What steps of time are called in `by`.
pub const WORDS: [&str; 5] = ["day", "week", "month", "quarter", "year"];

/// Some days, both ends included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    /// First day.
    pub from: Date,
    /// Last day.
    pub to: Date,
    /// What the calendar calls them: `2026`, `2026-Q3`, `2026-03`, `2026-03-15`; otherwise from day to day.
    pub label: String,
    /// Whole calendar steps, and how many.
    steps: (Grain, i32),
}

/// Reads a period from its days; an end that is left out is that of the data.
///
/// # Errors
/// Where a day is none, or the ends are the wrong way round, with what to write.
pub fn read(
    from: Option<&str>,
    to: Option<&str>,
    data: Option<(Date, Date)>,
) -> Result<Option<Period>, Error> {
    let read = |text: &str| {
        let help =
            || Error::InvalidPeriod(format!("`{text}` is no day of the calendar; write it as 2026-03-15"));
        if text.len() == 10 { text.parse::<Date>().map_err(|_| help()) } else { Err(help()) }
    };
    let (from, to) = (from.map(read).transpose()?, to.map(read).transpose()?);
    let (from, to) = match (from, to, data) {
        (None, None, _) => return Ok(None),
        (Some(from), Some(to), _) => (from, to),
        (Some(from), None, data) => (from, data.map_or(from, |(_, last)| last.max(from))),
        (None, Some(to), data) => (data.map_or(to, |(first, _)| first.min(to)), to),
    };
    if from > to {
        return Err(Error::InvalidPeriod(format!(
            "from {from} to {to} is no period; give the earlier day as `from`"
        )));
    }
    Ok(Some(Period::between(from, to)))
}

/// What a step is called.
#[must_use]
pub fn word(grain: Grain) -> &'static str {
    let [day, week, month, quarter, year] = WORDS;
    match grain {
        Grain::Day => day,
        Grain::Week => week,
        Grain::Month => month,
        Grain::Quarter => quarter,
        Grain::Year => year,
    }
}

/// The step that is so called.
#[must_use]
pub fn grain(name: &str) -> Option<Grain> {
    let all = [Grain::Day, Grain::Week, Grain::Month, Grain::Quarter, Grain::Year];
    all.into_iter().find(|grain| word(*grain).eq_ignore_ascii_case(name.trim()))
}

/// What the step that begins on a day is called.
#[must_use]
pub fn label(start: Date, grain: Grain) -> String {
    match grain {
        Grain::Day | Grain::Week => start.to_string(),
        Grain::Month => format!("{:04}-{:02}", start.year(), start.month()),
        Grain::Quarter => format!("{:04}-Q{}", start.year(), (start.month() + 2) / 3),
        Grain::Year => format!("{:04}", start.year()),
    }
}

/// The label of the step that a column's day is in, in SQLite.
#[must_use]
pub fn step_sql(column: &str, grain: Grain) -> String {
    match grain {
        Grain::Day => format!("substr({column}, 1, 10)"),
        Grain::Week => format!("date({column}, 'weekday 0', '-6 days')"),
        Grain::Month => format!("substr({column}, 1, 7)"),
        Grain::Quarter => {
            format!("substr({column}, 1, 4) || '-Q' || ((CAST(substr({column}, 6, 2) AS INTEGER) + 2) / 3)")
        }
        Grain::Year => format!("substr({column}, 1, 4)"),
    }
}

/// The labels of all steps from one day to another; at most `most`, none where there are more.
#[must_use]
pub fn labels(from: Date, to: Date, grain: Grain, most: usize) -> Option<Vec<String>> {
    let (mut at, mut all) = (start(from, grain)?, Vec::new());
    while at <= to {
        if all.len() == most {
            return None;
        }
        all.push(label(at, grain));
        at = plus(at, grain, 1)?;
    }
    Some(all)
}

impl Period {
    /// The days from one to another, in the widest calendar steps that they fill. The first is not after the second.
    #[must_use]
    pub fn between(from: Date, to: Date) -> Period {
        let whole = [Grain::Year, Grain::Quarter, Grain::Month, Grain::Week].into_iter().find_map(|grain| {
            let after = plus(to, Grain::Day, 1)?;
            let fits = start(from, grain)? == from && start(after, grain)? == after;
            let days = (after - from).get_days();
            let least = match grain {
                Grain::Year => 365,
                Grain::Quarter => 90,
                Grain::Month => 28,
                Grain::Week | Grain::Day => 7,
            };
            let about = (1..=days / least + 1).find(|count| plus(from, grain, *count) == Some(after));
            about.filter(|_| fits).map(|count| (grain, count))
        });
        let steps = whole.unwrap_or_else(|| (Grain::Day, (to - from).get_days() + 1));
        let label = match steps {
            (Grain::Year | Grain::Quarter | Grain::Month, 1) => label(from, steps.0),
            (Grain::Year | Grain::Quarter | Grain::Month, _) => {
                format!("{} to {}", label(from, steps.0), label(to, steps.0))
            }
            _ if from == to => from.to_string(),
            _ => format!("{from} to {to}"),
        };
        Period { from, to, label, steps }
    }

    /// The period to compare with.
    ///
    /// # Errors
    /// Where it lies beyond the calendar.
    pub fn compared(&self, comparison: Comparison) -> Result<Period, Error> {
        let (grain, count) = match comparison {
            Comparison::PreviousPeriod => self.steps,
            Comparison::SamePeriodLastYear => (Grain::Year, 1),
        };
        self.shifted(grain, count)
            .ok_or_else(|| Error::InvalidPeriod(format!("nothing can lie before {}", self.label)))
    }

    fn shifted(&self, grain: Grain, count: i32) -> Option<Period> {
        let from = plus(self.from, grain, -count)?;
        // the end follows from the day after, so that months of unequal length stay whole
        let to = plus(plus(self.to, Grain::Day, 1)?, grain, -count)?.checked_sub(1.day()).ok()?;
        Some(Period::between(from, to))
    }

    /// With its days, such as `2026-Q3 (2026-07-01 to 2026-09-30)`.
    #[must_use]
    pub fn words(&self) -> String {
        match self.steps.0 {
            Grain::Day | Grain::Week => self.label.clone(),
            _ => format!("{} ({} to {})", self.label, self.from, self.to),
        }
    }

    /// What the steps at the ends are called where the period holds only a part of them: the label that SQL gives, and
    /// one with the days that count, such as `2026-03-30 (2 of 7 days)`.
    #[must_use]
    pub fn cut(&self, grain: Grain) -> Vec<(String, String)> {
        let part = |day: Date| {
            let first = start(day, grain)?;
            let last = plus(first, grain, 1)?.checked_sub(1.day()).ok()?;
            let (from, to) = (first.max(self.from), last.min(self.to));
            if (from, to) == (first, last) {
                return None;
            }
            let name = if grain == Grain::Week { from.to_string() } else { label(first, grain) };
            let (days, all) = ((to - from).get_days() + 1, (last - first).get_days() + 1);
            Some((label(first, grain), format!("{name} ({days} of {all} days)")))
        };
        let mut cut: Vec<_> = [self.from, self.to].into_iter().filter_map(part).collect();
        cut.dedup();
        cut
    }

    /// The last whole quarter before a day.
    #[must_use]
    pub fn last_quarter(day: Date) -> Option<Period> {
        let this = start(day, Grain::Quarter)?;
        Some(Period::between(plus(this, Grain::Quarter, -1)?, this.checked_sub(1.day()).ok()?))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "these dates are there")]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn days(from: &str, to: &str) -> Period {
        read(Some(from), Some(to), None).unwrap().unwrap()
    }

    #[test]
    fn days_that_the_calendar_names_are_called_so() {
        for (from, to, label) in [
            ("2024-02-01", "2024-02-29", "2024-02"),
            ("2026-01-01", "2026-12-31", "2026"),
            ("2025-01-01", "2026-12-31", "2025 to 2026"),
            ("2026-10-01", "2026-12-31", "2026-Q4"),
            ("2026-01-01", "2026-06-30", "2026-Q1 to 2026-Q2"),
            ("2026-03-01", "2026-04-30", "2026-03 to 2026-04"),
            ("2026-03-15", "2026-03-15", "2026-03-15"),
            ("2026-11-16", "2026-11-22", "2026-11-16 to 2026-11-22"),
            ("2026-02-01", "2026-02-27", "2026-02-01 to 2026-02-27"),
        ] {
            assert_eq!(days(from, to).label, label);
        }
    }

    #[test]
    fn what_is_no_period_is_refused_and_an_open_end_is_that_of_the_data() {
        for bad in ["", "soon", "2026", "2026-13-01", "2026-02-30", "02-03-2026", "2026-W10-1", "99999-01-01"]
        {
            assert!(read(Some(bad), None, None).is_err(), "{bad}");
        }
        assert!(read(Some("2026-05-01"), Some("2026-04-30"), None).is_err());
        assert_eq!(read(None, None, None), Ok(None));
        let data = Some((date(2025, 1, 1), date(2026, 11, 22)));
        let since = read(Some("2026-03-01"), None, data).unwrap().unwrap();
        assert_eq!((since.from, since.to), (date(2026, 3, 1), date(2026, 11, 22)));
        let until = read(None, Some("2025-03-31"), data).unwrap().unwrap();
        assert_eq!(until.label, "2025-Q1");
    }

    #[test]
    fn steps_that_the_period_cuts_say_how_many_days_count() {
        let cut =
            |from, to, grain| days(from, to).cut(grain).into_iter().map(|(_, to)| to).collect::<Vec<_>>();
        // 1 March 2026 is a Sunday, 31 March a Tuesday
        assert_eq!(
            cut("2026-03-01", "2026-03-31", Grain::Week),
            ["2026-03-01 (1 of 7 days)", "2026-03-30 (2 of 7 days)"]
        );
        assert_eq!(cut("2026-03-02", "2026-03-15", Grain::Week), [""; 0]);
        assert_eq!(cut("2026-03-03", "2026-03-04", Grain::Week), ["2026-03-03 (2 of 7 days)"]);
        assert_eq!(cut("2026-01-01", "2026-04-14", Grain::Quarter), ["2026-Q2 (14 of 91 days)"]);
    }

    #[test]
    fn compared_periods_are_as_long_and_stay_whole() {
        use Comparison::{PreviousPeriod, SamePeriodLastYear};
        for ((from, to), comparison, past) in [
            (("2026-03-01", "2026-03-31"), PreviousPeriod, ("2026-02-01", "2026-02-28")),
            (("2024-02-01", "2024-02-29"), SamePeriodLastYear, ("2023-02-01", "2023-02-28")),
            (("2025-02-01", "2025-02-28"), SamePeriodLastYear, ("2024-02-01", "2024-02-29")),
            (("2026-01-01", "2026-03-31"), PreviousPeriod, ("2025-10-01", "2025-12-31")),
            (("2026-08-01", "2026-10-31"), PreviousPeriod, ("2026-05-01", "2026-07-31")),
            (("2026-01-01", "2026-06-30"), PreviousPeriod, ("2025-07-01", "2025-12-31")),
            (("2026-03-11", "2026-03-20"), PreviousPeriod, ("2026-03-01", "2026-03-10")),
        ] {
            let period = days(from, to).compared(comparison).unwrap();
            assert_eq!(
                (period.from.to_string().as_str(), period.to.to_string().as_str()),
                past,
                "{from}..{to}"
            );
        }
    }
}
