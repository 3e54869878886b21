//! Where in the text of a layer a thing stands, for its errors.
//!
//! The reader keeps no places of what it read well, so the text is searched: block by block, in the order of the path.
//! A place that is not found is that of the thing around it, so that an error never points elsewhere.

/// The line of a path, such as `["measures", "revenue", "format"]`, from 1; 0 where nothing of it is there.
#[must_use]
pub(super) fn of(text: &str, path: &[&str]) -> u64 {
    let lines: Vec<&str> = text.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let empty = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    let (mut from, mut until, mut found) = (0, lines.len(), 0);
    for name in path {
        let within = || lines.iter().enumerate().take(until).skip(from).filter(|(_, line)| !empty(line));
        // what is inside stands deeper, all of it at the same depth; in `{a: 1, b: 2}`, on the line itself
        let depth = within().skip(usize::from(found > 0)).map(|(_, line)| indent(line)).next();
        let place =
            within().find(|(at, line)| (at + 1 == found || Some(indent(line)) == depth) && holds(line, name));
        let Some((at, line)) = place else { break };
        let inside = |next: &&&str| empty(next) || indent(next) > indent(line);
        (from, until) = (at, at + 1 + lines.iter().skip(at + 1).take_while(inside).count());
        found = at + 1;
    }
    found as u64
}

/// Whether a line says `name:`, on its own or within braces.
fn holds(line: &str, name: &str) -> bool {
    let line = line.trim_start();
    let starts = |text: &str| {
        let text = text.trim_start();
        let quoted = |quote: char| text.strip_prefix(quote)?.strip_prefix(name)?.strip_prefix(quote);
        let plain = || text.strip_prefix(name).filter(|_| !name.is_empty());
        quoted('"')
            .or_else(|| quoted('\''))
            .or_else(plain)
            .is_some_and(|rest| rest.trim_start().starts_with(':'))
    };
    starts(line)
        || line.char_indices().any(|(at, c)| matches!(c, '{' | ',') && line.get(at + 1..).is_some_and(starts))
}
