//! Secrets of a day: a stream of its own, one message a day, the first one wins. It is deleted when
//! the day is over, and by its age if nobody is there to do that.

use std::time::Duration;

use async_nats::HeaderMap;
use async_trait::async_trait;
use bytes::Bytes;
use chrono::NaiveDate;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::api::{
    Api, ApiError, STREAM_EXISTS, STREAM_NOT_FOUND, WRONG_LAST_SEQUENCE, WRONG_LAST_SEQUENCE_BUSY,
};
use super::options::JetStreamOptions;
use super::read::{REPLICA_ATTEMPTS, REPLICA_PAUSE, status};
use crate::day_secret::{DaySecret, DaySecrets};
use crate::log::ReadError;

/// How long a secret is kept at most: it is made up to a day before its day begins, and clicks of
/// that day may wait for some hours after it.
const AGE_MAX: Duration = Duration::from_hours(72);

/// Agrees on secrets through the servers of one log.
#[derive(Debug, Clone)]
pub(super) struct Secrets {
    api: Api,
    /// The stream's name.
    name: String,
    /// What goes before the day in subjects.
    subject: String,
}

impl Secrets {
    /// Makes the stream if it is missing.
    pub(super) async fn open(api: &Api, options: &JetStreamOptions) -> Result<Self, ApiError> {
        let name = format!("{}secrets", options.prefix).to_uppercase();
        let subject = format!("{}secrets", options.prefix);
        let secrets = Self { api: api.clone(), name, subject };
        let found = api.ask::<IgnoredAny>(&secrets.request("INFO"), &Value::Null).await;
        let Err(ApiError::Refused { code: STREAM_NOT_FOUND, .. }) = found else {
            return found.map(|_| secrets);
        };
        let config = json!({
            "name": secrets.name,
            "description": "hoplog: secrets that end with their day",
            "subjects": [format!("{}.*", secrets.subject)],
            "retention": "limits",
            "storage": "file",
            "num_replicas": options.replicas,
            "max_age": u64::try_from(AGE_MAX.as_nanos()).unwrap_or(u64::MAX),
            "allow_direct": true,
        });
        match api.ask::<IgnoredAny>(&secrets.request("CREATE"), &config).await {
            // Somebody else was faster.
            Ok(_) | Err(ApiError::Refused { code: STREAM_EXISTS, .. }) => Ok(secrets),
            Err(error) => Err(error),
        }
    }

    fn request(&self, what: &str) -> String {
        format!("STREAM.{what}.{}", self.name)
    }

    fn subject(&self, day: NaiveDate) -> String {
        format!("{}.{day}", self.subject)
    }

    async fn propose(&self, day: NaiveDate, secret: DaySecret) -> Result<(), ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Expected-Last-Subject-Sequence", "0");
        let payload = Bytes::copy_from_slice(&secret.0);
        self.api.send::<IgnoredAny>(self.subject(day), headers, payload).await.map(drop)
    }

    /// `None`: there is none, or a replica that was asked does not know it yet.
    async fn look(&self, day: NaiveDate) -> Result<Option<DaySecret>, ApiError> {
        let away = |reason: &str| ApiError::Away(reason.to_owned());
        let request = format!("$JS.API.DIRECT.GET.{}.{}", self.name, self.subject(day));
        let answer = self.api.client.request(request, Bytes::new());
        let answer = timeout(self.api.timeout, answer).await.map_err(|_| away("no answer"))?;
        let answer = answer.map_err(|error| away(&error.to_string()))?;
        if status(&answer).is_some() {
            return Ok(None);
        }
        let secret = <[u8; 32]>::try_from(&*answer.payload);
        secret.map(|secret| Some(DaySecret(secret))).map_err(|_| away("that is no secret"))
    }
}

#[async_trait]
impl DaySecrets for Secrets {
    async fn agree(&self, day: NaiveDate, proposal: DaySecret) -> Result<DaySecret, ReadError> {
        for _ in 0..REPLICA_ATTEMPTS {
            match self.propose(day, proposal).await {
                Ok(()) => return Ok(proposal),
                Err(ApiError::Refused {
                    code: WRONG_LAST_SEQUENCE | WRONG_LAST_SEQUENCE_BUSY,
                    ..
                }) => {}
                Err(error) => return Err(error.into()),
            }
            if let Some(secret) = self.look(day).await? {
                return Ok(secret);
            }
            sleep(REPLICA_PAUSE).await;
        }
        Err(ReadError::Unavailable("a replica is too far behind".to_owned()))
    }

    async fn destroy(&self, day: NaiveDate) -> Result<(), ReadError> {
        let wanted = json!({ "filter": self.subject(day) });
        self.api.ask::<IgnoredAny>(&self.request("PURGE"), &wanted).await?;
        Ok(())
    }
}
