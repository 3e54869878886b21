//! ToUnicode CMaps (ISO 32000-1, 9.10.3): which characters the codes of a font show.
//!
//! Invariant: at most [`MAX_ENTRIES`] codes are kept, however large the ranges of the file are.

use std::collections::HashMap;

const MAX_ENTRIES: usize = 70_000;
/// Characters that one code may stand for; a real one is a ligature or a base with its marks.
const MAX_UNITS: usize = 16;

/// Codes to text.
#[derive(Debug, Default)]
pub(super) struct CMap {
    codes: HashMap<u32, String>,
    /// Codes that were given, repetitions too: what bounds the work.
    given: usize,
    /// Whether the code space has codes of one byte only.
    pub(super) narrow: bool,
}

enum Token {
    Hex(Vec<u8>),
    Open,
    Close,
    Word(Vec<u8>),
}

impl CMap {
    pub(super) fn get(&self, code: u32) -> Option<&str> {
        self.codes.get(&code).map(String::as_str)
    }

    pub(super) fn parse(source: &[u8]) -> CMap {
        let mut cmap = CMap::default();
        let mut tokens = Tokens { rest: source };
        while let Some(token) = tokens.next().filter(|_| cmap.given < MAX_ENTRIES) {
            let Token::Word(word) = token else { continue };
            match word.as_slice() {
                b"begincodespacerange" => {
                    if let Some(Token::Hex(low)) = tokens.next() {
                        cmap.narrow = low.len() == 1;
                    }
                }
                b"beginbfchar" => {
                    while let Some(Token::Hex(code)) = tokens.next() {
                        let Some(Token::Hex(text)) = tokens.next() else { break };
                        cmap.insert(number(&code), utf16(&text, 0));
                    }
                }
                b"beginbfrange" => cmap.ranges(&mut tokens),
                _ => {}
            }
        }
        cmap
    }

    fn ranges(&mut self, tokens: &mut Tokens<'_>) {
        while let Some(Token::Hex(low)) = tokens.next() {
            let Some(Token::Hex(high)) = tokens.next() else { return };
            let (low, high) = (number(&low), number(&high));
            match tokens.next() {
                Some(Token::Hex(text)) => {
                    for (step, code) in (low..=high.min(low.saturating_add(0xffff))).enumerate() {
                        self.insert(code, utf16(&text, u32::try_from(step).unwrap_or(0)));
                        if self.given >= MAX_ENTRIES {
                            return;
                        }
                    }
                }
                Some(Token::Open) => {
                    let mut code = low;
                    while let Some(Token::Hex(text)) = tokens.next() {
                        if code <= high {
                            self.insert(code, utf16(&text, 0));
                        }
                        code = code.saturating_add(1);
                    }
                }
                _ => return,
            }
        }
    }

    fn insert(&mut self, code: u32, text: String) {
        self.given += 1;
        if self.given <= MAX_ENTRIES && !text.is_empty() && text != "\0" {
            self.codes.insert(code, text);
        }
    }
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}

/// UTF-16 big-endian, its last unit raised by `step`.
fn utf16(bytes: &[u8], step: u32) -> String {
    let mut units: Vec<u16> =
        bytes.as_chunks::<2>().0.iter().take(MAX_UNITS).map(|pair| u16::from_be_bytes(*pair)).collect();
    if let [byte] = bytes {
        units.push(u16::from(*byte));
    }
    if let Some(last) = units.last_mut() {
        *last = last.wrapping_add(u16::try_from(step).unwrap_or(0));
    }
    char::decode_utf16(units).filter_map(Result::ok).collect()
}

struct Tokens<'a> {
    rest: &'a [u8],
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        loop {
            let (first, rest) = self.rest.split_first()?;
            match first {
                b'%' => {
                    let end =
                        rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(rest.len());
                    self.rest = rest.get(end..)?;
                }
                b'[' | b']' => {
                    self.rest = rest;
                    return Some(if *first == b'[' { Token::Open } else { Token::Close });
                }
                b'<' if rest.first() != Some(&b'<') => {
                    let end = rest.iter().position(|byte| *byte == b'>')?;
                    let digits: Vec<u8> = rest
                        .get(..end)?
                        .iter()
                        .filter_map(|byte| char::from(*byte).to_digit(16))
                        .filter_map(|digit| u8::try_from(digit).ok())
                        .collect();
                    self.rest = rest.get(end + 1..)?;
                    return Some(Token::Hex(
                        digits
                            .chunks(2)
                            .map(|pair| pair.iter().fold(0, |sum, digit| sum << 4 | digit))
                            .collect(),
                    ));
                }
                byte if byte.is_ascii_alphabetic() => {
                    let end = self
                        .rest
                        .iter()
                        .position(|byte| !byte.is_ascii_alphanumeric())
                        .unwrap_or(self.rest.len());
                    let (word, after) = self.rest.split_at_checked(end)?;
                    self.rest = after;
                    return Some(Token::Word(word.to_vec()));
                }
                _ => self.rest = rest,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CMap;

    #[test]
    fn the_example_of_the_specification() {
        // ISO 32000-1, 9.10.3, example 2, with a ligature and a surrogate pair as the text there describes them.
        let cmap = CMap::parse(
            b"/CIDInit /ProcSet findresource begin 1 begincodespacerange <0000> <FFFF> endcodespacerange\n\
              2 beginbfrange <0000> <005E> <0020> <005F> <0061> [<00660066> <00660069> <00660066006C>] endbfrange\n\
              1 beginbfchar <3A51> <D840DC3E> endbfchar",
        );
        assert_eq!(cmap.get(0x21), Some("A"));
        assert_eq!(cmap.get(0x60), Some("fi"));
        assert_eq!(cmap.get(0x61), Some("ffl"));
        assert_eq!(cmap.get(0x3a51), Some("\u{2003e}"));
        assert!(!cmap.narrow);
    }

    #[test]
    fn huge_ranges_end() {
        let cmap = CMap::parse(
            &b"1 beginbfrange <00000000> <FFFFFFFF> <0041> <00000000> <FFFFFFFF> <0041>".repeat(100),
        );
        assert!(cmap.get(0).is_some());
    }
}
