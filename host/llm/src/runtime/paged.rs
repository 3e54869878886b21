//! A graph of our own operators: all sequences of a step in one run, over pages that they share.

use std::sync::{Arc, PoisonError};

use ort::{
    session::Session,
    value::{DynValue, Tensor},
};
use toktrie::TokenId;

use super::{
    Limits, inference,
    operators::{Shared, Step, held},
};
use crate::{
    Error,
    backend::{Backend, Part},
    cpu::{attention::Span, paged::PAGE},
    pages::{Pages, Sequence},
};

/// The graph, its pages and whose they are.
pub(crate) struct Paged {
    session: Session,
    shared: Arc<Shared>,
    /// Numbers that a layer keeps of a position's keys.
    width: usize,
    pages: Pages,
    /// `[wanted, vocabulary]` of the last step.
    logits: Option<DynValue>,
    vocabulary: usize,
}

impl Paged {
    /// A message where the graph is not what our import writes.
    pub(super) fn new(session: Session, shared: Arc<Shared>, limits: Limits<'_>) -> Result<Paged, String> {
        let metadata = session.metadata().map_err(|e| e.to_string())?;
        let number = |key: &str| -> Result<usize, String> {
            let text = metadata.custom(key).ok_or_else(|| format!("no `{key}` in its metadata"))?;
            let number = text.parse().ok().filter(|number| (1..1 << 24).contains(number));
            number.ok_or_else(|| format!("`{key}` is {text:?} in its metadata"))
        };
        let (layers, width) = (number("pawl.layers")?, number("pawl.kv_width")?);
        drop(metadata);
        if layers != shared.layers.len() {
            let told = shared.layers.len();
            return Err(format!("it has {layers} layers, but `num_hidden_layers` in config.json is {told}"));
        }
        let widths = held(&shared.widths).clone();
        if widths.iter().any(|found| *found != width) {
            return Err(format!(
                "`pawl.kv_width` is {width} in its metadata, but its attention keeps {widths:?}"
            ));
        }
        let shape = session.outputs().first().and_then(|output| output.dtype().tensor_shape().cloned());
        let vocabulary = shape.and_then(|shape| usize::try_from(*shape.last()?).ok()).filter(|n| *n > 0);
        let vocabulary = vocabulary.ok_or("its output does not say how many logits it gives")?;
        if session.inputs().len() != 1 || session.inputs()[0].name() != "input_ids" {
            return Err("it wants other inputs than `input_ids`".into());
        }
        let page_bytes = layers * 2 * width * PAGE * size_of::<u16>();
        let context = limits.context.div_ceil(PAGE);
        let pages = Pages::new(context + limits.kv_bytes / page_bytes);
        Ok(Paged { session, shared, width, pages, logits: None, vocabulary })
    }

    /// Transformer layers.
    pub(crate) fn layers(&self) -> usize {
        self.shared.layers.len()
    }

    /// Logits of a token.
    pub(crate) fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// Makes all pages exist that sequences were given.
    fn make(&self) {
        for layer in &self.shared.layers {
            held(layer).reserve(self.pages.made(), self.width);
        }
    }

    fn run(&mut self, tokens: &[TokenId]) -> ort::Result<DynValue> {
        let ids: Vec<i64> = tokens.iter().map(|token| i64::from(*token)).collect();
        let ids = Tensor::from_array(([1, ids.len()], ids))?;
        let mut outputs = self.session.run(ort::inputs!["input_ids" => ids])?;
        let logits = outputs.remove("logits").ok_or_else(|| ort::Error::new("the graph gave no logits"))?;
        let columns = logits.try_extract_tensor::<f32>()?.0.last().copied();
        if columns != i64::try_from(self.vocabulary).ok() {
            let message = format!("{columns:?} logits of a token; the graph promised {}", self.vocabulary);
            return Err(ort::Error::new(message));
        }
        Ok(logits)
    }
}

impl Backend for Paged {
    type Sequence = Sequence;

    const EXACT: bool = true;

    fn open(&mut self, prompt: &[TokenId], reuse: bool) -> Result<Sequence, Error> {
        let most = if reuse { prompt.len().saturating_sub(1) } else { 0 };
        let (sequence, copy) = self.pages.open(prompt, most);
        if let Some((from, to)) = copy {
            self.make();
            for layer in &self.shared.layers {
                held(layer).copy(from, to);
            }
        }
        Ok(sequence)
    }

    fn known(&self, prompt: &[TokenId]) -> usize {
        self.pages.known(&prompt[..prompt.len().saturating_sub(1)])
    }

    fn length(&self, sequence: &Sequence) -> usize {
        sequence.length
    }

    fn fits(&self, prompt: &[TokenId], reuse: bool) -> bool {
        self.pages.fits(prompt, reuse)
    }

    fn reserve(&mut self, sequence: &mut Sequence, tokens: &[TokenId], length: usize) -> bool {
        self.pages.publish(sequence, tokens);
        self.pages.reserve(sequence, length)
    }

    fn evaluate(&mut self, parts: Vec<Part<'_, Sequence>>) -> Result<(), Error> {
        self.make();
        let mut step = Step::default();
        let mut tokens = Vec::new();
        for part in &parts {
            let (start, end) = (part.sequence.length, part.tokens.len());
            let pages = part.sequence.pages.get(..end.div_ceil(PAGE));
            let Some(pages) = pages else {
                return Err(Error::Inference(format!("no room for {end} tokens")));
            };
            for (after, rows) in &part.wanted {
                let token = after.checked_sub(start + 1).map(|token| tokens.len() + token);
                let token = token.ok_or_else(|| Error::Inference("logits of an earlier step".into()))?;
                step.wanted.push((token, rows.clone()));
            }
            tokens.extend_from_slice(&part.tokens[start..]);
            step.spans.push(Span { tokens: end - start, start, pages: pages.to_vec() });
        }
        if step.wanted.is_empty() {
            // In the middle of a prompt; the graph's end takes one token at least.
            step.wanted.push((0, Some(Vec::new())));
        }
        *self.shared.step.lock().unwrap_or_else(PoisonError::into_inner) = step;
        self.logits = Some(self.run(&tokens).map_err(inference)?);
        for part in parts {
            part.sequence.length = part.tokens.len();
        }
        Ok(())
    }

    fn logits(&self, row: usize) -> &[f32] {
        let values = self.logits.as_ref().and_then(|logits| logits.try_extract_tensor::<f32>().ok());
        let row = values.and_then(|(_, values)| values.chunks_exact(self.vocabulary).nth(row));
        row.unwrap_or_default()
    }

    fn truncate(&mut self, sequence: &mut Sequence, length: usize) -> Result<(), Error> {
        self.pages.truncate(sequence, length);
        Ok(())
    }

    fn close(&mut self, sequence: Sequence, tokens: &[TokenId]) {
        self.pages.close(sequence, tokens);
    }

    fn reset(&mut self) {
        self.pages.clear();
        self.logits = None;
    }
}
