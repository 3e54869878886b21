//! Imports of small synthetic files: whole ones, and ones that lie.

mod agreement;
mod files;
mod folders;
mod pieces;
mod sample;
mod vocabularies;
mod weights;

/// What a test returns, so that `?` takes the place of `unwrap`.
type Tested = Result<(), Box<dyn std::error::Error>>;

/// The tokenizer.json of the smallest of them, for tests elsewhere.
pub(crate) fn tokenizer(folder: &std::path::Path) -> Result<std::path::PathBuf, Box<dyn std::error::Error>> {
    let model = folder.join("model");
    super::import_gguf(&sample::Sample::model(8).write(folder)?, &model, super::Operators::Own, &mut |_| {})?;
    Ok(model.join("tokenizer.json"))
}
