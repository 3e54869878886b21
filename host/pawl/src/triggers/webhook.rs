//! Messages of other programs, each signed with a secret that both ends know.
//!
//! Two ways of signing are taken: that of the Standard Webhooks (`webhook-id`, `webhook-timestamp`, `webhook-signature`), which a
//! third party cannot send again; and that of GitHub and many others (`x-hub-signature-256`: HMAC-SHA256 of the body), where the
//! same body begins one run, whoever sends it again.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use pawl_flow::RunId;
use ring::hmac;
use serde_json::{Map, Value};

use super::{Occasion, TriggerError, Triggers};
use crate::config::triggers::{On, Secret};

/// How far a message's clock may be from ours, in seconds.
const MAX_AGE: i64 = 300;
/// Bytes of a message.
pub(crate) const MAX_BODY: usize = 512 << 10;

/// What a message says of itself.
#[derive(Debug, Default)]
pub(crate) struct Signed<'a> {
    pub(crate) id: Option<&'a str>,
    pub(crate) timestamp: Option<&'a str>,
    /// Such as `v1,BASE64`, several with spaces between.
    pub(crate) signature: Option<&'a str>,
    /// Such as `sha256=HEX`.
    pub(crate) hub: Option<&'a str>,
}

/// Why a message is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("no webhook \"{0}\" is in the settings")]
    Unknown(String),
    #[error("the webhook's secret is not set on the host")]
    NoSecret,
    #[error(
        "the signature does not fit; sign the body with HMAC-SHA256 by the secret (webhook-signature or x-hub-signature-256)"
    )]
    Signature,
    #[error("webhook-timestamp is more than {MAX_AGE} s from the host's clock")]
    Age,
    #[error("the body is no JSON: {0}")]
    Body(String),
    #[error(transparent)]
    Trigger(#[from] TriggerError),
}

impl Triggers {
    /// Begins the run of a message.
    pub(crate) async fn webhook(
        &self,
        name: &str,
        signed: Signed<'_>,
        body: &[u8],
    ) -> Result<RunId, Refused> {
        let unknown = || Refused::Unknown(name.chars().take(80).collect());
        let trigger = self.config.triggers.iter().find(|trigger| trigger.name == name).ok_or_else(unknown)?;
        let On::Webhook { env, secret } = &trigger.on else { return Err(unknown()) };
        let Some(secret) = secret else {
            tracing::error!(trigger = name, "{env} is not set; messages are refused");
            return Err(Refused::NoSecret);
        };
        let occasion = check(secret, &signed, body, Timestamp::now())?;
        let body: Value = serde_json::from_slice(body).map_err(|error| Refused::Body(error.to_string()))?;
        let given = Map::from_iter([("body".to_owned(), body)]);
        Ok(self.begin(trigger, Occasion { name: occasion, given, document: None }).await?)
    }
}

/// What tells a message from every other, if it was signed with the secret.
fn check(secret: &Secret, signed: &Signed<'_>, body: &[u8], now: Timestamp) -> Result<String, Refused> {
    if let (Some(id), Some(timestamp), Some(signatures)) = (signed.id, signed.timestamp, signed.signature) {
        // Standard Webhooks write secrets so.
        let decoded = secret.0.strip_prefix(b"whsec_").and_then(|coded| STANDARD.decode(coded).ok());
        let key = hmac::Key::new(hmac::HMAC_SHA256, decoded.as_deref().unwrap_or(&secret.0));
        let content = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
        let fits = |signature: &str| {
            let tag = signature.strip_prefix("v1,").and_then(|coded| STANDARD.decode(coded).ok());
            tag.is_some_and(|tag| hmac::verify(&key, &content, &tag).is_ok())
        };
        if !signatures.split(' ').any(fits) {
            return Err(Refused::Signature);
        }
        let age = timestamp
            .parse::<i64>()
            .map_or(i64::MAX, |sent| now.as_second().saturating_sub(sent).saturating_abs());
        return if age <= MAX_AGE { Ok(format!("message {id}")) } else { Err(Refused::Age) };
    }
    let tag =
        signed.hub.and_then(|hub| hub.strip_prefix("sha256=")).and_then(bytes).ok_or(Refused::Signature)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &secret.0);
    hmac::verify(&key, body, &tag).map_err(|_| Refused::Signature)?;
    let digest = ring::digest::digest(&ring::digest::SHA256, body);
    Ok(format!("body {}", digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let pairs = hex.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"a secret of twenty-two";

    fn hub(body: &[u8]) -> String {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), body);
        format!("sha256={}", tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }

    #[test]
    fn a_body_that_was_changed_or_signed_with_another_secret_is_refused() {
        let signature = hub(b"{\"paid\":1}");
        let now = Timestamp::now();
        let ask = |secret: &[u8], body: &[u8], hub: Option<&str>| {
            check(&Secret(secret.to_vec()), &Signed { hub, ..Signed::default() }, body, now)
        };
        assert!(
            ask(SECRET, b"{\"paid\":1}", Some(&signature))
                .is_ok_and(|occasion| occasion.starts_with("body "))
        );
        for (secret, body, hub) in [
            (SECRET, &b"{\"paid\":2}"[..], Some(signature.as_str())),
            (b"another secret of some", b"{\"paid\":1}", Some(&signature)),
            (SECRET, b"{\"paid\":1}", None),
            (SECRET, b"{\"paid\":1}", Some("sha256=")),
            (SECRET, b"{\"paid\":1}", Some("sha256=zz")),
            (SECRET, b"{\"paid\":1}", Some(&signature[7..])),
        ] {
            assert!(matches!(ask(secret, body, hub), Err(Refused::Signature)), "{hub:?}");
        }
    }

    #[test]
    fn a_standard_webhook_is_taken_while_it_is_new() {
        // The example of the specification.
        let secret = Secret(b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_vec());
        let body = b"{\"test\": 2432232314}";
        let signed = |timestamp| Signed {
            id: Some("msg_p5jXN8AQM9LWM0D4loKWxJek"),
            timestamp: Some(timestamp),
            signature: Some("v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
            hub: None,
        };
        let at = |second| Timestamp::from_second(second).unwrap_or_default();
        let occasion = check(&secret, &signed("1614265330"), body, at(1_614_265_400));
        assert!(
            occasion.as_deref().is_ok_and(|occasion| occasion == "message msg_p5jXN8AQM9LWM0D4loKWxJek"),
            "{occasion:?}"
        );
        assert!(matches!(check(&secret, &signed("1614265330"), body, at(1_614_266_330)), Err(Refused::Age)));
        assert!(matches!(
            check(&secret, &signed("1614265331"), body, at(1_614_265_400)),
            Err(Refused::Signature)
        ));
        assert!(matches!(
            check(&secret, &signed("1614265330"), b"{}", at(1_614_265_400)),
            Err(Refused::Signature)
        ));
    }
}
