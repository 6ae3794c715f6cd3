//! What a webhook's secret looks like: `whsec_` and random bytes in base64, as Standard Webhooks
//! says.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hoplog_events::webhook::WebhookSecret;
use rand::RngExt;

const PREFIX: &str = "whsec_";

/// How many random bytes a new secret has; 24 to 64 are allowed.
const SECRET_BYTES: usize = 32;

/// A new secret.
#[must_use]
pub fn generate() -> WebhookSecret {
    let mut rng = rand::rng();
    let bytes: [u8; SECRET_BYTES] = std::array::from_fn(|_| rng.random_range(0..=u8::MAX));
    WebhookSecret(format!("{PREFIX}{}", STANDARD.encode(bytes)).into())
}

/// The bytes that sign; none of a text that is no secret.
pub(super) fn key(secret: &WebhookSecret) -> Vec<u8> {
    let text = secret.0.strip_prefix(PREFIX).unwrap_or_default();
    STANDARD.decode(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_enough_bytes_and_is_never_the_same() {
        let (one, other) = (generate(), generate());
        assert_eq!(key(&one).len(), SECRET_BYTES);
        assert_ne!(one, other);
        assert!(!format!("{one:?}").contains(&one.0[6..]), "it is not printed");
    }
}
