//! A GGUF file, the format of llama.cpp: typed access to its metadata and to the bytes of its tensors.
//!
//! Specification: ggml's `docs/gguf.md`; `header.rs` reads and checks what is here.
//! Invariant: a tensor that is listed lies inside the file and overlaps no other; reads are plain file reads, so a
//! file that shrinks meanwhile is an error, not a fault.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::error::ImportError;
use super::header;
use super::quant::TensorType;

/// An open GGUF file whose header has been read and checked.
pub(crate) struct Gguf {
    path: PathBuf,
    file: Mutex<File>,
    size: u64,
    metadata: BTreeMap<String, Value>,
    tensors: BTreeMap<String, Tensor>,
}

/// One entry of the tensor list.
#[derive(Debug, Clone)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    /// Innermost (contiguous) dimension first, as in the file.
    pub(crate) dimensions: Vec<u64>,
    pub(crate) kind: TensorType,
    /// Absolute offset in the file.
    pub(crate) offset: u64,
    /// Bytes in the file.
    pub(crate) bytes: u64,
}

impl Tensor {
    /// Elements of one row.
    pub(crate) fn columns(&self) -> u64 {
        self.dimensions.first().copied().unwrap_or(1)
    }

    /// Rows of all outer dimensions together.
    pub(crate) fn rows(&self) -> u64 {
        self.dimensions.iter().skip(1).product()
    }
}

/// A metadata value; integers are widened, arrays are of one type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Integer(i128),
    Float(f64),
    Bool(bool),
    Text(String),
    Integers(Vec<i64>),
    /// Numbers in single precision; nothing that is read has more.
    Floats(Vec<f32>),
    Texts(Vec<String>),
    /// An array that nothing here reads, and its length.
    Other(u64),
}

impl Value {
    fn describe(&self) -> String {
        match self {
            Self::Integer(value) => value.to_string(),
            Self::Float(value) => value.to_string(),
            Self::Bool(value) => value.to_string(),
            Self::Text(value) => format!("the text {:?}", value.chars().take(40).collect::<String>()),
            Self::Integers(values) => format!("an array of {} integers", values.len()),
            Self::Floats(values) => format!("an array of {} numbers", values.len()),
            Self::Texts(values) => format!("an array of {} strings", values.len()),
            Self::Other(length) => format!("an array of {length} values"),
        }
    }
}

impl Gguf {
    /// Opens `path` and reads its header; no tensor byte is read yet.
    pub(crate) fn open(path: &Path) -> Result<Self, ImportError> {
        let failed = |source| ImportError::io("read", path, 0, source);
        let file = File::open(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let (metadata, tensors) = header::read(&file, path, size)?;
        let tensors = tensors.into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect();
        Ok(Self { path: path.to_path_buf(), file: Mutex::new(file), size, metadata, tensors })
    }

    /// Bytes of the file.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Where the file lies.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The tensors by name.
    pub(crate) fn tensors(&self) -> &BTreeMap<String, Tensor> {
        &self.tensors
    }

    /// Fills `buffer` with the bytes of `tensor` from `start` on.
    pub(crate) fn read(&self, tensor: &Tensor, start: u64, buffer: &mut [u8]) -> Result<(), ImportError> {
        debug_assert!(start + buffer.len() as u64 <= tensor.bytes);
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        file.seek(SeekFrom::Start(tensor.offset + start))
            .and_then(|_| file.read_exact(buffer))
            .map_err(|source| ImportError::io("read", &self.path, 0, source))
    }

    /// The value at `key`, if any.
    pub(crate) fn value(&self, key: &str) -> Option<&Value> {
        self.metadata.get(key)
    }

    /// A text, or `None` where the key is absent.
    pub(crate) fn text(&self, key: &str) -> Result<Option<&str>, ImportError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(other) => Err(bad(key, other, "a text")),
        }
    }

    /// A count between 1 and `limit`, or `None` where the key is absent.
    pub(crate) fn count(&self, key: &str, limit: u64) -> Result<Option<u64>, ImportError> {
        match self.value(key) {
            None => Ok(None),
            Some(value) => match value {
                Value::Integer(number) if *number >= 1 && *number <= i128::from(limit) => {
                    Ok(Some(*number as u64))
                }
                other => Err(bad(key, other, &format!("an integer from 1 to {limit}"))),
            },
        }
    }

    /// A finite number above zero, or `None` where the key is absent.
    pub(crate) fn positive(&self, key: &str) -> Result<Option<f64>, ImportError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Float(number)) if number.is_finite() && *number > 0.0 => Ok(Some(*number)),
            Some(other) => Err(bad(key, other, "a number above zero")),
        }
    }

    /// A truth value, or `None` where the key is absent.
    pub(crate) fn flag(&self, key: &str) -> Result<Option<bool>, ImportError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(bad(key, other, "true or false")),
        }
    }

    /// A list of texts that must be there.
    pub(crate) fn texts(&self, key: &str) -> Result<&[String], ImportError> {
        match self.value(key) {
            None => Err(ImportError::MissingKey(key.to_owned())),
            Some(Value::Texts(texts)) => Ok(texts),
            Some(other) => Err(bad(key, other, "an array of texts")),
        }
    }

    /// A list of numbers in single precision that must be there.
    pub(crate) fn floats(&self, key: &str) -> Result<&[f32], ImportError> {
        match self.value(key) {
            None => Err(ImportError::MissingKey(key.to_owned())),
            Some(Value::Floats(floats)) => Ok(floats),
            Some(other) => Err(bad(key, other, "an array of 32-bit floats")),
        }
    }

    /// A list of integers that must be there.
    pub(crate) fn integers(&self, key: &str) -> Result<&[i64], ImportError> {
        match self.value(key) {
            None => Err(ImportError::MissingKey(key.to_owned())),
            Some(Value::Integers(integers)) => Ok(integers),
            Some(other) => Err(bad(key, other, "an array of integers")),
        }
    }
}

/// The error for a key whose value cannot be used.
pub(crate) fn bad(key: &str, found: &Value, expected: &str) -> ImportError {
    ImportError::BadKey { key: key.to_owned(), found: found.describe(), expected: expected.to_owned() }
}
