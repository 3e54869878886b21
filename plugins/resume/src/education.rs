//! Schools and degrees, where the words of the lines tell which is which.
//!
//! Invariant: nothing is guessed. Where one school has no degree beside it, the answer is none, and the model is asked.

use std::sync::LazyLock;

use regex_lite::Regex;

use crate::{Quotation, Study, find};

static SEPARATOR: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"[,;|•\t，；]| [–—@-] | (at|an der) ").ok());
static SCHOOL: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(university|college|institute|polytechnic|school|academy|hochschule|schule|gymnasium|akademie|universit|école|facult)|universität|大学|学院|学校|中学").ok()
});
static DEGREE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(b\.? ?(sc|a|eng|tech)|m\.? ?(sc|a|eng|tech|ba)|ph\.? ?d|bachelor|master|diploma|diplom|doctor|doctorate|degree|abitur|licence|apprenticeship|associate|certificate)\b|学士|硕士|博士|本科|专科").ok()
});

/// The studies of an education section; none where code cannot tell.
#[must_use]
pub fn studies(lines: &[Quotation]) -> Option<Vec<Study>> {
    let is = |pattern: &LazyLock<Option<Regex>>, part: &Quotation| {
        pattern.as_ref().is_some_and(|pattern| pattern.is_match(&part.text))
    };
    let parts: Vec<(usize, Quotation)> = lines
        .iter()
        .enumerate()
        .flat_map(|(at, line)| find::parts(line, SEPARATOR.as_ref()).into_iter().map(move |part| (at, part)))
        .filter(|(_, part)| part.text.chars().any(char::is_alphabetic))
        .collect();
    let schools: Vec<&(usize, Quotation)> =
        parts.iter().filter(|(_, part)| is(&SCHOOL, part) && !is(&DEGREE, part)).collect();
    let degrees: Vec<&(usize, Quotation)> =
        parts.iter().filter(|(_, part)| is(&DEGREE, part) && !is(&SCHOOL, part)).collect();
    // One degree for each school, in the same line or the next to it.
    let paired = !schools.is_empty()
        && schools.len() == degrees.len()
        && schools.iter().zip(&degrees).all(|((school, _), (degree, _))| school.abs_diff(*degree) <= 1);
    paired.then(|| {
        let pairs = schools.into_iter().zip(degrees);
        pairs
            .map(|((_, school), (_, degree))| Study { degree: degree.clone(), school: school.clone() })
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::studies;
    use crate::Quotation;

    #[test]
    fn schools_and_degrees_by_their_words() {
        let lines = |text: &str| -> Vec<Quotation> {
            text.lines().map(|text| Quotation { text: text.to_owned(), page: 1, offset: 0 }).collect()
        };
        let read = |text: &str| {
            studies(&lines(text)).map(|all| {
                all.into_iter()
                    .map(|one| format!("{}/{}", one.degree.text, one.school.text))
                    .collect::<Vec<_>>()
            })
        };
        for (text, want) in [
            ("BA History, University of Aue, 2001 – 2004", Some(vec!["BA History/University of Aue"])),
            (
                "Aue College\nDiploma in Baking\n2001\nHochschule Werl\nM.Sc. Milling",
                Some(vec!["Diploma in Baking/Aue College", "M.Sc. Milling/Hochschule Werl"]),
            ),
            ("文学学士，东湖大学", Some(vec!["文学学士/东湖大学"])),
            ("Baking, Aue", None),
            ("Aue College, history", None),
        ] {
            let want = want.map(|all| all.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(read(text), want, "{text}");
        }
    }
}
