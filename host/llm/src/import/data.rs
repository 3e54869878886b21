//! Fills `model.onnx.data` as planned: reads tensors, decodes blocks, writes each part at its place.
//!
//! Invariant: memory is bounded by a few megabytes a thread plus the offsets of one tensor (an eighth of a byte per
//! weight); every part of the plan is written, or an error says why not. The file is as long as planned from the start:
//! only the stamp beside it says that it is filled.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};

use half::f16;
use sha2::{Digest, Sha256};

use super::ImportProgress;
use super::error::ImportError;
use super::gguf::{Gguf, Tensor};
use super::onnx::DataType;
use super::quant::{Blocks, Layout, TensorType, finite, push_floats};
use crate::cpu::layout::{self, Format, LANES};

/// Bytes of a tensor that are decoded at once.
const CHUNK: u64 = 2 << 20;
/// More threads than this wait for the disk.
const MAX_THREADS: usize = 8;

/// Tensors that go to one place, one under the other; they agree in columns and layout.
pub(crate) struct Job {
    pub(crate) tensors: Vec<Tensor>,
    pub(crate) target: Target,
}

/// Where in the data file, in bytes, and in what form.
pub(crate) enum Target {
    /// Plain values.
    Floats { at: u64 },
    /// Codes `[rows, columns]` (packed), scales `[rows, groups]`, offsets `[rows, groups]` and `[groups, rows]`.
    Blocks { codes: u64, scales: u64, by_row: Option<u64>, by_column: Option<u64>, layout: Layout },
    /// The layout of our own kernels.
    Packed { at: u64, format: Format },
    /// Rotary tables `[positions, head / 2]`.
    Rope { cos: u64, sin: u64, base: f64, positions: u64, head: u64 },
}

/// Writes a data file of `bytes` bytes with its floats as `float` to `path`, and returns the SHA-256 of the whole GGUF file, in hex.
pub(crate) fn fill(
    gguf: &Gguf,
    mut jobs: Vec<Job>,
    bytes: u64,
    float: DataType,
    path: &Path,
    progress: &mut dyn FnMut(ImportProgress),
) -> Result<String, ImportError> {
    let failed = |source| ImportError::io("write", path, bytes, source);
    let file = OpenOptions::new().write(true).create_new(true).open(path).map_err(failed)?;
    file.set_len(bytes).map_err(failed)?;
    let work = |job: &Job| job.tensors.iter().map(|tensor| tensor.bytes).sum::<u64>();
    jobs.sort_by_key(|job| std::cmp::Reverse(work(job)));
    let total_bytes = jobs.iter().map(work).sum::<u64>() + gguf.size();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (sender, receiver) = channel::<u64>();

    let digest = std::thread::scope(|scope| {
        let (hashed, stop) = (sender.clone(), &stop);
        let hashing = scope.spawn(move || sha256(gguf, stop, &hashed));
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let (sender, next, jobs) = (sender.clone(), &next, &jobs);
                scope.spawn(move || {
                    let work = || {
                        let mut worker = Worker::new(gguf, path, bytes, float, stop, sender)?;
                        while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                            worker.run(job)?;
                        }
                        Ok(())
                    };
                    work().inspect_err(|_| stop.store(true, Ordering::Relaxed))
                })
            })
            .collect();
        drop(sender);
        let mut done_bytes = 0;
        for step in receiver {
            done_bytes += step;
            progress(ImportProgress { done_bytes, total_bytes });
        }
        for worker in workers {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        // a digest cut short by `stop` never gets here: the worker that set it has failed
        hashing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    file.sync_all().map_err(failed)?;
    Ok(digest)
}

struct Worker<'a> {
    gguf: &'a Gguf,
    file: File,
    path: &'a Path,
    /// Bytes of the whole data file, for messages.
    needed: u64,
    float: DataType,
    /// Set when another worker failed.
    stop: &'a AtomicBool,
    progress: Sender<u64>,
    source: Vec<u8>,
    raw: Vec<u8>,
    blocks: Blocks,
}

impl<'a> Worker<'a> {
    fn new(
        gguf: &'a Gguf,
        path: &'a Path,
        needed: u64,
        float: DataType,
        stop: &'a AtomicBool,
        progress: Sender<u64>,
    ) -> Result<Self, ImportError> {
        let file = OpenOptions::new().write(true).open(path);
        let file = file.map_err(|source| ImportError::io("write", path, needed, source))?;
        let (source, raw, blocks) = (Vec::new(), Vec::new(), Blocks::default());
        Ok(Self { gguf, file, path, needed, float, stop, progress, source, raw, blocks })
    }

    fn run(&mut self, job: &Job) -> Result<(), ImportError> {
        match job.target {
            Target::Floats { at } => self.floats(&job.tensors, at),
            Target::Blocks { codes, scales, by_row, by_column, layout } => {
                let mut cursors = [codes, scales, by_row.unwrap_or_default()];
                let groups = job.tensors.first().map_or(0, |tensor| tensor.columns() / layout.block) as usize;
                let rows = job.tensors.iter().map(Tensor::rows).sum::<u64>() as usize;
                let mut transposed = Transposed::new(rows, groups, by_column.is_some());
                for tensor in &job.tensors {
                    self.blocks(tensor, &mut cursors, by_row.is_some(), &mut transposed)?;
                }
                match by_column {
                    Some(at) => self.write_floats(at, &transposed.values),
                    None => Ok(()),
                }
            }
            Target::Packed { at, format } => self.packed(&job.tensors, at, format),
            Target::Rope { cos, sin, base, positions, head } => self.rope(cos, sin, base, positions, head),
        }
    }

    /// Strips of eight rows, as many at once as fit a chunk.
    fn packed(&mut self, tensors: &[Tensor], mut at: u64, format: Format) -> Result<(), ImportError> {
        for tensor in tensors {
            let row_bytes = tensor.bytes / tensor.rows();
            let strips = (CHUNK / (row_bytes * LANES as u64)).max(1);
            let (mut start, mut strip) = (0, Vec::new());
            while start < tensor.bytes && !self.stop.load(Ordering::Relaxed) {
                let length = (strips * row_bytes * LANES as u64).min(tensor.bytes - start);
                self.source.resize(length as usize, 0);
                self.gguf.read(tensor, start, &mut self.source)?;
                if !finite(tensor.kind, &self.source) {
                    return Err(ImportError::NotFinite(tensor.name.clone()));
                }
                if tensor.kind == TensorType::Bf16 {
                    let wide = self.source.chunks_exact(2).flat_map(|pair| [0, 0, pair[0], pair[1]]);
                    self.source = wide.collect();
                }
                let width = self.source.len() / (length / row_bytes) as usize;
                strip.clear();
                let rows: Vec<&[u8]> = self.source.chunks_exact(width).collect();
                for rows in rows.chunks(LANES) {
                    layout::pack(format, rows, &mut strip);
                }
                self.write(at, &strip)?;
                at += strip.len() as u64;
                start += length;
                // the receiver outlives the workers; a progress report that nobody reads harms nothing
                let _ = self.progress.send(length);
            }
        }
        Ok(())
    }

    fn floats(&mut self, tensors: &[Tensor], mut at: u64) -> Result<(), ImportError> {
        let mut values = Vec::new();
        for tensor in tensors {
            self.chunks(tensor, |worker| {
                values.clear();
                push_floats(tensor.kind, &worker.source, &mut values);
                if !values.iter().all(|value| value.is_finite()) {
                    return Err(ImportError::NotFinite(tensor.name.clone()));
                }
                worker.write_floats(at, &values)?;
                at += values.len() as u64 * worker.float.bytes();
                Ok(())
            })?;
        }
        Ok(())
    }

    fn blocks(
        &mut self,
        tensor: &Tensor,
        cursors: &mut [u64; 3],
        by_row: bool,
        transposed: &mut Transposed,
    ) -> Result<(), ImportError> {
        self.chunks(tensor, |worker| {
            let mut blocks = std::mem::take(&mut worker.blocks);
            blocks.clear();
            blocks.push(tensor.kind, &worker.source);
            if !blocks.finite() {
                return Err(ImportError::NotFinite(tensor.name.clone()));
            }
            worker.write(cursors[0], &blocks.codes)?;
            worker.write_floats(cursors[1], &blocks.scales)?;
            if by_row {
                worker.write_floats(cursors[2], &blocks.offsets)?;
            }
            transposed.push(&blocks.offsets);
            cursors[0] += blocks.codes.len() as u64;
            cursors[1] += blocks.scales.len() as u64 * worker.float.bytes();
            cursors[2] += blocks.offsets.len() as u64 * worker.float.bytes();
            worker.blocks = blocks;
            Ok(())
        })
    }

    /// Calls `each` with one run of whole blocks of the tensor after another in `self.source`.
    fn chunks(
        &mut self,
        tensor: &Tensor,
        mut each: impl FnMut(&mut Self) -> Result<(), ImportError>,
    ) -> Result<(), ImportError> {
        let step = CHUNK / tensor.kind.block_bytes() * tensor.kind.block_bytes();
        let mut start = 0;
        while start < tensor.bytes && !self.stop.load(Ordering::Relaxed) {
            let length = step.min(tensor.bytes - start);
            self.source.resize(length as usize, 0);
            self.gguf.read(tensor, start, &mut self.source)?;
            each(self)?;
            start += length;
            // the receiver outlives the workers; a progress report that nobody reads harms nothing
            let _ = self.progress.send(length);
        }
        Ok(())
    }

    /// `cos(position * base^(-2i/head))` and the sine, in f64, rounded once.
    fn rope(&mut self, cos: u64, sin: u64, base: f64, positions: u64, head: u64) -> Result<(), ImportError> {
        let frequencies: Vec<f64> =
            (0..head).step_by(2).map(|index| 1.0 / base.powf(index as f64 / head as f64)).collect();
        for (start, function) in [(cos, f64::cos as fn(f64) -> f64), (sin, f64::sin)] {
            let mut at = start;
            for first in (0..positions).step_by(1024) {
                let rows = first..positions.min(first + 1024);
                let values: Vec<f32> = rows
                    .flat_map(|position| frequencies.iter().map(move |frequency| position as f64 * frequency))
                    .map(|angle| function(angle) as f32)
                    .collect();
                self.write_floats(at, &values)?;
                at += values.len() as u64 * self.float.bytes();
            }
        }
        Ok(())
    }

    fn write_floats(&mut self, at: u64, values: &[f32]) -> Result<(), ImportError> {
        let mut raw = std::mem::take(&mut self.raw);
        raw.clear();
        match self.float {
            // What is beyond float16 would be infinite; the largest that there is, is nearer.
            DataType::Float16 => raw.extend(values.iter().flat_map(|value| {
                f16::from_f32(value.clamp(f16::MIN.to_f32(), f16::MAX.to_f32())).to_le_bytes()
            })),
            _ => raw.extend(values.iter().flat_map(|value| value.to_le_bytes())),
        }
        let result = self.write(at, &raw);
        self.raw = raw;
        result
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), ImportError> {
        let written = self.file.seek(SeekFrom::Start(at)).and_then(|_| self.file.write_all(bytes));
        written.map_err(|source| ImportError::io("write", self.path, self.needed, source))
    }
}

/// Offsets that come row by row and are stored column by column.
struct Transposed {
    values: Vec<f32>,
    rows: usize,
    groups: usize,
    next: usize,
}

impl Transposed {
    fn new(rows: usize, groups: usize, wanted: bool) -> Self {
        Self { values: vec![0.0; if wanted { rows * groups } else { 0 }], rows, groups, next: 0 }
    }

    fn push(&mut self, offsets: &[f32]) {
        if self.values.is_empty() {
            return;
        }
        for offset in offsets {
            let (row, group) = (self.next / self.groups, self.next % self.groups);
            self.values[group * self.rows + row] = *offset;
            self.next += 1;
        }
    }
}

/// The digest of the whole source, by its own handle.
fn sha256(gguf: &Gguf, stop: &AtomicBool, progress: &Sender<u64>) -> Result<String, ImportError> {
    let failed = |source| ImportError::io("read", gguf.path(), 0, source);
    let mut file = File::open(gguf.path()).map_err(failed)?;
    let mut buffer = vec![0; CHUNK as usize];
    let mut hasher = Sha256::new();
    while !stop.load(Ordering::Relaxed) {
        let length = file.read(&mut buffer).map_err(failed)?;
        if length == 0 {
            break;
        }
        hasher.update(&buffer[..length]);
        let _ = progress.send(length as u64);
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
