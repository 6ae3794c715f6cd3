//! Agreements: a stream each, whose first event wins. It is deleted on request, and hidden by its age.
//! The servers' files lose it with the next scavenge.

use std::sync::Arc;

use ::eventstore::{
    Client, CurrentRevision, Error, EventData, ExpectedRevision, StreamMetadataBuilder,
};
use async_trait::async_trait;
use bytes::Bytes;

use super::connection::{CallError, Connection};
use super::names::Names;
use crate::agreement::{Agreed, Agreements, KEPT};
use crate::log::ReadError;

/// How often others may be met who propose or forget the same.
const ATTEMPTS_MAX: u32 = 8;

/// The type of the event that holds what is agreed on.
const AGREED: &str = "hoplog.agreed.v1";

/// Agrees through the servers of one log.
#[derive(Debug, Clone)]
pub(super) struct AgreementStreams {
    pub(super) connection: Arc<Connection>,
    pub(super) names: Names,
}

impl AgreementStreams {
    async fn look(&self, stream: &str) -> Result<Option<Agreed>, CallError> {
        let options = self.connection.read_stream_options().max_count(1);
        let first =
            async |client: &Client| client.read_stream(stream, &options).await?.next().await;
        let first = match self.connection.call()?.soon(first).await {
            Err(CallError::Refused(Error::ResourceNotFound)) => return Ok(None),
            first => first?.and_then(|first| first.event),
        };
        let odd = |_| CallError::Odd("that is no agreement".to_owned());
        first.map(|first| <[u8; 32]>::try_from(&*first.data).map(Agreed).map_err(odd)).transpose()
    }

    /// `Some`: others were first, and the stream is there.
    async fn propose(
        &self,
        stream: &str,
        expected: ExpectedRevision,
        proposal: Agreed,
    ) -> Result<Option<ExpectedRevision>, CallError> {
        let call = self.connection.call()?;
        let ends = StreamMetadataBuilder::new().max_age(KEPT).build();
        let options = self.connection.append_options();
        let set = async |client: &Client| client.set_stream_metadata(stream, &options, &ends).await;
        call.soon(set).await?;
        let event = EventData::binary(AGREED, Bytes::copy_from_slice(&proposal.0));
        let options = options.expected_revision(expected);
        let append = async |client: &Client| client.append_to_stream(stream, &options, event).await;
        match call.soon(append).await {
            Ok(_) => Ok(None),
            Err(CallError::Refused(Error::WrongExpectedVersion { current, .. })) => {
                Ok(Some(match current {
                    CurrentRevision::Current(revision) => ExpectedRevision::Exact(revision),
                    CurrentRevision::NoStream => ExpectedRevision::NoStream,
                }))
            }
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl Agreements for AgreementStreams {
    async fn agree(&self, name: &str, proposal: Agreed) -> Result<Agreed, ReadError> {
        let stream = self.names.agreement(name);
        let mut expected = ExpectedRevision::NoStream;
        for _ in 0..ATTEMPTS_MAX {
            if let Some(agreed) = self.look(&stream).await? {
                return Ok(agreed);
            }
            // What is hidden by its age can't be seen, and counts all the same.
            match self.propose(&stream, expected, proposal).await? {
                None => return Ok(proposal),
                Some(current) => expected = current,
            }
        }
        Err(ReadError::Unavailable("others propose and forget the same".to_owned()))
    }

    async fn forget(&self, name: &str) -> Result<(), ReadError> {
        let (stream, options) = (self.names.agreement(name), self.connection.delete_options());
        let delete = async |client: &Client| client.delete_stream(stream, &options).await;
        match self.connection.call()?.soon(delete).await {
            Ok(_) | Err(CallError::Refused(Error::ResourceNotFound | Error::ResourceDeleted)) => {
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}
