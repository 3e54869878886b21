//! A world for runs: tools whose effects are counted, and that can end the process at any moment of a call.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use pawl_flow::{
    Answer, Approval, Approvals, Call, Effects, Embedded, Failure, Options, Proposal, Reached, Run, RunId,
    Said, Scope, Sources, Start, Trouble, World,
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// What lasts beyond a process: what was written, by key.
#[derive(Debug, Default)]
pub(crate) struct Outside {
    pub recorded: Mutex<BTreeMap<String, Value>>,
    /// Every effect, in order, also one that came twice.
    pub effects: Mutex<Vec<String>>,
}

/// What one process has of it.
pub(crate) struct Shop {
    pub outside: Arc<Outside>,
    pub flows: BTreeMap<String, String>,
    /// The moment of all calls at which the process ends.
    pub ends_at: usize,
    pub moments: AtomicUsize,
    pub orchestrator: OnceLock<Weak<Embedded>>,
}

impl Shop {
    pub(crate) fn new(outside: &Arc<Outside>, ends_at: usize) -> Shop {
        Shop {
            outside: Arc::clone(outside),
            flows: BTreeMap::new(),
            ends_at,
            moments: AtomicUsize::new(0),
            orchestrator: OnceLock::new(),
        }
    }

    /// A moment at which the process may end.
    async fn moment(&self) {
        if self.moments.fetch_add(1, Ordering::SeqCst) == self.ends_at {
            if let Some(orchestrator) = self.orchestrator.get().and_then(Weak::upgrade) {
                orchestrator.abandon();
            }
            std::future::pending().await
        }
    }
}

impl World for Shop {
    fn tools(&self) -> Vec<String> {
        ["shop.price-of", "shop.write", "shop.send", "shop.change", "shop.slow"].map(str::to_owned).to_vec()
    }

    fn effects(&self, tool: &str) -> Effects {
        match tool {
            "shop.write" | "shop.change" => Effects::Recorded,
            "shop.send" => Effects::Unknown,
            _ => Effects::None,
        }
    }

    fn call<'a>(&'a self, call: Call<'a>) -> Answer<'a, Result<Reached, Trouble>> {
        Box::pin(async move {
            self.moment().await;
            let n = call.arguments["n"].as_i64().unwrap_or_default();
            let value = json!(n * 2);
            if call.arguments["fail"] == true {
                return Err(Trouble::Failed(Failure::new("refused", "it cannot be had")));
            }
            match call.tool {
                "shop.write" => {
                    let first =
                        self.outside.recorded.lock().unwrap().insert(call.key.to_owned(), value.clone());
                    self.outside.effects.lock().unwrap().push(call.key.to_owned());
                    assert_eq!(first, None, "{} was written twice", call.key);
                }
                "shop.send" => self.outside.effects.lock().unwrap().push(call.key.to_owned()),
                "shop.change" => {
                    return Ok(Reached::Writes(Proposal {
                        tool: "shop.change".into(),
                        version: "v1".into(),
                        arguments: call.arguments.clone(),
                        effects: json!([{"rows": n}]),
                        requester: String::new(),
                        origin: None,
                        people: 1,
                    }));
                }
                "shop.slow" => tokio::time::sleep(Duration::from_secs(3600)).await,
                _ => {}
            }
            self.moment().await;
            Ok(Reached::Value(value))
        })
    }

    fn recorded<'a>(&'a self, _: &'a str, key: &'a str) -> Answer<'a, Result<Option<Value>, Trouble>> {
        let known = self.outside.recorded.lock().unwrap().get(key).cloned();
        Box::pin(std::future::ready(Ok(known)))
    }

    fn ask<'a>(&'a self, prompt: &'a str, _: Option<&'a Value>) -> Answer<'a, Result<Said, Trouble>> {
        Box::pin(async move {
            self.moment().await;
            Ok(Said { value: json!(prompt.len()), detail: json!({"completion_tokens": 1}) })
        })
    }

    fn prompt<'a>(&'a self, template: &'a str, _: &'a Value) -> Answer<'a, Result<Said, Trouble>> {
        self.ask(template, None)
    }

    fn settle<'a>(&'a self, _: &'a Approval) -> Answer<'a, ()> {
        Box::pin(std::future::ready(()))
    }

    fn flow(&self, name: &str) -> Result<Sources, Failure> {
        let text =
            self.flows.get(name).ok_or_else(|| Failure::new("not-found", format!("no flow {name}")))?;
        Ok(Sources::of(&format!("{name}.rhai"), text))
    }
}

/// A process: an orchestrator over a folder, until it is dropped.
pub(crate) struct Process {
    pub orchestrator: Arc<Embedded>,
    pub shop: Arc<Shop>,
    pub approvals: Arc<Approvals>,
}

impl Process {
    pub(crate) fn start(folder: &Path, runtime: &Runtime, shop: Shop) -> Process {
        Process::with(folder, runtime, shop, Scope::All)
    }

    pub(crate) fn with(folder: &Path, runtime: &Runtime, shop: Shop, scope: Scope) -> Process {
        let shop = Arc::new(shop);
        let approvals = Arc::new(Approvals::open(&folder.join("approvals.sqlite")).unwrap());
        let options = Options { scope, at_once: 8 };
        let world = Arc::clone(&shop) as Arc<dyn World>;
        let handle = runtime.handle().clone();
        let orchestrator =
            Arc::new(Embedded::open(folder, world, Arc::clone(&approvals), handle, options).unwrap());
        let _ = shop.orchestrator.set(Arc::downgrade(&orchestrator));
        Process { orchestrator, shop, approvals }
    }

    pub(crate) fn begin(&self, text: &str, input: Value) -> RunId {
        let start = Start {
            sources: Sources::of("test.rhai", text),
            input,
            requester: "ana".into(),
            origin: None,
            document: None,
            detached: false,
        };
        self.orchestrator.start(start).unwrap()
    }

    /// Waits until `wanted` is true of the run.
    pub(crate) fn until(&self, id: RunId, wanted: impl Fn(&Run) -> bool) -> Run {
        let started = Instant::now();
        loop {
            let run = self.orchestrator.run(id).unwrap();
            if wanted(&run) {
                return run;
            }
            let steps = self.orchestrator.steps(id, 0, 100).unwrap();
            assert!(started.elapsed() < Duration::from_secs(20), "{run:?} {steps:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn result(&self, id: RunId) -> Result<Value, Failure> {
        self.until(id, |run| run.state.ended()).outcome.unwrap()
    }

    /// Whether the process ended by itself.
    pub(crate) fn crashed(&self) -> bool {
        self.shop.moments.load(Ordering::SeqCst) > self.shop.ends_at
    }
}

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}
