//! Who a person is, taken out of what a judge is shown: name, contact, address, age, gender, photo.
//!
//! Invariant: a line is only ever made shorter or masked, run by run, and what was hidden is counted by kind. Nothing of a
//! masked run stands in evidence either.

use std::sync::LazyLock;

use regex_lite::Regex;

use crate::section::{self, Kind};
use crate::{HiddenFromJudge, Quotation, find, text::Text};

/// What stands for a hidden run.
const MASK: &str = "[hidden]";

static AGE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(date of birth|born( on| in)?|birthday|age|aged|geburtsdatum|geboren)\b\s*:?\s*[0-9a-z. /-]{0,20}[0-9]+|\b[0-9]{2} years old|(出生|年龄|生日)[^\n，,]*").ok()
});
static GENDER: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(gender|sex|geschlecht)\s*:\s*\w+|\b(he/him|she/her|they/them|male|female|mr|mrs|ms|herr|frau)\b|性别[：: ]*[男女]").ok()
});
static PHOTO: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?i)\b(photo(graph)?|picture|lichtbild)\b|照片").ok());
static ADDRESS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(address|anschrift|adresse)\s*:[^\n]*|\b[0-9]{1,5} [A-Z][\p{L}.]+ (street|st|road|rd|avenue|ave|lane|drive|square)\b[^\n]*|[\p{L}.-]+(stra(ß|ss)e|str\.|weg|platz|allee) [0-9]+[a-z]?[^\n]*|\b[0-9]{5} [A-ZÄÖÜ][\p{L}-]+|(地址|住址)[^\n]*".replace(r"\p{L}", "A-Za-zÀ-ž").as_str()).ok()
});

/// What is hidden of one document.
#[derive(Debug, Default)]
pub struct Blind {
    /// Kind and run, the longest first.
    runs: Vec<(&'static str, String)>,
    patterns: bool,
}

impl Blind {
    /// What is to be hidden, of a document where `blind`; else nothing.
    #[must_use]
    pub fn of(text: &Text, blind: bool) -> Blind {
        if !blind {
            return Blind::default();
        }
        let sections = section::sections(text);
        let head = section::lines(&sections, Kind::Head);
        let emails = find::emails(&text.pages);
        let contact = [emails.clone(), find::phones(&text.pages), find::links(&text.pages)].concat();
        // Where code is not sure of the name, the first line without contact data is hidden.
        let first = || {
            let plain = |line: &&Quotation| !contact.iter().any(|found| line.text.contains(&found.text));
            head.iter().find(|line| plain(line) && line.text.chars().count() <= 40).cloned()
        };
        let mut runs: Vec<(&'static str, String)> =
            contact.iter().map(|found| ("contact", found.text.clone())).collect();
        if let Some(name) = find::name(&head, &emails).or_else(first) {
            let parts =
                name.text.split_whitespace().filter(|part| part.chars().count() >= 3).map(str::to_owned);
            runs.extend(parts.chain([name.text.clone()]).map(|part| ("name", part)));
        }
        runs.sort_by_key(|(_, run)| std::cmp::Reverse(run.len()));
        Blind { runs, patterns: true }
    }

    /// The text as a judge may see it; what was hidden is counted.
    pub fn mask(&self, text: &str, mut count: impl FnMut(&'static str, usize)) -> String {
        let mut masked = text.to_owned();
        for (what, run) in &self.runs {
            let found = masked.matches(run.as_str()).count();
            if found > 0 {
                count(what, found);
                masked = masked.replace(run.as_str(), MASK);
            }
        }
        let patterns = [("address", &ADDRESS), ("age", &AGE), ("gender", &GENDER), ("photo", &PHOTO)];
        for (what, pattern) in patterns.into_iter().filter(|_| self.patterns) {
            let Some(pattern) = pattern.as_ref() else { continue };
            let found = pattern.find_iter(&masked).count();
            if found > 0 {
                count(what, found);
                masked = pattern.replace_all(&masked, MASK).into_owned();
            }
        }
        masked
    }

    /// The longest run of a quotation in which nothing is hidden; none where nothing is said in it.
    #[must_use]
    pub fn visible(&self, quotation: &Quotation) -> Option<Quotation> {
        let masked = self.mask(&quotation.text, |_, _| ());
        let longest = masked.split(MASK).max_by_key(|part| part.len())?;
        let at = quotation.text.find(longest)?;
        find::part(quotation, at..at + longest.len())
            .filter(|part| part.text.chars().any(char::is_alphanumeric))
    }

    /// What is hidden of all lines of a document, by kind.
    #[must_use]
    pub fn counts(&self, text: &Text) -> Vec<HiddenFromJudge> {
        let mut counts: Vec<HiddenFromJudge> = Vec::new();
        for (_, lines) in section::sections(text) {
            for line in lines {
                self.mask(&line.text, |what, found| {
                    let found = u32::try_from(found).unwrap_or(u32::MAX);
                    match counts.iter_mut().find(|own| own.what == what) {
                        Some(own) => own.count = own.count.saturating_add(found),
                        None => counts.push(HiddenFromJudge { what: what.to_owned(), count: found }),
                    }
                });
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::Blind;
    use crate::{Format, Quotation, text::Text};

    const PAGE: &str = "Zoë Brandt\nBorn: 3 May 1990, female\nzoe@example.com | +49 30 555-1234\nAddress: Lindenstraße 4, 12345 Aue\nExperience\nBaker, The Mill\nZoë Brandt baked bread in Rust.\n";

    #[test]
    fn a_blind_judge_does_not_see_who_it_is() {
        let text = Text { format: Format::Text, pages: vec![PAGE.to_owned()], hidden: vec![] };
        let blind = Blind::of(&text, true);
        let seen = blind.mask(PAGE, |_, _| ());
        for private in ["Zoë", "Brandt", "1990", "female", "zoe@", "555", "Linden", "Aue"] {
            assert!(!seen.contains(private), "{private} in {seen}");
        }
        assert!(seen.contains("Baker, The Mill"));
        let counts: Vec<_> = blind.counts(&text).into_iter().map(|one| (one.what, one.count)).collect();
        let want = [("name", 2), ("age", 1), ("gender", 1), ("contact", 2), ("address", 1)];
        assert_eq!(counts, want.map(|(what, count)| (what.to_owned(), count)));
        let line = Quotation { text: "Zoë Brandt baked bread in Rust.".to_owned(), page: 1, offset: 7 };
        assert_eq!(
            blind.visible(&line).map(|part| (part.text, part.offset)),
            Some(("baked bread in Rust.".to_owned(), 18))
        );
        assert_eq!(Blind::of(&text, false).mask(PAGE, |_, _| ()), PAGE);
    }
}
