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

/// A model of noise, of two layers, as a graph in float16; for tests elsewhere.
pub(crate) fn device_model(
    folder: &std::path::Path,
) -> Result<std::path::PathBuf, Box<dyn std::error::Error>> {
    let model = folder.join("model");
    let gguf = sample::Sample::of("llama", 2).write(folder)?;
    super::import_gguf(&gguf, &model, super::Operators::Device, &mut |_| {})?;
    Ok(model.join("model.onnx"))
}

/// The tokenizer.json of the smallest of them, for tests elsewhere.
pub(crate) fn tokenizer(folder: &std::path::Path) -> Result<std::path::PathBuf, Box<dyn std::error::Error>> {
    let model = folder.join("model");
    super::import_gguf(&sample::Sample::model(8).write(folder)?, &model, super::Operators::Own, &mut |_| {})?;
    Ok(model.join("tokenizer.json"))
}
