//! Everything that an import can refuse, each with the value, the limit and the mend.
//!
//! Invariant: bytes that come from a GGUF or safetensors file never panic; they end here.

use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a model file was not imported.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The operating system refused a file operation.
    #[error("cannot {action} {path}: {cause}")]
    Io {
        /// What was tried: "read", "create", "rename", …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        cause: Arc<std::io::Error>,
    },
    /// The disk filled up; nothing was left behind.
    #[error(
        "disk is full while writing {path}: the import needs {needed} bytes in all; free space and import again"
    )]
    DiskFull {
        /// The file that was being written.
        path: PathBuf,
        /// Bytes that the finished folder takes, roughly.
        needed: u64,
    },
    /// The target exists and is not a model folder of ours.
    #[error("{0} exists and was not made by an import: name another folder, or remove it")]
    NotAModelFolder(PathBuf),
    /// The target has no parent or no name.
    #[error("{0} cannot be a model folder: name a folder such as models/NAME")]
    FolderName(PathBuf),
    /// Another process imports into the same folder.
    #[error("another import into {0} is running: wait for it")]
    Busy(PathBuf),

    /// The first four bytes are not `GGUF`.
    #[error("not a GGUF file: it begins with bytes {0:02x?}, not with \"GGUF\"")]
    NotGguf([u8; 4]),
    /// A GGUF version other than 2 and 3, or a big-endian file.
    #[error("GGUF version {0:#x} is not supported: versions 2 and 3, little-endian, are")]
    Version(u32),
    /// The file ends before what its header promises.
    #[error("file is truncated: {what} at offset {offset} needs {needed} bytes, and {left} are left")]
    Truncated {
        /// What was being read.
        what: String,
        /// Byte offset in the file.
        offset: u64,
        /// Bytes needed.
        needed: u64,
        /// Bytes left in the file.
        left: u64,
    },
    /// A count or length beyond what any real file has.
    #[error("{what} at offset {offset} is {value}, beyond the limit of {limit}")]
    TooLarge {
        /// What was counted.
        what: String,
        /// Byte offset in the file.
        offset: u64,
        /// The number in the file.
        value: u64,
        /// The largest accepted.
        limit: u64,
    },
    /// Bytes that do not follow the format.
    #[error("malformed GGUF at offset {offset}: {what}")]
    Malformed {
        /// Byte offset in the file.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// A safetensors file that is cut short, damaged or too large.
    #[error("{path} is not a whole safetensors file: {message}")]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A metadata key that the import needs is absent.
    #[error("metadata key `{0}` is missing")]
    MissingKey(String),
    /// A metadata key has a value that cannot be used.
    #[error("metadata key `{key}` is {found}: expected {expected}")]
    BadKey {
        /// The key.
        key: String,
        /// What the file has.
        found: String,
        /// What can be used.
        expected: String,
    },

    /// An architecture without a graph here.
    #[error("architecture `{found}` is not supported: {supported} are")]
    Architecture {
        /// `general.architecture` of the file.
        found: String,
        /// What is supported.
        supported: &'static str,
    },
    /// Something that the graph cannot express; importing would change the model's answers.
    #[error("{0} is not supported: the imported model would answer differently from the original")]
    Feature(String),
    /// A tensor type without a decoder here.
    #[error("tensor `{tensor}` has type {found}, which is not supported: {supported} are")]
    Quantization {
        /// The tensor.
        tensor: String,
        /// Its type, by ggml's name where known.
        found: String,
        /// What is supported.
        supported: &'static str,
    },
    /// The architecture needs a tensor that the file lacks.
    #[error("tensor `{0}` is missing")]
    MissingTensor(String),
    /// The file holds a tensor that the graph would leave out.
    #[error(
        "tensor `{tensor}` has no place in the `{architecture}` graph: leaving it out would change the answers"
    )]
    UnusedTensor {
        /// The tensor.
        tensor: String,
        /// The architecture.
        architecture: String,
    },
    /// A tensor's dimensions contradict the metadata.
    #[error("tensor `{tensor}` has dimensions {found:?}: expected {expected:?}")]
    Shape {
        /// The tensor.
        tensor: String,
        /// Dimensions in the file, in its order: GGUF has the innermost first, safetensors last.
        found: Vec<u64>,
        /// Dimensions that the metadata implies, in the same order.
        expected: Vec<u64>,
    },
    /// A tensor holds an infinity or NaN.
    #[error("tensor `{0}` holds a value that is not finite: the file is damaged")]
    NotFinite(String),

    /// A vocabulary of a kind that cannot be translated.
    #[error("{what} `{found}` is not supported: {supported} are")]
    Vocabulary {
        /// "vocabulary model" or "pre-tokenizer".
        what: &'static str,
        /// What the file names.
        found: String,
        /// What is supported.
        supported: String,
    },
    /// A vocabulary that contradicts itself.
    #[error("vocabulary is unusable: {0}")]
    Tokens(String),
    /// JSON could not be written.
    #[error("cannot write {file}: {cause}")]
    Json {
        /// The file's name.
        file: &'static str,
        /// The serializer's answer.
        cause: Arc<serde_json::Error>,
    },
}

impl ImportError {
    /// Wraps an I/O error; a full disk becomes [`ImportError::DiskFull`].
    pub(crate) fn io(action: &'static str, path: &Path, needed: u64, source: std::io::Error) -> Self {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        let path = path.to_path_buf();
        match source.kind() {
            StorageFull | QuotaExceeded => Self::DiskFull { path, needed },
            _ => Self::Io { action, path, cause: Arc::new(source) },
        }
    }
}
