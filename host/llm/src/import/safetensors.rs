//! Weights out of a safetensors file and into a graph's data file, each asked for by name and shape.
//!
//! Invariants: every tensor of the file is asked for or named as one that the graph does without; what is taken has the shape
//! that was asked for and finite values, widened to f32 without loss.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};

use super::ImportProgress;
use super::error::ImportError;
use super::onnx::{ALIGNMENT, DataType, TensorProto, external};
use super::quant::{TensorType, push_floats};

/// The largest file that is read; it is held in memory.
const MAX_BYTES: u64 = 4 << 30;

/// The bytes of a whole file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, ImportError> {
    let failed = |source| ImportError::io("read", path, 0, source);
    let file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    if size > MAX_BYTES {
        let message = format!("{size} bytes, {MAX_BYTES} at most");
        return Err(ImportError::Safetensors { path: path.to_path_buf(), message });
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// The tensors of a file, and those that were asked for.
pub(crate) struct Source<'a> {
    tensors: SafeTensors<'a>,
    /// Before each name: what the class that holds the encoder puts there.
    prefix: &'static str,
    used: BTreeSet<String>,
}

impl<'a> Source<'a> {
    /// Reads the header; `prefix` is taken where `first` has it.
    pub(crate) fn new(
        path: &Path,
        bytes: &'a [u8],
        first: &str,
        prefix: &'static str,
    ) -> Result<Source<'a>, ImportError> {
        let damaged = |error: safetensors::SafeTensorError| ImportError::Safetensors {
            path: path.to_path_buf(),
            message: error.to_string(),
        };
        let tensors = SafeTensors::deserialize(bytes).map_err(damaged)?;
        let prefixed = tensors.names().iter().any(|name| **name == *format!("{prefix}{first}"));
        Ok(Source { tensors, prefix: if prefixed { prefix } else { "" }, used: BTreeSet::new() })
    }

    /// How many tensors have each type.
    pub(crate) fn types(&self) -> impl Iterator<Item = String> {
        self.tensors.tensors().into_iter().map(|(_, tensor)| format!("{:?}", tensor.dtype()))
    }

    /// The outermost dimension of a matrix.
    pub(crate) fn rows(&self, name: &str) -> Option<usize> {
        self.tensors.tensor(&format!("{}{name}", self.prefix)).ok()?.shape().first().copied()
    }

    /// The values of a tensor of this shape.
    pub(crate) fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ImportError> {
        let name = format!("{}{name}", self.prefix);
        let Ok(tensor) = self.tensors.tensor(&name) else { return Err(ImportError::MissingTensor(name)) };
        if tensor.shape() != shape {
            let wide = |shape: &[usize]| shape.iter().map(|n| *n as u64).collect();
            let (found, expected) = (wide(tensor.shape()), wide(shape));
            return Err(ImportError::Shape { tensor: name, found, expected });
        }
        let kind = match tensor.dtype() {
            Dtype::F32 => TensorType::F32,
            Dtype::F16 => TensorType::F16,
            Dtype::BF16 => TensorType::Bf16,
            other => {
                let (found, supported) = (format!("{other:?}"), "F32, F16 and BF16");
                return Err(ImportError::Quantization { tensor: name, found, supported });
            }
        };
        let mut values = Vec::with_capacity(shape.iter().product());
        push_floats(kind, tensor.data(), &mut values);
        if !values.iter().all(|value| value.is_finite()) {
            return Err(ImportError::NotFinite(name));
        }
        self.used.insert(name);
        Ok(values)
    }

    /// An error for a tensor that nobody asked for and that `without` does not know, by its name with and without prefix.
    pub(crate) fn finish(
        &self,
        architecture: &str,
        without: impl Fn(&str) -> bool,
    ) -> Result<(), ImportError> {
        let unknown = |name: &&str| {
            !self.used.contains(*name) && !without(name.strip_prefix(self.prefix).unwrap_or(name))
        };
        match self.tensors.names().into_iter().filter(unknown).min() {
            None => Ok(()),
            Some(name) => {
                let (tensor, architecture) = (name.to_owned(), architecture.to_owned());
                Err(ImportError::UnusedTensor { tensor, architecture })
            }
        }
    }
}

/// A graph's data file while it grows, and the initializers that lie in it.
pub(crate) struct Data<'p> {
    path: PathBuf,
    file: BufWriter<File>,
    /// Bytes so far.
    end: u64,
    pub(crate) initializers: Vec<TensorProto>,
    progress: &'p mut dyn FnMut(ImportProgress),
    /// Of the source, hashed already.
    total: u64,
}

impl<'p> Data<'p> {
    /// A new file; `total` is the size of what it is made of.
    pub(crate) fn create(
        path: PathBuf,
        total: u64,
        progress: &'p mut dyn FnMut(ImportProgress),
    ) -> Result<Data<'p>, ImportError> {
        let file =
            File::create_new(&path).map_err(|source| ImportError::io("create", &path, total, source))?;
        Ok(Data { path, file: BufWriter::new(file), end: 0, initializers: Vec::new(), progress, total })
    }

    /// Puts values there as an initializer of the graph.
    pub(crate) fn put(&mut self, name: &str, shape: &[usize], values: &[f32]) -> Result<(), ImportError> {
        let offset = self.end.next_multiple_of(ALIGNMENT);
        let dims: Vec<u64> = shape.iter().map(|n| *n as u64).collect();
        let bytes = values.len() as u64 * 4;
        let write = |file: &mut BufWriter<File>| -> std::io::Result<()> {
            file.seek(SeekFrom::Start(offset))?;
            values.iter().try_for_each(|value| file.write_all(&value.to_le_bytes()))
        };
        write(&mut self.file).map_err(|source| ImportError::io("write", &self.path, self.total, source))?;
        self.initializers.push(external(name, DataType::Float, &dims, offset, bytes));
        self.end = offset + bytes;
        let done_bytes = self.total + self.end.min(self.total);
        (self.progress)(ImportProgress { done_bytes, total_bytes: 2 * self.total });
        Ok(())
    }

    /// Flushes the file to disk; its initializers and its size.
    pub(crate) fn finish(mut self) -> Result<(Vec<TensorProto>, u64), ImportError> {
        let synced = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        synced.map_err(|source| ImportError::io("write", &self.path, self.total, source))?;
        let all = 2 * self.total;
        (self.progress)(ImportProgress { done_bytes: all, total_bytes: all });
        Ok((self.initializers, self.end))
    }
}
