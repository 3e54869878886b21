//! Dates in English. ISO, dotted and slashed dates are read here for every language.
//!
//! Each rule is one pattern and one reader. A reader gives `None` where the words are no date at all, and
//! `What::Nothing` where they are one that cannot be told, so that no shorter rule claims a part of them.
//! Where a pattern has a group `at`, that group alone is the mention.

mod days;
mod periods;

use std::sync::LazyLock;

use jiff::civil::Weekday;
use regex::{Captures, Regex};

use super::atom::{Atom, Day, What};
use super::calendar::{self, Context, pattern, year};

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
            days::iso_moment,
        ),
        rule(r"(?P<year>\d{4})(?:-(?P<m>\d\d)-|/(?P<m2>\d\d)/)(?P<d>\d\d)", days::iso_date),
        rule(r"(?P<year>(?:19|20)\d\d)-(?P<m>0[1-9]|1[0-2])", days::iso_month),
        rule(r"(?P<d>\d{1,2})\.\s?(?P<m>\d{1,2})\.\s?(?P<year>\d{4})", days::dotted),
        rule(r"(?P<a>\d{1,2})/(?P<b>\d{1,2})/(?P<year>\d{4}|\d\d)", days::slashed),
        // Days of a month.
        rule(
            r"(?:the )?(?P<d>{DAY})(?P<th>st|nd|rd|th)?\.?(?: of)?\s{0,2}(?P<m>{MONTH})\.?(?:,? (?P<year>{YEAR}))?",
            days::day_month,
        ),
        rule(
            r"(?P<in>in )?(?P<m>{MONTH})\.? (?:the )?(?P<d>{DAY})(?P<th>st|nd|rd|th)?(?:,? (?P<year>{YEAR}))?",
            days::day_month,
        ),
        rule(
            r"(?:from )?(?:the )?(?P<d>{DAY})(?:st|nd|rd|th)?\s?(?:-|–|—|to|until|till|through)\s?(?:the )?(?P<e>{DAY})(?:st|nd|rd|th)?(?: of)? (?P<m>{MONTH})\.?(?:,? (?P<year>{YEAR}))?",
            days::days_of_month,
        ),
        rule(
            r"between (?:the )?(?P<d>{DAY})(?:st|nd|rd|th)?\s?(?:and|-|–)\s?(?:the )?(?P<e>{DAY})(?:st|nd|rd|th)?(?: of)? (?P<m>{MONTH})\.?(?:,? (?P<year>{YEAR}))?",
            days::days_of_month,
        ),
        rule(
            r"(?:from )?(?P<m>{MONTH})\.? (?:the )?(?P<d>{DAY})(?:st|nd|rd|th)?\s?(?:-|–|—|to|until|till|through)\s?(?:the )?(?P<e>{DAY})(?:st|nd|rd|th)?(?:,? (?P<year>{YEAR}))?",
            days::days_of_month,
        ),
        rule(
            r"between (?P<m>{MONTH})\.? (?:the )?(?P<d>{DAY})(?:st|nd|rd|th)?\s?(?:and|-|–)\s?(?:the )?(?P<e>{DAY})(?:st|nd|rd|th)?(?:,? (?P<year>{YEAR}))?",
            days::days_of_month,
        ),
        rule(r"on (?P<at>the (?P<d>{DAY})(?:st|nd|rd|th))", days::the_nth),
        rule(
            r"the (?P<d>{DAY})(?:st|nd|rd|th) of (?P<which>this|next|last|the) month",
            days::nth_of_relative_month,
        ),
        rule(
            r"(?:the )?(?P<nth>first|second|third|fourth) of (?P<m>{MONTH})(?:,? (?P<year>{YEAR}))?",
            days::nth_of_month,
        ),
        // Months.
        rule(r"(?P<m>{MONTH})\.?{OF_YEAR}", periods::month_year),
        rule(
            r"(?P<prep>in|during|since|of|through|throughout|until|till|for|by|from|to|between|and|before|after|vs|versus) (?P<at>(?P<m>{MONTH}))",
            periods::bare_month,
        ),
        rule(
            r"(?P<at>(?P<m>{MONTH}))(?: (?:and|or|to|until|till|through|vs\.?|versus) |\s?[-–&,]\s?){MONTH}",
            periods::listed_month,
        ),
        rule(
            r"{MONTH}(?:, ?(?:and |or )?{MONTH}){2,11}|{MONTH}(?:, ?{MONTH}){1,10} (?:and|or) {MONTH}",
            |_, _| Some(What::Nothing),
        ),
        rule(r"(?P<which>this|next|last) (?P<m>{MONTH})", periods::relative_month),
        rule(r"(?:early|mid|late)(?: |-)(?:in )?{MONTH}", |_, _| Some(What::Nothing)),
        rule(
            r"(?:the )?(?P<which>end|start|beginning) of (?P<m>{MONTH})(?:{OF_YEAR})?",
            periods::edge_of_month,
        ),
        // Quarters, halves, years.
        rule(r"Q(?P<q>[1-4])(?:\s?[/-]?\s?(?P<year>{YEAR})|{OF_YEAR})?", periods::quarter),
        rule(r"(?P<year>{YEAR})\s?[/-]?\s?Q(?P<q>[1-4])", periods::quarter),
        rule(r"(?:the )?(?P<nth>{NTH}) quarter{OF_YEAR}", periods::quarter),
        rule(r"(?:the )?(?P<nth>first|second|third|fourth|1st|2nd|3rd|4th) quarter", periods::quarter),
        rule(r"(?:the )?(?P<nth>first|second|last|1st|2nd) half(?:{OF_YEAR})?", periods::half),
        rule(r"H(?P<half>[12])(?:\s?[/-]?\s?(?P<year>{YEAR})|{OF_YEAR})?", periods::half),
        rule(
            r"(?:in|for|of|during|throughout|since|until|through|before|after|from|to|between|and|vs\.?|versus|year) (?P<at>(?P<year>{YEAR}))",
            periods::year_alone,
        ),
        rule(
            r"(?P<at>(?P<year>{YEAR})) (?:revenue|sales|orders|turnover|figures|numbers|results|totals?)",
            periods::year_alone,
        ),
        rule(
            r"(?:(?P<ytd>year to date|year-to-date|ytd|so far this year|this year so far)|(?P<mtd>month to date|month-to-date|mtd|so far this month|this month so far)|(?P<qtd>quarter to date|quarter-to-date|qtd|so far this quarter))",
            periods::to_date,
        ),
        // Weeks and the like, relative to now.
        rule(
            r"(?P<which>this|current|next|coming|last|previous|past) (?P<unit>week|month|quarter|year)",
            periods::relative_whole,
        ),
        rule(r"(?:the )?(?:week|month|quarter|year|weekend) (?:after next|before last)", |_, _| {
            Some(What::Nothing)
        }),
        rule(r"(?:next|last) (?:week|month|quarter|year|{WEEKDAY}) but one", |_, _| Some(What::Nothing)),
        rule(
            r"(?:first|second|third|fourth|last|two|three|few|couple|middle|mid) (?:days?|weeks?|weekend|months?) (?:of|in)(?: the)?(?: {MONTH})?(?:,? {YEAR})?",
            |_, _| Some(What::Nothing),
        ),
        rule(r"(?P<which>this|next|last|coming) weekend", periods::weekend),
        rule(
            r"(?:the )?(?P<which>last|past|previous|next|coming|following) (?P<n>{NUMBER}) (?P<unit>days|weeks|months|years|quarters|hours|minutes|working days|business days|weekends)",
            periods::rolling,
        ),
        rule(
            r"(?:the )?(?P<which>end|start|beginning) of (?P<of>the |this |next |last |the next |the last |the current )?(?P<unit>week|month|quarter|year|{YEAR})",
            periods::edge,
        ),
        rule(
            r"in (?P<n>{NUMBER}|half an) (?P<unit>minutes?|mins?|hours?|hrs?|days?|weeks?|months?|years?)(?P<half> and a half)?(?:['’]s? time)?",
            periods::ahead,
        ),
        rule(
            r"(?P<n>{NUMBER}|half an) (?P<unit>minutes?|mins?|hours?|hrs?|days?|weeks?|months?|years?)(?P<half> and a half)? from (?P<from>now|today|tomorrow)",
            periods::ahead,
        ),
        rule(
            r"(?P<n>{NUMBER}|half an) (?P<unit>minutes?|mins?|hours?|hrs?|days?|weeks?|months?|years?)(?P<half> and a half)? ago",
            periods::ago,
        ),
        // Days by name.
        rule(r"the day after tomorrow|day after tomorrow", |_, c| calendar::days(c.today(), 2).map(Day::on)),
        rule(r"the day before yesterday|day before yesterday", |_, c| {
            calendar::days(c.today(), -2).map(Day::on)
        }),
        rule(
            r"today|tomorrow|tmrw|tmr|yesterday|tonight|this morning|this afternoon|this evening|last night",
            days::named_day,
        ),
        rule(r"(?P<word>morning|afternoon|evening|night)", days::part),
        rule(
            r"(?:(?P<which>this|next|last|coming|this coming|this past|past|previous) )(?P<w>{WEEKDAY})(?: (?:(?:of|in) )?(?P<week>this|next|last) week)?",
            days::weekday,
        ),
        rule(r"(?P<w>{WEEKDAY_WORD})(?: (?:(?:of|in) )?(?P<week>this|next|last) week)?", days::weekday),
        rule(r"(?P<week>this|next|last) week(?:['’]s)?,? (?:on )?(?P<w>{WEEKDAY})", days::weekday),
        rule(
            r"(?:every|each|any|black|cyber|good|easter|ash|casual)(?: other)? {WEEKDAY}|{WEEKDAY} (?:after next|before last|week)|{WEEKDAY} (?:in|a) (?:{NUMBER} )?weeks?",
            |_, _| Some(What::Nothing),
        ),
        rule(
            r"{NUMBER} (?:days?|weeks?|months?) (?:from|on|after|before) (?:this |next )?(?:{WEEKDAY}|tomorrow|yesterday)",
            |_, _| Some(What::Nothing),
        ),
        rule(
            r"(?:the )?(?P<nth>first|second|third|fourth|last) (?P<w>{WEEKDAY}) (?:of|in) (?:(?P<m>{MONTH})(?:,? (?P<year>{YEAR}))?|(?P<which>this|next|last|the) month)",
            days::nth_weekday,
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

/// The year of `year` or of `y` ("2025", "last year"); `None` where it is not said.
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

/// "may" and "march" are verbs too, "jan" is a name.
fn is_month_word(word: &str) -> bool {
    word != "may" && word != "mar" && word != "march"
}

fn step(which: &str) -> i64 {
    match which {
        "next" | "coming" | "following" => 1,
        "last" | "previous" | "past" => -1,
        _ => 0,
    }
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
