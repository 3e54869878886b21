//! Reads a GGUF header: metadata, then the list of tensors.
//!
//! Specification: ggml's `docs/gguf.md`, versions 2 and 3, little-endian.
//! Invariant: every count, length and offset is checked against the file's real size and a limit before memory
//! is taken or bytes are read; no input panics.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use super::error::ImportError;
use super::gguf::{Tensor, Value, bad};
use super::quant::TensorType;

/// Keys in a header; real files have about 40.
const MAX_KEYS: u64 = 4096;
/// Tensors in a file; an 80-layer model has about 1,000.
const MAX_TENSORS: u64 = 65_536;
/// Bytes of one string; the largest real ones are chat templates of some 10 KiB.
const MAX_STRING: u64 = 4 << 20;
/// Elements of one array; the largest real ones are vocabularies of some 300,000 tokens.
pub(super) const MAX_ARRAY: u64 = 4 << 20;
/// Bytes of the whole header; it is held in memory.
pub(super) const MAX_HEADER: u64 = 256 << 20;
/// The arrays that are read later. Of any other only the form is checked: values of one byte in the file take eight in
/// memory, and texts more.
const KEPT: [&str; 4] =
    ["tokenizer.ggml.tokens", "tokenizer.ggml.token_type", "tokenizer.ggml.scores", "tokenizer.ggml.merges"];
/// Elements of one tensor.
const MAX_ELEMENTS: u64 = 1 << 36;
/// Dimensions of one tensor, as in ggml.
const MAX_DIMENSIONS: u32 = 4;
/// The largest alignment accepted; files use 32.
const MAX_ALIGNMENT: u64 = 1 << 20;

/// Metadata by key, and tensors with absolute offsets, in the file's order of bytes.
pub(crate) type Content = (BTreeMap<String, Value>, Vec<Tensor>);

/// Reads the header of `file`, which is `size` bytes long; `path` is for messages.
pub(crate) fn read(file: &File, path: &Path, size: u64) -> Result<Content, ImportError> {
    Header { inner: BufReader::with_capacity(1 << 16, file), offset: 0, size, path }.read()
}

/// The header while it is being read; `offset` is where the next byte comes from.
struct Header<'a> {
    inner: BufReader<&'a File>,
    offset: u64,
    size: u64,
    path: &'a Path,
}

impl Header<'_> {
    fn read(&mut self) -> Result<Content, ImportError> {
        let magic = self.bytes::<4>("the magic")?;
        if magic != *b"GGUF" {
            return Err(ImportError::NotGguf(magic));
        }
        let version = self.u32("the version")?;
        if !(2..=3).contains(&version) {
            return Err(ImportError::Version(version));
        }
        let tensor_count = self.counted("the tensor count", MAX_TENSORS)?;
        let key_count = self.counted("the key count", MAX_KEYS)?;
        let mut metadata = BTreeMap::new();
        for _ in 0..key_count {
            let at = self.offset;
            let key = self.text("a metadata key")?;
            let value = self.value(&key)?;
            if metadata.insert(key.clone(), value).is_some() {
                return Err(ImportError::Malformed { offset: at, what: format!("key `{key}` occurs twice") });
            }
        }
        let alignment = match metadata.get("general.alignment") {
            None => 32,
            Some(Value::Integer(value)) if *value >= 1 && *value <= i128::from(MAX_ALIGNMENT) => {
                *value as u64
            }
            Some(other) => {
                return Err(bad("general.alignment", other, &format!("from 1 to {MAX_ALIGNMENT}")));
            }
        };
        let mut tensors = Vec::new();
        for _ in 0..tensor_count {
            tensors.push(self.tensor()?);
        }
        place(&mut tensors, self.offset.next_multiple_of(alignment), alignment, self.size)?;
        Ok((metadata, tensors))
    }

    /// One entry of the tensor list; `offset` is still relative to the data section.
    fn tensor(&mut self) -> Result<Tensor, ImportError> {
        let at = self.offset;
        let name = self.text("a tensor name")?;
        let rank = self.u32("a tensor's dimension count")?;
        if rank == 0 || rank > MAX_DIMENSIONS {
            let what =
                format!("tensor `{name}` has {rank} dimensions, and 1 to {MAX_DIMENSIONS} are possible");
            return Err(ImportError::Malformed { offset: at, what });
        }
        let mut dimensions = Vec::new();
        let mut elements = 1u64;
        for _ in 0..rank {
            let dimension = self.u64("a dimension")?;
            dimensions.push(dimension);
            elements = elements
                .checked_mul(dimension)
                .filter(|count| (1..=MAX_ELEMENTS).contains(count))
                .ok_or_else(|| ImportError::TooLarge {
                    what: format!("the element count of tensor `{name}` {dimensions:?}"),
                    offset: at,
                    value: elements.saturating_mul(dimension),
                    limit: MAX_ELEMENTS,
                })?;
        }
        let kind = TensorType::from_id(self.u32("a tensor type")?, &name)?;
        let offset = self.u64("a tensor offset")?;
        if !dimensions[0].is_multiple_of(kind.block_elements()) {
            let (row, block) = (dimensions[0], kind.block_elements());
            let what = format!(
                "tensor `{name}` has rows of {row}, not a multiple of {}'s block of {block}",
                kind.name()
            );
            return Err(ImportError::Malformed { offset: at, what });
        }
        let bytes = elements / kind.block_elements() * kind.block_bytes();
        Ok(Tensor { name, dimensions, kind, offset, bytes })
    }

    fn value(&mut self, key: &str) -> Result<Value, ImportError> {
        let at = self.offset;
        let kind = self.u32("a value type")?;
        if kind != ARRAY {
            return self.scalar(kind, key, at);
        }
        let element = self.u32("an array's element type")?;
        let length = self.counted("an array length", MAX_ARRAY)?;
        let width = element_width(element).ok_or_else(|| unknown_type(key, element, at))?;
        self.room(&format!("the array `{key}`"), length * width)?;
        match element {
            _ if !KEPT.contains(&key) => self.pass_over(element, length, key, at),
            FLOAT64 => self.pass_over(element, length, key, at),
            STRING => {
                (0..length).map(|_| self.text("an array element")).collect::<Result<_, _>>().map(Value::Texts)
            }
            FLOAT32 => (0..length)
                .map(|_| self.bytes("an array element").map(f32::from_le_bytes))
                .collect::<Result<_, _>>()
                .map(Value::Floats),
            _ => (0..length)
                .map(|_| match self.scalar(element, key, at)? {
                    Value::Integer(number) => i64::try_from(number)
                        .map_err(|_| bad(key, &Value::Integer(number), "integers below 2^63")),
                    Value::Bool(flag) => Ok(i64::from(flag)),
                    _ => Err(unknown_type(key, element, at)),
                })
                .collect::<Result<_, _>>()
                .map(Value::Integers),
        }
    }

    /// Checks an array's elements and keeps none.
    fn pass_over(&mut self, element: u32, length: u64, key: &str, at: u64) -> Result<Value, ImportError> {
        for _ in 0..length {
            self.scalar(element, key, at)?;
        }
        Ok(Value::Other(length))
    }

    fn scalar(&mut self, kind: u32, key: &str, at: u64) -> Result<Value, ImportError> {
        let what = "a metadata value";
        Ok(match kind {
            UINT8 => Value::Integer(self.bytes::<1>(what)?[0].into()),
            INT8 => Value::Integer(i8::from_le_bytes(self.bytes(what)?).into()),
            UINT16 => Value::Integer(u16::from_le_bytes(self.bytes(what)?).into()),
            INT16 => Value::Integer(i16::from_le_bytes(self.bytes(what)?).into()),
            UINT32 => Value::Integer(self.u32(what)?.into()),
            INT32 => Value::Integer(i32::from_le_bytes(self.bytes(what)?).into()),
            FLOAT32 => Value::Float(f32::from_le_bytes(self.bytes(what)?).into()),
            BOOL => match self.bytes::<1>(what)?[0] {
                0 => Value::Bool(false),
                1 => Value::Bool(true),
                other => {
                    let what = format!("key `{key}` has the truth value {other}");
                    return Err(ImportError::Malformed { offset: at, what });
                }
            },
            STRING => Value::Text(self.text(key)?),
            UINT64 => Value::Integer(self.u64(what)?.into()),
            INT64 => Value::Integer(i64::from_le_bytes(self.bytes(what)?).into()),
            FLOAT64 => Value::Float(f64::from_le_bytes(self.bytes(what)?)),
            other => return Err(unknown_type(key, other, at)),
        })
    }

    /// A length-prefixed UTF-8 string.
    fn text(&mut self, what: &str) -> Result<String, ImportError> {
        let at = self.offset;
        let length = self.counted(&format!("the length of {what}"), MAX_STRING)?;
        self.room(what, length)?;
        let mut bytes = vec![0; length as usize];
        self.fill(&mut bytes)?;
        String::from_utf8(bytes)
            .map_err(|_| ImportError::Malformed { offset: at, what: format!("{what} is not UTF-8") })
    }

    /// A u64 that counts something and may not pass `limit`.
    fn counted(&mut self, what: &str, limit: u64) -> Result<u64, ImportError> {
        let offset = self.offset;
        let value = self.u64(what)?;
        if value > limit {
            return Err(ImportError::TooLarge { what: what.to_owned(), offset, value, limit });
        }
        Ok(value)
    }

    fn u32(&mut self, what: &str) -> Result<u32, ImportError> {
        self.bytes(what).map(u32::from_le_bytes)
    }

    fn u64(&mut self, what: &str) -> Result<u64, ImportError> {
        self.bytes(what).map(u64::from_le_bytes)
    }

    fn bytes<const N: usize>(&mut self, what: &str) -> Result<[u8; N], ImportError> {
        self.room(what, N as u64)?;
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// Fails unless `needed` more bytes are in the file and in the header's limit.
    fn room(&self, what: &str, needed: u64) -> Result<(), ImportError> {
        let (offset, left) = (self.offset, self.size.saturating_sub(self.offset));
        if needed > left {
            return Err(ImportError::Truncated { what: what.to_owned(), offset, needed, left });
        }
        if offset + needed > MAX_HEADER {
            let what = "the header's size".to_owned();
            return Err(ImportError::TooLarge { what, offset, value: offset + needed, limit: MAX_HEADER });
        }
        Ok(())
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), ImportError> {
        self.inner.read_exact(bytes).map_err(|source| ImportError::io("read", self.path, 0, source))?;
        self.offset += bytes.len() as u64;
        Ok(())
    }
}

/// Makes offsets absolute and checks that each tensor lies inside the file, aligned, apart from all others.
fn place(tensors: &mut [Tensor], base: u64, alignment: u64, size: u64) -> Result<(), ImportError> {
    for tensor in tensors.iter_mut() {
        let what = || format!("the data of tensor `{}`", tensor.name);
        if !tensor.offset.is_multiple_of(alignment) {
            let what = format!("{} is not aligned to {alignment}", what());
            return Err(ImportError::Malformed { offset: tensor.offset, what });
        }
        let start = base.saturating_add(tensor.offset);
        let left = size.saturating_sub(start);
        if tensor.bytes > left {
            return Err(ImportError::Truncated { what: what(), offset: start, needed: tensor.bytes, left });
        }
        tensor.offset = start;
    }
    tensors.sort_by_key(|tensor| tensor.offset);
    for pair in tensors.windows(2) {
        if pair[0].offset + pair[0].bytes > pair[1].offset {
            let what = format!("tensors `{}` and `{}` overlap", pair[0].name, pair[1].name);
            return Err(ImportError::Malformed { offset: pair[1].offset, what });
        }
    }
    let mut names: Vec<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        let what = format!("tensor `{}` occurs twice", pair[0]);
        return Err(ImportError::Malformed { offset: base, what });
    }
    Ok(())
}

fn unknown_type(key: &str, kind: u32, offset: u64) -> ImportError {
    ImportError::Malformed { offset, what: format!("key `{key}` has the unknown value type {kind}") }
}

/// The fewest bytes that one array element takes; nested arrays are not read.
fn element_width(kind: u32) -> Option<u64> {
    Some(match kind {
        UINT8 | INT8 | BOOL => 1,
        UINT16 | INT16 => 2,
        UINT32 | INT32 | FLOAT32 => 4,
        UINT64 | INT64 | FLOAT64 | STRING => 8,
        _ => return None,
    })
}

// `gguf_metadata_value_type`
const UINT8: u32 = 0;
const INT8: u32 = 1;
const UINT16: u32 = 2;
const INT16: u32 = 3;
const UINT32: u32 = 4;
const INT32: u32 = 5;
const FLOAT32: u32 = 6;
const BOOL: u32 = 7;
const STRING: u32 = 8;
const ARRAY: u32 = 9;
const UINT64: u32 = 10;
const INT64: u32 = 11;
const FLOAT64: u32 = 12;
