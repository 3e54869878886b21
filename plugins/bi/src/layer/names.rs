//! Telling a person or a model which names there are, the likeliest first.

/// "there is no … `x`; there are …", the nearest name first.
#[must_use]
pub fn missing<'a>(kind: &str, name: &str, there: impl Iterator<Item = &'a String>) -> String {
    let mut there: Vec<&String> = there.collect();
    there.sort_by_key(|other| distance(&name.to_lowercase(), &other.to_lowercase()));
    let more = if there.len() > 12 { ", …" } else { "" };
    let list: Vec<String> = there.iter().take(12).map(|name| format!("`{name}`")).collect();
    format!("there is no {kind} `{name}`; there are {}{more}", list.join(", "))
}

/// Levenshtein's distance, over characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(64).enumerate() {
        let mut before = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(&b) {
            let next = (before + usize::from(x != *y)).min(*cell + 1).min(left + 1);
            before = *cell;
            *cell = next;
            left = next;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}
