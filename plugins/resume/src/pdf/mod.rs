//! PDF (ISO 32000-1) to text. Objects, cross-references and decryption are hayro-syntax's; what is drawn is ours.
//!
//! Invariant: every loop over what the file says has a bound ([`stream::Budget`], the limits of `interpret` and
//! `text`), and recursion a depth.

mod cmap;
pub mod encoding;
mod font;
mod interpret;
mod layout;
mod plane;
mod stream;

use hayro_syntax::{DecryptionError, LoadPdfError, Pdf};

use crate::{
    Error, Format,
    text::{MAX_PAGES, Text},
};

/// Reads a file.
///
/// # Errors
/// Where it is encrypted, damaged, or too large.
pub fn read(bytes: &[u8]) -> Result<Text, Error> {
    stream::preflight(bytes)?;
    let pdf = Pdf::new(bytes.to_vec()).map_err(|why| match why {
        LoadPdfError::Decryption(DecryptionError::PasswordProtected) => {
            Error::Encrypted("the PDF opens only with a password; save it without one".to_owned())
        }
        LoadPdfError::Decryption(_) => Error::Encrypted(
            "the PDF is encrypted in a way that is not known; save it without encryption".to_owned(),
        ),
        LoadPdfError::Invalid => {
            Error::Damaged("the PDF has no readable page tree; open and save it anew".to_owned())
        }
    })?;
    let pages = pdf.pages();
    if pages.len() > MAX_PAGES {
        return Err(Error::Limit(format!("{} pages; {MAX_PAGES} at most", pages.len())));
    }
    if pages.is_empty() {
        return Err(Error::Damaged("the PDF has no page that can be read; open and save it anew".to_owned()));
    }
    let mut text = Text::new(Format::Pdf);
    let mut interpreter = interpret::Interpreter::new();
    let (mut known, mut unknown) = (0_usize, 0_usize);
    for (number, page) in pages.iter().enumerate() {
        if number > 0 {
            text.next_page()?;
        }
        let glyphs = interpreter.page(page)?;
        unknown += glyphs.iter().filter(|glyph| glyph.c == '\u{fffd}').count();
        known += glyphs.len();
        let (lines, hidden) = layout::lines(glyphs);
        for line in lines {
            text.line(&line)?;
        }
        for run in hidden {
            text.hide(&run);
        }
    }
    if unknown * 2 > known {
        return Err(Error::NoText(
            "its fonts do not say which characters they show, so there is no text layer to read; run OCR first".to_owned(),
        ));
    }
    Ok(text)
}
