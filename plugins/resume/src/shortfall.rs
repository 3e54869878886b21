//! What a line falls short of a criterion by, where code can count: a quantity that is less than asked, a part of "this
//! and that" that no line names.
//!
//! Invariant: it only ever lowers a verdict, from met to partly, and says why.

use crate::words;

/// Number words, English.
const NUMBERS: [(&str, f64); 26] = [
    ("one", 1.0),
    ("two", 2.0),
    ("three", 3.0),
    ("four", 4.0),
    ("five", 5.0),
    ("six", 6.0),
    ("seven", 7.0),
    ("eight", 8.0),
    ("nine", 9.0),
    ("ten", 10.0),
    ("eleven", 11.0),
    ("twelve", 12.0),
    ("thirteen", 13.0),
    ("fourteen", 14.0),
    ("fifteen", 15.0),
    ("sixteen", 16.0),
    ("eighteen", 18.0),
    ("twenty", 20.0),
    ("thirty", 30.0),
    ("forty", 40.0),
    ("fifty", 50.0),
    ("sixty", 60.0),
    ("seventy", 70.0),
    ("eighty", 80.0),
    ("ninety", 90.0),
    ("dozen", 12.0),
];
const TIMES: [(&str, f64); 5] =
    [("hundred", 1e2), ("thousand", 1e3), ("million", 1e6), ("billion", 1e9), ("millionen", 1e6)];
/// Shares, in per cent.
const SHARES: [(&str, f64); 5] =
    [("half", 50.0), ("third", 33.0), ("quarter", 25.0), ("fifth", 20.0), ("tenth", 10.0)];

/// The quantities of a text; those in per cent are marked. Numbers that may be years are left out.
fn quantities(text: &str) -> Vec<(f64, bool)> {
    let lower = text.to_lowercase().replace('%', " percent ");
    let tokens: Vec<&str> = lower
        .split(|c: char| !(c.is_alphanumeric() || matches!(c, ',' | '.')))
        .map(|token| token.trim_matches([',', '.']))
        .filter(|token| !token.is_empty())
        .collect();
    let mut found: Vec<(f64, bool)> = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let next = tokens.get(at + 1).copied().unwrap_or_default();
        let known = |table: &[(&str, f64)], word: &str| {
            table.iter().find(|(own, _)| *own == word).map(|(_, value)| *value)
        };
        if let Some(share) = known(&SHARES, token) {
            found.push((share, true));
            continue;
        }
        let digits = token.replace(',', "").parse::<f64>().ok();
        let Some(value) = digits.or_else(|| known(&NUMBERS, token)) else { continue };
        let is_year = digits.is_some() && token.len() == 4 && (1900.0..2100.0).contains(&value);
        let percent = matches!(next, "percent" | "per" | "prozent");
        if value.is_finite() && !is_year {
            found.push((value * known(&TIMES, next).unwrap_or(1.0), percent));
        }
    }
    found
}

/// Why a line does not show all of a criterion; none where nothing is countable or all is there. `lines` are all that bear
/// on it.
#[must_use]
pub fn shortfall(criterion: &str, line: &str, lines: &[&str]) -> Option<String> {
    let most = |text: &str, percent: bool| {
        quantities(text)
            .into_iter()
            .filter(|(_, own)| *own == percent)
            .map(|(value, _)| value)
            .reduce(f64::max)
    };
    for percent in [false, true] {
        let Some(asked) = most(criterion, percent) else { continue };
        match most(line, percent) {
            None => return Some(format!("the line gives no number; {asked} asked")),
            Some(given) if given < asked => return Some(format!("the line gives {given}; {asked} asked")),
            Some(_) => (),
        }
    }
    let terms: Vec<String> = lines.iter().flat_map(|line| words::terms(line)).collect();
    let spaced =
        criterion.replace([',', '&', '、'], " and ").replace(['和', '及'], " and ").replace(" und ", " and ");
    let parts: Vec<&str> = spaced.split(" and ").collect();
    let missing = parts.iter().filter(|_| parts.len() > 1).find(|part| {
        let asked = words::asked(part, &[]);
        !asked.is_empty() && !asked.iter().any(|one| one.touched(&terms))
    });
    missing.map(|part| format!("no line names `{}`", part.trim()))
}

#[cfg(test)]
mod tests {
    use super::shortfall;

    #[test]
    fn what_can_be_counted_is_counted() {
        for (criterion, line, short) in [
            ("Kitchen of at least 8 cooks", "Led a kitchen of six.", true),
            ("Kitchen of at least 8 cooks", "Led a kitchen of 12 cooks since 2015.", false),
            ("Kitchen of at least 8 cooks", "Led a kitchen.", true),
            ("Sales of over 3 million", "Sold cheese for 2,500,000 pounds.", true),
            ("Sales of over 3 million", "Sold cheese for 4.5 million pounds.", false),
            ("Grew sales by 30 %", "Grew sales by half in two years.", false),
            ("Grew sales by 30 %", "Grew sales by a fifth.", true),
            ("Cheese and wine", "Sold cheese.", true),
            ("Cheese and wine", "Sold wines and cheese.", false),
            ("Cheese", "Sold milk.", false),
        ] {
            assert_eq!(shortfall(criterion, line, &[line]).is_some(), short, "{criterion}: {line}");
        }
    }
}
