//! External ids: of the links of one owner on one domain one has it.

use hoplog_events::link::{Domain, ExternalId, LinkKey, OwnerId};
use hoplog_events::position::Version;

use super::create_link::WantedLink;
use super::{Commands, IdempotencyKey, Issuer, code};
use crate::domain::link::{EditLink, Link, LinkCommand, LinkError, Request};
use crate::execute::external_ids::{Holder, claim, holder, leave_time, make_void};
use crate::execute::{ExecuteError, Foreseen, Origin, Outcome, foresee, recall};

/// How often it is looked again because somebody was faster.
pub(super) const ATTEMPTS_MAX: u32 = 8;

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
    /// Be created as this one, at this version of its stream.
    As(LinkKey, Version),
    /// Nothing: the same command created it before.
    Done(Box<Outcome>),
}

/// What became of a claim.
#[derive(Debug)]
enum Claimed {
    /// It is made, or was.
    Own,
    /// Somebody else's stands: this link is to be created, at this version of its stream.
    ByNew(LinkKey, Version),
    /// There is nothing to claim: a link has the external id.
    By(Box<Link>),
}

impl Commands {
    /// The stream that stands for an external id of an owner. Nobody can tell from its name what it stands
    /// for.
    fn stands_for(
        &self,
        owner: &OwnerId,
        (domain, external_id): (&Domain, &ExternalId),
    ) -> Option<LinkKey> {
        // No owner has a space in its name: no idempotency key seeds the same.
        let secret = self.secret.reveal();
        let seed = format!("{secret}\nexternal id\n{domain}\n{owner}\n{external_id}");
        Some(LinkKey { domain: domain.clone(), code: code::seeded(seed.as_bytes())? })
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
        for round in 0..ATTEMPTS_MAX {
            if round > 0 {
                leave_time(round).await;
            }
            let named = (&wanted.domain, external_id);
            let Some(link) = self.link_with(&issuer.owner, named).await? else {
                match self.create_link(issuer, host, idempotency, wanted.clone()).await {
                    // Somebody was faster.
                    Err(ExecuteError::Refused(LinkError::ExternalIdTaken(_))) => continue,
                    // With the same alias, perhaps for the same external id: then this is an update.
                    Err(error @ ExecuteError::Refused(LinkError::CodeTaken(_))) => {
                        let link = self.link_with(&issuer.owner, named).await?;
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
            let found = (&link.key, external_id);
            return match self.change_named(issuer, host, idempotency, found, edit.clone()).await {
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

    /// Changes a link that was found by its external id, only while it has that: it may give it to another one
    /// meanwhile.
    async fn change_named(
        &self,
        issuer: &Issuer,
        host: Option<&str>,
        idempotency: Option<&IdempotencyKey>,
        (key, external_id): (&LinkKey, &ExternalId),
        edit: LinkCommand,
    ) -> Result<Outcome, ExecuteError> {
        let named = Some(external_id.clone());
        let request = Request { named, ..self.request(issuer, host, None, edit) };
        self.execute(key, &request, &issuer.origin(idempotency)).await
    }

    /// The link of an owner that has an external id on a domain.
    ///
    /// # Errors
    /// When the log can't be read or an event can't be understood.
    pub async fn link_with(
        &self,
        owner: &OwnerId,
        (domain, external_id): (&Domain, &ExternalId),
    ) -> Result<Option<Link>, ExecuteError> {
        let named = (domain, external_id);
        let Some(stream) = self.stands_for(owner, named) else { return Ok(None) };
        Ok(match holder(self.log.as_ref(), &stream, owner, external_id).await? {
            Holder::Link(link) => Some(*link),
            Holder::Nobody(_) | Holder::Next(_) => None,
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
        let version = match foresee(log, &key, request, origin).await? {
            Foreseen::Done(outcome) => return Ok(Reserved::Done(outcome)),
            Foreseen::Allowed { version, .. } => version,
        };
        let named = (&issuer.owner, external_id);
        match self.claim_for(issuer, named, (&key, version), !has_alias).await? {
            Claimed::Own => Ok(Reserved::As(key, version)),
            Claimed::ByNew(next, version) => Ok(Reserved::As(next, version)),
            Claimed::By(link) => match recall(log, &link.key, origin).await? {
                Some(done) => Ok(Reserved::Done(Box::new(done))),
                None => Err(LinkError::ExternalIdTaken(link.key).into()),
            },
        }
    }

    /// Claims an external id for a link, unless that has the claim already. `helps`: where the claim of a new
    /// link stands, that will do. Otherwise a claim that stands is waited for, and made void if nothing comes of
    /// it: whoever made it was broken off, or claims again.
    async fn claim_for(
        &self,
        issuer: &Issuer,
        (owner, external_id): (&OwnerId, &ExternalId),
        (key, version): (&LinkKey, Version),
        helps: bool,
    ) -> Result<Claimed, ExecuteError> {
        let named = (&key.domain, external_id);
        let Some(stream) = self.stands_for(owner, named) else { return Ok(Claimed::Own) };
        // The last rounds are for claiming what was made void.
        for round in 0..2 * ATTEMPTS_MAX {
            let at = match holder(self.log.as_ref(), &stream, owner, external_id).await? {
                Holder::Next(next) if (&next.key, next.version) == (key, version) => {
                    return Ok(Claimed::Own);
                }
                Holder::Next(next) if helps && next.link.is_none() => {
                    return Ok(Claimed::ByNew(next.key, next.version));
                }
                Holder::Next(_) if round < ATTEMPTS_MAX => {
                    leave_time(round).await;
                    continue;
                }
                Holder::Next(next) => {
                    make_void(&self.log, &next, issuer.now, &issuer.actor).await?;
                    continue;
                }
                Holder::Link(link) => return Ok(Claimed::By(link)),
                Holder::Nobody(at) => at,
            };
            let place = (&stream, at);
            if claim(&self.log, place, (key, version), issuer.now, &issuer.actor).await? {
                return Ok(Claimed::Own);
            }
        }
        Err(ExecuteError::Contended)
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
            let (version, link) = match foresee(self.log.as_ref(), key, &request, origin).await? {
                Foreseen::Done(done) => return Ok(*done),
                Foreseen::Allowed { version, link } => (version, link.ok_or(LinkError::NotFound)?),
            };
            if link.external_id.as_ref() != Some(external_id) {
                let named = (&link.owner, external_id);
                match self.claim_for(issuer, named, (key, version), false).await? {
                    Claimed::Own => {}
                    // The same was asked for twice at once.
                    Claimed::By(other) if other.key == *key => continue,
                    Claimed::By(other) => {
                        return Err(LinkError::ExternalIdTaken(other.key).into());
                    }
                    Claimed::ByNew(other, _) => {
                        return Err(LinkError::ExternalIdTaken(other).into());
                    }
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
