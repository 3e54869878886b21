//! Texts to vectors: a sentence-embedding model with a thread of its own.
//!
//! A request waits in a bounded queue until the thread takes it in, which encodes its texts to tokens and refuses what is too
//! long; then, batch by batch, in turn with the other requests that run, its texts are evaluated, those of like length together.
//!
//! Invariants: the thread alone touches the session; batches never hold texts of two requests, so that a request gives the same
//! bits in any company; at most [`QUEUE`] requests wait, one more is refused at once; a request whose caller is gone costs at
//! most the batch that runs; whatever happens in the thread, every request ends with vectors or an error.

use std::{
    collections::VecDeque,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

use serde_json::Value;
use tokenizers::Tokenizer;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::{
    Error,
    import::{KIND, STAMP_FILE},
    model::{graph_path, name, read_json},
    runtime::{Encoder, Runtime},
    scheduler::{GONE, QUEUE, STACK_BYTES, stopped},
    sentence::{self, Sentence},
};

/// Requests that are evaluated in turn; the others wait.
const AT_ONCE: usize = 8;
/// Tokens of a batch, padding included: more of them bring no speed, and keep others waiting.
const BATCH_TOKENS: usize = 2048;

/// What is known of a loaded embedding model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbedderInfo {
    /// The name of the model's folder.
    pub name: String,
    /// `model_type` of config.json, such as `bert`.
    pub architecture: String,
    /// The most tokens of a text, with those that the model puts around it.
    pub max_tokens: usize,
    /// Numbers of a vector.
    pub dimensions: usize,
}

/// The vectors of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Embeddings {
    /// One for each text, in their order.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens of each text.
    pub tokens: Vec<usize>,
}

/// A loaded embedding model: a cheap handle to its thread, which ends with the last handle.
#[derive(Clone)]
pub struct Embedder {
    info: Arc<EmbedderInfo>,
    jobs: mpsc::UnboundedSender<Job>,
    places: Arc<Semaphore>,
}

impl Embedder {
    /// The most texts of one request.
    pub const MAX_TEXTS: usize = 2048;
    /// The most bytes of one text, which bound the time that its tokens are counted in.
    pub const MAX_BYTES: usize = 64 << 10;

    /// Loads a folder that [`crate::import_encoder`] made, or an ONNX export of a sentence-embedding model. Takes a second; not
    /// for async code.
    pub fn load(runtime: &Runtime, folder: &Path, threads: usize) -> Result<Embedder, Error> {
        let Folder { architecture, hidden, tokenizer, max_tokens } = Folder::read(folder)?;
        let sentence = || Sentence::required(folder);
        let encoder = Encoder::load(runtime, &graph_path(folder)?, threads, sentence, hidden)?;
        let dimensions = encoder.dimensions();
        let info = Arc::new(EmbedderInfo { name: name(folder), architecture, max_tokens, dimensions });
        let (jobs, queue) = mpsc::unbounded_channel();
        let (active, waiting) = (VecDeque::new(), VecDeque::new());
        let worker = Worker { encoder, tokenizer, max_tokens, active, waiting };
        std::thread::Builder::new()
            .name(format!("embeddings {}", info.name))
            .stack_size(STACK_BYTES)
            .spawn(move || worker.serve(queue))
            .map_err(|e| Error::Stopped(format!("it cannot be started: {e}")))?;
        Ok(Embedder { info, jobs, places: Arc::new(Semaphore::new(QUEUE)) })
    }

    /// What is known of the model.
    pub fn info(&self) -> &EmbedderInfo {
        &self.info
    }

    /// The vectors of texts, in their order. When 64 requests wait already it is [`Error::Busy`]; a text that is too long is
    /// [`Error::TextTooLong`], for none is cut. Dropping the future gives the request up.
    pub async fn embed(&self, texts: Vec<String>) -> Result<Embeddings, Error> {
        self.submit(texts)?.await.unwrap_or_else(|_| Err(Error::Stopped(GONE.into())))
    }

    /// [`Embedder::embed`], blocking the calling thread. It panics in async code.
    pub fn embed_blocking(&self, texts: Vec<String>) -> Result<Embeddings, Error> {
        self.submit(texts)?.blocking_recv().unwrap_or_else(|_| Err(Error::Stopped(GONE.into())))
    }

    fn submit(&self, texts: Vec<String>) -> Result<oneshot::Receiver<Result<Embeddings, Error>>, Error> {
        let (count, most) = (texts.len(), Embedder::MAX_TEXTS);
        if count == 0 || count > most {
            return Err(Error::Request(format!("{count} texts to embed; 1 to {most} are taken")));
        }
        let long = texts.iter().enumerate().find(|(_, text)| text.len() > Embedder::MAX_BYTES);
        if let Some((index, text)) = long {
            let (bytes, most) = (text.len(), Embedder::MAX_BYTES);
            return Err(Error::Request(format!("input {index} has {bytes} bytes; {most} at most are taken")));
        }
        let place = self.places.clone().try_acquire_owned().map_err(|_| Error::Busy { waiting: QUEUE })?;
        let (reply, receiver) = oneshot::channel();
        let job = Job { texts, reply, _place: place };
        self.jobs.send(job).map_err(|_| Error::Stopped(GONE.into()))?;
        Ok(receiver)
    }
}

impl fmt::Debug for Embedder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedder").field("info", &self.info).finish_non_exhaustive()
    }
}

type Reply = oneshot::Sender<Result<Embeddings, Error>>;

struct Job {
    texts: Vec<String>,
    reply: Reply,
    /// Among those that wait.
    _place: OwnedSemaphorePermit,
}

/// A request that is evaluated.
struct Active {
    rows: Vec<Vec<u32>>,
    /// Of each row, once it is known.
    vectors: Vec<Vec<f32>>,
    /// Rows that are still to be evaluated, the longest first.
    left: VecDeque<usize>,
    reply: Reply,
}

/// What the thread owns.
struct Worker {
    encoder: Encoder,
    tokenizer: Tokenizer,
    max_tokens: usize,
    active: VecDeque<Active>,
    waiting: VecDeque<Job>,
}

impl Worker {
    fn serve(mut self, mut queue: mpsc::UnboundedReceiver<Job>) {
        loop {
            if self.active.is_empty() && self.waiting.is_empty() {
                match queue.blocking_recv() {
                    Some(job) => self.waiting.push_back(job),
                    // Idle, and nobody can send any more.
                    None => return,
                }
            }
            while let Ok(job) = queue.try_recv() {
                self.waiting.push_back(job);
            }
            // Who hung up has no place among those that wait.
            self.waiting.retain(|job| !job.reply.is_closed());
            // One a batch: who runs does not wait for the texts of all others to be encoded.
            if self.active.len() < AT_ONCE
                && let Some(job) = self.waiting.pop_front()
            {
                self.admit(job);
            }
            self.step();
        }
    }

    fn admit(&mut self, Job { texts, reply, .. }: Job) {
        match catch_unwind(AssertUnwindSafe(|| self.encode(&texts, &reply))) {
            Ok(Ok(rows)) => {
                let mut left: Vec<usize> = (0..rows.len()).collect();
                left.sort_by_key(|row| std::cmp::Reverse(rows[*row].len()));
                let vectors = vec![Vec::new(); rows.len()];
                self.active.push_back(Active { rows, vectors, left: left.into(), reply });
            }
            Ok(Err(error)) => answer(reply, Err(error)),
            // The library asserts what a text of any sense has, such as a million spaces in a row.
            Err(_) => {
                let message = "a text cannot be split into words; break long runs of one character";
                answer(reply, Err(Error::Request(message.into())));
            }
        }
    }

    fn encode(&self, texts: &[String], reply: &Reply) -> Result<Vec<Vec<u32>>, Error> {
        let encode = |(index, text): (usize, &String)| {
            if reply.is_closed() {
                return Err(Error::Cancelled);
            }
            let encoding = self.tokenizer.encode_fast(text.as_str(), true);
            let row = encoding.map_err(|e| Error::Tokenizer(e.to_string()))?.get_ids().to_vec();
            let (tokens, limit) = (row.len(), self.max_tokens);
            if tokens == 0 {
                return Err(Error::Request(format!("text {index} has no tokens; send one with words")));
            }
            if tokens > limit { Err(Error::TextTooLong { index, tokens, limit }) } else { Ok(row) }
        };
        texts.iter().enumerate().map(encode).collect()
    }

    /// One batch of the request whose turn it is.
    fn step(&mut self) {
        let Some(mut active) = self.active.pop_front() else { return };
        if active.reply.is_closed() {
            return;
        }
        let encoder = &mut self.encoder;
        match catch_unwind(AssertUnwindSafe(|| active.advance(encoder))) {
            Ok(Ok(())) if active.left.is_empty() => {
                let tokens = active.rows.iter().map(Vec::len).collect();
                answer(active.reply, Ok(Embeddings { vectors: active.vectors, tokens }));
            }
            Ok(Ok(())) => self.active.push_back(active),
            Ok(Err(error)) => answer(active.reply, Err(error)),
            Err(panic) => answer(active.reply, Err(stopped(&*panic))),
        }
    }
}

impl Active {
    fn advance(&mut self, encoder: &mut Encoder) -> Result<(), Error> {
        let size = batch(self.left.iter().map(|row| self.rows[*row].len()));
        let batch: Vec<usize> = self.left.drain(..size).collect();
        let rows: Vec<&[u32]> = batch.iter().map(|row| self.rows[*row].as_slice()).collect();
        for (row, vector) in batch.iter().zip(encoder.run(&rows)?) {
            self.vectors[*row] = vector;
        }
        Ok(())
    }
}

/// What a folder says beside its graph.
struct Folder {
    architecture: String,
    /// Numbers of a vector.
    hidden: Option<usize>,
    tokenizer: Tokenizer,
    max_tokens: usize,
}

impl Folder {
    fn read(folder: &Path) -> Result<Folder, Error> {
        let path = folder.join("config.json");
        let config = read_json(&path)?.ok_or_else(|| {
            let message = "there is no such file; is this a model folder? `pawl model import` makes one";
            Error::ModelFile { path, message: message.into() }
        })?;
        refuse_chat(folder)?;
        // Also where the graph pools by itself: it does not know of the text.
        sentence::refuse_prompt(folder)?;
        let number =
            |key: &str| config.get(key).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
        Ok(Folder {
            architecture: config.get("model_type").and_then(Value::as_str).unwrap_or("unknown").to_owned(),
            hidden: number("hidden_size"),
            tokenizer: sentence::tokenizer(folder, number("vocab_size"))?,
            max_tokens: sentence::max_tokens(folder)?,
        })
    }
}

/// Names a folder that was imported for something else, rather than what its graph lacks.
fn refuse_chat(folder: &Path) -> Result<(), Error> {
    let path = folder.join(STAMP_FILE);
    let Some(stamp) = read_json(&path)? else { return Ok(()) };
    if stamp.get("kind").and_then(Value::as_str) == Some(KIND) {
        return Ok(());
    }
    let message = "the folder was imported as a model that chats, of a GGUF file; one for embeddings is imported of a folder with \
                   model.safetensors";
    Err(Error::ModelFile { path, message: message.into() })
}

/// A caller that is gone needs no answer.
fn answer(reply: Reply, result: Result<Embeddings, Error>) {
    let _ = reply.send(result);
}

/// How many of rows of these lengths, the longest first, go into one batch: as many as fit it, and as are not mostly padding.
fn batch(mut lengths: impl Iterator<Item = usize>) -> usize {
    let Some(longest) = lengths.next() else { return 0 };
    let most = (BATCH_TOKENS / longest.max(1)).max(1);
    1 + lengths.take(most - 1).take_while(|length| *length * 4 >= longest * 3 || longest <= 32).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_before_every_other_is_refused_whatever_the_graph_gives() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("config.json"), r#"{"model_type": "bert"}"#)?;
        let refused = || Folder::read(folder.path()).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(refused().contains("tokenizer.json"), "{}", refused());
        let path = folder.path().join("config_sentence_transformers.json");
        std::fs::write(&path, r#"{"prompts": {"query": "query: "}, "default_prompt_name": "query"}"#)?;
        assert!(refused().contains("`default_prompt_name` is \"query\""), "{}", refused());
        std::fs::write(&path, r#"{"prompts": {}, "default_prompt_name": null}"#)?;
        assert!(refused().contains("tokenizer.json"), "{}", refused());
        Ok(())
    }

    #[test]
    fn batches_are_bounded_and_hold_little_padding() {
        assert_eq!(batch([].into_iter()), 0);
        assert_eq!(batch([5000, 3].into_iter()), 1, "one is taken, however long");
        assert_eq!(batch([256; 100].into_iter()), 8);
        assert_eq!(batch([100, 90, 75, 74, 10].into_iter()), 3);
        assert_eq!(batch([32, 20, 3].into_iter()), 3, "short ones are worth a little padding");
    }
}
