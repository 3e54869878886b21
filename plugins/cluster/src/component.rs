//! The component: joins the exports to the host's documents and model.

use crate::api::{self, Scope};
use crate::bindings::exports::pawl::cluster::cluster;
use crate::bindings::exports::pawl::plugin::refine::{self, Refinement, Rule};
use crate::bindings::pawl::host::{documents as host, llm};
use crate::bindings::wasi::config::store as config;
use crate::explain::Model;
use crate::source::{self, Cluster, Documents, Recording};
use crate::web::Server;
use crate::{Diagnosis, Error, Explanation, bindings};

/// The collection that plugin.toml requests.
const COLLECTION: &str = "cluster";
/// Choices that a refinement may have.
const MAX_CHOICES: usize = 500;
/// Ids of findings that the model is shown before it asks for any.
const MAX_SHOWN: usize = 24;

struct Granted;

/// The cluster that the operator's settings name: with `api`, the API; else the recording.
struct Configured;

fn setting(key: &str) -> Option<String> {
    config::get(key).ok().flatten().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

impl Cluster for Configured {
    fn record(&self) -> Result<Recording, String> {
        let Some(address) = setting("api") else { return source::read(&Granted) };
        let scope = Scope {
            namespace: setting("namespace"),
            tls_secrets: setting("tls-secrets").is_some_and(|value| value == "true"),
        };
        api::read(&Server::new(&address, setting("token"))?, &scope)
    }
}

fn reason(error: host::Error) -> String {
    match error {
        host::Error::NotGranted(name) => format!(
            "the collection `{name}` is not granted to this plugin; the operator can grant it in pawl.toml: documents = {{ {name} = \"FOLDER\" }}"
        ),
        host::Error::Missing(id) => format!("`{id}` is no longer there"),
        host::Error::Limit(reason) | host::Error::Unreadable(reason) => reason,
    }
}

impl Documents for Granted {
    fn list(&self) -> Result<Vec<(String, u64)>, String> {
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let page = host::list(COLLECTION, cursor.as_deref()).map_err(reason)?;
            all.extend(page.documents.into_iter().map(|document| (document.id, document.size)));
            cursor = page.cursor;
            if cursor.is_none() || all.len() > crate::source::MAX_FILES {
                return Ok(all);
            }
        }
    }

    fn read(&self, id: &str, offset: u64, length: u32) -> Result<Vec<u8>, String> {
        host::read(COLLECTION, id, offset, length).map_err(reason)
    }
}

impl Model for Granted {
    fn complete(&self, system: &str, user: &str, schema: &str, max_tokens: u32) -> Result<String, String> {
        let message = |role, content: &str| llm::Message { role, content: content.to_owned() };
        let messages = [message(llm::Role::System, system), message(llm::Role::User, user)];
        llm::complete(&messages, Some(schema), Some(max_tokens)).map_err(|error| match error {
            llm::Error::NotGranted => {
                "the model is not granted to this plugin; the operator can grant it in pawl.toml: llm = true"
                    .to_owned()
            }
            llm::Error::Unavailable(reason) | llm::Error::Refused(reason) | llm::Error::Limit(reason) => {
                reason
            }
            llm::Error::Truncated => {
                "the explanation became too long; another language may need fewer words".to_owned()
            }
        })
    }
}

struct Component;

impl cluster::Guest for Component {
    fn diagnose(namespace: Option<String>, page: Option<u32>) -> Result<Diagnosis, Error> {
        crate::answer(&Configured, namespace.as_deref(), page.unwrap_or(1))
    }

    fn explain(finding: String, language: Option<String>) -> Result<Explanation, Error> {
        crate::explain::explain(&Configured, &Granted, &finding, language.as_deref())
    }
}

impl refine::Guest for Component {
    fn refine() -> Result<Vec<Refinement>, String> {
        // Without a recording nothing exists: the tools that need a name of something are not offered then.
        let (namespaces, ids): (_, Vec<String>) = match crate::examine(&Configured) {
            Ok((snapshot, findings)) => (
                snapshot.namespaces(),
                findings.into_iter().map(|finding| finding.id).take(MAX_CHOICES).collect(),
            ),
            Err(_) => (Vec::new(), Vec::new()),
        };
        let choices = |function: &str, path: &str, mut all: Vec<String>, shown| {
            all.truncate(MAX_CHOICES);
            Refinement {
                function: function.to_owned(),
                path: path.to_owned(),
                rule: Rule::Choices(all),
                shown,
            }
        };
        // A small model chooses among names that it sees; many would crowd out the rest of the prompt.
        let few = ids.len() <= MAX_SHOWN;
        Ok(vec![
            choices("diagnose", "/namespace", namespaces, true),
            choices("explain", "/finding", ids, few),
        ])
    }
}

#[allow(unsafe_code, reason = "the exported symbols of the component are generated")]
mod export {
    use super::{Component, bindings};
    bindings::export!(Component with_types_in bindings);
}
