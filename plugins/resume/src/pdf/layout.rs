//! Glyphs to lines in reading order: words by gaps, columns by gutters that nothing crosses.
//!
//! Fragments (runs of glyphs on one baseline without a wide gap) are cut recursively: by a vertical gutter where there are
//! two columns, else by taking rows off the top until one shows. A gutter whose two sides share their baselines, one of
//! them sparse or short, is a table and stays row by row. Invariant: work is bounded by [`MAX_CUTS`].

/// One character with its place, y growing upward, in points.
#[derive(Debug, Clone)]
pub(super) struct Glyph {
    pub(super) x0: f64,
    pub(super) x1: f64,
    pub(super) y: f64,
    pub(super) size: f64,
    pub(super) c: char,
    pub(super) hidden: bool,
    pub(super) turned: bool,
}

/// Attempts at cutting a page.
const MAX_CUTS: usize = 400;
/// A gap this wide, in sizes of the font, ends a fragment.
const BREAK: f64 = 1.1;
/// A gap this wide is a space.
const SPACE: f64 = 0.17;

#[derive(Debug, Clone)]
struct Fragment {
    x0: f64,
    x1: f64,
    y: f64,
    size: f64,
    text: String,
    hidden: bool,
}

/// The lines a reader sees, and the runs that nobody sees.
pub(super) fn lines(glyphs: Vec<Glyph>) -> (Vec<String>, Vec<String>) {
    let (turned, upright): (Vec<Glyph>, Vec<Glyph>) = glyphs.into_iter().partition(|glyph| glyph.turned);
    let (mut seen, mut hidden) = (Vec::new(), Vec::new());
    for glyphs in [upright, turned] {
        let (unseen, visible): (Vec<Fragment>, Vec<Fragment>) =
            fragments(&glyphs).into_iter().partition(|fragment| fragment.hidden);
        seen.extend(order(visible, &mut MAX_CUTS.clone()));
        hidden.extend(rows(unseen).iter().map(|row| joined(row)));
    }
    (seen, hidden)
}

fn fragments(glyphs: &[Glyph]) -> Vec<Fragment> {
    let mut all: Vec<Fragment> = Vec::new();
    for glyph in glyphs {
        let blank = glyph.c.is_whitespace();
        let joins = all.last().is_some_and(|last| {
            let gap = (glyph.x0 - last.x1) / glyph.size.max(1.0);
            last.hidden == glyph.hidden
                && (glyph.y - last.y).abs() < 0.35 * last.size.max(glyph.size)
                && gap > -0.6
                && gap < BREAK
        });
        if let Some(last) = all.last_mut().filter(|_| joins) {
            let gap = (glyph.x0 - last.x1) / glyph.size.max(1.0);
            if gap > SPACE && !last.text.ends_with(' ') && !blank {
                last.text.push(' ');
            }
            // A space widens the fragment only with what follows it: justified lines may end in many.
            if blank {
                if !last.text.ends_with(' ') {
                    last.text.push(' ');
                }
                last.x1 = last.x1.max(glyph.x1.min(last.x1 + glyph.size));
            } else {
                last.text.push(glyph.c);
                last.x1 = last.x1.max(glyph.x1);
                last.size = last.size.max(glyph.size);
            }
        } else if !blank {
            let Glyph { x0, x1, y, size, hidden, .. } = *glyph;
            all.push(Fragment { x0, x1, y, size, text: glyph.c.to_string(), hidden });
        }
    }
    all
}

/// Fragments by baseline from the top, each row from the left.
fn rows(mut fragments: Vec<Fragment>) -> Vec<Vec<Fragment>> {
    fragments.sort_by(|a, b| b.y.total_cmp(&a.y));
    let mut rows: Vec<Vec<Fragment>> = Vec::new();
    for fragment in fragments {
        match rows.last_mut() {
            Some(row)
                if row.first().is_some_and(|first| {
                    (first.y - fragment.y).abs() < 0.4 * first.size.min(fragment.size)
                }) =>
            {
                row.push(fragment)
            }
            _ => rows.push(vec![fragment]),
        }
    }
    for row in &mut rows {
        row.sort_by(|a, b| a.x0.total_cmp(&b.x0));
    }
    rows
}

/// A row as one line: a tab where columns part, a space or nothing where only the order of painting did.
fn joined(row: &[Fragment]) -> String {
    let mut line = String::new();
    let mut end: Option<f64> = None;
    for fragment in row {
        if let Some(end) = end {
            let gap = (fragment.x0 - end) / fragment.size.max(1.0);
            if gap > BREAK {
                line.push('\t');
            } else if gap > SPACE {
                line.push(' ');
            }
        }
        line.push_str(&fragment.text);
        end = Some(fragment.x1);
    }
    line
}

fn order(fragments: Vec<Fragment>, cuts: &mut usize) -> Vec<String> {
    let all = rows(fragments);
    let print = |rows: &[Vec<Fragment>]| rows.iter().map(|row| joined(row)).collect::<Vec<_>>();
    if all.len() < 4 {
        return print(&all);
    }
    for top in 0..all.len().saturating_sub(3) {
        if *cuts == 0 {
            break;
        }
        *cuts -= 1;
        let (head, rest) = all.split_at_checked(top).unwrap_or((&[], &all));
        // The longest stretch of rows from here on that has a gutter.
        for length in [rest.len(), rest.len() * 3 / 4, rest.len() / 2] {
            let Some((body, tail)) = rest.split_at_checked(length).filter(|_| length >= 6 || top == 0) else {
                continue;
            };
            let Some(gutter) = gutter(body) else { continue };
            let (left, right): (Vec<Fragment>, Vec<Fragment>) = body
                .iter()
                .flatten()
                .cloned()
                .partition(|fragment| (fragment.x0 + fragment.x1) / 2.0 < gutter);
            let mut lines = print(head);
            lines.extend(order(left, cuts));
            lines.extend(order(right, cuts));
            lines.extend(order(tail.iter().flatten().cloned().collect(), cuts));
            return lines;
        }
    }
    print(&all)
}

/// The middle of a vertical strip that no fragment crosses, with a column of text on either side.
fn gutter(rows: &[Vec<Fragment>]) -> Option<f64> {
    let fragments: Vec<&Fragment> = rows.iter().flatten().collect();
    let mut spans: Vec<(f64, f64)> = fragments.iter().map(|fragment| (fragment.x0, fragment.x1)).collect();
    spans.sort_by(|a, b| a.0.total_cmp(&b.0));
    let size = fragments.iter().map(|fragment| fragment.size).fold(0.0, f64::max).min(14.0);
    let (mut end, mut best): (f64, Option<(f64, f64)>) = (spans.first()?.1, None);
    for (x0, x1) in spans {
        let gap = x0 - end;
        if gap > size * 0.9 && columns(rows, (end + x0) / 2.0) && best.is_none_or(|(width, _)| gap > width) {
            best = Some((gap, (end + x0) / 2.0));
        }
        end = end.max(x1);
    }
    best.map(|(_, middle)| middle)
}

/// Whether the two sides of a line are columns of their own and not those of a table.
fn columns(rows: &[Vec<Fragment>], middle: f64) -> bool {
    let left: Vec<usize> = side(rows, |fragment| fragment.x1 < middle);
    let right: Vec<usize> = side(rows, |fragment| fragment.x0 > middle);
    let (few, many) = if left.len() <= right.len() { (&left, &right) } else { (&right, &left) };
    if few.len() < 3 {
        return false;
    }
    // Dates beside what was done then belong to it, even where their baselines are a little apart.
    let of_few = |fragment: &&Fragment| {
        if left.len() <= right.len() { fragment.x1 < middle } else { fragment.x0 > middle }
    };
    let texts: Vec<&Fragment> = rows.iter().flatten().filter(of_few).collect();
    let dated = texts.iter().filter(|fragment| is_date(&fragment.text)).count();
    if dated * 10 > texts.len() * 6 {
        return false;
    }
    let shared = few.iter().filter(|row| many.contains(row)).count();
    if shared * 10 < few.len() * 8 {
        return true;
    }
    // On shared baselines: a table, if one side is sparse (a date beside a paragraph) or short (a label beside a value).
    let stretch = few.last().zip(few.first()).map_or(1, |(last, first)| last - first + 1);
    let sparse = stretch * 2 > few.len() * 3;
    let length = |of_left: bool| {
        let texts = rows
            .iter()
            .flatten()
            .filter(|fragment| if of_left { fragment.x1 < middle } else { fragment.x0 > middle });
        let (sum, count) =
            texts.fold((0, 0), |(sum, count), fragment| (sum + fragment.text.chars().count(), count + 1));
        sum / usize::max(count, 1)
    };
    let even = few.len() * 10 >= many.len() * 9;
    !(sparse || length(true) < 12 && (even || few.len() == left.len()) || even && length(false) < 16)
}

/// A short text with a year in it.
fn is_date(text: &str) -> bool {
    let digits = text.as_bytes().windows(4).any(|window| window.iter().all(u8::is_ascii_digit));
    digits && text.chars().count() < 36
}

fn side(rows: &[Vec<Fragment>], within: impl Fn(&Fragment) -> bool) -> Vec<usize> {
    rows.iter().enumerate().filter(|(_, row)| row.iter().any(&within)).map(|(at, _)| at).collect()
}

#[cfg(test)]
mod tests {
    use super::{Glyph, lines};

    fn write(glyphs: &mut Vec<Glyph>, x: f64, y: f64, text: &str) {
        for (at, c) in text.chars().enumerate() {
            let x0 = x + at as f64 * 5.0;
            glyphs.push(Glyph { x0, x1: x0 + 5.0, y, size: 10.0, c, hidden: false, turned: false });
        }
    }

    #[test]
    fn columns_are_read_one_after_the_other_and_tables_across() {
        let mut page = Vec::new();
        write(
            &mut page,
            50.0,
            800.0,
            "A heading that spans both of the two columns below it, from edge to edge",
        );
        for row in 0..8 {
            let y = 700.0 - f64::from(row) * 12.0;
            write(&mut page, 50.0, y - 5.0, &format!("left {row} column text"));
            write(&mut page, 300.0, y, &format!("right {row} column text"));
        }
        let read = lines(page).0;
        assert_eq!(read.len(), 17);
        assert!(read[0].starts_with("A heading"));
        assert!(
            read[1..9].iter().all(|line| line.starts_with("left"))
                && read[9..].iter().all(|line| line.starts_with("right")),
            "{read:#?}"
        );

        let mut table = Vec::new();
        for row in 0..6 {
            let y = 700.0 - f64::from(row) * 40.0;
            write(&mut table, 50.0, y, "2019-2021");
            write(&mut table, 150.0, y, "Baker, The Mill");
            write(&mut table, 150.0, y - 12.0, "Baked the bread of the town");
        }
        let read = lines(table).0;
        assert!(read.iter().step_by(2).all(|line| line == "2019-2021\tBaker, The Mill"), "{read:#?}");
    }
}
