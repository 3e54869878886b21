//! From bytes to [`Text`]: which format it is, and who reads it.
//!
//! Invariant: the format is told by the bytes, not by the name; every outcome is text or an error that names the
//! reason.

use crate::{Error, Format, docx, html, pdf, text::Text};

/// The largest file, in bytes.
pub const MAX_FILE: u64 = 16 << 20;

/// Reads a file.
///
/// # Errors
/// See `error` in `wit/resume.wit`.
pub fn read(bytes: &[u8]) -> Result<Text, Error> {
    if bytes.len() as u64 > MAX_FILE {
        return Err(Error::Limit(format!("{} bytes; {} MiB are read at most", bytes.len(), MAX_FILE >> 20)));
    }
    let text = match format(bytes)? {
        Format::Pdf => pdf::read(bytes)?,
        Format::Docx => docx::read(bytes)?,
        Format::Html => html::read(&decode(bytes)?)?,
        Format::Text => plain(&decode(bytes)?)?,
    };
    if text.shows_anything() {
        return Ok(text);
    }
    let why = match (text.hidden.is_empty(), text.format) {
        (false, _) => "all of its text is invisible (white, tiny or without ink), as after OCR or to deceive",
        (true, Format::Pdf) => {
            "no text layer: what its pages show, if anything, is pictures or drawings, as a scan gives; run OCR first"
        }
        (true, _) => "there is no text in it",
    };
    Err(Error::NoText(why.to_owned()))
}

fn format(bytes: &[u8]) -> Result<Format, Error> {
    let head = bytes.get(..bytes.len().min(1024)).unwrap_or_default();
    let has = |needle: &[u8]| head.windows(needle.len()).any(|window| window == needle);
    if bytes.is_empty() {
        return Err(Error::NoText("the file is empty".to_owned()));
    }
    if has(b"%PDF-") {
        return Ok(Format::Pdf);
    }
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06") {
        return Ok(Format::Docx);
    }
    let known: [(&[u8], &str); 8] = [
        (
            b"\xd0\xcf\x11\xe0",
            "an old Office file (.doc) or an encrypted .docx; save it as .docx without a password, or as PDF",
        ),
        (b"{\\rtf", "RTF; save it as .docx or PDF"),
        (b"\x89PNG", "a picture; run OCR first, or give the document itself"),
        (b"\xff\xd8\xff", "a picture; run OCR first, or give the document itself"),
        (b"GIF8", "a picture; run OCR first, or give the document itself"),
        (b"\x1f\x8b", "a gzip archive; unpack it"),
        (b"Rar!", "an archive; unpack it"),
        (b"7z\xbc\xaf", "an archive; unpack it"),
    ];
    if let Some((_, what)) = known.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Err(Error::Unsupported(format!("it is {what}")));
    }
    let lower = head.to_ascii_lowercase();
    let tag = |needle: &[u8]| lower.windows(needle.len()).any(|window| window == needle);
    let is_html = [&b"<!doctype html"[..], b"<html", b"<body", b"<head", b"<div", b"<p>", b"<h1"];
    Ok(if is_html.into_iter().any(tag) { Format::Html } else { Format::Text })
}

/// Bytes to text: UTF-8, UTF-16 with a byte order mark, else Windows-1252.
fn decode(bytes: &[u8]) -> Result<String, Error> {
    let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.as_chunks::<2>().0.iter().map(|pair| unit(*pair));
        char::decode_utf16(units).map(|c| c.unwrap_or('\u{fffd}')).collect::<String>()
    };
    let text = match bytes {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        bytes => match str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => bytes.iter().map(|byte| pdf::encoding::win_ansi(*byte).unwrap_or('\u{fffd}')).collect(),
        },
    };
    let sample = text.chars().take(20_000);
    let (mut strange, mut all) = (0_usize, 0_usize);
    for c in sample {
        all += 1;
        strange += usize::from((c.is_control() && !c.is_whitespace()) || c == '\u{fffd}');
    }
    if strange * 20 > all {
        return Err(Error::Unsupported(
            "it is neither PDF, DOCX, HTML nor text: too many bytes that are no characters".to_owned(),
        ));
    }
    Ok(text)
}

fn plain(source: &str) -> Result<Text, Error> {
    let mut text = Text::new(Format::Text);
    for page in source.split('\u{c}') {
        if !text.pages.last().is_none_or(String::is_empty) {
            text.next_page()?;
        }
        for line in page.lines() {
            text.line(line)?;
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::read;
    use crate::{Error, Format};

    #[test]
    fn plain_text_in_its_encodings() {
        for bytes in [
            &b"Zo\xc3\xab Ba\xc3\xb1os\nEngineer"[..],
            b"Zo\xeb Ba\xf1os\r\nEngineer\r\n",
            b"\xff\xfeZ\0o\0\xeb\0 \0B\0a\0\xf1\0o\0s\0\n\0E\0n\0g\0i\0n\0e\0e\0r\0",
        ] {
            let text = read(bytes).expect("readable");
            assert_eq!((text.format, text.pages.join("|").as_str()), (Format::Text, "Zoë Baños\nEngineer\n"));
        }
    }

    #[test]
    fn what_is_no_resume_says_what_it_is() {
        assert!(matches!(read(b""), Err(Error::NoText(_))));
        assert!(matches!(read(b"  \n"), Err(Error::NoText(_))));
        assert!(
            matches!(read(b"\x89PNG\r\n\x1a\n"), Err(Error::Unsupported(why)) if why.contains("picture"))
        );
        assert!(matches!(read(&[0, 1, 2, 3, 4, 5, 6, 7]), Err(Error::Unsupported(_))));
        assert!(matches!(read(&vec![b'a'; (16 << 20) + 1]), Err(Error::Limit(_))));
        assert!(matches!(read(&vec![b'a'; 1 << 20]), Err(Error::Limit(_))));
    }
}
