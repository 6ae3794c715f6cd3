//! Signatures as Standard Webhooks 1.0 says: HMAC-SHA256 over id, timestamp and body.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use hoplog_events::webhook::WebhookSecret;
use sha2::Sha256;

use super::secret;

/// The value of `webhook-signature`: one signature for each secret, with spaces between them.
pub(super) fn header(secrets: &[&WebhookSecret], id: &str, timestamp: i64, body: &str) -> String {
    let signed = secrets.iter().filter_map(|secret| sign(secret, id, timestamp, body));
    signed.collect::<Vec<_>>().join(" ")
}

/// HMAC takes keys of any length: there always is a signature.
fn sign(secret: &WebhookSecret, id: &str, timestamp: i64, body: &str) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&secret::key(secret)).ok()?;
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body.as_bytes());
    Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example that the implementations of Standard Webhooks are tested with.
    #[test]
    fn a_signature_is_that_of_the_published_example() {
        let secret = WebhookSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into());
        let of = |body| header(&[&secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(of("{\"test\": 2432232314}"), expected);
        assert_ne!(of("{\"test\":2432232314}"), expected);
    }

    #[test]
    fn every_secret_signs() {
        let secrets = [secret::generate(), secret::generate()];
        let both = header(&[&secrets[0], &secrets[1]], "msg_1", 1, "{}");
        let each = secrets.each_ref().map(|secret| header(&[secret], "msg_1", 1, "{}"));
        assert_eq!(both, each.join(" "));
    }
}
