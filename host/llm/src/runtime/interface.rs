//! What a graph of ONNX Runtime's operators wants and gives: read of the graph itself, so that exports of any kind load.
//!
//! Inputs that are known: `input_ids`, `past_key_values.L.key` and `.value`, and where the graph has them `attention_mask`,
//! `position_ids`, `num_logits_to_keep`, `use_cache_branch`. Outputs: `logits`, `present.L.key` and `.value`. Keys, values and
//! logits are float32 or float16.

use std::{collections::BTreeMap, ffi::CString};

use ort::{
    session::Session,
    value::{TensorElementType, ValueType},
};

use super::Beside;

/// What the graph says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Interface {
    pub(crate) layers: usize,
    /// Columns of the logits, where the graph says so.
    pub(crate) vocabulary: Option<usize>,
    /// Whether the cache is one shared buffer a layer.
    pub(super) shared: bool,
    pub(super) heads: usize,
    pub(super) head_size: usize,
    /// Of keys and values: float32 or float16.
    pub(super) cache: TensorElementType,
    /// Those beside the tokens and the cache, in this order.
    pub(super) extras: Vec<Extra>,
}

/// An input beside tokens and cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extra {
    /// i64 `[1, past + new]`: ones.
    Mask,
    /// i64 `[1, new]`: the positions of the new tokens.
    Positions,
    /// i64 of this rank, 0 or 1: of how many tokens logits are wanted.
    Keep(usize),
    /// bool `[1]`: whether there is a past (exports that merged two decoders).
    CacheBranch,
}

impl Extra {
    fn name(self) -> &'static str {
        match self {
            Extra::Mask => "attention_mask",
            Extra::Positions => "position_ids",
            Extra::Keep(_) => "num_logits_to_keep",
            Extra::CacheBranch => "use_cache_branch",
        }
    }

    fn element(self) -> TensorElementType {
        if self == Extra::CacheBranch { TensorElementType::Bool } else { TensorElementType::Int64 }
    }
}

/// Names in the order in which values are handed to the runtime.
pub(super) struct Names {
    pub(super) past: Vec<String>,
    pub(super) present: Vec<String>,
    pub(super) inputs: Vec<CString>,
    pub(super) outputs: Vec<CString>,
}

impl Names {
    pub(super) fn new(interface: &Interface) -> Names {
        let of = |prefix: &str| -> Vec<String> {
            let both = |layer: usize| ["key", "value"].map(|kind| format!("{prefix}.{layer}.{kind}"));
            (0..interface.layers).flat_map(both).collect()
        };
        let (past, present) = (of("past_key_values"), of("present"));
        let extras = interface.extras.iter().map(|extra| extra.name().to_owned());
        let inputs = ["input_ids".to_owned()].into_iter().chain(extras).chain(past.iter().cloned());
        let outputs = ["logits".to_owned()].into_iter().chain(present.iter().cloned());
        // Names made above hold no NUL.
        let c_string = |name: String| CString::new(name).ok();
        let (inputs, outputs) =
            (inputs.filter_map(c_string).collect(), outputs.filter_map(c_string).collect());
        Names { past, present, inputs, outputs }
    }
}

/// Reads inputs and outputs; a message for what this crate cannot feed or use.
pub(super) fn inspect(session: &Session, shared: bool, beside: Beside) -> Result<Interface, String> {
    let inputs: BTreeMap<&str, &ValueType> = session.inputs().iter().map(|i| (i.name(), i.dtype())).collect();
    let outputs: BTreeMap<&str, &ValueType> =
        session.outputs().iter().map(|o| (o.name(), o.dtype())).collect();
    let first = "past_key_values.0.key";
    let layers =
        (0..).take_while(|l| inputs.contains_key(format!("past_key_values.{l}.key").as_str())).count();
    if layers == 0 {
        return Err(format!("it has no input `{first}`; export it as text-generation-with-past"));
    }
    let dimension = |name: &str, axis: usize| -> Option<usize> {
        let shape = inputs.get(name).or(outputs.get(name))?.tensor_shape()?;
        usize::try_from(*shape.get(axis)?).ok().filter(|&n| n > 0)
    };
    let rank = |name: &str| inputs.get(name)?.tensor_shape().map(|shape| shape.len());
    let has = |extra: Extra| inputs.contains_key(extra.name()).then_some(extra);
    let keep = Extra::Keep(rank(Extra::Keep(0).name()).unwrap_or(0));
    let extras = [Extra::Mask, Extra::Positions, keep, Extra::CacheBranch];
    let interface = Interface {
        layers,
        shared,
        vocabulary: dimension("logits", 2),
        heads: dimension(first, 1).unwrap_or(beside.kv_heads),
        head_size: dimension(first, 3).unwrap_or(beside.head_size),
        cache: inputs
            .get(first)
            .and_then(|value| value.tensor_type())
            .unwrap_or(TensorElementType::Undefined),
        extras: extras.into_iter().filter_map(has).collect(),
    };
    let names = Names::new(&interface);
    let known = |name: &str| names.inputs.iter().any(|n| n.as_bytes() == name.as_bytes());
    let unknown: Vec<_> = inputs.keys().filter(|name| !known(name)).collect();
    if !unknown.is_empty() {
        return Err(format!("it wants inputs that are not known here: {unknown:?}"));
    }
    let expect = |name: &str, wanted: &[TensorElementType]| -> Result<(), String> {
        let value = inputs.get(name).or(outputs.get(name));
        let found = value.ok_or_else(|| format!("it has no input or output `{name}`"))?.tensor_type();
        if found.is_some_and(|found| wanted.contains(&found)) {
            return Ok(());
        }
        Err(format!("`{name}` is {found:?}; of the types that can be used, {wanted:?}, take another export"))
    };
    expect("input_ids", &[TensorElementType::Int64])?;
    for extra in &interface.extras {
        expect(extra.name(), &[extra.element()])?;
    }
    let floats = [TensorElementType::Float32, TensorElementType::Float16];
    expect("logits", &floats)?;
    expect(first, &floats)?;
    for name in names.past.iter().chain(&names.present) {
        expect(name, &[interface.cache])?;
    }
    if interface.heads == 0 || interface.head_size == 0 {
        return Err(format!("the shape of `{first}` is open and config.json does not give it"));
    }
    Ok(interface)
}
