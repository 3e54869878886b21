//! A graph that makes one vector of a text: our import, which pools by itself, or an export of sentence-transformers or of
//! Hugging Face's `feature-extraction`.
//!
//! What is fed and taken is read off the graph: `input_ids`, `attention_mask` and, where it wants them, `token_type_ids` (zero);
//! `embedding` or `sentence_embedding` `[batch, hidden]` as it is, else `last_hidden_state` or `token_embeddings`
//! `[batch, length, hidden]`, pooled here as the folder's files say.
//! Invariant: one row in, one vector of [`Encoder::dimensions`] finite numbers out, in order.

use std::path::Path;

use ort::{
    session::Session,
    value::{Tensor, TensorElementType},
};

use super::{Runtime, inference, open};
use crate::{
    Error,
    sentence::{Pooling, Sentence},
};

/// Outputs that are taken as they are, and those that are pooled; the first that is there.
const POOLED: [&str; 2] = ["embedding", "sentence_embedding"];
const TOKENS: [&str; 2] = ["last_hidden_state", "token_embeddings"];

/// The session, and how it is fed.
pub(crate) struct Encoder {
    session: Session,
    token_types: bool,
    output: &'static str,
    /// How the output is pooled, where the graph does not do so itself.
    sentence: Option<Sentence>,
    dimensions: usize,
}

impl Encoder {
    /// Loads `model.onnx`; `hidden` is the width where the graph leaves it open.
    pub(crate) fn load(
        runtime: &Runtime,
        path: &Path,
        threads: usize,
        sentence: impl FnOnce() -> Result<Sentence, Error>,
        hidden: Option<usize>,
    ) -> Result<Encoder, Error> {
        let failed = |e: ort::Error| Error::ModelFile { path: path.to_path_buf(), message: e.to_string() };
        let session = open(runtime, path, (&[], threads), None)?.map_err(failed)?;
        let refused = |message: String| Error::Graph { path: path.to_path_buf(), message };
        let mut inputs = Vec::new();
        for input in session.inputs() {
            let name = input.name();
            if !matches!(name, "input_ids" | "attention_mask" | "token_type_ids") {
                return Err(refused(format!(
                    "it wants the input `{name}`; an encoder of text alone is supported"
                )));
            }
            let kind = input.dtype().tensor_type();
            if kind != Some(TensorElementType::Int64) {
                return Err(refused(format!("`{name}` is {kind:?}, only Int64 is supported")));
            }
            inputs.push(name.to_owned());
        }
        let has = |name: &str| inputs.iter().any(|input| input == name);
        if let Some(missing) = ["input_ids", "attention_mask"].into_iter().find(|name| !has(name)) {
            return Err(refused(format!("it has no input `{missing}`")));
        }
        let there = |name: &&str| session.outputs().iter().find(|output| output.name() == *name);
        let output = POOLED.iter().chain(&TOKENS).find_map(|name| Some((*name, there(name)?.dtype())));
        let Some((output, kind)) = output else {
            let there: Vec<_> = session.outputs().iter().map(|output| output.name()).collect();
            return Err(refused(format!("it gives {there:?}; one of {POOLED:?} and {TOKENS:?} is taken")));
        };
        if kind.tensor_type() != Some(TensorElementType::Float32) {
            return Err(refused(format!(
                "`{output}` is {:?}, only Float32 is supported",
                kind.tensor_type()
            )));
        }
        let width = kind.tensor_shape().and_then(|shape| usize::try_from(*shape.last()?).ok());
        let dimensions = width.filter(|n| *n > 0).or(hidden);
        let dimensions = dimensions.ok_or_else(|| {
            refused(format!(
                "the width of `{output}` is open and `hidden_size` in config.json does not give it"
            ))
        })?;
        let sentence = if TOKENS.contains(&output) { Some(sentence()?) } else { None };
        let token_types = has("token_type_ids");
        Ok(Encoder { session, token_types, output, sentence, dimensions })
    }

    /// Numbers of a vector.
    pub(crate) fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// The vectors of token rows, which are padded to the longest; none may be empty.
    pub(crate) fn run(&mut self, rows: &[&[u32]]) -> Result<Vec<Vec<f32>>, Error> {
        let length = rows.iter().map(|row| row.len()).max().unwrap_or(0);
        if rows.iter().any(|row| row.is_empty()) || length == 0 {
            return Err(Error::Inference("a text without tokens".into()));
        }
        self.evaluate(rows, length).map_err(inference)?.map_err(Error::Inference)
    }

    fn evaluate(&mut self, rows: &[&[u32]], length: usize) -> ort::Result<Result<Vec<Vec<f32>>, String>> {
        let shape = [rows.len(), length];
        let (mut ids, mut mask) = (Vec::new(), Vec::new());
        for row in rows {
            // What stands at the masked places has no part in anything.
            ids.extend(row.iter().map(|id| i64::from(*id)).chain(std::iter::repeat_n(0, length - row.len())));
            mask.extend(
                std::iter::repeat_n(1_i64, row.len()).chain(std::iter::repeat_n(0, length - row.len())),
            );
        }
        let zeros = self.token_types.then(|| vec![0_i64; rows.len() * length]);
        let mut inputs = ort::inputs![
            "input_ids" => Tensor::from_array((shape, ids))?,
            "attention_mask" => Tensor::from_array((shape, mask))?,
        ];
        if let Some(zeros) = zeros {
            inputs.push(("token_type_ids".into(), Tensor::from_array((shape, zeros))?.into()));
        }
        let mut outputs = self.session.run(inputs)?;
        let output =
            outputs.remove(self.output).ok_or_else(|| ort::Error::new("the graph gave no output"))?;
        let (found, values) = output.try_extract_tensor::<f32>()?;
        let width = self.dimensions;
        let expected = rows.len() * width * self.sentence.as_ref().map_or(1, |_| length);
        if values.len() != expected {
            return Ok(Err(format!(
                "`{}` has shape {found:?}, {expected} numbers were promised",
                self.output
            )));
        }
        let vectors: Vec<Vec<f32>> = match &self.sentence {
            None => values.chunks_exact(width).map(<[f32]>::to_vec).collect(),
            Some(sentence) => {
                let texts = values.chunks_exact(width * length).zip(rows);
                texts.map(|(tokens, row)| pool(sentence, &tokens[..row.len() * width], width)).collect()
            }
        };
        if vectors.iter().flatten().any(|value| !value.is_finite()) {
            return Ok(Err("a vector holds a value that is not finite".into()));
        }
        Ok(Ok(vectors))
    }
}

/// One vector of those of a text's tokens, without padding.
fn pool(sentence: &Sentence, tokens: &[f32], width: usize) -> Vec<f32> {
    let mut vector = match sentence.pooling {
        Pooling::First => tokens[..width].to_vec(),
        Pooling::Mean => {
            let mut sum = vec![0.0; width];
            for token in tokens.chunks_exact(width) {
                sum.iter_mut().zip(token).for_each(|(sum, value)| *sum += value);
            }
            let count = (tokens.len() / width) as f32;
            sum.iter_mut().for_each(|sum| *sum /= count);
            sum
        }
    };
    if sentence.normalize {
        let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt().max(1e-12);
        vector.iter_mut().for_each(|value| *value /= length);
    }
    vector
}
