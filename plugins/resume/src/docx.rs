//! DOCX (Office Open XML, ECMA-376 part 1) to text: `word/document.xml` with its headers and footers.
//!
//! Invariant: at most [`MAX_PART`] bytes of a part and [`MAX_PARTS`] parts are unpacked, whatever the archive claims;
//! the XML is read as events, so nesting and entities cost nothing. Hidden (`w:vanish`), white and tiny runs are apart.

use std::io::{Cursor, Read};

use quick_xml::{
    Reader,
    events::{BytesStart, Event},
};
use zip::{ZipArchive, result::ZipError};

use crate::{Error, Format, text::Text};

/// The largest part of the archive that is unpacked, in bytes.
const MAX_PART: u64 = 24 << 20;
/// Headers and footers that are read.
const MAX_PARTS: usize = 12;
/// Entries of an archive; a real one has some dozens.
const MAX_ENTRIES: usize = 5_000;

/// Reads a document.
///
/// # Errors
/// Where the archive or its XML is broken, encrypted, too large, or no document.
pub fn read(bytes: &[u8]) -> Result<Text, Error> {
    let mut archive = ZipArchive::new(Cursor::new(bytes))
        .map_err(|why| Error::Damaged(format!("the archive of the .docx cannot be opened: {why}")))?;
    if archive.len() > MAX_ENTRIES {
        return Err(Error::Limit(format!("{} entries in the archive; {MAX_ENTRIES} at most", archive.len())));
    }
    let mut names: Vec<String> = archive.file_names().map(str::to_owned).collect();
    names.sort();
    if !names.iter().any(|name| name == "word/document.xml") {
        let what = match names
            .iter()
            .find(|name| matches!(name.as_str(), "content.xml" | "xl/workbook.xml" | "ppt/presentation.xml"))
        {
            Some(name) => format!("an archive with {name}, not a .docx; save it as .docx or PDF"),
            None => "an archive without word/document.xml, so no .docx; unpack it".to_owned(),
        };
        return Err(Error::Unsupported(what));
    }
    let all = |prefix: &str| {
        names
            .iter()
            .filter(|name| name.starts_with(prefix) && name.ends_with(".xml"))
            .take(MAX_PARTS)
            .cloned()
            .collect::<Vec<_>>()
    };
    let parts =
        all("word/header").into_iter().chain(["word/document.xml".to_owned()]).chain(all("word/footer"));
    let mut text = Text::new(Format::Docx);
    for part in parts {
        let xml = unpack(&mut archive, &part)?;
        walk(&xml, &part, &mut text)?;
    }
    Ok(text)
}

fn unpack(archive: &mut ZipArchive<Cursor<&[u8]>>, name: &str) -> Result<String, Error> {
    let entry = archive.by_name(name).map_err(|why| match why {
        ZipError::UnsupportedArchive(why) if why.contains("assword") => {
            Error::Encrypted(format!("{name} needs a password; save it without one"))
        }
        why => Error::Damaged(format!("{name} cannot be unpacked: {why}")),
    })?;
    let mut bytes = Vec::new();
    let read = entry.take(MAX_PART + 1).read_to_end(&mut bytes);
    if bytes.len() as u64 > MAX_PART {
        return Err(Error::Limit(format!("{name} unpacks to more than {} MiB", MAX_PART >> 20)));
    }
    read.map_err(|why| Error::Damaged(format!("{name} cannot be unpacked: {why}")))?;
    String::from_utf8(bytes).map_err(|_| Error::Damaged(format!("{name} is not UTF-8")))
}

#[derive(Default)]
struct Walk {
    line: String,
    unseen: String,
    /// Of the run that is open.
    hidden: bool,
    shaded: bool,
    in_text: bool,
    /// Depth inside of what is not read (deleted text, the second copy of a text box), 0 outside.
    skipped: usize,
    /// Paragraphs of the open cell so far; tables within tables are read as their paragraphs.
    cells: usize,
}

fn walk(xml: &str, part: &str, text: &mut Text) -> Result<(), Error> {
    let mut reader = Reader::from_str(xml);
    reader.config_mut().check_end_names = false;
    let mut walk = Walk::default();
    loop {
        let event = reader.read_event().map_err(|why| {
            Error::Damaged(format!("{part} is broken XML at byte {}: {why}", reader.error_position()))
        })?;
        match event {
            Event::Eof => break,
            Event::Start(tag) => walk.start(&tag, text, true)?,
            Event::Empty(tag) => walk.start(&tag, text, false)?,
            Event::End(tag) => walk.end(tag.local_name().as_ref(), text)?,
            Event::Text(run) if walk.in_text && walk.skipped == 0 => {
                let run = run.to_string();
                walk.push(&run);
            }
            Event::GeneralRef(name) if walk.in_text && walk.skipped == 0 => {
                let known = match &*name {
                    "amp" => Some('&'),
                    "lt" => Some('<'),
                    "gt" => Some('>'),
                    "quot" => Some('"'),
                    "apos" => Some('\''),
                    _ => name.resolve_char_ref().ok().flatten(),
                };
                if let Some(c) = known {
                    walk.push(c.encode_utf8(&mut [0; 4]));
                }
            }
            Event::CData(run) if walk.in_text && walk.skipped == 0 => {
                let run = run.to_string();
                walk.push(&run);
            }
            Event::DocType(_) => {
                return Err(Error::Unsupported(format!("{part} has a DOCTYPE, which a .docx may not have")));
            }
            _ => {}
        }
    }
    walk.flush(text)
}

impl Walk {
    fn push(&mut self, run: &str) {
        if self.hidden { self.unseen.push_str(run) } else { self.line.push_str(run) }
    }

    fn flush(&mut self, text: &mut Text) -> Result<(), Error> {
        text.line(&std::mem::take(&mut self.line))?;
        text.hide(&std::mem::take(&mut self.unseen));
        Ok(())
    }

    fn start(&mut self, tag: &BytesStart<'_>, text: &mut Text, opens: bool) -> Result<(), Error> {
        let value = |key: &str| {
            let found = tag
                .attributes()
                .with_checks(false)
                .flatten()
                .find(|attribute| attribute.key.local_name().as_ref() == key);
            found.map(|attribute| attribute.value.into_owned()).unwrap_or_default()
        };
        if self.skipped > 0 {
            self.skipped += usize::from(opens);
            return Ok(());
        }
        match tag.local_name().as_ref() {
            "Fallback" | "del" | "moveFrom" | "instrText" | "delText" if opens => self.skipped = 1,
            "r" => (self.hidden, self.shaded) = (false, false),
            "t" => self.in_text = opens,
            "vanish" | "webHidden" => self.hidden |= !matches!(value("val").as_str(), "0" | "false"),
            "shd" => {
                self.shaded |= !matches!(value("fill").to_ascii_uppercase().as_str(), "" | "AUTO" | "FFFFFF")
            }
            "highlight" => self.shaded = true,
            "color" => self.hidden |= !self.shaded && nearly_white(&value("val")),
            // Half points.
            "sz" => self.hidden |= value("val").parse::<f32>().is_ok_and(|half| half < 6.0),
            "tab" | "ptab" => self.push("\t"),
            "noBreakHyphen" => self.push("-"),
            "lastRenderedPageBreak" => self.page(text)?,
            "br" if value("type") == "page" => self.page(text)?,
            "br" | "cr" => self.flush(text)?,
            "txbxContent" => self.flush(text)?,
            "tr" => self.cells = 0,
            "tc" => {
                // A line of its own where the cell before it was more than a few words.
                if self.cells > 0 && self.line.chars().count() < 80 {
                    self.push("\t")
                } else {
                    self.flush(text)?
                }
                self.cells += 1;
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, name: &str, text: &mut Text) -> Result<(), Error> {
        if self.skipped > 0 {
            self.skipped -= 1;
            return Ok(());
        }
        match name {
            "t" => self.in_text = false,
            "r" => self.hidden = false,
            "p" if self.cells == 0 => self.flush(text)?,
            // Inside a row, the first paragraph of a cell stays on the row's line.
            "p" => self.push(" \u{2028}"),
            "tr" => {
                self.cells = 0;
                let line = std::mem::take(&mut self.line);
                for part in row(&line) {
                    text.line(&part)?;
                }
                self.flush(text)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn page(&mut self, text: &mut Text) -> Result<(), Error> {
        self.flush(text)?;
        if text.pages.last().is_some_and(|page| !page.is_empty()) { text.next_page() } else { Ok(()) }
    }
}

/// The lines of a table's row: one where each cell is one paragraph, else cell after cell.
fn row(line: &str) -> Vec<String> {
    let cells: Vec<Vec<&str>> = line
        .split('\t')
        .map(|cell| cell.split('\u{2028}').filter(|paragraph| !paragraph.trim().is_empty()).collect())
        .collect();
    if cells.iter().all(|paragraphs| paragraphs.len() <= 1) {
        let cells: Vec<&str> = cells.into_iter().flatten().collect();
        return vec![cells.join("\t")];
    }
    cells.into_iter().flatten().map(str::to_owned).collect()
}

fn nearly_white(hex: &str) -> bool {
    hex.len() == 6
        && hex.as_bytes().chunks(2).all(|pair| {
            str::from_utf8(pair)
                .is_ok_and(|pair| u8::from_str_radix(pair, 16).is_ok_and(|value| value >= 0xe8))
        })
}
