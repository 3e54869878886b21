//! A plugin from elsewhere: from a registry (one in this test, which speaks what `GET /v2/…` has to) or a file, with
//! a signature as cosign makes them, or not at all.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pawl_tests::plugins::target;
use pawl_tests::server::pawl;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const REPOSITORY: &str = "team/hostile";

/// A key pair as `cosign generate-key-pair` makes one.
struct Signer(EcdsaKeyPair);

impl Signer {
    fn new() -> Result<Signer> {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random)?;
        Ok(Signer(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref(), &random)?))
    }

    /// Writes the public key; gives its path as text.
    fn public(&self, file: &Path) -> Result<String> {
        let prefix = STANDARD.decode("MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgA=")?;
        let der = STANDARD.encode([&prefix[..], self.0.public_key().as_ref()].concat());
        std::fs::write(file, format!("-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n"))?;
        Ok(file.display().to_string())
    }

    fn sign(&self, bytes: &[u8]) -> Result<String> {
        Ok(STANDARD.encode(self.0.sign(&SystemRandom::new(), bytes)?))
    }
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// What a registry holds: path to media type and bytes.
#[derive(Default, Clone)]
struct Registry(BTreeMap<String, (String, Vec<u8>)>);

impl Registry {
    fn blob(&mut self, kind: &str, bytes: &[u8]) -> Value {
        let digest = digest(bytes);
        let path = format!("/v2/{REPOSITORY}/blobs/{digest}");
        self.0.insert(path, ("application/octet-stream".into(), bytes.to_vec()));
        json!({"mediaType": kind, "digest": digest, "size": bytes.len()})
    }

    /// An artefact under a tag; gives its digest.
    fn artefact(&mut self, tag: &str, layers: &[Value]) -> String {
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let config = self.blob("application/vnd.wasm.config.v0+json", b"{}");
        let manifest = json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers});
        let bytes = manifest.to_string().into_bytes();
        let digest = digest(&bytes);
        for name in [tag, &digest] {
            self.0.insert(format!("/v2/{REPOSITORY}/manifests/{name}"), (kind.into(), bytes.clone()));
        }
        digest
    }

    /// Serves what it holds; gives the address.
    async fn serve(self) -> Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let held = self.clone();
                tokio::spawn(async move {
                    let mut request = Vec::new();
                    while !request.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = stream.read_u8().await else { return };
                        request.push(byte);
                    }
                    let line = String::from_utf8_lossy(&request);
                    let path = line.split(' ').nth(1).unwrap_or_default();
                    let none = ("text/plain".to_owned(), Vec::new());
                    let (status, (kind, bytes)) = match held.0.get(path) {
                        Some(found) => ("200 OK", found),
                        None if path == "/v2/" => ("200 OK", &none),
                        None => ("404 Not Found", &none),
                    };
                    let head = format!(
                        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                        bytes.len()
                    );
                    // A client that has gone away needs no answer.
                    let _ = stream.write_all(head.as_bytes()).await;
                    let _ = stream.write_all(bytes).await;
                });
            }
        });
        Ok(address)
    }
}

fn guest() -> Result<(Vec<u8>, String)> {
    let folder = target().join("guests/hostile");
    let manifest = std::fs::read_to_string(folder.join("plugin.toml"))?;
    Ok((std::fs::read(folder.join("hostile.wasm"))?, manifest + "\n[capabilities]\nkeyvalue = true\n"))
}

async fn add(arguments: &[&str], data: &Path) -> Result<(i32, String, String)> {
    let (arguments, data) =
        (arguments.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>(), data.to_path_buf());
    tokio::task::spawn_blocking(move || {
        let mut all = vec!["plugin", "add"];
        all.extend(arguments.iter().map(String::as_str));
        pawl(&all, &data)
    })
    .await?
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_artefact_is_added_pinned_and_granted_nothing() -> Result<()> {
    let data = tempfile::tempdir()?;
    let (signer, stranger) = (Signer::new()?, Signer::new()?);
    let key = signer.public(&data.path().join("cosign.pub"))?;
    let other = stranger.public(&data.path().join("other.pub"))?;
    let (component, manifest) = guest()?;
    let mut registry = Registry::default();
    let layers = [
        registry.blob("application/wasm", &component),
        registry.blob("application/vnd.pawl.plugin.v1+toml", manifest.as_bytes()),
    ];
    let signed = registry.artefact("1.0", &layers);
    let payload = json!({"critical": {"identity": {}, "image": {"docker-manifest-digest": signed}, "type": "cosign container image signature"}, "optional": null});
    let payload = payload.to_string();
    let mut layer = registry.blob("application/vnd.dev.cosign.simplesigning.v1+json", payload.as_bytes());
    layer["annotations"] = json!({"dev.cosignproject.cosign/signature": signer.sign(payload.as_bytes())?});
    registry.artefact(&format!("{}.sig", signed.replace(':', "-")), &[layer]);
    let unsigned = registry.artefact("2.0", &layers[..1]);
    let address = registry.serve().await?;
    let source = format!("oci://{address}/{REPOSITORY}");

    let (code, _, errors) = add(&[&format!("{source}:1.0"), "--key", &other, "--yes"], data.path()).await?;
    ensure!(code == 1 && errors.contains("not of this key"), "another's key: {errors}");
    let (code, _, errors) =
        add(&[&format!("{source}@{unsigned}"), "--key", &key, "--name", "hostile", "--yes"], data.path())
            .await?;
    ensure!(code == 1 && errors.contains("has no signature"), "no signature: {errors}");
    let (code, _, errors) = add(&[&format!("{source}:1.0"), "--key", &key], data.path()).await?;
    ensure!(code == 1 && errors.contains("at a terminal"), "nobody said yes: {errors}");
    ensure!(
        !data.path().join("plugins").exists() && !data.path().join("pawl.lock").exists(),
        "nothing came in"
    );

    let (code, shown, errors) = add(&[&format!("{source}:1.0"), "--key", &key, "--yes"], data.path()).await?;
    ensure!(code == 0, "{errors}");
    for part in
        [signed.as_str(), "its signature holds", "keyvalue: requested, not granted", "[plugins.hostile]"]
    {
        ensure!(shown.contains(part), "{part:?} is not said: {shown}");
    }
    let stanza = shown.split("to use it:").nth(1).context("the settings")?;
    std::fs::write(data.path().join("pawl.toml"), stanza)?;
    let (code, sum, errors) = pawl(&["call", "hostile.add", "--json", "{\"a\":40,\"b\":2}"], data.path())?;
    ensure!(code == 0 && sum.trim() == "42", "{errors}");
    let (code, _, errors) = add(&[&format!("{source}:1.0"), "--yes"], data.path()).await?;
    ensure!(code == 1 && errors.contains("--replace"), "what is there is not overwritten: {errors}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_not_those_of_the_digest_are_refused() -> Result<()> {
    let data = tempfile::tempdir()?;
    let (component, _) = guest()?;
    let mut registry = Registry::default();
    let layer = registry.blob("application/wasm", &component);
    let named = registry.artefact("1.0", std::slice::from_ref(&layer));
    let path = format!("/v2/{REPOSITORY}/blobs/{}", layer["digest"].as_str().unwrap_or_default());
    registry.0.entry(path).and_modify(|(_, bytes)| bytes[100] ^= 1);
    let other = registry.artefact("other", &[]);
    let manifests = format!("/v2/{REPOSITORY}/manifests");
    let swapped = registry.0[&format!("{manifests}/{other}")].clone();
    registry
        .0
        .insert(format!("{manifests}/{}", named.replace("sha256:", "sha256:0").split_at(71).0), swapped);
    let address = registry.serve().await?;
    let source = format!("oci://{address}/{REPOSITORY}");
    let bad_manifest = format!("{source}@{}", named.replace("sha256:", "sha256:0").split_at(71).0);
    for reference in
        [format!("{source}:1.0"), bad_manifest, format!("{source}:absent"), "oci://::".to_owned()]
    {
        let (code, _, errors) = add(&[&reference, "--name", "hostile", "--yes"], data.path()).await?;
        ensure!(code == 1 && !errors.contains("panicked"), "{reference}: {errors}");
        ensure!(!data.path().join("plugins").exists(), "{reference} came in");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_added_with_a_signature_of_its_bytes() -> Result<()> {
    let data = tempfile::tempdir()?;
    let signer = Signer::new()?;
    let key = signer.public(&data.path().join("cosign.pub"))?;
    let (component, _) = guest()?;
    let file = data.path().join("thing.wasm");
    std::fs::write(&file, &component)?;
    let source = file.display().to_string();
    let (code, _, errors) = add(&[&source, "--yes"], data.path()).await?;
    ensure!(code == 1 && errors.contains("--name"), "it has no name: {errors}");
    let arguments = [source.as_str(), "--name", "thing", "--key", &key, "--yes"];
    let (code, _, errors) = add(&arguments, data.path()).await?;
    ensure!(code == 1 && errors.contains("thing.wasm.sig"), "no signature: {errors}");
    std::fs::write(data.path().join("thing.wasm.sig"), signer.sign(b"something else")?)?;
    ensure!(add(&arguments, data.path()).await?.0 == 1, "a signature of something else");
    std::fs::write(data.path().join("thing.wasm.sig"), signer.sign(&component)?)?;
    let (code, shown, errors) = add(&arguments, data.path()).await?;
    ensure!(code == 0 && shown.contains("its signature holds"), "{errors}");
    Ok(())
}
