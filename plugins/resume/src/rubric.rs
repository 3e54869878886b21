//! A rubric: what is asked, how much it weighs and how it is judged. A person edits the draft.
//!
//! Invariant: every criterion that is judged is within the bounds here and has a kind, given or told from its text.

use std::sync::LazyLock;

use regex_lite::Regex;

use crate::{Criterion, CriterionKind, Error, Level, words};

/// Criteria of one rubric.
pub const MAX_CRITERIA: usize = 20;
/// The longest criterion, in characters.
const MAX_CRITERION: usize = 200;

static MUST: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(must|required?|mandatory|essential|at least|minimum|need(s|ed)?|zwingend|muss)\b|必须|必需|要求|至少").ok()
});
static YEARS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(?P<digits>[0-9]{1,2})\s*(\+|\(?or more\)?|plus)?\s*-?\s*(years?|yrs?|jahre?n?)\b|(?P<han>[0-9]{1,2})\s*年|\b(?P<word>one|two|three|four|five|six|seven|eight|nine|ten)\s+(or more\s+)?years?\b").ok()
});
static EDUCATION: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(degree|bachelor('s)?|bsc|master's|msc|mba|ph\.? ?d|doctorate|diploma|graduate|university|studium|hochschulabschluss)\b|\bmasters? (degree|of|in)\b|学士|硕士|博士|本科|学历|学位").ok()
});
static CERTIFICATE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(certificat(e|es|ion|ions)|certified|licen[cs]ed?|zertifikate?|führerschein)\b|证书|执照|资格证").ok()
});
/// Names of languages, each with the names it has elsewhere.
static LANGUAGE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(english|german|french|spanish|italian|portuguese|polish|russian|turkish|arabic|dutch|swedish|danish|czech|norwegian|finnish|welsh|irish|greek|hungarian|romanian|bulgarian|serbian|croatian|ukrainian|hebrew|persian|urdu|bengali|vietnamese|thai|indonesian|mandarin|chinese|cantonese|japanese|korean|hindi|deutsch|englisch|franz(ö|oe)sisch|spanisch|chinesisch)\b|[英德法日韩俄汉]语|中文|普通话|西班牙语").ok()
});

/// How many years a criterion asks for.
#[must_use]
pub fn years(text: &str) -> Option<u32> {
    let hit = YEARS.as_ref()?.captures(text)?;
    let digits = hit.name("digits").or_else(|| hit.name("han"));
    if let Some(digits) = digits {
        return digits.as_str().parse().ok();
    }
    let names = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
    let word = hit.name("word")?.as_str().to_lowercase();
    names.iter().position(|name| *name == word).and_then(|at| u32::try_from(at + 1).ok())
}

/// A text without the years it asks for.
#[must_use]
pub fn without_years(text: &str) -> String {
    YEARS.as_ref().map_or_else(|| text.to_owned(), |years| years.replace_all(text, " ").into_owned())
}

/// The languages that a text names.
#[must_use]
pub fn languages(text: &str) -> Vec<String> {
    LANGUAGE.iter().flat_map(|language| language.find_iter(text)).map(|hit| hit.as_str().to_owned()).collect()
}

/// What a criterion is about, by its text.
#[must_use]
pub fn kind(text: &str) -> CriterionKind {
    let is =
        |pattern: &LazyLock<Option<Regex>>| pattern.as_ref().is_some_and(|pattern| pattern.is_match(text));
    if is(&YEARS) {
        CriterionKind::Years
    } else if is(&EDUCATION) {
        CriterionKind::Education
    } else if is(&CERTIFICATE) {
        CriterionKind::Certificate
    } else if is(&LANGUAGE) && words::asked(text, &[]).len() <= 6 {
        CriterionKind::Language
    } else if words::asked(text, &[]).len() <= 3 {
        CriterionKind::Skill
    } else {
        CriterionKind::Other
    }
}

/// Free text to criteria: one for each line, sentence or part between semicolons.
///
/// # Errors
/// Where there is none, or more than [`MAX_CRITERIA`].
pub fn draft(requirements: &str) -> Result<Vec<Criterion>, Error> {
    let parts = requirements.split(['\n', ';', '。', '；']).flat_map(|line| line.split(". "));
    let criteria: Vec<Criterion> = parts
        .map(|part| part.trim().trim_start_matches(['-', '*', '•', '–']).trim_end_matches('.').trim())
        .filter(|part| part.chars().any(char::is_alphanumeric) && !part.ends_with(':'))
        .map(|part| {
            let must = MUST.as_ref().is_some_and(|must| must.is_match(part));
            let (level, weight) = if must { (Level::Must, 3) } else { (Level::Should, 1) };
            Criterion { text: part.to_owned(), level, weight, kind: Some(kind(part)), synonyms: None }
        })
        .collect();
    check(&criteria)?;
    Ok(criteria)
}

/// Whether a rubric can be judged.
///
/// # Errors
/// Names the criterion and what to give instead.
pub fn check(criteria: &[Criterion]) -> Result<(), Error> {
    if criteria.is_empty() || criteria.len() > MAX_CRITERIA {
        return Err(Error::Invalid(format!("{} criteria; give 1 to {MAX_CRITERIA}", criteria.len())));
    }
    for criterion in criteria {
        let length = criterion.text.chars().count();
        if !(1..=MAX_CRITERION).contains(&length) {
            return Err(Error::Invalid(format!(
                "a criterion of {length} characters, `{:.40}…`; give 1 to {MAX_CRITERION}",
                criterion.text
            )));
        }
        if !(1..=10).contains(&criterion.weight) {
            return Err(Error::Invalid(format!(
                "weight {} of `{:.40}`; give 1 to 10",
                criterion.weight, criterion.text
            )));
        }
        if criterion.kind == Some(CriterionKind::Years) && years(&criterion.text).is_none() {
            return Err(Error::Invalid(format!(
                "`{:.40}` is of the kind years and names no number of years; give one, such as \"3 years of …\"",
                criterion.text
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{draft, kind, years};
    use crate::{CriterionKind, Error, Level};

    #[test]
    fn a_rubric_from_free_text() {
        let criteria = draft("- Must know Rust.\n- Nice to have: SQL; bakery experience").expect("criteria");
        let plain: Vec<_> = criteria.iter().map(|one| (one.text.as_str(), one.level, one.weight)).collect();
        assert_eq!(
            plain,
            [
                ("Must know Rust", Level::Must, 3),
                ("Nice to have: SQL", Level::Should, 1),
                ("bakery experience", Level::Should, 1)
            ]
        );
        assert!(matches!(draft(" \n"), Err(Error::Invalid(_))));
        assert!(matches!(draft(&"a\n".repeat(21)), Err(Error::Invalid(_))));
        let mut wrong = criteria;
        wrong[0].kind = Some(CriterionKind::Years);
        assert!(matches!(super::check(&wrong), Err(Error::Invalid(why)) if why.contains("years")));
    }

    #[test]
    fn kinds_by_their_words() {
        for (text, want) in [
            ("5+ years of baking", CriterionKind::Years),
            ("three years in a bakery", CriterionKind::Years),
            ("5年以上工作经验", CriterionKind::Years),
            ("A degree in history", CriterionKind::Education),
            ("Fluent Danish", CriterionKind::Language),
            ("Truck driving licence", CriterionKind::Certificate),
            ("Haskell", CriterionKind::Skill),
            ("Has opened a shop and led its staff through the first winter", CriterionKind::Other),
        ] {
            assert_eq!(kind(text), want, "{text}");
        }
        assert_eq!(["12 yrs", "two years", "2年", "a year"].map(years), [Some(12), Some(2), Some(2), None]);
    }
}
