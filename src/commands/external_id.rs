//! External ids: of the links of one owner on one domain one has it.

use hoplog_events::link::{Domain, ExternalId, LinkKey, OwnerId};
use hoplog_events::position::Version;

use super::create_link::WantedLink;
use super::{Commands, IdempotencyKey, Issuer, code};
use crate::domain::link::{EditLink, Link, LinkCommand, LinkError, Request};
use crate::execute::external_ids::{Holder, claim, holder};
use crate::execute::{ExecuteError, Origin, Outcome, foresee, load_link, recall};

/// How often it is looked again because somebody was faster.
const ATTEMPTS_MAX: u32 = 8;

/// What an upsert led to.
#[derive(Debug)]
pub enum Upserted {
    /// There was none.
    Created(Outcome),
    /// There was one: as it is now.
    Updated(Outcome),
}

/// What a link that is to be created may do about its external id.
pub(super) enum Reserved {
    /// Be created as this one.
    As(LinkKey),
    /// Nothing: the same command created it before.
    Done(Box<Outcome>),
}

impl Commands {
    /// The stream that stands for an external id of an owner. Nobody can tell from its name what it stands
    /// for.
    fn stands_for(&self, owner: &OwnerId, external_id: &ExternalId) -> Option<LinkKey> {
        let domain = Domain::service();
        // No owner has a space in its name: no idempotency key seeds the same.
        let secret = self.secret.reveal();
        let seed = format!("{secret}\nexternal id\n{domain}\n{owner}\n{external_id}");
        Some(LinkKey { domain, code: code::seeded(seed.as_bytes())? })
    }

    /// Changes the issuer's link with an external id, or creates it. `edit`: what is wanted of one that is there.
    ///
    /// # Errors
    /// See [`ExecuteError`]; [`LinkError::ExternalIdTaken`] when another code is wanted than it has.
    pub async fn upsert_link(
        &self,
        issuer: &Issuer,
        host: Option<&str>,
        idempotency: Option<&IdempotencyKey>,
        (external_id, wanted): (&ExternalId, WantedLink),
        edit: EditLink,
    ) -> Result<Upserted, ExecuteError> {
        let edit = LinkCommand::Edit(Box::new(EditLink { external_id: None, ..edit }));
        let alias = wanted.alias.clone().map(crate::domain::alias::Alias::into_code);
        for _ in 0..ATTEMPTS_MAX {
            let Some(link) = self.link_with(&issuer.owner, external_id).await? else {
                match self.create_link(issuer, host, idempotency, wanted.clone()).await {
                    // Somebody was faster.
                    Err(ExecuteError::Refused(LinkError::ExternalIdTaken(_))) => continue,
                    // With the same alias, perhaps for the same external id: then this is an update.
                    Err(error @ ExecuteError::Refused(LinkError::CodeTaken(_))) => {
                        let link = self.link_with(&issuer.owner, external_id).await?;
                        match (link, &alias) {
                            (Some(link), Some(alias)) if link.key.code == *alias => continue,
                            _ => return Err(error),
                        }
                    }
                    created => return created.map(Upserted::Created),
                }
            };
            if alias.as_ref().is_some_and(|alias| *alias != link.key.code) {
                return Err(LinkError::ExternalIdTaken(link.key).into());
            }
            // Only while it has the external id: it may give it to another one meanwhile.
            let request = Request {
                named: Some(external_id.clone()),
                ..self.request(issuer, host, None, edit.clone())
            };
            return match self.execute(&link.key, &request, &issuer.origin(idempotency)).await {
                // It is gone, or has let the external id go, which is free.
                Err(ExecuteError::Refused(
                    LinkError::Deleted | LinkError::VersionMismatch { .. },
                )) => continue,
                // A retry of the command that created it.
                Ok(outcome) if outcome.repeated && outcome.link.version == Version(1) => {
                    Ok(Upserted::Created(outcome))
                }
                updated => updated.map(Upserted::Updated),
            };
        }
        Err(ExecuteError::Contended)
    }

    async fn link_with(
        &self,
        owner: &OwnerId,
        external_id: &ExternalId,
    ) -> Result<Option<Link>, ExecuteError> {
        let Some(stream) = self.stands_for(owner, external_id) else { return Ok(None) };
        Ok(match holder(self.log.as_ref(), &stream, owner, external_id).await? {
            Holder::Link(link) => Some(*link),
            Holder::Nobody(_) | Holder::Next(..) => None,
        })
    }

    /// Sees to it that a link that is to be created has its external id alone. A request that will be
    /// refused leaves nothing behind. Who was broken off in between is helped: its link is created now.
    pub(super) async fn reserve(
        &self,
        issuer: &Issuer,
        (external_id, has_alias): (&ExternalId, bool),
        key: LinkKey,
        request: &Request,
        origin: &Origin,
    ) -> Result<Reserved, ExecuteError> {
        let log = self.log.as_ref();
        if let Some(done) = foresee(log, &key, request, origin).await? {
            return Ok(Reserved::Done(Box::new(done)));
        }
        let owner = &issuer.owner;
        match self.claim_for(issuer, (owner, external_id), (&key, Version::NONE)).await? {
            None => Ok(Reserved::As(key)),
            Some(Holder::Next(next, Version::NONE)) if !has_alias => Ok(Reserved::As(next)),
            Some(Holder::Link(link)) => match recall(log, &link.key, origin).await? {
                Some(done) => Ok(Reserved::Done(Box::new(done))),
                None => Err(LinkError::ExternalIdTaken(link.key).into()),
            },
            Some(Holder::Next(next, _)) => Err(LinkError::ExternalIdTaken(next).into()),
            Some(Holder::Nobody(_)) => Err(ExecuteError::Contended),
        }
    }

    /// Claims an external id for a link, unless that has the claim already. Gives who has it otherwise;
    /// nobody: too many wanted it at once.
    async fn claim_for(
        &self,
        issuer: &Issuer,
        (owner, external_id): (&OwnerId, &ExternalId),
        (key, version): (&LinkKey, Version),
    ) -> Result<Option<Holder>, ExecuteError> {
        let Some(stream) = self.stands_for(owner, external_id) else { return Ok(None) };
        for _ in 0..ATTEMPTS_MAX {
            let at = match holder(self.log.as_ref(), &stream, owner, external_id).await? {
                Holder::Next(next, behind) if (&next, behind) == (key, version) => return Ok(None),
                Holder::Nobody(at) => at,
                taken => return Ok(Some(taken)),
            };
            let place = (&stream, at);
            if claim(&self.log, place, (key, version), issuer.now, &issuer.actor).await? {
                return Ok(None);
            }
        }
        Ok(Some(Holder::Nobody(Version::NONE)))
    }

    /// Gives a link another external id, with whatever else is to be changed.
    pub(super) async fn change_external_id(
        &self,
        issuer: &Issuer,
        (key, external_id): (&LinkKey, &ExternalId),
        request: Request,
        origin: &Origin,
    ) -> Result<Outcome, ExecuteError> {
        for _ in 0..ATTEMPTS_MAX {
            if let Some(done) = foresee(self.log.as_ref(), key, &request, origin).await? {
                return Ok(done);
            }
            let link = load_link(self.log.as_ref(), key).await?.ok_or(LinkError::NotFound)?;
            let version = link.version;
            if request.expected.as_ref().is_some_and(|expected| !expected.contains(&version)) {
                return Err(LinkError::VersionMismatch { actual: version }.into());
            }
            if link.external_id.as_ref() != Some(external_id) {
                let taken =
                    self.claim_for(issuer, (&link.owner, external_id), (key, version)).await?;
                match taken {
                    None => {}
                    // The same was asked for twice at once.
                    Some(Holder::Link(other)) if other.key == *key => continue,
                    Some(Holder::Link(other)) => {
                        return Err(LinkError::ExternalIdTaken(other.key).into());
                    }
                    Some(Holder::Next(other, _)) => {
                        return Err(LinkError::ExternalIdTaken(other).into());
                    }
                    Some(Holder::Nobody(_)) => break,
                }
            }
            let exactly = Request { expected: Some(vec![version]), ..request.clone() };
            match self.execute(key, &exactly, origin).await {
                // It has changed since: that claim is void.
                Err(ExecuteError::Refused(LinkError::VersionMismatch { .. })) => {}
                other => return other,
            }
        }
        Err(ExecuteError::Contended)
    }
}

#[cfg(test)]
mod tests;
