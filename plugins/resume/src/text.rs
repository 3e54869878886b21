//! The text of a document: pages of lines, and what of it a reader cannot see.
//!
//! Invariant: all text that reaches judging or a quotation is in [`Text::pages`]; what is hidden is only in
//! [`Text::hidden`]. Both are bounded, whatever the file.

use crate::{Error, Format};

/// The most text of one document, in bytes: a résumé has some thousand words.
pub const MAX_TEXT: usize = 512 << 10;
/// The most pages.
pub const MAX_PAGES: usize = 200;
/// The most hidden runs that are kept; more are counted in the last.
const MAX_HIDDEN: usize = 64;

/// What was read of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// What the file is.
    pub format: Format,
    /// One text per page, lines ended by `\n`, the first page first.
    pub pages: Vec<String>,
    /// Runs that a reader cannot see.
    pub hidden: Vec<String>,
}

impl Text {
    /// A document of which nothing has been read.
    pub fn new(format: Format) -> Text {
        Text { format, pages: vec![String::new()], hidden: Vec::new() }
    }

    /// Begins the next page.
    ///
    /// # Errors
    /// Past [`MAX_PAGES`].
    pub fn next_page(&mut self) -> Result<(), Error> {
        if self.pages.len() >= MAX_PAGES {
            return Err(Error::Limit(format!(
                "more than {MAX_PAGES} pages; give the pages of the résumé only"
            )));
        }
        self.pages.push(String::new());
        Ok(())
    }

    /// Adds a line to the last page. White space at its ends and characters that show nothing are left out.
    ///
    /// # Errors
    /// Past [`MAX_TEXT`].
    pub fn line(&mut self, line: &str) -> Result<(), Error> {
        let line = clean(line);
        if line.is_empty() {
            return Ok(());
        }
        let used: usize = self.pages.iter().map(String::len).sum();
        if used + line.len() > MAX_TEXT {
            return Err(Error::Limit(format!(
                "more than {} KiB of text; give the pages of the résumé only",
                MAX_TEXT >> 10
            )));
        }
        if let Some(page) = self.pages.last_mut() {
            page.push_str(&line);
            page.push('\n');
        }
        Ok(())
    }

    /// Keeps a run that cannot be seen, apart.
    pub fn hide(&mut self, run: &str) {
        let run = clean(run);
        if !run.is_empty() && self.hidden.len() < MAX_HIDDEN {
            self.hidden.push(run.chars().take(2000).collect());
        }
    }

    /// Whether a reader sees any letter or digit.
    pub fn shows_anything(&self) -> bool {
        self.pages.iter().any(|page| page.chars().any(char::is_alphanumeric))
    }
}

/// White space runs to one space (tabs stay, they part columns), ligatures to letters, characters without a shape away.
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut space: Option<char> = None;
    for c in text.chars() {
        if c == '\t' {
            space = Some('\t');
        } else if c.is_whitespace() {
            space = space.or(Some(' '));
        } else if !shapeless(c) {
            if let Some(space) = space.take().filter(|_| !out.is_empty()) {
                out.push(space);
            }
            match ligature(c) {
                Some(letters) => out.push_str(letters),
                None => out.push(c),
            }
        }
    }
    out
}

/// Zero-width characters, bidirectional controls, tag characters and other controls: places to hide words in.
fn shapeless(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

fn ligature(c: char) -> Option<&'static str> {
    Some(match c {
        '\u{fb00}' => "ff",
        '\u{fb01}' => "fi",
        '\u{fb02}' => "fl",
        '\u{fb03}' => "ffi",
        '\u{fb04}' => "ffl",
        '\u{fb05}' | '\u{fb06}' => "st",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn ligatures_are_letters_and_nothing_hides_between_them() {
        assert_eq!(clean("  e\u{fb03}cient\u{200b} \u{a0} work\tx "), "efficient work\tx");
        assert_eq!(clean("a\u{e0041}b"), "ab");
    }
}
