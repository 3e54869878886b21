//! What a GGUF header says about a model's shape, and which models have a graph here.
//!
//! Specification: ggml's `docs/gguf.md`, section "LLM"; llama.cpp's `llama-model.cpp` for defaults.
//! Invariant: a feature that would change the model's answers and that the graph lacks is an error, never ignored.

use super::error::ImportError;
use super::gguf::{Gguf, Value};

/// For messages.
pub(crate) const SUPPORTED: &str = "llama (Mistral too), qwen2, qwen3, gemma and gemma3";
/// The longest context whose rotary tables are written; beyond it they only take space.
pub(crate) const MAX_CONTEXT: u64 = 32_768;

/// Our own attention works on so many numbers of a head at once, and ONNX Runtime's rotates no others.
const HEAD_MULTIPLE: u64 = 16;
/// Gemma 3's, of which files say nothing.
const GEMMA3_PERIOD: u64 = 6;

/// The architectures that have a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Architecture {
    Llama,
    Qwen2,
    /// Queries and keys are normed, head by head.
    Qwen3,
    /// The gate is a GELU, and the embedding grows by the root of its width.
    Gemma,
    /// As Gemma, with normed queries and keys, norms behind attention and feed-forward, and layers that look back only so far.
    Gemma3,
}

impl Architecture {
    const ALL: [Architecture; 5] = [Self::Llama, Self::Qwen2, Self::Qwen3, Self::Gemma, Self::Gemma3];

    /// The name in GGUF.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::Gemma => "gemma",
            Self::Gemma3 => "gemma3",
        }
    }

    /// `model_type` of config.json.
    pub(crate) fn model_type(self) -> &'static str {
        match self {
            Self::Gemma3 => "gemma3_text",
            other => other.name(),
        }
    }

    /// The class in `architectures` of config.json.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Llama => "LlamaForCausalLM",
            Self::Qwen2 => "Qwen2ForCausalLM",
            Self::Qwen3 => "Qwen3ForCausalLM",
            Self::Gemma => "GemmaForCausalLM",
            Self::Gemma3 => "Gemma3ForCausalLM",
        }
    }

    /// Whether it is of Google's family.
    pub(crate) fn is_gemma(self) -> bool {
        matches!(self, Self::Gemma | Self::Gemma3)
    }

    /// Whether neighbouring pairs are rotated (llama.cpp permutes the rows of `llama` files so), or halves.
    pub(crate) fn rotary_interleaved(self) -> bool {
        self == Self::Llama
    }

    /// Whether queries and keys are normed.
    pub(crate) fn has_query_norm(self) -> bool {
        matches!(self, Self::Qwen3 | Self::Gemma3)
    }
}

/// Layers that look at the last so many positions only.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Window {
    /// Positions, the token's own among them.
    pub(crate) positions: u64,
    /// Every so manieth layer looks at all.
    pub(crate) period: u64,
    /// Of the rotation in these layers.
    pub(crate) rope_base: f64,
}

impl Window {
    /// Whether it is for this layer.
    pub(crate) fn holds(self, layer: u64) -> bool {
        !(layer + 1).is_multiple_of(self.period)
    }
}

/// The numbers that fix a graph's shape.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Hyperparameters {
    pub(crate) architecture: Architecture,
    pub(crate) layers: u64,
    pub(crate) hidden: u64,
    pub(crate) feed_forward: u64,
    pub(crate) heads: u64,
    pub(crate) kv_heads: u64,
    pub(crate) head: u64,
    /// Positions that the rotary tables have: the model's own context, at most [`MAX_CONTEXT`].
    pub(crate) context: u64,
    pub(crate) epsilon: f64,
    pub(crate) rope_base: f64,
    pub(crate) window: Option<Window>,
}

impl Hyperparameters {
    /// Reads and checks them.
    pub(crate) fn read(gguf: &Gguf) -> Result<Self, ImportError> {
        let key = "general.architecture";
        let architecture = match gguf.text(key)? {
            None => return Err(ImportError::MissingKey(key.to_owned())),
            Some(found) => Architecture::ALL
                .into_iter()
                .find(|one| one.name() == found)
                .ok_or_else(|| ImportError::Architecture { found: found.to_owned(), supported: SUPPORTED })?,
        };
        let prefix = architecture.name();
        let optional = |name: &str, limit| gguf.count(&format!("{prefix}.{name}"), limit);
        let needed = |name: &str, limit| {
            optional(name, limit)?.ok_or_else(|| ImportError::MissingKey(format!("{prefix}.{name}")))
        };
        let hidden = needed("embedding_length", 1 << 16)?;
        let heads = needed("attention.head_count", 1 << 10)?;
        let kv_heads = optional("attention.head_count_kv", heads)?.unwrap_or(heads);
        let head = optional("attention.key_length", 1 << 10)?.unwrap_or(hidden / heads);
        let epsilon = format!("{prefix}.attention.layer_norm_rms_epsilon");
        let context = needed("context_length", 1 << 32)?.min(MAX_CONTEXT);
        let window = match gguf.value(&format!("{prefix}.attention.sliding_window")) {
            // As in llama.cpp: all layers see everything.
            Some(Value::Integer(0)) => None,
            _ => optional("attention.sliding_window", 1 << 32)?,
        };
        let (context, window) = match window {
            Some(positions) if architecture == Architecture::Gemma3 => {
                let pattern = optional("attention.sliding_window_pattern", 1 << 10)?;
                if let Some(period) = pattern.filter(|period| *period != GEMMA3_PERIOD) {
                    return Err(ImportError::Feature(format!("a window in {period} layers of a row")));
                }
                let base = gguf.positive(&format!("{prefix}.rope.freq_base_swa"))?.unwrap_or(10_000.0);
                (context, Some(Window { positions, period: GEMMA3_PERIOD, rope_base: base }))
            }
            // As far as the window reaches, all layers see everything.
            Some(positions) => (context.min(positions), None),
            None => (context, None),
        };
        let own = Self {
            architecture,
            layers: needed("block_count", 1 << 10)?,
            hidden,
            feed_forward: needed("feed_forward_length", 1 << 20)?,
            heads,
            kv_heads,
            head,
            context,
            epsilon: gguf.positive(&epsilon)?.ok_or(ImportError::MissingKey(epsilon))?,
            rope_base: gguf.positive(&format!("{prefix}.rope.freq_base"))?.unwrap_or(10_000.0),
            window,
        };
        if !heads.is_multiple_of(kv_heads) {
            let what = format!("attention of {heads} heads over {kv_heads} key-value heads");
            return Err(ImportError::Feature(what));
        }
        if head == 0 || !head.is_multiple_of(HEAD_MULTIPLE) {
            let what = format!("attention with heads of {head}, which is no multiple of {HEAD_MULTIPLE},");
            return Err(ImportError::Feature(what));
        }
        own.refuse_unknown(gguf)?;
        Ok(own)
    }

    /// Columns of the concatenated query, key and value projections: their sizes in this order.
    pub(crate) fn projections(&self) -> [u64; 3] {
        [self.heads * self.head, self.kv_heads * self.head, self.kv_heads * self.head]
    }

    /// How far a layer looks back, if not over all.
    pub(crate) fn window_of(&self, layer: u64) -> Option<Window> {
        self.window.filter(|window| window.holds(layer))
    }

    /// The rotary tables of a layer: cosines and sines.
    pub(crate) fn rotary_names(&self, layer: u64) -> (&'static str, &'static str) {
        match self.window_of(layer) {
            Some(_) => ("rope.window.cos", "rope.window.sin"),
            None => ("rope.cos", "rope.sin"),
        }
    }

    fn refuse_unknown(&self, gguf: &Gguf) -> Result<(), ImportError> {
        const ATTENTION_FACTOR: &str = "rope.scaling.attn_factor";
        let prefix = self.architecture.name();
        for (name, only) in [("rope.dimension_count", self.head), ("attention.value_length", self.head)] {
            if let Some(found) = gguf.count(&format!("{prefix}.{name}"), 1 << 16)?
                && found != only
            {
                return Err(ImportError::Feature(format!(
                    "`{prefix}.{name}` = {found} with heads of {only}"
                )));
            }
        }
        if let Some(scaling) = gguf.text(&format!("{prefix}.rope.scaling.type"))?
            && scaling != "none"
        {
            return Err(ImportError::Feature(format!("`{prefix}.rope.scaling.type` = {scaling}")));
        }
        let ones =
            ["rope.scaling.factor", "rope.scale_linear", "attention.scale", "logit_scale", ATTENTION_FACTOR];
        for name in ones {
            let key = format!("{prefix}.{name}");
            // Of the others 0 says that there is none.
            let may_be = |number: f64| number == 1.0 || (number == 0.0 && name != ATTENTION_FACTOR);
            match gguf.value(&key) {
                None => {}
                Some(Value::Float(number)) if may_be(*number) => {}
                Some(_) => return Err(ImportError::Feature(format!("`{key}`"))),
            }
        }
        let causal = format!("{prefix}.attention.causal");
        if gguf.flag(&causal)? == Some(false) {
            return Err(ImportError::Feature(format!("`{causal}` = false")));
        }
        for name in ["attn_logit_softcapping", "final_logit_softcapping", "attention.temperature_scale"] {
            let key = format!("{prefix}.{name}");
            if gguf.value(&key).is_some() {
                return Err(ImportError::Feature(format!("`{key}`")));
            }
        }
        // llama.cpp's 27B, which scales queries by the width of the model.
        if self.architecture == Architecture::Gemma3 && self.layers == 62 {
            return Err(ImportError::Feature("Gemma 3 of 62 layers".into()));
        }
        Ok(())
    }
}
