//! Agreements: a stream of its own, a message for each, of which the first wins. It is deleted on
//! request, and by its age.

use async_nats::HeaderMap;
use async_trait::async_trait;
use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::api::{
    Api, ApiError, STREAM_EXISTS, STREAM_NOT_FOUND, WRONG_LAST_SEQUENCE, WRONG_LAST_SEQUENCE_BUSY,
};
use super::options::JetStreamOptions;
use super::read::{REPLICA_ATTEMPTS, REPLICA_PAUSE, status};
use crate::agreement::{Agreed, Agreements, KEPT};
use crate::log::ReadError;

/// Agrees through the servers of one log.
#[derive(Debug, Clone)]
pub(super) struct AgreementStream {
    api: Api,
    /// The stream's name.
    name: String,
    /// What goes before names in subjects.
    subject: String,
}

impl AgreementStream {
    /// Makes the stream if it is missing.
    pub(super) async fn open(api: &Api, options: &JetStreamOptions) -> Result<Self, ApiError> {
        let name = format!("{}agreements", options.prefix).to_uppercase();
        let subject = format!("{}agreements", options.prefix);
        let stream = Self { api: api.clone(), name, subject };
        let found = api.ask::<IgnoredAny>(&stream.request("INFO"), &Value::Null).await;
        let Err(ApiError::Refused { code: STREAM_NOT_FOUND, .. }) = found else {
            return found.map(|_| stream);
        };
        let config = json!({
            "name": stream.name,
            "description": "hoplog: what nodes agree on for some days",
            "subjects": [format!("{}.*", stream.subject)],
            "retention": "limits",
            "storage": "file",
            "num_replicas": options.replicas,
            "max_age": u64::try_from(KEPT.as_nanos()).unwrap_or(u64::MAX),
            "allow_direct": true,
        });
        match api.ask::<IgnoredAny>(&stream.request("CREATE"), &config).await {
            // Somebody else was faster.
            Ok(_) | Err(ApiError::Refused { code: STREAM_EXISTS, .. }) => Ok(stream),
            Err(error) => Err(error),
        }
    }

    fn request(&self, what: &str) -> String {
        format!("STREAM.{what}.{}", self.name)
    }

    fn subject(&self, name: &str) -> String {
        format!("{}.{name}", self.subject)
    }

    async fn propose(&self, name: &str, proposal: Agreed) -> Result<(), ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Expected-Last-Subject-Sequence", "0");
        let payload = Bytes::copy_from_slice(&proposal.0);
        self.api.send::<IgnoredAny>(self.subject(name), headers, payload).await.map(drop)
    }

    /// `None`: there is none, or a replica that was asked does not know it yet.
    async fn look(&self, name: &str) -> Result<Option<Agreed>, ApiError> {
        let away = |reason: &str| ApiError::Away(reason.to_owned());
        let request = format!("$JS.API.DIRECT.GET.{}.{}", self.name, self.subject(name));
        let answer = self.api.request(request, HeaderMap::new(), Bytes::new()).await?;
        if status(&answer).is_some() {
            return Ok(None);
        }
        let agreed = <[u8; 32]>::try_from(&*answer.payload);
        agreed.map(|agreed| Some(Agreed(agreed))).map_err(|_| away("that is no agreement"))
    }
}

#[async_trait]
impl Agreements for AgreementStream {
    async fn agree(&self, name: &str, proposal: Agreed) -> Result<Agreed, ReadError> {
        for _ in 0..REPLICA_ATTEMPTS {
            match self.propose(name, proposal).await {
                Ok(()) => return Ok(proposal),
                Err(ApiError::Refused {
                    code: WRONG_LAST_SEQUENCE | WRONG_LAST_SEQUENCE_BUSY,
                    ..
                }) => {}
                Err(error) => return Err(error.into()),
            }
            if let Some(agreed) = self.look(name).await? {
                return Ok(agreed);
            }
            sleep(REPLICA_PAUSE).await;
        }
        Err(ReadError::Unavailable("a replica is too far behind".to_owned()))
    }

    async fn forget(&self, name: &str) -> Result<(), ReadError> {
        let wanted = json!({ "filter": self.subject(name) });
        self.api.ask::<IgnoredAny>(&self.request("PURGE"), &wanted).await?;
        Ok(())
    }
}
