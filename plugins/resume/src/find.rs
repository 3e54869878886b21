//! What code finds better than a model: e-mail addresses, telephone numbers, links, dates and spans of months.
//!
//! Invariant: all that is found is a verbatim run of the text.

use std::ops::Range;
use std::sync::LazyLock;

use regex_lite::Regex;

use crate::Quotation;

static EMAIL: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"[A-Za-z0-9._%+\-]{1,64}@[A-Za-z0-9\-]{1,63}(\.[A-Za-z0-9\-]{1,63}){1,5}").ok()
});
static PHONE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(\+|\(|\b)[0-9][0-9 ()./\-]{6,22}[0-9]").ok());
static LINK: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(https?://|www\.)[^\s|,;<>()]{3,200}|\b(linkedin\.com|github\.com|gitlab\.com)/[^\s|,;<>()]{2,100}",
    )
    .ok()
});
static DATE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?i)(?P<year1>(19|20)\d\d)\s*年\s*(?P<month1>1[0-2]|0?[1-9])\s*月|(?P<year2>(19|20)\d\d)[-./](?P<month2>1[0-2]|0[1-9])\b|",
        r"\b(?P<month3>1[0-2]|0?[1-9])[./](?P<year3>(19|20)\d\d)\b|",
        r"(?P<name>jan|feb|m[aä]r|apr|may|mai|jun|jul|aug|sep|o[ck]t|nov|de[cz])[a-zä]{0,7}\.?,?\s+(?P<year4>(19|20)\d\d)\b|",
        r"(?P<year5>(19|20)\d\d)\s*年?|\b(?P<now>present|current|today|now|ongoing|heute)\b|(?P<now2>至今|现在|目前)"
    ))
    .ok()
});
static NAME_END: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[|•·,，\t]| [–—-] ").ok());
/// The commonest Chinese family names of one character.
const SURNAMES: &str = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林罗高郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤";

/// A month of a year; where the document gives only the year, no month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month {
    /// Four digits.
    pub year: u32,
    /// 1 to 12.
    pub month: Option<u32>,
}

impl Month {
    /// The month of a moment, in seconds since 1970, UTC (Howard Hinnant's `civil_from_days`).
    #[must_use]
    pub fn at(seconds: u64) -> Option<Month> {
        let days = u32::try_from(seconds / 86_400).ok()?.checked_add(719_468)?;
        let of_era = days % 146_097;
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * of_year + 2) / 153;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = days / 146_097 * 400 + year_of_era + u32::from(month <= 2);
        Some(Month { year, month: Some(month) })
    }
}

impl std::fmt::Display for Month {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.month {
            Some(month) => write!(f, "{:04}-{month:02}", self.year),
            None => write!(f, "{:04}", self.year),
        }
    }
}

/// One end of a span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Date {
    /// A month or a year.
    On(Month),
    /// Until now.
    Present,
}

/// All matches, each with page and offset, without repetition.
fn all(pages: &[String], pattern: Option<&Regex>) -> Vec<Quotation> {
    let mut found: Vec<Quotation> = Vec::new();
    for (at, page) in pages.iter().enumerate() {
        for hit in pattern.iter().flat_map(|pattern| pattern.find_iter(page)).take(64) {
            let text = hit.as_str().trim_end_matches(['.', ',', '/', '-', ' ']);
            if !found.iter().any(|earlier| earlier.text == text) {
                found.push(quotation(page, at, hit.start(), text));
            }
        }
    }
    found
}

pub(crate) fn quotation(page: &str, at: usize, byte: usize, text: &str) -> Quotation {
    let offset = page.get(..byte).map_or(0, |before| before.chars().count());
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Quotation { text: text.to_owned(), page: number(at + 1), offset: number(offset) }
}

/// E-mail addresses.
#[must_use]
pub fn emails(pages: &[String]) -> Vec<Quotation> {
    all(pages, EMAIL.as_ref())
}

/// Links.
#[must_use]
pub fn links(pages: &[String]) -> Vec<Quotation> {
    all(pages, LINK.as_ref())
}

/// Telephone numbers: 7 to 15 digits (E.164) that are no span of years.
#[must_use]
pub fn phones(pages: &[String]) -> Vec<Quotation> {
    let mut found = all(pages, PHONE.as_ref());
    found.retain(|number| {
        let digits = number.text.chars().filter(char::is_ascii_digit).count();
        (7..=15).contains(&digits)
            && (number.text.starts_with(['+', '(', '0']) || digits > 8)
            && !is_years(&number.text)
    });
    found
}

fn is_years(text: &str) -> bool {
    let words: Vec<&str> =
        text.split(|c: char| !c.is_ascii_digit()).filter(|word| !word.is_empty()).collect();
    words.iter().any(|word| word.len() == 4 && (word.starts_with("19") || word.starts_with("20")))
        && words.iter().all(|word| word.len() <= 4)
        && words.len() <= 4
        && !text.starts_with('+')
}

/// Where a text stands in the pages, white space counting as one space; none where it is no run of them.
#[must_use]
pub fn place(pages: &[String], text: &str) -> Option<Quotation> {
    let words: Vec<String> = text.split_whitespace().map(regex_lite::escape).collect();
    if words.is_empty() {
        return None;
    }
    let pattern = Regex::new(&words.join(r"\s+")).ok()?;
    pages
        .iter()
        .enumerate()
        .find_map(|(at, page)| pattern.find(page).map(|hit| quotation(page, at, hit.start(), text)))
}

/// A part of a line by bytes, without white space and list marks around it; none where nothing is left.
#[must_use]
pub fn part(line: &Quotation, range: Range<usize>) -> Option<Quotation> {
    const MARKS: [char; 9] = ['-', '–', '—', '*', '•', '▪', '●', '·', '|'];
    let own = line.text.get(range.clone())?;
    let begins = own.trim_start_matches(|c: char| c.is_whitespace() || MARKS.contains(&c));
    let text = begins.trim_end_matches(|c: char| c.is_whitespace() || MARKS.contains(&c) || c == ',');
    let before = line.text.get(..range.start + (own.len() - begins.len()))?.chars().count();
    let offset = line.offset.saturating_add(u32::try_from(before).unwrap_or(u32::MAX));
    Some(Quotation { text: text.to_owned(), page: line.page, offset }).filter(|part| !part.text.is_empty())
}

/// A line cut at the separators that are not within parentheses.
#[must_use]
pub fn parts(line: &Quotation, separator: Option<&Regex>) -> Vec<Quotation> {
    let (mut found, mut start, mut open, mut seen) = (Vec::new(), 0, 0_i32, 0);
    let hits = separator.iter().flat_map(|separator| separator.find_iter(&line.text));
    for hit in hits.map(|hit| hit.range()).chain(std::iter::once(line.text.len()..line.text.len())) {
        for c in line.text.get(seen..hit.start).unwrap_or_default().chars() {
            open += i32::from(matches!(c, '(' | '（')) - i32::from(matches!(c, ')' | '）'));
        }
        seen = hit.start;
        if open <= 0 || hit.start == line.text.len() {
            found.extend(part(line, start..hit.start));
            start = hit.end;
        }
    }
    found
}

/// From the first date of a text to the end of the last, in bytes, where there are two.
#[must_use]
pub fn date_run(text: &str) -> Option<Range<usize>> {
    let hits: Vec<Range<usize>> =
        DATE.iter().flat_map(|date| date.find_iter(text)).take(32).map(|hit| hit.range()).collect();
    match hits.as_slice() {
        [first, .., last] => Some(first.start..last.end),
        _ => None,
    }
}

/// The name at the head of a résumé, where code can tell: words that the e-mail address repeats, or a Chinese name.
#[must_use]
pub fn name(head: &[Quotation], emails: &[Quotation]) -> Option<Quotation> {
    let local: String =
        emails.first().and_then(|mail| mail.text.split('@').next()).map(letters).unwrap_or_default();
    let lines = head.iter().take(6).flat_map(|line| parts(line, NAME_END.as_ref()));
    let mut named = lines.filter(|part| {
        let words: Vec<&str> = part.text.split_whitespace().collect();
        let plain = part.text.chars().all(|c| c.is_alphabetic() || matches!(c, ' ' | '-' | '\'' | '.' | '’'));
        let repeated =
            words.iter().filter(|word| word.chars().count() >= 3 && local.contains(&letters(word))).count();
        let chinese = matches!(part.text.chars().count(), 2..=3)
            && part.text.chars().all(|c| ('\u{4e00}'..='\u{9fff}').contains(&c))
            && part.text.starts_with(|c| SURNAMES.contains(c));
        chinese || plain && (2..=5).contains(&words.len()) && repeated >= 1
    });
    named.next()
}

/// Letters of a word as an address has them.
fn letters(word: &str) -> String {
    word.to_lowercase()
        .chars()
        .map(|c| match c {
            'ä' => "ae".to_owned(),
            'ö' | 'ø' => "oe".to_owned(),
            'ü' => "ue".to_owned(),
            'ß' => "ss".to_owned(),
            'á' | 'à' | 'â' | 'å' | 'ã' => "a".to_owned(),
            'é' | 'è' | 'ê' | 'ë' => "e".to_owned(),
            'í' | 'ì' | 'î' | 'ï' => "i".to_owned(),
            'ó' | 'ò' | 'ô' | 'õ' => "o".to_owned(),
            'ç' => "c".to_owned(),
            'ñ' => "n".to_owned(),
            c if c.is_alphabetic() => c.to_string(),
            _ => String::new(),
        })
        .collect()
}

/// The dates of a text in order.
#[must_use]
pub fn dates(text: &str) -> Vec<Date> {
    let mut found = Vec::new();
    for hit in DATE.iter().flat_map(|pattern| pattern.captures_iter(text)).take(32) {
        let number = |names: &[&str]| {
            names.iter().find_map(|name| hit.name(name)).and_then(|text| text.as_str().parse::<u32>().ok())
        };
        let named = hit.name("name").and_then(|name| month_of(name.as_str()));
        let month = number(&["month1", "month2", "month3"]).or(named);
        match number(&["year1", "year2", "year3", "year4", "year5"]) {
            Some(year) => found.push(Date::On(Month { year, month })),
            None => found.push(Date::Present),
        }
    }
    found
}

fn month_of(name: &str) -> Option<u32> {
    let name = name.to_lowercase().replace('ä', "a");
    let names = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let name = match name.as_str() {
        "mai" => "may",
        "okt" => "oct",
        "dez" => "dec",
        other => other,
    };
    names.iter().position(|known| *known == name).and_then(|at| u32::try_from(at + 1).ok())
}

/// Months from the first to the last, both counted; none where a month is not given, or the last is before the first.
#[must_use]
pub fn months(start: Month, end: Month) -> Option<u32> {
    let count = |date: Month| date.month.map(|month| date.year * 12 + month);
    count(end)?.checked_sub(count(start)?).map(|between| between + 1)
}

#[cfg(test)]
mod tests {
    use super::{Date, Month, date_run, dates, emails, links, months, name, parts, phones, place};

    fn texts(found: Vec<crate::Quotation>) -> Vec<String> {
        found.into_iter().map(|quotation| quotation.text).collect()
    }

    #[test]
    fn contacts_are_found_where_they_stand() {
        let pages = vec![
            "Zoë Brandt\nzoe@example.com | +49 30 555-1234\nwww.example.org/zoe, since 2010 - 2014\n"
                .to_owned(),
        ];
        let mail = emails(&pages);
        assert_eq!((mail[0].text.as_str(), mail[0].page, mail[0].offset), ("zoe@example.com", 1, 11));
        assert_eq!(texts(phones(&pages)), ["+49 30 555-1234"]);
        assert_eq!(texts(links(&pages)), ["www.example.org/zoe"]);
        assert_eq!(place(&pages, "555-1234 www.example.org/zoe").map(|found| found.offset), Some(36));
        assert!(place(&pages, "Zoe Brandt").is_none());
    }

    #[test]
    fn a_name_is_told_by_the_address_and_parts_keep_their_place() {
        let line = |text: &str, offset| crate::Quotation { text: text.to_owned(), page: 1, offset };
        let mails = [line("zoe.brandt@example.com", 40)];
        let head = [line("Curriculum Vitae", 0), line("Head Baker | Zoé Brandt", 17)];
        assert_eq!(
            name(&head, &mails).map(|name| (name.text, name.offset)),
            Some(("Zoé Brandt".to_owned(), 30))
        );
        assert!(name(&head[..1], &mails).is_none());
        assert_eq!(name(&[line("林小雨", 0)], &[]).map(|name| name.text), Some("林小雨".to_owned()));
        let comma = regex_lite::Regex::new(",").ok();
        let cut = parts(&line("– Danish (B1, spoken), Welsh", 5), comma.as_ref());
        let cut: Vec<_> = cut.iter().map(|part| (part.text.as_str(), part.offset)).collect();
        assert_eq!(cut, [("Danish (B1, spoken)", 7), ("Welsh", 28)]);
        assert_eq!(date_run("Miller (May 2011 – now), Aue"), Some(8..24));
    }

    #[test]
    fn dates_in_the_forms_of_resumes() {
        let on = |year, month| Date::On(Month { year, month });
        for (text, want) in [
            ("March 2019 – Dec. 2021", vec![on(2019, Some(3)), on(2021, Some(12))]),
            ("03/2019 - present", vec![on(2019, Some(3)), Date::Present]),
            ("2019-03 to 2020.11", vec![on(2019, Some(3)), on(2020, Some(11))]),
            ("2016年9月至今", vec![on(2016, Some(9)), Date::Present]),
            ("Mai 2015 bis heute", vec![on(2015, Some(5)), Date::Present]),
            ("2005–2008", vec![on(2005, None), on(2008, None)]),
            ("no date", vec![]),
        ] {
            assert_eq!(dates(text), want, "{text}");
        }
        let month = |year, month| Month { year, month };
        assert_eq!(months(month(2019, Some(3)), month(2021, Some(12))), Some(34));
        assert_eq!(months(month(2019, Some(3)), month(2019, Some(3))), Some(1));
        assert_eq!(months(month(2019, Some(3)), month(2019, Some(2))), None);
        assert_eq!(months(month(2019, None), month(2021, None)), None);
        // `date -u -d @… +%Y-%m`
        for (seconds, want) in
            [(0, "1970-01"), (951_782_400, "2000-02"), (1_893_455_999, "2029-12"), (1_893_456_000, "2030-01")]
        {
            assert_eq!(Month::at(seconds).map(|month| month.to_string()).as_deref(), Some(want));
        }
    }
}
