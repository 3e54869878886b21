//! Models from a hub: Hugging Face's, or one that speaks as it does (`HF_ENDPOINT`).
//!
//! The way of a file: the revision becomes a commit, the commit a list of files with sizes and hashes (`listing`), the wanted
//! ones are chosen, and each is fetched into a staging folder, resumed where a connection broke, and believed by its hash
//! (`download`). The hub's own crate, hf-hub 1.0, was looked at and not taken: it begins a broken download anew and compares
//! no hash, and it brings a second TLS provider and the client of the hub's own transfer protocol. The HTTP client here is
//! the one that the registry client has already.
//!
//! Invariant: what a hub says is data from outside. Its names are checked before they become paths, its answers are bounded
//! before they are read, and nothing gets a name of its own before its hash was found right.

mod client;
mod download;
mod listing;
mod reference;

pub(crate) use client::Hub;
pub(crate) use listing::{Choice, Entry, Hash, Listing, is_hex};
pub(crate) use reference::Reference;
