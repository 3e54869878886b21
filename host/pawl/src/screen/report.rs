//! The files of a screening: one line of JSON for each résumé, a table for spreadsheets, a page for people.

use std::fs;
use std::io;
use std::path::Path;

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, context};
use serde_json::json;

use super::ranking::{Judgement, Ranking};

/// The page's template. It refers to nothing outside of itself.
const PAGE: &str = include_str!("report.html");
/// Résumés of which the page has all judgements.
const DETAILED: usize = 500;
/// Rows of the page's table.
const ROWS: usize = 2_000;

/// Writes results.jsonl, results.csv and report.html into a folder.
///
/// # Errors
/// Where one of them cannot be written.
pub(crate) fn write(ranking: &Ranking, folder: &Path) -> io::Result<()> {
    for (name, content) in
        [("results.jsonl", jsonl(ranking)), ("results.csv", csv(ranking)?), ("report.html", html(ranking)?)]
    {
        // A reader never sees half of one.
        let half = folder.join(format!("{name}.part"));
        fs::write(&half, content)?;
        fs::rename(half, folder.join(name))?;
    }
    Ok(())
}

/// One line for each résumé: the ranked ones first, then copies, failures and what is not done.
pub(crate) fn jsonl(ranking: &Ranking) -> String {
    let with = |state: &str, of: serde_json::Value| {
        let mut line = json!({"state": state});
        if let (Some(line), serde_json::Value::Object(fields)) = (line.as_object_mut(), of) {
            line.extend(fields);
        }
        line
    };
    let ranked = ranking.ranked.iter().map(|ranked| with("ranked", json!(ranked)));
    let copies = ranking.copies.iter().map(|copied| with("same", json!(copied)));
    let failed = ranking.failed.iter().map(|failed| with("failed", json!(failed)));
    let unfinished = ranking.unfinished.iter().map(|name| with("unfinished", json!({"name": name})));
    ranked.chain(copies).chain(failed).chain(unfinished).map(|line| format!("{line}\n")).collect()
}

/// One row for each résumé; each criterion has a column with its verdict and one with its evidence.
///
/// # Errors
/// Where a row cannot be made.
pub(crate) fn csv(ranking: &Ranking) -> io::Result<String> {
    let mut rows = ::csv::Writer::from_writer(Vec::new());
    let mut head = vec![
        "state".to_owned(),
        "place".into(),
        "name".into(),
        "points".into(),
        "lacks_must".into(),
        "left_out".into(),
    ];
    for criterion in &ranking.criteria {
        head.extend([inert(&criterion.text), inert(&format!("{}: evidence", criterion.text))]);
    }
    head.push("note".into());
    let wide = head.len();
    rows.write_record(&head)?;
    for ranked in &ranking.ranked {
        let score = &ranked.screened.score;
        let mut row = vec![
            "ranked".to_owned(),
            ranked.place.to_string(),
            inert(&ranked.name),
            score.points.to_string(),
            score.lacks_must.to_string(),
            score.left_out.to_string(),
        ];
        let judged = score.judgements.iter().take(ranking.criteria.len());
        row.extend(
            judged.flat_map(|judgement| [judgement.verdict.name().to_owned(), inert(&evidence(judgement))]),
        );
        row.resize(wide, String::new());
        rows.write_record(&row)?;
    }
    let others = (ranking
        .copies
        .iter()
        .map(|copied| ("same", &copied.name, format!("the same as {}", copied.same_as))))
    .chain(
        ranking
            .failed
            .iter()
            .map(|failed| ("failed", &failed.name, format!("{}: {}", failed.code, failed.why))),
    )
    .chain(ranking.unfinished.iter().map(|name| ("unfinished", name, String::new())));
    for (state, name, note) in others {
        let mut row = vec![String::new(); wide];
        (row[0], row[2], row[wide - 1]) = (state.to_owned(), inert(name), inert(&note));
        rows.write_record(&row)?;
    }
    let bytes = rows.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
    String::from_utf8(bytes).map_err(io::Error::other)
}

fn evidence(judgement: &Judgement) -> String {
    match &judgement.evidence {
        Some(quotation) => format!("{} (page {}): {}", quotation.text, quotation.page, judgement.reason),
        None => judgement.reason.clone(),
    }
}

/// A text that no spreadsheet takes for a formula: a résumé may hold one.
fn inert(text: &str) -> String {
    let first = text.trim_start().chars().next();
    let formula = matches!(first, Some('=' | '+' | '-' | '@')) || text.starts_with(['\t', '\r']);
    if formula { format!("'{text}") } else { text.to_owned() }
}

/// One page: ranking with all verdicts, quotations, what failed and why, what was hidden.
///
/// # Errors
/// Where the page cannot be made.
pub(crate) fn html(ranking: &Ranking) -> io::Result<String> {
    let mut templates = Environment::new();
    templates.set_auto_escape_callback(|_| AutoEscape::Html);
    let page = templates.render_named_str(
        "report.html",
        PAGE,
        context! {
            ranking => minijinja::Value::from(Serde(ranking)),
            detailed => ranking.ranked.len().min(DETAILED),
            rows => ranking.ranked.len().min(ROWS),
        },
    );
    page.map_err(io::Error::other)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "what fails here fails the test")]
mod tests {
    use super::super::ranking::*;
    use super::*;

    fn ranked(place: usize, name: &str, quoted: &str, hidden: &[&str]) -> Ranked {
        let evidence = Some(Quotation { text: quoted.into(), page: 2 });
        let judgement = Judgement {
            criterion: "Rust".into(),
            verdict: Verdict::Met,
            evidence,
            by: "code".into(),
            reason: "listed".into(),
        };
        let score = Score {
            points: 62.5,
            lacks_must: false,
            judgements: vec![judgement],
            hidden_from_judge: Vec::new(),
            left_out: 1,
        };
        let hidden = hidden.iter().map(|text| (*text).to_owned()).collect();
        Ranked { place, name: name.into(), screened: Screened { score, hidden, instructions: Vec::new() } }
    }

    fn ranking() -> Ranking {
        Ranking {
            name: "Engineers <b>".into(),
            began: "2026-11-29T07:00:00Z".into(),
            blind: true,
            criteria: vec![Criterion { text: "Rust".into(), level: "must".into(), weight: 3 }],
            ranked: vec![
                ranked(1, "a.pdf", "=HYPERLINK(\"x\")", &["<script>alert(1)</script>"]),
                ranked(2, "b.pdf", "Rust, \"fluent\"", &[]),
            ],
            copies: vec![Copied { name: "c.pdf".into(), same_as: "a.pdf".into() }],
            failed: vec![Failed {
                name: "scan.pdf".into(),
                code: "no-text".into(),
                why: "run OCR".into(),
                attempts: 2,
            }],
            unfinished: vec!["late.pdf".into()],
        }
    }

    #[test]
    fn each_resume_has_a_line_of_json() {
        let lines: Vec<serde_json::Value> =
            jsonl(&ranking()).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let states: Vec<_> = lines
            .iter()
            .map(|line| (line["state"].as_str().unwrap(), line["name"].as_str().unwrap()))
            .collect();
        assert_eq!(
            states,
            [
                ("ranked", "a.pdf"),
                ("ranked", "b.pdf"),
                ("same", "c.pdf"),
                ("failed", "scan.pdf"),
                ("unfinished", "late.pdf")
            ]
        );
        assert_eq!(
            (&lines[0]["points"], &lines[0]["judgements"][0]["evidence"]["page"]),
            (&json!(62.5), &json!(2))
        );
        assert_eq!(lines[3]["code"], "no-text");
    }

    #[test]
    fn the_table_has_no_formula_and_reads_back() {
        let text = csv(&ranking()).unwrap();
        let mut rows = ::csv::Reader::from_reader(text.as_bytes());
        let head = rows.headers().unwrap().clone();
        assert_eq!(head.iter().collect::<Vec<_>>()[..3], ["state", "place", "name"]);
        let rows: Vec<::csv::StringRecord> = rows.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 5);
        assert_eq!(&rows[0][7], "'=HYPERLINK(\"x\") (page 2): listed");
        assert_eq!(&rows[1][7], "Rust, \"fluent\" (page 2): listed");
        assert_eq!((&rows[3][0], &rows[3][8]), ("failed", "no-text: run OCR"));
    }

    #[test]
    fn the_page_stands_alone_and_what_a_resume_says_is_text_in_it() {
        let page = html(&ranking()).unwrap();
        for has in [
            "Engineers &lt;b&gt;",
            "&lt;script&gt;alert(1)&lt;",
            "62.5",
            "page 2",
            "no-text",
            "run OCR",
            "late.pdf",
            "c.pdf",
        ] {
            assert!(page.contains(has), "{has}");
        }
        for lacks in ["<script", "http://", "https://", "src=", "@import", "url("] {
            assert!(!page.contains(lacks), "{lacks}");
        }
    }
}
