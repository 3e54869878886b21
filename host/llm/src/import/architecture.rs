//! What a GGUF header says about a model's shape, and which models have a graph here.
//!
//! Specification: ggml's `docs/gguf.md`, section "LLM"; llama.cpp's `llama-model.cpp` for defaults.
//! Invariant: a feature that would change the model's answers and that the graph lacks is an error, never ignored.

use super::error::ImportError;
use super::gguf::{Gguf, Value};

/// For messages.
pub(crate) const SUPPORTED: &str = "llama and qwen2";
/// The longest context whose rotary tables are written; beyond it they only take space.
pub(crate) const MAX_CONTEXT: u64 = 32_768;

/// The architectures that have a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Architecture {
    Llama,
    Qwen2,
}

impl Architecture {
    /// The name in GGUF and in `model_type` of config.json.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
        }
    }

    /// The class in `architectures` of config.json.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Llama => "LlamaForCausalLM",
            Self::Qwen2 => "Qwen2ForCausalLM",
        }
    }

    /// Whether neighbouring pairs are rotated (llama.cpp permutes the rows of `llama` files so), or halves.
    pub(crate) fn rotary_interleaved(self) -> bool {
        self == Self::Llama
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
}

impl Hyperparameters {
    /// Reads and checks them.
    pub(crate) fn read(gguf: &Gguf) -> Result<Self, ImportError> {
        let key = "general.architecture";
        let architecture = match gguf.text(key)? {
            None => return Err(ImportError::MissingKey(key.to_owned())),
            Some("llama") => Architecture::Llama,
            Some("qwen2") => Architecture::Qwen2,
            Some(other) => {
                return Err(ImportError::Architecture { found: other.to_owned(), supported: SUPPORTED });
            }
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
        let own = Self {
            architecture,
            layers: needed("block_count", 1 << 10)?,
            hidden,
            feed_forward: needed("feed_forward_length", 1 << 20)?,
            heads,
            kv_heads,
            head,
            context: needed("context_length", 1 << 32)?.min(MAX_CONTEXT),
            epsilon: gguf.positive(&epsilon)?.ok_or(ImportError::MissingKey(epsilon))?,
            rope_base: gguf.positive(&format!("{prefix}.rope.freq_base"))?.unwrap_or(10_000.0),
        };
        if !heads.is_multiple_of(kv_heads) || head == 0 || !head.is_multiple_of(2) {
            return Err(ImportError::Feature(format!(
                "attention of {heads} heads of {head} over {kv_heads} key-value heads"
            )));
        }
        own.refuse_unknown(gguf)?;
        Ok(own)
    }

    /// Columns of the concatenated query, key and value projections: their sizes in this order.
    pub(crate) fn projections(&self) -> [u64; 3] {
        [self.heads * self.head, self.kv_heads * self.head, self.kv_heads * self.head]
    }

    fn refuse_unknown(&self, gguf: &Gguf) -> Result<(), ImportError> {
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
        let ones = ["rope.scaling.factor", "rope.scale_linear", "attention.scale", "logit_scale"];
        for key in ones.map(|name| format!("{prefix}.{name}")) {
            match gguf.value(&key) {
                None => {}
                Some(Value::Float(number)) if *number == 1.0 || *number == 0.0 => {}
                Some(_) => return Err(ImportError::Feature(format!("`{key}`"))),
            }
        }
        let window = format!("{prefix}.attention.sliding_window");
        match gguf.value(&window) {
            Some(Value::Integer(size)) if *size > 0 && *size < i128::from(self.context) => {
                Err(ImportError::Feature(format!("`{window}` = {size}")))
            }
            _ => Ok(()),
        }
    }
}
