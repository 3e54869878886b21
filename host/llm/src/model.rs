//! A model folder in the layout of Hugging Face's ONNX exports: what is read of it, and what must be in it.
//!
//! | file | read for |
//! | --- | --- |
//! | `config.json` | `model_type`, context, layers, KV heads, vocabulary |
//! | `generation_config.json` (optional) | `eos_token_id`, a number or a list |
//! | `tokenizer.json` | the tokens |
//! | `tokenizer_config.json` (optional) | texts of `bos_token` and `eos_token`, chat template |
//! | `chat_template.jinja` (optional) | the chat template, in place of one in the file above, as in Transformers |
//! | `model.onnx`, `onnx/model.onnx` or the only `onnx/*.onnx` | the graph |

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::Value;

use crate::{
    Error,
    grammar::Grammars,
    memory,
    runtime::{self, Beside, Kind, Limits, Loaded, Provider, Runtime},
    template::Template,
    vocabulary::Vocabulary,
};

/// How a model is loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelOptions {
    /// Longest prompt and answer together, in tokens; capped by what the model was made for.
    pub context: usize,
    /// Execution providers in their order; what one does not take goes to the next, and at last to the processor, which need
    /// not be named. Others than the processor need a graph of ONNX Runtime's operators.
    pub providers: Vec<Provider>,
    /// Threads of one evaluation.
    pub threads: usize,
    /// Requests that run at once; one where the graph is not of our own operators.
    pub slots: usize,
    /// Bytes of keys and values, beside those of one whole context, for requests at once and for what is kept of earlier
    /// prompts.
    pub kv_bytes: usize,
}

impl Default for ModelOptions {
    /// 8192 tokens, the processor, one thread a core that this process may use, 8 requests at once, 256 MiB of keys and values beside one
    /// context's (of the default model, 9,362 tokens).
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
        ModelOptions { context: 8192, providers: Vec::new(), threads, slots: 8, kv_bytes: 256 << 20 }
    }
}

/// What is known of a loaded model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    /// The name of the model's folder.
    pub name: String,
    /// `model_type` of config.json: `qwen2`, `llama`.
    pub architecture: String,
    /// Tokens of prompt and answer together.
    pub context: usize,
    /// Tokens that the tokenizer has.
    pub vocabulary: usize,
    /// Transformer layers.
    pub layers: usize,
    /// Tokens that end an answer.
    pub eos: Vec<u32>,
    /// Whether the graph is of our own operators, which evaluate all requests together.
    pub batched: bool,
    /// Threads of one evaluation.
    pub threads: usize,
    /// How many of the graph's operators each execution provider computes.
    pub providers: BTreeMap<Provider, usize>,
}

/// The parts of a loaded model.
pub(crate) struct Model {
    pub(crate) info: ModelInfo,
    pub(crate) graph: Kind,
    pub(crate) vocabulary: Arc<Vocabulary>,
    pub(crate) grammars: Arc<Grammars>,
    pub(crate) template: Template,
}

/// Largest of the small files; tokenizer.json has a limit of its own.
const MAX_CONFIG_BYTES: u64 = 4 << 20;
pub(crate) const MAX_TOKENIZER_BYTES: u64 = 128 << 20;
pub(crate) const MAX_LAYERS: usize = 1024;

impl Model {
    /// Reads the folder; graph and tokenizer are loaded side by side.
    pub(crate) fn load(runtime: &Runtime, folder: &Path, options: &ModelOptions) -> Result<Model, Error> {
        let config = Config::read(folder)?;
        let context = options.context.min(config.context.unwrap_or(usize::MAX));
        if context < 2 {
            return Err(Error::Request(format!("a context of {context} tokens; 2 at least are needed")));
        }
        let graph_path = graph_path(folder)?;
        let tokenizer_path = folder.join("tokenizer.json");
        bounded(&tokenizer_path, MAX_TOKENIZER_BYTES)?;
        let load_tokenizer = || {
            let vocabulary = Arc::new(Vocabulary::load(&tokenizer_path, config.vocabulary, &config.eos)?);
            let grammars = Arc::new(Grammars::new(&vocabulary)?);
            Ok((vocabulary, grammars))
        };
        let (graph, tokens) = std::thread::scope(|scope| {
            let tokens = scope.spawn(load_tokenizer);
            let ModelOptions { providers, threads, kv_bytes, .. } = options;
            let limits = Limits { providers, threads: *threads, context, kv_bytes: *kv_bytes };
            let graph = runtime::load(runtime, &graph_path, config.beside, limits);
            let gone = || Err(Error::Tokenizer("loading it failed".into()));
            (graph, tokens.join().unwrap_or_else(|_| gone()))
        });
        let (Loaded { kind: graph, shares }, (vocabulary, grammars)) = (graph?, tokens?);
        memory::give_back();
        let (layers, columns) = match &graph {
            Kind::Paged(graph) => (graph.layers(), Some(graph.vocabulary())),
            Kind::Graph(graph) => (graph.interface().layers, graph.interface().vocabulary),
        };
        if let (Some(rows), Some(columns)) = (config.vocabulary, columns)
            && rows != columns
        {
            let message = format!("`vocab_size` is {rows}, but the graph gives {columns} logits");
            return Err(Error::ModelFile { path: folder.join("config.json"), message });
        }
        if let Some(columns) = columns.filter(|columns| *columns < vocabulary.size()) {
            let message =
                format!("it has {} tokens, but the graph gives {columns} logits", vocabulary.size());
            return Err(Error::ModelFile { path: tokenizer_path, message });
        }
        let TemplateText { source, bos, eos } = TemplateText::read(folder)?;
        let template = Template::new(source, bos, eos, vocabulary.special_openers())?;
        let info = ModelInfo {
            name: name(folder),
            architecture: config.architecture,
            context,
            vocabulary: vocabulary.size(),
            layers,
            eos: config.eos,
            batched: matches!(graph, Kind::Paged(_)),
            threads: options.threads.max(1),
            providers: shares,
        };
        Ok(Model { info, graph, vocabulary, grammars, template })
    }
}

/// What config.json and generation_config.json say.
struct Config {
    architecture: String,
    context: Option<usize>,
    vocabulary: Option<usize>,
    beside: Beside,
    eos: Vec<u32>,
}

impl Config {
    fn read(folder: &Path) -> Result<Config, Error> {
        let path = folder.join("config.json");
        let config = read_json(&path)?.ok_or_else(|| {
            let message = "there is no such file; is this a model folder? `pawl model import` makes one";
            Error::ModelFile { path: path.clone(), message: message.into() }
        })?;
        let number =
            |key: &str| config.get(key).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
        let heads = number("num_attention_heads").unwrap_or(0);
        let head_size = number("head_dim").or_else(|| number("hidden_size")?.checked_div(heads)).unwrap_or(0);
        let generation_path = folder.join("generation_config.json");
        let generation = read_json(&generation_path)?.unwrap_or(Value::Null);
        let eos = match token_ids(generation.get("eos_token_id"), &generation_path)? {
            ids if ids.is_empty() => token_ids(config.get("eos_token_id"), &path)?,
            ids => ids,
        };
        if eos.is_empty() {
            let message = "no `eos_token_id` here or in config.json; an answer could not end".into();
            return Err(Error::ModelFile { path: generation_path, message });
        }
        Ok(Config {
            architecture: config.get("model_type").and_then(Value::as_str).unwrap_or("unknown").to_owned(),
            context: number("max_position_embeddings"),
            vocabulary: number("vocab_size"),
            beside: Beside {
                layers: number("num_hidden_layers").unwrap_or(0).min(MAX_LAYERS),
                kv_heads: number("num_key_value_heads").unwrap_or(heads),
                head_size,
            },
            eos,
        })
    }
}

/// A number, a list of numbers, or nothing.
fn token_ids(value: Option<&Value>, path: &Path) -> Result<Vec<u32>, Error> {
    let one = |value: &Value| {
        let message = || format!("`eos_token_id` holds {value}; token ids are needed");
        let id = value.as_u64().and_then(|id| u32::try_from(id).ok());
        id.ok_or_else(|| Error::ModelFile { path: path.to_path_buf(), message: message() })
    };
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(list)) => list.iter().map(one).collect(),
        Some(value) => Ok(vec![one(value)?]),
    }
}

/// The chat template and the texts that it may name.
struct TemplateText {
    source: String,
    bos: String,
    eos: String,
}

impl TemplateText {
    fn read(folder: &Path) -> Result<TemplateText, Error> {
        let path = folder.join("tokenizer_config.json");
        let config = read_json(&path)?.unwrap_or(Value::Null);
        // A token's text, alone or as an AddedToken.
        let token = |key: &str| match config.get(key) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Object(token)) => {
                token.get("content").and_then(Value::as_str).unwrap_or("").to_owned()
            }
            _ => String::new(),
        };
        let beside = read_text(&folder.join("chat_template.jinja"))?;
        let within = || match config.get("chat_template") {
            Some(Value::String(source)) => Some(source.clone()),
            Some(Value::Array(list)) => {
                let named = |t: &&Value| t.get("name").and_then(Value::as_str) == Some("default");
                let template = list.iter().find(named).or(list.first());
                template.and_then(|t| t.get("template")).and_then(Value::as_str).map(str::to_owned)
            }
            _ => None,
        };
        let source = beside.or_else(within).ok_or_else(|| {
            let message =
                "no `chat_template` in it and no chat_template.jinja beside it; an instruct model has one";
            Error::ModelFile { path, message: message.into() }
        })?;
        Ok(TemplateText { source, bos: token("bos_token"), eos: token("eos_token") })
    }
}

/// `model.onnx`, `onnx/model.onnx`, or the only graph in `onnx/`, under whatever name it has there: its data names it.
pub(crate) fn graph_path(folder: &Path) -> Result<PathBuf, Error> {
    let (path, beside) = (folder.join("model.onnx"), folder.join("onnx"));
    if let Some(found) = [path.clone(), beside.join("model.onnx")].into_iter().find(|path| path.is_file()) {
        return Ok(found);
    }
    let entries = std::fs::read_dir(&beside).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_graph = |path: &PathBuf| path.extension().is_some_and(|end| end == "onnx") && path.is_file();
    let mut graphs: Vec<PathBuf> = entries.filter(is_graph).collect();
    graphs.sort();
    match (graphs.pop(), graphs.len()) {
        (Some(graph), 0) => Ok(graph),
        (None, _) => {
            let message = "there is no such file, and no graph in onnx/".into();
            Err(Error::ModelFile { path, message })
        }
        (last, _) => {
            graphs.extend(last);
            let names = graphs.iter().filter_map(|path| Some(path.file_name()?.to_string_lossy()));
            let names: Vec<_> = names.collect();
            let message = format!(
                "it holds several graphs and none is named model.onnx: {}; leave the one that is meant, with its data",
                names.join(", ")
            );
            Err(Error::ModelFile { path: beside, message })
        }
    }
}

pub(crate) fn name(folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
    folder.file_name().map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned())
}

pub(crate) fn bounded(path: &Path, limit: u64) -> Result<(), Error> {
    let refused = |message: String| Err(Error::ModelFile { path: path.to_path_buf(), message });
    match std::fs::metadata(path) {
        Ok(file) if file.len() > limit => refused(format!("{} bytes, {limit} at most", file.len())),
        Ok(_) => Ok(()),
        Err(e) => refused(e.to_string()),
    }
}

fn read_text(path: &Path) -> Result<Option<String>, Error> {
    if !path.exists() {
        return Ok(None);
    }
    bounded(path, MAX_CONFIG_BYTES)?;
    let failed = |e: std::io::Error| Error::ModelFile { path: path.to_path_buf(), message: e.to_string() };
    std::fs::read_to_string(path).map(Some).map_err(failed)
}

pub(crate) fn read_json(path: &Path) -> Result<Option<Value>, Error> {
    let Some(text) = read_text(path)? else { return Ok(None) };
    let failed = |e: serde_json::Error| Error::ModelFile { path: path.to_path_buf(), message: e.to_string() };
    serde_json::from_str(&text).map(Some).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_its_own_has_the_chat_template_before_the_configuration() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let read = || TemplateText::read(folder.path());
        let config = folder.path().join("tokenizer_config.json");
        std::fs::write(&config, r#"{"bos_token": "<s>"}"#)?;
        let error = read().err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("tokenizer_config.json") && error.contains("chat_template.jinja"), "{error}");
        let found = || read().ok().map(|text| (text.source, text.bos));
        std::fs::write(&config, r#"{"bos_token": "<s>", "chat_template": "within"}"#)?;
        assert_eq!(found(), Some(("within".to_owned(), "<s>".to_owned())));
        std::fs::write(folder.path().join("chat_template.jinja"), "beside")?;
        assert_eq!(found(), Some(("beside".to_owned(), "<s>".to_owned())));
        std::fs::remove_file(config)?;
        assert_eq!(found(), Some(("beside".to_owned(), String::new())));
        Ok(())
    }

    #[test]
    fn the_graph_is_model_onnx_or_the_only_one_there_is() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let (folder, beside) = (folder.path(), folder.path().join("onnx"));
        let wrong = |folder: &Path| graph_path(folder).expect_err("no one graph").to_string();
        assert!(wrong(folder).contains("model.onnx"));
        std::fs::create_dir(&beside)?;
        std::fs::write(beside.join("model_q4.onnx_data"), "")?;
        assert!(wrong(folder).contains("no graph in onnx/"));
        std::fs::write(beside.join("model_q4.onnx"), "")?;
        assert_eq!(graph_path(folder).ok(), Some(beside.join("model_q4.onnx")));
        std::fs::write(beside.join("model_fp16.onnx"), "")?;
        assert!(wrong(folder).contains("model_fp16.onnx, model_q4.onnx"), "{}", wrong(folder));
        std::fs::write(beside.join("model.onnx"), "")?;
        assert_eq!(graph_path(folder).ok(), Some(beside.join("model.onnx")));
        std::fs::write(folder.join("model.onnx"), "")?;
        assert_eq!(graph_path(folder).ok(), Some(folder.join("model.onnx")));
        Ok(())
    }
}
