//! Add, change or remove a domain: load its events, decide, append; on a conflict again.
//!
//! A command that is already on the stream is not decided again: its outcome is read back.

use hoplog_events::catalogue::{DecodeError, Event};
use hoplog_events::domain::domain_stream;
use hoplog_events::envelope::Envelope;
use hoplog_events::link::Domain;
use hoplog_events::log::{AppendError, Appended, ReadError};
use hoplog_events::position::{Position, Version};

use super::{Commands, IdempotencyKey, Issuer};
use crate::domain::domains::{
    DomainCommand, DomainError, DomainRequest, LinkDomain, decide, evolve,
};
use crate::execute::Origin;

/// How often a command is decided again because somebody was faster.
const ATTEMPTS_MAX: u32 = 8;

/// What a command led to.
#[derive(Debug, Clone)]
pub struct Managed {
    /// The domain as the command left it; `None`: nothing was ever set of the service's own.
    pub domain: Option<LinkDomain>,
    /// Where its last event is.
    pub position: Option<Position>,
}

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
pub enum ManageDomainError {
    /// The rules refuse it.
    #[error(transparent)]
    Refused(#[from] DomainError),
    /// Use a new idempotency key for a new request.
    #[error("the idempotency key was used for another request")]
    IdempotencyKeyReused,
    /// Try again: others change the same domain all the time.
    #[error("the domain is being changed by too many at once")]
    Contended,
    /// Try again later, with the same command id.
    #[error("the log is away: {0}")]
    Unavailable(String),
    /// An event of this domain can't be read; an operator has to look at it.
    #[error(transparent)]
    Unreadable(#[from] DecodeError),
}

impl From<ReadError> for ManageDomainError {
    fn from(error: ReadError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// A domain with what its stream tells of a command.
#[derive(Debug, Default)]
struct Loaded {
    domain: Option<LinkDomain>,
    version: Version,
    last: Option<Position>,
    done: Option<Managed>,
}

impl Commands {
    /// Executes a command on one domain. `host`: the one the request was sent to, if it is the service's own.
    ///
    /// # Errors
    /// See [`ManageDomainError`].
    pub async fn manage_domain(
        &self,
        issuer: &Issuer,
        host: Option<&str>,
        idempotency: Option<&IdempotencyKey>,
        (name, command): (&Domain, DomainCommand),
    ) -> Result<Managed, ManageDomainError> {
        let origin = issuer.origin(idempotency);
        let request = DomainRequest {
            name: name.clone(),
            now: issuer.now,
            own_hosts: self.own_hosts(host),
            domains: self.domains.now(),
            blocked: self.blocked.current(),
            command,
        };
        for _ in 0..ATTEMPTS_MAX {
            let loaded = self.load_domain(name, Some(&origin)).await?;
            if let Some(done) = loaded.done {
                return Ok(done);
            }
            let events = decide(loaded.domain.as_ref(), &request)?;
            if events.is_empty() {
                return Ok(Managed { domain: loaded.domain, position: loaded.last });
            }
            let stream = (domain_stream(name), loaded.version);
            match origin.append(self.log.as_ref(), stream, &events, request.now).await {
                Ok(Appended { position, .. }) => {
                    let apply = |domain, event| evolve(domain, event, request.now);
                    let domain = events.iter().fold(loaded.domain, apply);
                    return Ok(Managed { domain, position: Some(position) });
                }
                Err(AppendError::Conflict { .. }) => {}
                Err(error) => return Err(ManageDomainError::Unavailable(error.to_string())),
            }
        }
        Err(ManageDomainError::Contended)
    }

    async fn load_domain(
        &self,
        name: &Domain,
        origin: Option<&Origin>,
    ) -> Result<Loaded, ManageDomainError> {
        let mut loaded = Loaded::default();
        for recorded in self.log.read(&domain_stream(name), Version::NONE).await? {
            (loaded.version, loaded.last) = (recorded.version, Some(recorded.position));
            let Some(Envelope { time, metadata, event: Event::Domain(event), .. }) =
                recorded.decode()?
            else {
                continue;
            };
            loaded.domain = evolve(loaded.domain, &event, time);
            let own = origin.filter(|origin| origin.command_id == recorded.command_id);
            let Some(origin) = own else { continue };
            if metadata.command_hash != origin.command_hash {
                return Err(ManageDomainError::IdempotencyKeyReused);
            }
            let (domain, position) = (loaded.domain.clone(), Some(recorded.position));
            loaded.done = Some(Managed { domain, position });
        }
        Ok(loaded)
    }
}
