//! A plugin from an OCI registry.
//!
//! An artefact holds a component as a layer of media type `application/wasm` (as the CNCF's guidance for Wasm artefacts
//! and wkg have it), and may hold its plugin.toml as a layer of `application/vnd.pawl.plugin.v1+toml`. Signatures are
//! cosign's, by tag. `PAWL_OCI_USERNAME` and `PAWL_OCI_PASSWORD` are for registries that ask who we are.
//!
//! Invariant: bytes leave this file only after they were checked against the digest in the manifest, the manifest
//! against the reference's where it has one (the client does both), and the signature where a key is given.

use anyhow::{Context, Result, bail, ensure};
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::manifest::{OciDescriptor, OciImageManifest, OciManifest};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};

use super::signature::Key;
use super::source::{Found, MAX_COMPONENT, MAX_SMALL, OCI};

const WASM: &str = "application/wasm";
const MANIFEST: &str = "application/vnd.pawl.plugin.v1+toml";
/// The annotation in which cosign keeps the signature of a payload.
const COSIGN: &str = "dev.cosignproject.cosign/signature";

/// Fetches the artefact that a reference names.
pub(super) async fn find(reference: &str, key: Option<&Key>) -> Result<Found> {
    let reference: Reference =
        reference.parse().with_context(|| format!("`{OCI}{reference}` is no reference"))?;
    let registry = Registry::new(&reference);
    let (manifest, digest) = registry.manifest(&reference).await?;
    let mut origin =
        format!("{OCI}{}@{digest}", reference.registry().to_owned() + "/" + reference.repository());
    if let Some(key) = key {
        registry.verify(&reference, &digest, key).await?;
        origin.push_str(", its signature holds");
    }
    let layer = |kind: &str| manifest.layers.iter().find(|layer| layer.media_type == kind);
    let wasm = layer(WASM).with_context(|| {
        let kinds: Vec<&str> = manifest.layers.iter().map(|layer| layer.media_type.as_str()).collect();
        format!("{origin} holds no layer of type {WASM}; it holds {}", kinds.join(", "))
    })?;
    let component = registry.blob(&reference, wasm, MAX_COMPONENT).await?;
    let manifest = match layer(MANIFEST) {
        Some(layer) => Some(String::from_utf8(registry.blob(&reference, layer, MAX_SMALL).await?)?),
        None => None,
    };
    Ok(Found { component, manifest, origin })
}

/// A registry and who we are to it.
struct Registry {
    client: Client,
    auth: RegistryAuth,
}

impl Registry {
    /// Plain HTTP is for this machine's own registries only.
    fn new(reference: &Reference) -> Registry {
        let host = reference.resolve_registry();
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_matches(['[', ']']);
        let local = name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        let protocol = if local { ClientProtocol::Http } else { ClientProtocol::Https };
        let wait = std::time::Duration::from_secs(30);
        let config = ClientConfig {
            protocol,
            read_timeout: Some(wait),
            connect_timeout: Some(wait),
            ..ClientConfig::default()
        };
        let auth = match (std::env::var("PAWL_OCI_USERNAME"), std::env::var("PAWL_OCI_PASSWORD")) {
            (Ok(name), Ok(password)) => RegistryAuth::Basic(name, password),
            _ => RegistryAuth::Anonymous,
        };
        // Fails only where a provider is there already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Registry { client: Client::new(config), auth }
    }

    async fn manifest(&self, reference: &Reference) -> Result<(OciImageManifest, String)> {
        let pulled = self.client.pull_manifest(reference, &self.auth).await;
        match pulled.with_context(|| format!("{OCI}{reference}"))? {
            (OciManifest::Image(manifest), digest) => Ok((manifest, digest)),
            (OciManifest::ImageIndex(_), _) => {
                bail!("{OCI}{reference} is an index of artefacts; name one of them by its digest")
            }
        }
    }

    /// A blob, which the client checks against the digest of its descriptor.
    async fn blob(&self, reference: &Reference, layer: &OciDescriptor, most: u64) -> Result<Vec<u8>> {
        let size = u64::try_from(layer.size).unwrap_or(u64::MAX);
        ensure!(size <= most, "a layer of type {} has {size} bytes; {most} at most", layer.media_type);
        let mut bytes = Vec::new();
        let pulled = self.client.pull_blob(reference, layer, Bounded { bytes: &mut bytes, left: size }).await;
        pulled.with_context(|| format!("{OCI}{reference}, layer {}", layer.digest))?;
        Ok(bytes)
    }

    /// Whether one of the signatures that the registry holds for this digest is the key's.
    async fn verify(&self, reference: &Reference, digest: &str, key: &Key) -> Result<()> {
        let tag = format!("{}.sig", digest.replace(':', "-"));
        let at = Reference::with_tag(reference.registry().to_owned(), reference.repository().to_owned(), tag);
        let (manifest, _) = self
            .manifest(&at)
            .await
            .with_context(|| format!("a key was given, but {digest} has no signature"))?;
        let mut last = None;
        for layer in &manifest.layers {
            let Some(signature) = layer.annotations.as_ref().and_then(|all| all.get(COSIGN)) else {
                continue;
            };
            let payload = self.blob(&at, layer, MAX_SMALL).await?;
            match key.verify_payload(&payload, signature, digest) {
                Ok(()) => return Ok(()),
                Err(error) => last = Some(error),
            }
        }
        match last {
            Some(error) => Err(error).with_context(|| format!("signature of {digest}")),
            None => bail!("{OCI}{at} holds no signature"),
        }
    }
}

/// Takes no more bytes than were announced.
struct Bounded<'a> {
    bytes: &'a mut Vec<u8>,
    left: u64,
}

impl tokio::io::AsyncWrite for Bounded<'_> {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        buffer: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        let Some(left) = self.left.checked_sub(buffer.len() as u64) else {
            return std::task::Poll::Ready(Err(std::io::Error::other("more bytes than the manifest says")));
        };
        self.left = left;
        self.bytes.extend_from_slice(buffer);
        std::task::Poll::Ready(Ok(buffer.len()))
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}
