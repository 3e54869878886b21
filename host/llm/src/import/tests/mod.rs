//! Imports of small synthetic files: whole ones, and ones that lie.

mod files;
mod folders;
mod sample;
mod vocabularies;
mod weights;

/// What a test returns, so that `?` takes the place of `unwrap`.
type Tested = Result<(), Box<dyn std::error::Error>>;
