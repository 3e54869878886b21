//! Signatures of plugins, as cosign makes them: ECDSA over P-256 and SHA-256, with a public key in PEM.
//!
//! A file is signed by `cosign sign-blob --key cosign.key FILE` (base64 of the signature; `openssl dgst -sha256 -sign`
//! makes the same), an OCI artefact by `cosign sign --key`. What is signed for an artefact is a small JSON text that
//! names its digest ("simple signing"), kept under the tag `sha256-DIGEST.sig`.
//!
//! Invariant: a signature holds only where the key verifies it over the very bytes that will be installed; whatever
//! cannot be read as one is refused.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use serde_json::Value;

/// DER of a P-256 public key up to its point: SubjectPublicKeyInfo, RFC 5480.
const PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// An uncompressed point: 0x04, x, y.
const POINT: usize = 65;

/// A public key that signatures are checked against.
pub(crate) struct Key(UnparsedPublicKey<Vec<u8>>);

/// Why a signature does not hold.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignatureError {
    #[error(
        "not a public key: a PEM text with an ECDSA key on P-256 is needed, as `cosign generate-key-pair` writes"
    )]
    Key,
    #[error("not a signature: {0}")]
    Form(String),
    #[error("the signature is not of this key over these bytes")]
    Mismatch,
    #[error("the signature is for {signed}, not for {wanted}")]
    Other { signed: String, wanted: String },
}

impl Key {
    /// Reads a PEM text.
    pub(crate) fn parse(pem: &str) -> Result<Key, SignatureError> {
        let body = pem
            .trim()
            .strip_prefix("-----BEGIN PUBLIC KEY-----")
            .and_then(|rest| rest.strip_suffix("-----END PUBLIC KEY-----"))
            .ok_or(SignatureError::Key)?;
        let body: String = body.split_whitespace().collect();
        let der = STANDARD.decode(body).map_err(|_| SignatureError::Key)?;
        let point = der.strip_prefix(&PREFIX[..]).ok_or(SignatureError::Key)?;
        if point.len() != POINT || point[0] != 4 {
            return Err(SignatureError::Key);
        }
        Ok(Key(UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point.to_vec())))
    }

    /// Whether `signature`, in base64, is this key's over `bytes`.
    pub(crate) fn verify(&self, bytes: &[u8], signature: &str) -> Result<(), SignatureError> {
        let signature: String = signature.split_whitespace().collect();
        let signature =
            STANDARD.decode(signature).map_err(|error| SignatureError::Form(error.to_string()))?;
        self.0.verify(bytes, &signature).map_err(|_| SignatureError::Mismatch)
    }

    /// Whether `signature` is this key's over a simple-signing payload that names `digest` (`sha256:…`).
    pub(crate) fn verify_payload(
        &self,
        payload: &[u8],
        signature: &str,
        digest: &str,
    ) -> Result<(), SignatureError> {
        // The key first: nothing of what was not signed is looked at.
        self.verify(payload, signature)?;
        let payload: Value =
            serde_json::from_slice(payload).map_err(|error| SignatureError::Form(error.to_string()))?;
        match payload.pointer("/critical/image/docker-manifest-digest").and_then(Value::as_str) {
            Some(signed) if signed == digest => Ok(()),
            signed => Err(SignatureError::Other {
                signed: signed.unwrap_or("nothing").escape_debug().to_string(),
                wanted: digest.to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
    use serde_json::json;

    use super::*;

    struct Signer(EcdsaKeyPair);

    impl Signer {
        fn new() -> Signer {
            let random = SystemRandom::new();
            let document =
                EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).expect("a key");
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref(), &random);
            Signer(pair.expect("its own key"))
        }

        fn pem(&self) -> String {
            let der = [&PREFIX[..], self.0.public_key().as_ref()].concat();
            format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
        }

        fn sign(&self, bytes: &[u8]) -> String {
            STANDARD.encode(self.0.sign(&SystemRandom::new(), bytes).expect("signed"))
        }
    }

    #[test]
    fn a_signature_holds_for_its_bytes_and_its_key_only() {
        let (signer, other) = (Signer::new(), Signer::new());
        let key = Key::parse(&signer.pem()).expect("a key");
        let signature = signer.sign(b"component");
        key.verify(b"component", &format!("{signature}\n")).expect("its own");
        assert!(matches!(key.verify(b"Component", &signature), Err(SignatureError::Mismatch)));
        assert!(matches!(key.verify(b"component", &other.sign(b"component")), Err(SignatureError::Mismatch)));
        for odd in ["", "AAAA", "not base64!"] {
            assert!(key.verify(b"component", odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn a_payload_must_name_the_digest() {
        let signer = Signer::new();
        let key = Key::parse(&signer.pem()).expect("a key");
        let payload = json!({"critical": {"image": {"docker-manifest-digest": "sha256:aa"}}}).to_string();
        let signature = signer.sign(payload.as_bytes());
        key.verify_payload(payload.as_bytes(), &signature, "sha256:aa").expect("its own");
        let error = key.verify_payload(payload.as_bytes(), &signature, "sha256:bb").expect_err("another");
        assert!(error.to_string().contains("sha256:bb"), "{error}");
        let empty = signer.sign(b"{}");
        assert!(key.verify_payload(b"{}", &empty, "sha256:aa").is_err());
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let pem = Signer::new().pem();
        for text in [
            "",
            "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----",
            &pem.replace("MFkw", "MFkx"),
            &pem[30..],
        ] {
            assert!(matches!(Key::parse(text), Err(SignatureError::Key)), "{text}");
        }
    }
}
