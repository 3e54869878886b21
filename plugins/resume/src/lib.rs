//! The `resume` plugin: résumés as text with evidence, read inside the sandbox.
//!
//! [`read`] turns a file into pages of text ([`pdf`], [`docx`], [`html`]), [`extract`] into a typed résumé with the host's model, [`screen`] against criteria; the types of the interface are in
//! `wit/resume.wit`.
//!
//! Invariant: a file is hostile until it has been read. Whatever its bytes, the outcome is text or an error that names
//! the reason, within bounds of time and memory; text that a reader cannot see is apart from what is judged.

pub mod blind;
pub mod decide;
pub mod docx;
pub mod education;
pub mod employment;
pub mod extract;
pub mod find;
pub mod html;
pub mod orders;
pub mod passage;
pub mod pdf;
pub mod read;
pub mod rubric;
pub mod screen;
pub mod section;
pub mod shortfall;
pub mod text;
pub mod words;

/// Generated from `wit/`; see there.
pub mod bindings {
    #![expect(missing_docs, reason = "generated; documented in the WIT files")]
    #![allow(unsafe_code, unreachable_pub, clippy::all, reason = "generated")]
    wit_bindgen::generate!({ world: "pawl:resume/plugin", path: ["../../wit", "../../wit/plugin", "wit"], generate_all });
}

pub use bindings::exports::pawl::resume::resume::{
    Criterion, CriterionKind, Document, Entry, Error, Format, HiddenFromJudge, Job, Judgement, Level, Page,
    Profile, Quotation, Score, Study, Verdict,
};
pub use bindings::pawl::host::documents::Error as HostError;

/// What of a document is handed out.
#[must_use]
pub fn document(text: text::Text) -> Document {
    let page = |(at, text): (usize, String)| Page { number: u32::try_from(at + 1).unwrap_or(u32::MAX), text };
    let instructions = orders::instructions(&text.pages);
    Document {
        format: text.format,
        pages: text.pages.into_iter().enumerate().map(page).collect(),
        hidden: text.hidden,
        instructions,
    }
}

#[cfg(target_family = "wasm")]
mod component;
