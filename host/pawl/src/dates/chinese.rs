//! Dates and times in Chinese. Readers work as those of [`super::english`] do.

use std::sync::LazyLock;

use jiff::civil::{Date, Weekday};
use regex::{Captures, Regex};

use super::atom::{Atom, Day, Part, Period, What};
use super::calendar::{
    Context, Months, Unit, bare_weekday, day_of_month, days, moment_in, months, pattern, weekday_of_week,
    whole, year, years,
};
use super::clock::{Clock, Half};

type Reader = fn(&Captures<'_>, &Context) -> Option<What>;

const NUMBER: &str = r"(?:\d{1,3}|[一二两三四五六七八九十]{1,3})";
const YEAR: &str = r"(?:(?:19|20)\d\d年|今年|去年|前年|明年|本年|当年)";
const WHICH: &str = r"(?:上上|上|这|本|下下|下)(?:一|个|一个)?";
const WEEK: &str = r"(?:周|星期|礼拜)";
const PART: &str = r"(?:凌晨|清晨|早上|早晨|上午|中午|下午|傍晚|晚上|晚间|夜里)";

fn rule(source: &str, reader: Reader) -> (Regex, Reader) {
    let mut source = source.to_owned();
    let words =
        [("{NUMBER}", NUMBER), ("{YEAR}", YEAR), ("{WHICH}", WHICH), ("{WEEK}", WEEK), ("{PART}", PART)];
    for (name, words) in words {
        source = source.replace(name, words);
    }
    (pattern(&source), reader)
}

static RULES: LazyLock<Vec<(Regex, Reader)>> = LazyLock::new(|| {
    vec![
        rule(r"大前天|前天|昨[天日]|今[天日]|大后天|后天|明[天日]|今[晚早晨]|明[早晚]|昨晚", named_day),
        rule(r"(?P<which>{WHICH}){WEEK}(?P<w>[一二三四五六日天末])?", week),
        rule(r"{WEEK}(?P<w>[一二三四五六日天])", |c, context| {
            bare_weekday(weekday(c.name("w")?.as_str())?, context)
        }),
        rule(
            r"每(?:个|一)?{WEEK}[一二三四五六日天末]?|(?:\d|[一二两三四五六七八九十]){WEEK}[一二三四五六日天]?",
            nothing,
        ),
        rule(r"(?P<which>{WHICH})月(?:份)?(?:的?(?P<d>{NUMBER})[日号]|(?P<edge>[底初]))?", relative_month),
        rule(r"(?P<edge>月底|年底|年初)", edge),
        rule(r"(?P<y>{YEAR})(?P<edge>[底初])?", year_alone),
        rule(
            r"(?:(?P<y>{YEAR})的?)?(?:第(?P<q>[一二三四1-4])(?:个)?季度|(?P<q2>[一二三四])季度|[Qq](?P<q3>[1-4]))",
            quarter,
        ),
        rule(r"(?P<which>{WHICH})季度?", |c, context| relative_whole(c, Unit::Quarter, context)),
        rule(r"(?:(?P<y>{YEAR})的?)?(?P<half>[上下])半年", half),
        rule(r"(?:(?P<y>{YEAR})的?)?(?P<m>{NUMBER})月(?:份)?(?P<edge>底|初)?", month),
        rule(r"(?:(?P<y>{YEAR})的?)?(?P<m>{NUMBER})月(?P<d>{NUMBER})[日号]?", date),
        rule(
            r"(?:从)?(?:(?P<y>{YEAR})的?)?(?P<m>{NUMBER})月(?P<d>{NUMBER})[日号]?\s?(?:到|至|-|–|—|~|～)\s?(?P<e>{NUMBER})[日号]",
            days_of_month,
        ),
        rule(
            r"(?P<way>过去|最近|近|未来|接下来|今后)(?:的)?(?P<n>{NUMBER}|半)个?(?P<unit>天|日|周|星期|礼拜|月|年|小时|季度)",
            rolling,
        ),
        rule(
            r"(?P<n>{NUMBER}|半)个?(?P<unit>分钟|小时|天|周|星期|礼拜|月|年)(?:之|以)?(?P<way>[前后])",
            offset,
        ),
        rule(
            r"(?:(?P<part>{PART})的?\s?)?(?P<h>{NUMBER})[点时](?:钟|整)?(?:(?P<half>半)|(?P<quarter>[一三])刻|(?P<min>[0-5]?\d|[零〇]?[一二三四五六七八九十]{1,3})分?)?",
            clock,
        ),
        rule(r"(?P<part>{PART})的?\s?(?P<h>\d{1,2})[::](?P<min>\d\d)", clock),
        rule(r"{NUMBER}个?(?:小时|钟头)|几点", nothing),
        rule(r"(?P<part>{PART})", |c, _| part(c.name("part")?.as_str()).map(What::Part)),
    ]
});

/// Every Chinese date or time in the text.
pub(super) fn atoms(text: &str, context: &Context) -> Vec<Atom> {
    if text.is_ascii() {
        return Vec::new();
    }
    let mut atoms = Vec::new();
    for (regex, reader) in RULES.iter() {
        for captures in regex.captures_iter(text) {
            let Some(whole) = captures.get(0) else { continue };
            if let Some(what) = reader(&captures, context) {
                atoms.push(Atom { span: whole.range(), what });
            }
        }
    }
    atoms
}

fn nothing(_: &Captures<'_>, _: &Context) -> Option<What> {
    Some(What::Nothing)
}

/// 一 to 九十九, or digits.
fn number(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let digit = |c: char| match c {
        '零' | '〇' => Some(0),
        '两' => Some(2),
        _ => "一二三四五六七八九".chars().position(|known| known == c).map(|index| index as i64 + 1),
    };
    let chars: Vec<char> = text.chars().filter(|c| !matches!(c, '零' | '〇')).collect();
    match chars.as_slice() {
        ['十'] => Some(10),
        ['十', ones] => Some(10 + digit(*ones)?),
        [tens, '十'] => Some(digit(*tens)? * 10),
        [tens, '十', ones] => Some(digit(*tens)? * 10 + digit(*ones)?),
        [one] => digit(*one),
        _ => None,
    }
}

fn small(captures: &Captures<'_>, name: &str) -> Option<i8> {
    i8::try_from(number(captures.name(name)?.as_str())?).ok()
}

fn weekday(name: &str) -> Option<Weekday> {
    let index = "一二三四五六".chars().position(|known| name.starts_with(known)).unwrap_or(6);
    Weekday::from_monday_zero_offset(i8::try_from(index).ok()?).ok()
}

fn step(captures: &Captures<'_>) -> i64 {
    let which = captures.name("which").map_or("", |group| group.as_str());
    match which {
        _ if which.starts_with("上上") => -2,
        _ if which.starts_with('上') => -1,
        _ if which.starts_with("下下") => 2,
        _ if which.starts_with('下') => 1,
        _ => 0,
    }
}

fn said_year(captures: &Captures<'_>, context: &Context) -> Option<i16> {
    let this = context.today().year();
    match captures.name("y")?.as_str() {
        "前年" => Some(this - 2),
        "去年" => Some(this - 1),
        "今年" | "本年" | "当年" => Some(this),
        "明年" => Some(this + 1),
        digits => year(digits.trim_end_matches('年')),
    }
}

fn part(word: &str) -> Option<Part> {
    Some(match word {
        "凌晨" => Part::Small,
        "清晨" | "早上" | "早晨" | "上午" => Part::Morning,
        "中午" => Part::Noon,
        "下午" => Part::Afternoon,
        "傍晚" | "晚上" | "晚间" => Part::Evening,
        "夜里" => Part::Night,
        _ => return None,
    })
}

fn named_day(captures: &Captures<'_>, context: &Context) -> Option<What> {
    let (n, part) = match captures.get(0)?.as_str() {
        "大前天" => (-3, None),
        "前天" => (-2, None),
        "昨天" | "昨日" => (-1, None),
        "今天" | "今日" => (0, None),
        "明天" | "明日" => (1, None),
        "后天" => (2, None),
        "大后天" => (3, None),
        "今晚" => (0, Some(Part::Evening)),
        "今早" | "今晨" => (0, Some(Part::Morning)),
        "明早" => (1, Some(Part::Morning)),
        "明晚" => (1, Some(Part::Evening)),
        "昨晚" => (-1, Some(Part::Evening)),
        _ => return None,
    };
    let date = days(context.today(), n)?;
    Some(What::Day(Day { date, sure: true, yearless: false, weekday: false, part }))
}

fn week(captures: &Captures<'_>, context: &Context) -> Option<What> {
    let (today, n) = (context.today(), step(captures));
    match captures.name("w").map(|group| group.as_str()) {
        None => relative_whole(captures, Unit::Week, context),
        Some("末") => {
            let saturday = weekday_of_week(today, n, Weekday::Saturday)?;
            Some(Period::between(saturday, days(saturday, 1)?))
        }
        Some(name) => {
            let date = weekday_of_week(today, n, weekday(name)?)?;
            Some(What::Day(Day { date, sure: true, yearless: false, weekday: true, part: None }))
        }
    }
}

fn relative_whole(captures: &Captures<'_>, unit: Unit, context: &Context) -> Option<What> {
    let (from, to) = whole(context.today(), unit, step(captures))?;
    Some(Period::between(from, to))
}

fn relative_month(captures: &Captures<'_>, context: &Context) -> Option<What> {
    let first = months(context.today().first_of_month(), step(captures))?;
    if captures.name("d").is_some() {
        let day = small(captures, "d").and_then(|day| Date::new(first.year(), first.month(), day).ok());
        return Some(day.map_or(What::Nothing, Day::on));
    }
    Some(match captures.name("edge").map(|group| group.as_str()) {
        Some("底") => Day::on(first.last_of_month()),
        Some(_) => Day::on(first),
        None => Period::between(first, first.last_of_month()),
    })
}

fn edge(captures: &Captures<'_>, context: &Context) -> Option<What> {
    let today = context.today();
    Some(Day::on(match captures.name("edge")?.as_str() {
        "月底" => today.last_of_month(),
        "年底" => today.last_of_year(),
        _ => today.first_of_year(),
    }))
}

fn year_alone(captures: &Captures<'_>, context: &Context) -> Option<What> {
    let (from, to) = Months { first: 1, count: 12 }.in_year(said_year(captures, context)?)?;
    Some(match captures.name("edge").map(|group| group.as_str()) {
        Some("底") => Day::on(to),
        Some(_) => Day::on(from),
        None => Period::between(from, to),
    })
}

fn quarter(captures: &Captures<'_>, context: &Context) -> Option<What> {
    let quarter = ["q", "q2", "q3"].into_iter().find_map(|name| small(captures, name))?;
    Months { first: quarter * 3 - 2, count: 3 }.resolve(said_year(captures, context), context)
}

fn half(captures: &Captures<'_>, context: &Context) -> Option<What> {
    let first = if captures.name("half")?.as_str() == "上" { 1 } else { 7 };
    Months { first, count: 6 }.resolve(said_year(captures, context), context)
}

fn month(captures: &Captures<'_>, context: &Context) -> Option<What> {
    let Some(first) = small(captures, "m").filter(|month| (1..=12).contains(month)) else {
        return Some(What::Nothing);
    };
    let whole = Months { first, count: 1 }.resolve(said_year(captures, context), context)?;
    match (captures.name("edge").map(|group| group.as_str()), whole) {
        (Some(edge), What::Period(Period { from, to, sure, yearless })) => {
            let date = if edge == "底" { to } else { from };
            Some(What::Day(Day { date, sure, yearless, weekday: false, part: None }))
        }
        (_, whole) => Some(whole),
    }
}

fn date(captures: &Captures<'_>, context: &Context) -> Option<What> {
    let read =
        || day_of_month(said_year(captures, context), small(captures, "m")?, small(captures, "d")?, context);
    Some(read().unwrap_or(What::Nothing))
}

fn days_of_month(captures: &Captures<'_>, context: &Context) -> Option<What> {
    let read = || {
        let What::Day(first) = date(captures, context)? else { return None };
        let last = Date::new(first.date.year(), first.date.month(), small(captures, "e")?).ok()?;
        let period = Period { from: first.date, to: last, sure: first.sure, yearless: first.yearless };
        (period.from < period.to).then_some(What::Period(period))
    };
    Some(read().unwrap_or(What::Nothing))
}

fn shift(date: Date, n: i64, unit: &str) -> Option<Date> {
    match unit {
        "天" | "日" => days(date, n),
        "周" | "星期" | "礼拜" => days(date, n.checked_mul(7)?),
        "月" => months(date, n),
        "年" => years(date, n),
        _ => None,
    }
}

/// The count and its unit; half a year is six months.
fn amount<'c>(captures: &'c Captures<'_>) -> Option<(i64, &'c str)> {
    match (captures.name("n")?.as_str(), captures.name("unit")?.as_str()) {
        ("半", "年") => Some((6, "月")),
        ("半", "小时") => Some((30, "分钟")),
        ("半", _) => None,
        (n, unit) => Some((number(n)?, unit)),
    }
}

fn rolling(captures: &Captures<'_>, context: &Context) -> Option<What> {
    let read = || {
        let (n, unit) = amount(captures)?;
        let today = context.today();
        match captures.name("way")?.as_str() {
            "过去" | "最近" | "近" => Some(Period::between(shift(today, -n, unit)?, today)),
            _ => Some(Period::between(today, shift(today, n, unit)?)),
        }
    };
    Some(read().unwrap_or(What::Nothing))
}

fn offset(captures: &Captures<'_>, context: &Context) -> Option<What> {
    let read = || {
        let (n, unit) = amount(captures)?;
        let n = if captures.name("way")?.as_str() == "前" { -n } else { n };
        match unit {
            "分钟" => moment_in(context, n),
            "小时" => moment_in(context, n * 60),
            _ => shift(context.today(), n, unit).map(Day::on),
        }
    };
    Some(read().unwrap_or(What::Nothing))
}

fn clock(captures: &Captures<'_>, _: &Context) -> Option<What> {
    let part = captures.name("part").and_then(|group| part(group.as_str()));
    let minute = match (captures.name("half"), captures.name("quarter").map(|group| group.as_str())) {
        (Some(_), _) => 30,
        (None, Some("一")) => 15,
        (None, Some(_)) => 45,
        (None, None) => match captures.name("min") {
            Some(_) => small(captures, "min")?,
            None => 0,
        },
    };
    let half = part.map_or(Half::Open { minutes: minute != 0 }, Half::Part);
    // 三点 alone may be "three points".
    let clock = Clock::new(small(captures, "h")?, minute, half, part.is_none())?;
    Some(What::Clock(clock))
}
