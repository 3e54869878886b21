//! Questions to a hub: which commit, which files, and the bytes of one from a position on.
//!
//! Invariant: answers are bounded before they are read. The token of `HF_TOKEN` goes to the hub alone (the client drops it
//! where an answer leads to another host, as for large files) and into no message, nor do addresses that were led to, which
//! may be signed.

use std::time::Duration;

use anyhow::{Context, Error, Result, bail, ensure};
use reqwest::header::{LINK, RANGE};
use reqwest::{Client, Response, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::listing::{Choice, Entry, Listing, MAX_FILES, RawEntry, is_hex};
use super::reference::Reference;

/// The largest answer that is not a file, in bytes.
const MAX_ANSWER: usize = 16 << 20;
/// Pages of a list.
const MAX_PAGES: usize = 64;
/// Without a byte for so long, a connection is broken.
const SILENCE: Duration = Duration::from_secs(30);
/// How often a question that was not answered is asked again; meanwhile a person sees nothing.
const RETRIES: u32 = 2;

/// A hub, and who we are to it.
pub(crate) struct Hub {
    http: Client,
    base: Url,
    token: Option<String>,
}

/// Why there is no answer.
pub(super) enum Trouble {
    /// Asking again may help.
    Passing(Error),
    /// It will not.
    Lasting(Error),
}

impl Trouble {
    pub(super) fn into_error(self) -> Error {
        let (Trouble::Passing(error) | Trouble::Lasting(error)) = self;
        error
    }
}

/// What is read of a revision.
#[derive(Deserialize)]
struct Revision {
    sha: String,
    #[serde(default)]
    gated: Value,
}

impl Hub {
    /// The hub at an address. Plain HTTP is for one on this machine only: the hashes come the same way.
    pub(crate) fn new(endpoint: &str) -> Result<Hub> {
        // Before anything of it is told: it may hold a secret.
        ensure!(
            !endpoint.contains(['@', '?', '#']),
            "HF_ENDPOINT holds a name, a password or a query; an address such as https://HOST is needed, and a token in HF_TOKEN"
        );
        let base = Url::parse(endpoint)
            .ok()
            .filter(|url| url.has_host() && matches!(url.scheme(), "http" | "https"))
            .with_context(|| {
                format!("HF_ENDPOINT is {endpoint:?}; an address such as https://HOST is needed")
            })?;
        let host = base.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let local = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        let secure = base.scheme() == "https";
        ensure!(
            secure || local,
            "HF_ENDPOINT is {endpoint}, plain HTTP to another machine; https:// is needed"
        );
        // Fails only where a provider is there already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder()
            .connect_timeout(SILENCE)
            .read_timeout(SILENCE)
            .https_only(secure)
            .user_agent(concat!("pawl/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("the HTTP client does not start")?;
        let token = std::env::var("HF_TOKEN").ok().filter(|token| !token.trim().is_empty());
        Ok(Hub { http, base, token: token.map(|token| token.trim().to_owned()) })
    }

    /// What the repository holds at the revision, as it is now.
    pub(crate) async fn listing(&self, reference: &Reference) -> Result<Listing> {
        let Reference { repo, revision, .. } = reference;
        let what = format!("{repo} at {revision}");
        let path = ["api", "models"].into_iter().chain(repo.split('/'));
        let url = self.url(path.clone().chain(["revision", revision]))?;
        let Revision { sha: commit, gated } = self.json(url, &what).await?.0;
        ensure!(is_hex(&commit, 40), "{} gives {commit:?} for the commit of {what}", self.base);
        if self.token.is_none() && !matches!(gated, Value::Null | Value::Bool(false)) {
            bail!("{}", self.unknown(repo, "it is gated"));
        }
        let mut next = Some(self.url(path.chain(["tree", &commit]))?);
        if let Some(url) = &mut next {
            url.set_query(Some("recursive=true"));
        }
        let mut files = Vec::new();
        for _ in 0..MAX_PAGES {
            let Some(url) = next else { break };
            let (page, following): (Vec<RawEntry>, _) = self.json(url, &what).await?;
            for entry in page {
                files.extend(Entry::read(entry)?);
            }
            ensure!(files.len() <= MAX_FILES, "{what} has more than {MAX_FILES} files");
            next = following;
        }
        ensure!(next.is_none(), "the list of the files of {what} has more than {MAX_PAGES} pages");
        Ok(Listing { repo: repo.clone(), commit, files })
    }

    /// Where a file is, at the list's commit.
    pub(super) fn file_url(&self, listing: &Listing, entry: &Entry) -> Result<Url> {
        self.url(listing.repo.split('/').chain(["resolve", &listing.commit]).chain(entry.path.split('/')))
    }

    /// An answer to a GET, from a byte on; 416 where there are none from there on. `what` names it in messages.
    pub(super) async fn get(&self, url: Url, from: u64, what: &str) -> Result<Response, Trouble> {
        let mut request = self.http.get(url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        let response = request.send().await.map_err(|error| {
            let builder = error.is_builder();
            let error = Error::new(error.without_url()).context(format!("{} did not answer", self.base));
            if builder { Trouble::Lasting(error) } else { Trouble::Passing(error) }
        })?;
        let status = response.status();
        if status.is_success() || (status == StatusCode::RANGE_NOT_SATISFIABLE && from > 0) {
            return Ok(response);
        }
        let code = response.headers().get("x-error-code").and_then(|code| code.to_str().ok());
        let said = match code {
            Some(code) => format!("{status}, {}", code.chars().take(64).collect::<String>()),
            None => status.to_string(),
        };
        let lasting = |message: String| Err(Trouble::Lasting(Error::msg(message)));
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => lasting(self.unknown(what, &said)),
            StatusCode::NOT_FOUND | StatusCode::GONE => lasting(format!(
                "{} has no {what} ({said}); look at the spelling of repository, revision and file",
                self.base
            )),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Err(Trouble::Passing(Error::msg(
                format!("{} gives no {what} for the moment ({said})", self.base),
            ))),
            status if status.is_server_error() => {
                Err(Trouble::Passing(Error::msg(format!("{} gives no {what} ({said})", self.base))))
            }
            _ => lasting(format!("{} gives no {what} ({said})", self.base)),
        }
    }

    /// What is said where the hub wants to know who asks.
    fn unknown(&self, what: &str, said: &str) -> String {
        let base = &self.base;
        match self.token {
            None => format!(
                "{base} does not give {what} to everyone ({said}): it is gated, private or not there; look at the spelling, \
                 accept its terms on its page, and set HF_TOKEN to an access token that may read it"
            ),
            Some(_) => format!(
                "{base} does not give {what} to the holder of the token in HF_TOKEN ({said}); look at the spelling, accept \
                 its terms on its page with that account, or set HF_TOKEN to a token that may read it"
            ),
        }
    }

    /// A JSON answer, and where the next page is.
    async fn json<T: DeserializeOwned>(&self, url: Url, what: &str) -> Result<(T, Option<Url>)> {
        let mut tries = 0;
        let (bytes, next) = loop {
            match self.answer(url.clone(), what).await {
                Err(Trouble::Passing(_)) if tries < RETRIES => {
                    tokio::time::sleep(pause(tries)).await;
                    tries += 1;
                }
                answer => break answer.map_err(Trouble::into_error)?,
            }
        };
        let next = next.map(|next| self.same_hub(&next)).transpose()?;
        let value = serde_json::from_slice(&bytes).with_context(|| {
            format!("what {} says of {what} cannot be read; is HF_ENDPOINT a hub?", self.base)
        })?;
        Ok((value, next))
    }

    async fn answer(&self, url: Url, what: &str) -> Result<(Vec<u8>, Option<String>), Trouble> {
        let mut response = self.get(url, 0, what).await?;
        let link = response.headers().get(LINK).and_then(|link| link.to_str().ok());
        let next = link.and_then(next_page);
        let mut bytes = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if bytes.len() + chunk.len() > MAX_ANSWER => {
                    let message = format!("what {} says of {what} has over {MAX_ANSWER} bytes", self.base);
                    return Err(Trouble::Lasting(Error::msg(message)));
                }
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) => return Ok((bytes, next)),
                Err(error) => return Err(Trouble::Passing(Error::new(error.without_url()))),
            }
        }
    }

    /// An address that the hub named, which must be one of its own: the token goes there.
    fn same_hub(&self, address: &str) -> Result<Url> {
        let url = self.base.join(address).ok().filter(|url| url.origin() == self.base.origin());
        url.with_context(|| format!("{} names a page of its list that is not its own", self.base))
    }

    fn url<'a>(&self, segments: impl Iterator<Item = &'a str>) -> Result<Url> {
        let mut url = self.base.clone();
        url.set_query(None);
        url.path_segments_mut()
            .map_err(|()| Error::msg(format!("HF_ENDPOINT {} takes no path", self.base)))?
            .pop_if_empty()
            .extend(segments);
        Ok(url)
    }
}

impl Listing {
    /// The files of what the reference wants.
    pub(crate) fn choose<'a>(&'a self, reference: &'a Reference) -> Result<Choice<'a>> {
        self.pick(&reference.wanted)
    }
}

/// How long to wait before asking again: half a second, doubled each time.
pub(super) fn pause(tries: u32) -> Duration {
    Duration::from_millis(500 << tries.min(6))
}

/// The address of `<ADDRESS>; rel="next"` (RFC 8288).
fn next_page(link: &str) -> Option<String> {
    link.split(',').find_map(|link| {
        let (address, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        parameters.contains("rel=\"next\"").then(|| address.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_is_reached_by_https_or_on_this_machine() {
        for good in
            ["https://hub.example", "https://hub.example/prefix/", "http://127.0.0.1:1", "http://[::1]:1"]
        {
            assert!(Hub::new(good).is_ok(), "{good}");
        }
        for (bad, why) in [
            ("", "is needed"),
            ("hub.example", "is needed"),
            ("file:///x", "is needed"),
            ("http://hub.example", "plain HTTP"),
            ("https://me:secret@hub.example", "HF_TOKEN"),
            ("ftp://me:secret@hub.example", "HF_TOKEN"),
            ("https//me:secret@hub", "HF_TOKEN"),
            ("https://hub.example?token=secret", "HF_TOKEN"),
        ] {
            let error = Hub::new(bad).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(why) && !error.contains("secret"), "{bad}: {error}");
        }
    }

    #[test]
    fn addresses_keep_their_segments_and_pages_stay_with_the_hub() -> Result<()> {
        let hub = Hub::new("https://hub.example/prefix/")?;
        let url = hub.url(["a", "refs/pr/1", "x y?.gguf"].into_iter())?;
        assert_eq!(url.as_str(), "https://hub.example/prefix/a/refs%2Fpr%2F1/x%20y%3F.gguf");
        let next = next_page("<https://hub.example/x?cursor=1>; rel=\"next\"").unwrap_or_default();
        assert_eq!(hub.same_hub(&next)?.as_str(), "https://hub.example/x?cursor=1");
        assert!(hub.same_hub("https://elsewhere.example/x").is_err());
        assert_eq!(next_page("<https://hub.example/x>; rel=\"prev\""), None);
        Ok(())
    }
}
