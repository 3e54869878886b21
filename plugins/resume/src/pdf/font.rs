//! Fonts: the codes of a string to characters and widths (ISO 32000-1, 9.5 to 9.10).
//!
//! ToUnicode first; then, for composite fonts, predefined CMaps whose codes are Unicode (`Uni…-UCS2-…`, `…-UTF16-…`);
//! for simple fonts the encoding with its differences. A code that none of them knows shows `U+FFFD`.

use std::collections::HashMap;

use hayro_syntax::object::{Array, Dict, MaybeRef, Name, Object, Stream};

use super::{cmap::CMap, encoding, stream::Budget};
use crate::Error;

/// Most widths that are kept of one font.
const MAX_WIDTHS: usize = 70_000;
/// Helvetica's widths from space to tilde, in thousandths (Adobe's font metrics).
const HELVETICA: [u16; 95] = [
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556,
    556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 722, 278,
    500, 667, 556, 833, 722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469,
    556, 333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500,
    278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584,
];

/// How codes of a composite font are read without ToUnicode.
#[derive(PartialEq)]
enum Codes {
    /// One byte each.
    Simple,
    /// Two bytes each that say nothing by themselves.
    Wide,
    /// UTF-16.
    Unicode,
}

pub(super) struct Font {
    codes: Codes,
    to_unicode: Option<CMap>,
    /// Of a simple font, by code.
    characters: Vec<Option<char>>,
    widths: HashMap<u32, f32>,
    missing: Option<f32>,
    fixed: bool,
    narrow: f32,
}

/// One code of a string.
pub(super) struct Shown {
    pub(super) text: String,
    /// In thousandths of the font's size.
    pub(super) width: f32,
    /// Whether word spacing applies.
    pub(super) space: bool,
}

impl Font {
    /// A font that is not there: Helvetica.
    pub(super) fn none() -> Font {
        Font {
            codes: Codes::Simple,
            to_unicode: None,
            characters: (0..=255).map(encoding::win_ansi).collect(),
            widths: HashMap::new(),
            missing: None,
            fixed: false,
            narrow: 1.0,
        }
    }

    pub(super) fn read(dict: &Dict<'_>, budget: &mut Budget) -> Result<Font, Error> {
        let mut font = Font::none();
        if let Some(stream) = dict.get::<Stream<'_>>("ToUnicode") {
            font.to_unicode = Some(CMap::parse(&budget.decode(&stream)?));
        }
        let base = dict.get::<Name<'_>>("BaseFont").map(|name| name.as_str().to_owned()).unwrap_or_default();
        font.fixed = base.contains("Courier") || base.contains("Mono");
        font.narrow = if base.contains("Times") {
            0.9
        } else if base.contains("Bold") {
            1.06
        } else {
            1.0
        };
        if dict.get::<Name<'_>>("Subtype").is_some_and(|name| name.as_str() == "Type0") {
            font.composite(dict);
        } else {
            font.simple(dict);
        }
        Ok(font)
    }

    fn composite(&mut self, dict: &Dict<'_>) {
        let encoding =
            dict.get::<Name<'_>>("Encoding").map(|name| name.as_str().to_owned()).unwrap_or_default();
        let unicode = encoding.contains("UCS2") || encoding.contains("UTF16");
        self.codes = if unicode { Codes::Unicode } else { Codes::Wide };
        let Some(descendant) =
            dict.get::<Array<'_>>("DescendantFonts").and_then(|fonts| fonts.iter::<Dict<'_>>().next())
        else {
            return;
        };
        self.missing = Some(descendant.get::<f32>("DW").unwrap_or(1000.0));
        // With a predefined CMap the widths are by CID, which the code is not.
        let Some(widths) = descendant.get::<Array<'_>>("W").filter(|_| !unicode) else { return };
        let mut items = widths.iter::<Object<'_>>();
        while let (Some(Object::Number(first)), Some(next)) = (items.next(), items.next()) {
            let first = u32::try_from(first.as_i64()).unwrap_or(0);
            match next {
                Object::Array(list) => {
                    for (cid, width) in (first..).zip(list.iter::<f32>().take(MAX_WIDTHS)) {
                        self.width(cid, width);
                    }
                }
                Object::Number(last) => {
                    let last = u32::try_from(last.as_i64()).unwrap_or(0).min(first.saturating_add(0xffff));
                    let Some(Object::Number(width)) = items.next() else { return };
                    for cid in first..=last {
                        self.width(cid, width.as_f32());
                    }
                }
                _ => return,
            }
            if self.widths.len() >= MAX_WIDTHS {
                return;
            }
        }
    }

    fn width(&mut self, code: u32, width: f32) {
        if self.widths.len() < MAX_WIDTHS && width.is_finite() {
            self.widths.insert(code, width.clamp(-10_000.0, 10_000.0));
        }
    }

    fn simple(&mut self, dict: &Dict<'_>) {
        let first = dict.get::<u32>("FirstChar").unwrap_or(0).min(255);
        if let Some(widths) = dict.get::<Array<'_>>("Widths") {
            for (code, width) in (first..=255).zip(widths.iter::<f32>()) {
                self.width(code, width);
            }
            self.missing =
                dict.get::<Dict<'_>>("FontDescriptor").and_then(|font| font.get::<f32>("MissingWidth"));
        }
        let named = |name: &str| -> fn(u8) -> Option<char> {
            match name {
                "WinAnsiEncoding" => encoding::win_ansi,
                "MacRomanEncoding" => encoding::mac_roman,
                _ => encoding::standard,
            }
        };
        let (base, differences) = match dict.get::<Object<'_>>("Encoding") {
            Some(Object::Name(name)) => (named(name.as_str()), None),
            Some(Object::Dict(encoding)) => {
                let base = encoding.get::<Name<'_>>("BaseEncoding");
                (
                    named(base.as_ref().map_or("", |name| name.as_str())),
                    encoding.get::<Array<'_>>("Differences"),
                )
            }
            // A TrueType font without an encoding mostly follows Windows.
            _ => (encoding::win_ansi as fn(u8) -> Option<char>, None),
        };
        self.characters = (0..=255).map(base).collect();
        let mut code = 0_usize;
        for item in differences.iter().flat_map(Array::raw_iter).take(1024) {
            match item {
                MaybeRef::NotRef(Object::Number(number)) => {
                    code = usize::try_from(number.as_i64()).unwrap_or(0)
                }
                MaybeRef::NotRef(Object::Name(name)) => {
                    if let Some(slot) = self.characters.get_mut(code) {
                        *slot = encoding::glyph(name.as_str());
                    }
                    code = code.saturating_add(1);
                }
                _ => {}
            }
        }
    }

    /// The characters of a string, code by code.
    pub(super) fn show(&self, bytes: &[u8]) -> Vec<Shown> {
        let mut shown = Vec::new();
        let mut rest = bytes;
        while let Some((code, length)) = self.code(rest) {
            let text = match self.to_unicode.as_ref().and_then(|cmap| cmap.get(code)) {
                Some(text) => text.to_owned(),
                None => self.character(code).unwrap_or('\u{fffd}').to_string(),
            };
            let width =
                self.widths.get(&code).copied().or(self.missing.filter(|_| self.codes != Codes::Unicode));
            let width = width.unwrap_or_else(|| self.guess(&text));
            shown.push(Shown { text, width, space: length == 1 && code == 32 });
            rest = rest.get(length..).unwrap_or_default();
        }
        shown
    }

    fn code(&self, rest: &[u8]) -> Option<(u32, usize)> {
        let unit = |bytes: &[u8]| bytes.first_chunk::<2>().map(|pair| u32::from(u16::from_be_bytes(*pair)));
        match self.codes {
            Codes::Simple => rest.first().map(|byte| (u32::from(*byte), 1)),
            Codes::Wide if self.to_unicode.as_ref().is_some_and(|cmap| cmap.narrow) => {
                rest.first().map(|byte| (u32::from(*byte), 1))
            }
            Codes::Wide => unit(rest).map(|code| (code, 2)),
            Codes::Unicode => {
                let high = unit(rest)?;
                match rest.get(2..).and_then(unit) {
                    Some(low) if (0xd800..0xdc00).contains(&high) && (0xdc00..0xe000).contains(&low) => {
                        Some((0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00), 4))
                    }
                    _ => Some((high, 2)),
                }
            }
        }
    }

    fn character(&self, code: u32) -> Option<char> {
        match self.codes {
            Codes::Simple => self.characters.get(code as usize).copied().flatten(),
            Codes::Wide => None,
            Codes::Unicode => char::from_u32(code),
        }
    }

    fn guess(&self, text: &str) -> f32 {
        let Some(c) = text.chars().next() else { return 0.0 };
        let code = u32::from(c);
        if self.codes == Codes::Unicode {
            return if code < 0x2e80 { 500.0 } else { 1000.0 };
        }
        if self.fixed {
            return 600.0;
        }
        let plain = code.checked_sub(32).and_then(|at| HELVETICA.get(at as usize)).copied();
        f32::from(plain.unwrap_or(556)) * self.narrow
    }
}
