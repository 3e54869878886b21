//! Times of day in English, and what an hour without am or pm means. `HH:MM` is read here for every language.

use std::sync::LazyLock;

use jiff::civil::Time;
use regex::{Captures, Regex};

use super::atom::{Atom, Part, What};
use super::calendar::pattern;

/// A time as written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Clock {
    /// 0 to 23, as written.
    hour: i8,
    minute: i8,
    half: Half,
    /// Too bare to stand alone, as "at 9" or 三点: counts only beside a date.
    pub(super) loose: bool,
}

/// Which half of the day is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    Am,
    Pm,
    /// Written on the 24-hour clock.
    Whole,
    /// Not said; `minutes` tells whether any were written.
    Open {
        minutes: bool,
    },
    /// Told by a part of the day.
    Part(Part),
}

impl Clock {
    /// `None` where there is no such time.
    pub(super) fn new(hour: i8, minute: i8, half: Half, loose: bool) -> Option<Clock> {
        let fits = (0..24).contains(&hour) && (0..60).contains(&minute);
        let half = if hour > 12 || hour == 0 { Half::Whole } else { half };
        fits.then_some(Clock { hour, minute, half, loose })
    }

    /// The same time, in that part of the day where nothing else says which half.
    pub(super) fn in_part(self, part: Part) -> Clock {
        match self.half {
            Half::Open { .. } => Clock { half: Half::Part(part), loose: false, ..self },
            _ => self,
        }
    }

    /// The time, `part` telling the half where the text does not; `None` where it cannot be told.
    pub(super) fn time(&self, part: Option<Part>) -> Option<Time> {
        let half = match (self.half, part) {
            (Half::Open { .. }, Some(part)) => Half::Part(part),
            (half, _) => half,
        };
        let hour = match half {
            Half::Whole => self.hour,
            Half::Am => self.hour % 12,
            Half::Pm => self.hour % 12 + 12,
            Half::Open { minutes } => match self.hour {
                8..=12 => self.hour,
                7 if minutes => 7,
                1..=5 => self.hour + 12,
                _ => return None,
            },
            Half::Part(part) => in_part(self.hour, part)?,
        };
        Time::new(hour, self.minute, 0, 0).ok()
    }

    fn with_half(self, half: Half) -> Clock {
        Clock { half, ..self }
    }

    fn is_open(&self) -> bool {
        matches!(self.half, Half::Open { .. })
    }
}

fn in_part(hour: i8, part: Part) -> Option<i8> {
    match (part, hour) {
        (Part::Small, 12) => Some(0),
        (Part::Small, 1..=6) | (Part::Morning, 1..=11) => Some(hour),
        (Part::Noon, 11 | 12) | (Part::Afternoon, 12) => Some(hour),
        (Part::Noon, 1 | 2) | (Part::Afternoon, 1..=7) => Some(hour + 12),
        (Part::Evening, 4..=11) | (Part::Night, 7..=11) => Some(hour + 12),
        _ => None,
    }
}

/// Start and end of "9 to 11", "3-4 pm", "11-1 pm": an end that names no half follows the other.
pub(super) fn range(first: &Clock, last: &Clock, part: Option<Part>) -> Option<(Time, Time)> {
    let pairs: Vec<(Clock, Clock)> = match (first.is_open(), last.is_open()) {
        (true, false) => match last.half {
            Half::Pm | Half::Part(Part::Afternoon | Part::Evening) => {
                vec![(first.with_half(Half::Pm), *last), (first.with_half(Half::Am), *last)]
            }
            _ => vec![(*first, *last), (first.with_half(Half::Am), *last)],
        },
        (false, true) => vec![
            (*first, last.with_half(first.half)),
            (*first, last.with_half(Half::Am)),
            (*first, last.with_half(Half::Pm)),
        ],
        (true, true) if part.is_none() => vec![(*first, *last), (*first, last.with_half(Half::Pm))],
        _ => vec![(*first, *last), (*first, last.with_half(Half::Pm))],
    };
    pairs.into_iter().find_map(|(first, last)| {
        let (from, to) = (first.time(part)?, last.time(part)?);
        (from < to).then_some((from, to))
    })
}

const MERIDIEM: &str = r"(am|pm|a\.m\.?|p\.m\.?)";
const HOUR_WORDS: [&str; 12] =
    ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];

struct Patterns {
    zone: Regex,
    twelve: Regex,
    twenty_four: Regex,
    noon: Regex,
    past: Regex,
    o_clock: Regex,
    bare: Regex,
    range: Regex,
    between: Regex,
}

static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| {
    let words = HOUR_WORDS.join("|");
    let end = r"(?-u:\b)";
    let side = format!(r"(\d{{1,2}})(?:[:.](\d\d))?(?:\s?{MERIDIEM})?");
    Patterns {
        zone: pattern(
            r"^\s?\(?(?:UTC|GMT|BST|CES?T|EES?T|E[SD]?T|C[SD]?T|M[SD]T|P[SD]?T|IST|JST|AE[SD]T)(?-u:\b)",
        ),
        twelve: pattern(&format!(r"(?i){end}(\d{{1,2}})(?:[:.](\d\d))?\s?{MERIDIEM}(?:{end}|$|\s)")),
        twenty_four: pattern(&format!(r"{end}(\d{{1,2}})[::](\d\d)(?::\d\d)?{end}")),
        noon: pattern(&format!(r"(?i){end}(?:12\s?)?(?:noon|midday){end}")),
        past: pattern(&format!(
            r"(?i){end}(half|quarter)\s(past|to)\s(\d{{1,2}}|{words})(?:\s?{MERIDIEM})?{end}"
        )),
        o_clock: pattern(&format!(r"(?i){end}(\d{{1,2}}|{words})\s?o['’]?clock(?:\s?{MERIDIEM})?{end}")),
        bare: pattern(&format!(
            r"(?i){end}(?:at|around|@)\s?(\d{{1,2}}|{words})(?:\s(fifteen|thirty|forty[- ]five))?{end}"
        )),
        range: pattern(&format!(r"(?i){end}(from\s)?{side}\s?(?:-|–|—|to|until|till)\s?{side}{end}")),
        between: pattern(&format!(r"(?i){end}(between\s){side}\s?(?:and|-|–|—)\s?{side}{end}")),
    }
});

/// What a match and the text after it mean.
type Reader = fn(&Captures<'_>, &str) -> Option<What>;

/// Every time in the text.
pub(super) fn atoms(text: &str) -> Vec<Atom> {
    let p = &*PATTERNS;
    let rules: [(&Regex, Reader); 8] = [
        (&p.twelve, twelve),
        (&p.twenty_four, twenty_four),
        (&p.noon, |_, _| Clock::new(12, 0, Half::Whole, false).map(What::Clock)),
        (&p.past, past),
        (&p.o_clock, o_clock),
        (&p.bare, bare),
        (&p.range, clocks),
        (&p.between, clocks),
    ];
    let mut atoms = Vec::new();
    for (regex, read) in rules {
        for captures in regex.captures_iter(text) {
            let Some(whole) = captures.get(0) else { continue };
            let rest = &text[whole.end()..];
            if let Some(what) = read(&captures, rest) {
                // The wall clock of another zone, or of this one by chance.
                let what = if p.zone.is_match(rest) { What::Nothing } else { what };
                let kept = whole.as_str().trim_end().len();
                atoms.push(Atom { span: whole.start()..whole.start() + kept, what });
            }
        }
    }
    atoms
}

fn group<'t>(captures: &Captures<'t>, index: usize) -> Option<&'t str> {
    captures.get(index).map(|group| group.as_str())
}

fn hour(text: &str) -> Option<i8> {
    let word = HOUR_WORDS.iter().position(|word| word.eq_ignore_ascii_case(text));
    match word {
        Some(index) => i8::try_from(index + 1).ok(),
        None => text.parse().ok(),
    }
}

fn meridiem(text: Option<&str>) -> Option<Half> {
    match text?.as_bytes().first()? {
        b'a' | b'A' => Some(Half::Am),
        _ => Some(Half::Pm),
    }
}

/// A time of digits; a leading zero means the 24-hour clock.
fn digits(h: &str, m: Option<&str>, meridiem_text: Option<&str>, loose: bool) -> Option<Clock> {
    let minutes = m.is_some();
    let half = match meridiem(meridiem_text) {
        Some(half) => half,
        None if h.starts_with('0') => Half::Whole,
        None => Half::Open { minutes },
    };
    Clock::new(h.parse().ok()?, m.map_or(Ok(0), str::parse).ok()?, half, loose)
}

fn twelve(captures: &Captures<'_>, _: &str) -> Option<What> {
    let (h, m) = (group(captures, 1)?, group(captures, 2));
    // "60 am Main" is no time; neither is "0 am".
    let clock = digits(h, m, group(captures, 3), false)?;
    (clock.hour != 0).then_some(What::Clock(clock))
}

fn twenty_four(captures: &Captures<'_>, _: &str) -> Option<What> {
    digits(group(captures, 1)?, group(captures, 2), None, false).map(What::Clock)
}

fn past(captures: &Captures<'_>, _: &str) -> Option<What> {
    let h = hour(group(captures, 3)?).filter(|h| (1..=12).contains(h))?;
    let half = meridiem(group(captures, 4)).unwrap_or(Half::Open { minutes: true });
    let quarter = group(captures, 1)?.eq_ignore_ascii_case("quarter");
    let to = group(captures, 2)?.eq_ignore_ascii_case("to");
    let (h, m) = match (quarter, to) {
        (false, true) => return None,
        (false, false) => (h, 30),
        (true, false) => (h, 15),
        // "quarter to one pm" is 12:45 pm, "quarter to twelve pm" is said of 11:45 am by some.
        (true, true) if h == 12 && half != (Half::Open { minutes: true }) => return Some(What::Nothing),
        (true, true) => (if h == 1 { 12 } else { h - 1 }, 45),
    };
    Clock::new(h, m, half, false).map(What::Clock)
}

fn o_clock(captures: &Captures<'_>, _: &str) -> Option<What> {
    let half = meridiem(group(captures, 2)).unwrap_or(Half::Open { minutes: false });
    Clock::new(hour(group(captures, 1)?)?, 0, half, false).map(What::Clock)
}

fn bare(captures: &Captures<'_>, rest: &str) -> Option<What> {
    if !ends_phrase(rest) {
        return None;
    }
    let minutes = match group(captures, 2).map(str::to_ascii_lowercase).as_deref() {
        None => None,
        Some("fifteen") => Some(15),
        Some("thirty") => Some(30),
        Some(_) => Some(45),
    };
    let text = group(captures, 1)?;
    let half = if text.starts_with('0') { Half::Whole } else { Half::Open { minutes: minutes.is_some() } };
    Clock::new(hour(text)?, minutes.unwrap_or(0), half, true).map(What::Clock)
}

fn clocks(captures: &Captures<'_>, rest: &str) -> Option<What> {
    let (h1, m1, half1) = (group(captures, 2)?, group(captures, 3), group(captures, 4));
    let (h2, m2, half2) = (group(captures, 5)?, group(captures, 6), group(captures, 7));
    let loose = m1.or(half1).is_none() && m2.or(half2).is_none();
    if loose && (group(captures, 1).is_none() || !ends_phrase(rest)) {
        return None;
    }
    let first = digits(h1, m1, half1, loose)?;
    let last = digits(h2, m2, half2, loose)?;
    Some(What::Clocks(first, last))
}

/// Whether a bare number before `rest` can be a time or a day: the sentence ends or goes on with a word that
/// no counted thing begins with ("at 9 on Friday", not "at 9 locations").
pub(super) fn ends_phrase(rest: &str) -> bool {
    const NEXT: [&str; 37] = [
        "on",
        "for",
        "with",
        "to",
        "in",
        "and",
        "or",
        "at",
        "from",
        "until",
        "till",
        "sharp",
        "today",
        "tomorrow",
        "tonight",
        "this",
        "next",
        "please",
        "so",
        "about",
        "regarding",
        "re",
        "because",
        "if",
        "then",
        "when",
        "which",
        "is",
        "are",
        "was",
        "the",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "works",
    ];
    let mut after = rest.chars();
    match after.next() {
        None => true,
        Some('.' | ',' | ':' | ';') => !after.next().is_some_and(|c| c.is_ascii_digit()),
        Some('!' | '?' | ')' | '\n') => true,
        Some(c) if c.is_whitespace() => {
            let word: String = after.by_ref().take_while(|c| c.is_alphabetic()).take(12).collect();
            match word.is_empty() {
                true => rest
                    .trim_start()
                    .chars()
                    .next()
                    .is_none_or(|c| !c.is_alphanumeric() && c != '%' && c != '€'),
                false => NEXT.iter().any(|next| word.eq_ignore_ascii_case(next)),
            }
        }
        Some(c) => !c.is_ascii() && c.is_alphabetic(),
    }
}
