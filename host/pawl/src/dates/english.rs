//! Dates in English. ISO, dotted and slashed dates are read here for every language.
//!
//! Each rule is one pattern and one reader. A reader gives `None` where the words are no date at all, and
//! `What::Nothing` where they are one that cannot be told, so that no shorter rule claims a part of them.
//! Where a pattern has a group `at`, that group alone is the mention.

use std::sync::LazyLock;

use jiff::Span;
use jiff::civil::{Date, Weekday};
use regex::{Captures, Regex};

use super::atom::{Atom, Day, Part, Period, What};
use super::calendar::{
    Context, Months, Tense, Unit, bare_weekday, coming, day_of_month, days, latest, months, pattern,
    weekday_of_week, whole, year, years,
};
use super::clock::ends_phrase;

type Reader = fn(&Found<'_, '_>, &Context) -> Option<What>;

/// One match.
struct Found<'c, 't> {
    captures: &'c Captures<'t>,
    rest: &'t str,
}

impl<'t> Found<'_, 't> {
    fn get(&self, name: &str) -> Option<&'t str> {
        self.captures.name(name).map(|group| group.as_str())
    }

    fn lower(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_ascii_lowercase()
    }

    fn number<N: std::str::FromStr>(&self, name: &str) -> Option<N> {
        self.get(name)?.parse().ok()
    }
}

const MONTH: &str = r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)";
const WEEKDAY: &str = r"(?:mon(?:day)?|tue(?:s(?:day)?)?|wed(?:nesday)?|thu(?:r(?:s(?:day)?)?)?|fri(?:day)?|sat(?:urday)?|sun(?:day)?)";
const WEEKDAY_WORD: &str =
    r"(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday|(?-i:Mon|Tue|Tues|Wed|Thu|Thur|Thurs|Fri))";
const DAY: &str = r"(?:[12]\d|3[01]|0?[1-9])";
const NUMBER: &str = r"(?:\d{1,3}|an?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)";
const NTH: &str = r"(?:first|second|third|fourth|last|1st|2nd|3rd|4th)";
const YEAR: &str = r"(?:(?:19|20)\d\d)";
const OF_YEAR: &str =
    r"(?:,?\s|\s(?:of|in)\s(?:the\s)?)(?P<y>(?:19|20)\d\d|last year|this year|next year|year)";

/// `source` with the words above put in for `{NAME}`, whole words only, without regard to case.
fn rule(source: &str, reader: Reader) -> (Regex, Reader) {
    let words = [
        ("{MONTH}", MONTH),
        ("{WEEKDAY}", WEEKDAY),
        ("{WEEKDAY_WORD}", WEEKDAY_WORD),
        ("{DAY}", DAY),
        ("{NUMBER}", NUMBER),
        ("{NTH}", NTH),
        ("{YEAR}", YEAR),
        ("{OF_YEAR}", OF_YEAR),
        (" ", r"\s{1,3}"),
    ];
    let mut source = source.to_owned();
    for (name, words) in words {
        source = source.replace(name, words);
    }
    (pattern(&format!(r"(?i)(?-u:\b)(?:{source})(?-u:\b)")), reader)
}

static RULES: LazyLock<Vec<(Regex, Reader)>> = LazyLock::new(|| {
    vec![
        // Figures.
        rule(
            r"(?P<year>\d{4})-(?P<m>\d\d)-(?P<d>\d\d)(?:t| )(?P<h>\d\d):(?P<min>\d\d)(?P<s>:\d\d(?:\.\d{1,9})?)?(?P<z>z|[+-]\d\d:?\d\d)?",
            iso_moment,
        ),
        rule(r"(?P<year>\d{4})(?:-(?P<m>\d\d)-|/(?P<m2>\d\d)/)(?P<d>\d\d)", iso_date),
        rule(r"(?P<year>(?:19|20)\d\d)-(?P<m>0[1-9]|1[0-2])", iso_month),
        rule(r"(?P<d>\d{1,2})\.\s?(?P<m>\d{1,2})\.\s?(?P<year>\d{4})", dotted),
        rule(r"(?P<a>\d{1,2})/(?P<b>\d{1,2})/(?P<year>\d{4}|\d\d)", slashed),
        // Days of a month.
        rule(
            r"(?:the )?(?P<d>{DAY})(?P<th>st|nd|rd|th)?\.?(?: of)?\s{0,2}(?P<m>{MONTH})\.?(?:,? (?P<year>{YEAR}))?",
            day_month,
        ),
        rule(
            r"(?P<in>in )?(?P<m>{MONTH})\.? (?:the )?(?P<d>{DAY})(?P<th>st|nd|rd|th)?(?:,? (?P<year>{YEAR}))?",
            day_month,
        ),
        rule(
            r"(?:from )?(?:the )?(?P<d>{DAY})(?:st|nd|rd|th)?\s?(?:-|–|—|to|until|till|through)\s?(?:the )?(?P<e>{DAY})(?:st|nd|rd|th)?(?: of)? (?P<m>{MONTH})\.?(?:,? (?P<year>{YEAR}))?",
            days_of_month,
        ),
        rule(
            r"between (?:the )?(?P<d>{DAY})(?:st|nd|rd|th)?\s?(?:and|-|–)\s?(?:the )?(?P<e>{DAY})(?:st|nd|rd|th)?(?: of)? (?P<m>{MONTH})\.?(?:,? (?P<year>{YEAR}))?",
            days_of_month,
        ),
        rule(
            r"(?:from )?(?P<m>{MONTH})\.? (?:the )?(?P<d>{DAY})(?:st|nd|rd|th)?\s?(?:-|–|—|to|until|till|through)\s?(?:the )?(?P<e>{DAY})(?:st|nd|rd|th)?(?:,? (?P<year>{YEAR}))?",
            days_of_month,
        ),
        rule(
            r"between (?P<m>{MONTH})\.? (?:the )?(?P<d>{DAY})(?:st|nd|rd|th)?\s?(?:and|-|–)\s?(?:the )?(?P<e>{DAY})(?:st|nd|rd|th)?(?:,? (?P<year>{YEAR}))?",
            days_of_month,
        ),
        rule(r"on (?P<at>the (?P<d>{DAY})(?:st|nd|rd|th))", the_nth),
        rule(
            r"the (?P<d>{DAY})(?:st|nd|rd|th) of (?P<which>this|next|last|the) month",
            nth_of_relative_month,
        ),
        // Months.
        rule(r"(?P<m>{MONTH})\.?{OF_YEAR}", month_year),
        rule(
            r"(?P<prep>in|during|since|of|through|throughout|until|till|for|by|from|to|between|and|before|after|vs|versus) (?P<at>(?P<m>{MONTH}))",
            bare_month,
        ),
        rule(
            r"(?P<at>(?P<m>{MONTH}))(?: (?:and|or|to|until|till|through|vs\.?|versus) |\s?[-–&,]\s?){MONTH}",
            listed_month,
        ),
        rule(
            r"{MONTH}(?:, ?(?:and |or )?{MONTH}){2,11}|{MONTH}(?:, ?{MONTH}){1,10} (?:and|or) {MONTH}",
            |_, _| Some(What::Nothing),
        ),
        rule(r"(?P<which>this|next|last) (?P<m>{MONTH})", relative_month),
        rule(r"(?:early|mid|late)(?: |-)(?:in )?{MONTH}", |_, _| Some(What::Nothing)),
        rule(r"(?:the )?(?P<which>end|start|beginning) of (?P<m>{MONTH})(?:{OF_YEAR})?", edge_of_month),
        // Quarters, halves, years.
        rule(r"Q(?P<q>[1-4])(?:\s?[/-]?\s?(?P<year>{YEAR})|{OF_YEAR})?", quarter),
        rule(r"(?P<year>{YEAR})\s?[/-]?\s?Q(?P<q>[1-4])", quarter),
        rule(r"(?:the )?(?P<nth>{NTH}) quarter{OF_YEAR}", quarter),
        rule(r"(?:the )?(?P<nth>first|second|third|fourth|1st|2nd|3rd|4th) quarter", quarter),
        rule(r"(?:the )?(?P<nth>first|second|last|1st|2nd) half(?:{OF_YEAR})?", half),
        rule(r"H(?P<half>[12])(?:\s?[/-]?\s?(?P<year>{YEAR})|{OF_YEAR})?", half),
        rule(
            r"(?:in|for|of|during|throughout|since|until|through|before|after|from|to|between|and|vs\.?|versus|year) (?P<at>(?P<year>{YEAR}))",
            year_alone,
        ),
        rule(
            r"(?P<at>(?P<year>{YEAR})) (?:revenue|sales|orders|turnover|figures|numbers|results|totals?)",
            year_alone,
        ),
        rule(
            r"(?:(?P<ytd>year to date|year-to-date|ytd|so far this year|this year so far)|(?P<mtd>month to date|month-to-date|mtd|so far this month|this month so far)|(?P<qtd>quarter to date|quarter-to-date|qtd|so far this quarter))",
            to_date,
        ),
        // Weeks and the like, relative to now.
        rule(
            r"(?P<which>this|current|next|coming|last|previous|past) (?P<unit>week|month|quarter|year)",
            relative_whole,
        ),
        rule(r"(?:the )?(?:week|month|quarter|year|weekend) (?:after next|before last)", |_, _| {
            Some(What::Nothing)
        }),
        rule(r"(?:next|last) (?:week|month|quarter|year|{WEEKDAY}) but one", |_, _| Some(What::Nothing)),
        rule(
            r"(?:first|second|third|fourth|last|two|three|few|couple|middle|mid) (?:days?|weeks?|weekend|months?) (?:of|in)(?: the)?(?: {MONTH})?(?:,? {YEAR})?",
            |_, _| Some(What::Nothing),
        ),
        rule(r"(?P<which>this|next|last|coming) weekend", weekend),
        rule(
            r"(?:the )?(?P<which>last|past|previous|next|coming|following) (?P<n>{NUMBER}) (?P<unit>days|weeks|months|years|quarters|hours|minutes|working days|business days|weekends)",
            rolling,
        ),
        rule(
            r"(?:the )?(?P<which>end|start|beginning) of (?P<of>the |this |next |last |the next |the last |the current )?(?P<unit>week|month|quarter|year|{YEAR})",
            edge,
        ),
        rule(
            r"in (?P<n>{NUMBER}|half an) (?P<unit>minutes?|mins?|hours?|hrs?|days?|weeks?|months?|years?)(?P<half> and a half)?(?:['’]s? time)?",
            ahead,
        ),
        rule(
            r"(?P<n>{NUMBER}|half an) (?P<unit>minutes?|mins?|hours?|hrs?|days?|weeks?|months?|years?)(?P<half> and a half)? from (?P<from>now|today|tomorrow)",
            ahead,
        ),
        rule(
            r"(?P<n>{NUMBER}|half an) (?P<unit>minutes?|mins?|hours?|hrs?|days?|weeks?|months?|years?)(?P<half> and a half)? ago",
            ago,
        ),
        // Days by name.
        rule(r"the day after tomorrow|day after tomorrow", |_, c| days(c.today(), 2).map(Day::on)),
        rule(r"the day before yesterday|day before yesterday", |_, c| days(c.today(), -2).map(Day::on)),
        rule(
            r"today|tomorrow|tmrw|tmr|yesterday|tonight|this morning|this afternoon|this evening|last night",
            named_day,
        ),
        rule(r"(?P<word>morning|afternoon|evening|night)", part),
        rule(
            r"(?:(?P<which>this|next|last|coming|this coming|this past|past|previous) )(?P<w>{WEEKDAY})(?: (?:(?:of|in) )?(?P<week>this|next|last) week)?",
            weekday,
        ),
        rule(r"(?P<w>{WEEKDAY_WORD})(?: (?:(?:of|in) )?(?P<week>this|next|last) week)?", weekday),
        rule(r"(?P<week>this|next|last) week(?:['’]s)?,? (?:on )?(?P<w>{WEEKDAY})", weekday),
        rule(
            r"(?:every|each|any) (?:other )?{WEEKDAY}|{WEEKDAY} (?:after next|before last|week)|{WEEKDAY} (?:in|a) (?:{NUMBER} )?weeks?",
            |_, _| Some(What::Nothing),
        ),
        rule(
            r"{NUMBER} (?:days?|weeks?|months?) (?:from|on|after|before) (?:this |next )?(?:{WEEKDAY}|tomorrow|yesterday)",
            |_, _| Some(What::Nothing),
        ),
        rule(
            r"(?:the )?(?P<nth>first|second|third|fourth|last) (?P<w>{WEEKDAY}) (?:of|in) (?:(?P<m>{MONTH})(?:,? (?P<year>{YEAR}))?|(?P<which>this|next|last|the) month)",
            nth_weekday,
        ),
    ]
});

/// Every English (or purely numeric) date in the text.
pub(super) fn atoms(text: &str, context: &Context) -> Vec<Atom> {
    let mut atoms = Vec::new();
    for (regex, reader) in RULES.iter() {
        for captures in regex.captures_iter(text) {
            let Some(at) = captures.name("at").or_else(|| captures.get(0)) else { continue };
            let found = Found { captures: &captures, rest: &text[at.end()..] };
            if let Some(what) = reader(&found, context) {
                atoms.push(Atom { span: at.range(), what });
            }
        }
    }
    atoms
}

fn number(text: &str) -> Option<i64> {
    const WORDS: [&str; 12] =
        ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
    match text.to_ascii_lowercase().as_str() {
        "a" | "an" => Some(1),
        word => match WORDS.iter().position(|known| *known == word) {
            Some(index) => i64::try_from(index + 1).ok(),
            None => word.parse().ok(),
        },
    }
}

fn month(name: &str) -> Option<i8> {
    const NAMES: [&str; 12] =
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let start = name.get(..3)?.to_ascii_lowercase();
    let index = NAMES.iter().position(|known| *known == start)?;
    i8::try_from(index + 1).ok()
}

fn weekday_named(name: &str) -> Option<Weekday> {
    const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let start = name.get(..3)?.to_ascii_lowercase();
    let index = NAMES.iter().position(|known| *known == start)?;
    Weekday::from_monday_zero_offset(i8::try_from(index).ok()?).ok()
}

/// The year of `year` or of `y` ("2025", "last year"); `Err` where there is none.
fn said_year(found: &Found<'_, '_>, context: &Context) -> Option<i16> {
    if let Some(digits) = found.get("year") {
        return year(digits);
    }
    let this = context.today().year();
    match found.lower("y").split_ascii_whitespace().next()? {
        "last" => Some(this - 1),
        "this" | "year" => Some(this),
        "next" => Some(this + 1),
        digits => year(digits),
    }
}

/// What cannot be a date of the calendar (31 February) is no date, and neither is any part of it.
fn or_nothing(what: Option<What>) -> Option<What> {
    Some(what.unwrap_or(What::Nothing))
}

fn date(found: &Found<'_, '_>) -> Option<Date> {
    let month = found.number("m").or_else(|| found.number("m2"))?;
    Date::new(year(found.get("year")?)?, month, found.number("d")?).ok()
}

fn iso_moment(found: &Found<'_, '_>, _: &Context) -> Option<What> {
    let moment = || {
        let time = jiff::civil::Time::new(found.number("h")?, found.number("min")?, 0, 0).ok()?;
        // A moment of another zone is not this wall clock's.
        found.get("z").is_none().then_some(What::Moment(date(found)?.to_datetime(time)))
    };
    or_nothing(moment())
}

fn iso_date(found: &Found<'_, '_>, _: &Context) -> Option<What> {
    or_nothing(date(found).map(Day::on))
}

fn iso_month(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    Months { first: found.number("m")?, count: 1 }.resolve(Some(said_year(found, context)?), context)
}

fn dotted(found: &Found<'_, '_>, _: &Context) -> Option<What> {
    or_nothing(date(found).map(Day::on))
}

/// Only where one reading is possible.
fn slashed(found: &Found<'_, '_>, _: &Context) -> Option<What> {
    let read = || {
        let (a, b): (i8, i8) = (found.number("a")?, found.number("b")?);
        let year = year(found.get("year")?)?;
        let (day, month) = match (a, b) {
            _ if a == b => (a, b),
            (13.., _) => (a, b),
            (_, 13..) => (b, a),
            _ => return None,
        };
        Date::new(year, month, day).ok().map(Day::on)
    };
    or_nothing(read())
}

/// "may" and "march" are verbs too, "jan" is a name.
fn is_month_word(word: &str) -> bool {
    word != "may" && word != "mar" && word != "march"
}

fn day_month(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    let plain = found.get("th").is_none() && found.get("year").is_none();
    if plain && (found.get("m")? == "may" || found.get("in").is_some()) {
        // "10 may", "in December 10 customers".
        return None;
    }
    let year = found.get("year").and_then(year);
    or_nothing(day_of_month(year, month(found.get("m")?)?, found.number("d")?, context))
}

fn days_of_month(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    let read = || {
        let month = month(found.get("m")?)?;
        let year = found.get("year").and_then(year);
        let What::Day(first) = day_of_month(year, month, found.number("d")?, context)? else { return None };
        let last = Date::new(first.date.year(), month, found.number("e")?).ok()?;
        let period = Period { from: first.date, to: last, sure: first.sure, yearless: first.yearless };
        (period.from < period.to).then_some(What::Period(period))
    };
    or_nothing(read())
}

/// "on the 27th": the coming one, or the latest where the text looks back.
fn the_nth(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    if !ends_phrase(found.rest) {
        return None;
    }
    let today = context.today();
    let day: i8 = found.number("d")?;
    let of_month = |n: i64| {
        let first = months(today.first_of_month(), n)?;
        Date::new(first.year(), first.month(), day).ok()
    };
    let date = match context.tense {
        Some(Tense::Past) => [0, -1].into_iter().filter_map(of_month).find(|date| *date <= today)?,
        Some(Tense::Report) => return None,
        _ => [0, 1].into_iter().filter_map(of_month).find(|date| *date >= today)?,
    };
    Some(Day::on(date))
}

fn nth_of_relative_month(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    let first = months(context.today().first_of_month(), step(&found.lower("which")))?;
    or_nothing(Date::new(first.year(), first.month(), found.number("d")?).ok().map(Day::on))
}

fn step(which: &str) -> i64 {
    match which {
        "next" | "coming" | "following" => 1,
        "last" | "previous" | "past" => -1,
        _ => 0,
    }
}

fn month_year(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    let months = Months { first: month(found.get("m")?)?, count: 1 };
    or_nothing(said_year(found, context).and_then(|year| months.resolve(Some(year), context)))
}

fn bare_month(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    let (prep, name) = (found.lower("prep"), found.get("m")?);
    let strong = matches!(
        prep.as_str(),
        "in" | "during" | "since" | "of" | "through" | "throughout" | "until" | "till"
    );
    let named = match name.to_ascii_lowercase().as_str() {
        "jan" => strong || matches!(prep.as_str(), "from" | "between" | "to"),
        _ => is_month_word(name) || (strong && name.eq_ignore_ascii_case("march")),
    };
    if !named {
        return None;
    }
    Months { first: month(name)?, count: 1 }.resolve(None, context)
}

/// The first of two, as in "October and November 2025".
fn listed_month(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    let name = found.get("m").filter(|name| is_month_word(name))?;
    Months { first: month(name)?, count: 1 }.resolve(None, context)
}

/// "last December": the latest; left out where "last" or "next" could mean the one beside now.
fn relative_month(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    let today = context.today();
    let months_of = Months { first: month(found.get("m")?)?, count: 1 };
    let apart = i64::from(months_of.first) - i64::from(today.month());
    let year = match (found.lower("which").as_str(), apart) {
        ("this", _) => today.year(),
        ("last", 1..) => today.year() - 1,
        ("last", ..=-4) => return Some(What::Nothing),
        ("next", ..=-1) => today.year() + 1,
        _ => return Some(What::Nothing),
    };
    months_of.resolve(Some(year), context)
}

fn edge_of_month(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    let months = Months { first: month(found.get("m")?)?, count: 1 };
    let What::Period(period) = months.resolve(said_year(found, context), context)? else { return None };
    let date = if found.lower("which") == "end" { period.to } else { period.from };
    Some(What::Day(Day { date, sure: period.sure, yearless: period.yearless, weekday: false, part: None }))
}

fn nth(word: &str) -> Option<i8> {
    match word {
        "first" | "1st" => Some(1),
        "second" | "2nd" => Some(2),
        "third" | "3rd" => Some(3),
        "fourth" | "4th" => Some(4),
        _ => None,
    }
}

fn quarter(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    let quarter = match found.lower("nth").as_str() {
        "last" => 4,
        "" => found.number("q")?,
        word => nth(word)?,
    };
    Months { first: quarter * 3 - 2, count: 3 }.resolve(said_year(found, context), context)
}

fn half(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    let half = match found.lower("nth").as_str() {
        "" => found.number("half")?,
        "last" => 2,
        word => nth(word)?,
    };
    let year = said_year(found, context);
    if year.is_none() && found.get("nth").is_some() {
        // "the second half" may be of anything.
        return Some(What::Nothing);
    }
    Months { first: half * 6 - 5, count: 6 }.resolve(year, context)
}

fn year_alone(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    Months { first: 1, count: 12 }.resolve(Some(said_year(found, context)?), context)
}

fn to_date(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    let units = [("ytd", Unit::Year), ("mtd", Unit::Month), ("qtd", Unit::Quarter)];
    let unit = units.into_iter().find_map(|(name, unit)| found.get(name).map(|_| unit))?;
    let (from, _) = whole(context.today(), unit, 0)?;
    Some(Period::between(from, context.today()))
}

fn unit(word: &str) -> Option<Unit> {
    match word.trim_end_matches('s') {
        "week" => Some(Unit::Week),
        "month" => Some(Unit::Month),
        "quarter" => Some(Unit::Quarter),
        "year" => Some(Unit::Year),
        _ => None,
    }
}

fn relative_whole(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    let which = found.lower("which");
    if which == "past" {
        // The calendar's, or as many days back: either.
        return Some(What::Nothing);
    }
    let (from, to) = whole(context.today(), unit(&found.lower("unit"))?, step(&which))?;
    Some(Period::between(from, to))
}

fn weekend(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    let today = context.today();
    let weeks = match found.lower("which").as_str() {
        "this" => 0,
        "last" => -1,
        // On a weekday "next weekend" is the coming one to some.
        _ => return Some(What::Nothing),
    };
    let saturday = weekday_of_week(today, weeks, Weekday::Saturday)?;
    Some(Period::between(saturday, days(saturday, 1)?))
}

fn shift(date: Date, n: i64, unit: &str) -> Option<Date> {
    match unit.trim_end_matches('s') {
        "day" => days(date, n),
        "week" => days(date, n.checked_mul(7)?),
        "month" => months(date, n),
        "year" => years(date, n),
        _ => None,
    }
}

fn rolling(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    let read = || {
        let n = number(found.get("n")?)?;
        let today = context.today();
        let unit = found.lower("unit");
        match step(&found.lower("which")) {
            1 => Some(Period::between(today, shift(today, n, &unit)?)),
            _ => Some(Period::between(shift(today, -n, &unit)?, today)),
        }
    };
    or_nothing(read())
}

fn edge(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    let (of, word) = (found.lower("of"), found.lower("unit"));
    let (from, to) = match year(&word) {
        Some(year) => Months { first: 1, count: 12 }.in_year(year)?,
        // Whether a week ends on Friday or on Sunday is anybody's guess.
        None if word == "week" => return Some(What::Nothing),
        None => whole(context.today(), unit(&word)?, step(of.trim().trim_start_matches("the ")))?,
    };
    Some(Day::on(if found.lower("which") == "end" { to } else { from }))
}

/// "in two hours" is a moment, "in two weeks" a day.
fn ahead(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    if found.get("from").is_none() && matches!(context.tense, Some(Tense::Past | Tense::Report)) {
        return None;
    }
    let from_tomorrow = found.lower("from") == "tomorrow";
    or_nothing(if from_tomorrow { None } else { offset(found, context, 1) })
}

fn ago(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    or_nothing(offset(found, context, -1))
}

fn offset(found: &Found<'_, '_>, context: &Context, sign: i64) -> Option<What> {
    let unit = found.lower("unit");
    let unit = unit.trim_end_matches('s');
    let half_an = found.lower("n").starts_with("half");
    let n = if half_an { 0 } else { number(found.get("n")?)? };
    let half = half_an || found.get("half").is_some();
    let minutes = match unit {
        "minute" | "min" if !half => n,
        "hour" | "hr" => n * 60 + if half { 30 } else { 0 },
        _ if half => return None,
        _ => return shift(context.today(), sign * n, unit).map(Day::on),
    };
    moment_in(context, sign * minutes)
}

/// The moment `minutes` on, to the minute.
pub(super) fn moment_in(context: &Context, minutes: i64) -> Option<What> {
    let moment = context.now.checked_add(Span::new().try_minutes(minutes).ok()?).ok()?;
    let moment = moment.date().at(moment.hour(), moment.minute(), 0, 0);
    Some(What::Moment(moment))
}

fn named_day(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    let words = found.captures.get(0)?.as_str().to_ascii_lowercase();
    let (n, part) = match words.split_ascii_whitespace().collect::<Vec<_>>().as_slice() {
        ["today"] => (0, None),
        ["tomorrow" | "tmrw" | "tmr"] => (1, None),
        ["yesterday"] => (-1, None),
        ["tonight"] | ["this", "evening"] => (0, Some(Part::Evening)),
        ["this", "morning"] => (0, Some(Part::Morning)),
        ["this", "afternoon"] => (0, Some(Part::Afternoon)),
        ["last", "night"] => (-1, Some(Part::Evening)),
        _ => return None,
    };
    let date = days(context.today(), n)?;
    Some(What::Day(Day { date, sure: true, yearless: false, weekday: false, part }))
}

fn part(found: &Found<'_, '_>, _: &Context) -> Option<What> {
    Some(What::Part(match found.lower("word").as_str() {
        "morning" => Part::Morning,
        "afternoon" => Part::Afternoon,
        "evening" => Part::Evening,
        _ => Part::Night,
    }))
}

fn weekday(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    let today = context.today();
    let weekday = weekday_named(found.get("w")?)?;
    let day = |date: Option<Date>| {
        Some(What::Day(Day { date: date?, sure: true, yearless: false, weekday: true, part: None }))
    };
    let which = found.lower("which");
    if let Some(week) = found.get("week") {
        // "next Friday this week" is no date.
        let clear = which.is_empty();
        let date = weekday_of_week(today, step(&week.to_ascii_lowercase()), weekday);
        return if clear { day(date) } else { Some(What::Nothing) };
    }
    match which.as_str() {
        "" => bare_weekday(weekday, context),
        "this" => day(coming(today, weekday)),
        "next" => day(weekday_of_week(today, 1, weekday)),
        "last" | "past" | "this past" | "previous" => day(latest(today, weekday)),
        _ if weekday == today.weekday() => day(days(today, 7)),
        _ => day(coming(today, weekday)),
    }
}

fn nth_weekday(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    let read = || {
        let n = nth(&found.lower("nth")).unwrap_or(-1);
        let weekday = weekday_named(found.get("w")?)?;
        let (first, sure, yearless) = match found.get("m") {
            Some(name) => {
                let year = found.get("year").and_then(year);
                match (Months { first: month(name)?, count: 1 }).resolve(year, context)? {
                    What::Period(period) => (period.from, period.sure, period.yearless),
                    _ => return None,
                }
            }
            None => (months(context.today().first_of_month(), step(&found.lower("which")))?, true, false),
        };
        let date = first.nth_weekday_of_month(n, weekday).ok()?;
        // A yearless one falls on another day in another year: neighbours cannot settle it.
        Some(What::Day(Day { date, sure, yearless: yearless && !sure, weekday: false, part: None }))
    };
    or_nothing(read())
}
