//! Create a link: claim a code on the log.

use chrono::{DateTime, Utc};
use hoplog_events::link::{
    Destination, Domain, ExternalId, Extras, LinkKey, Note, RedirectStatus, ShortCode, Tags, Title,
};

use super::external_id::{ATTEMPTS_MAX, Reserved};
use super::{Commands, IdempotencyKey, Issuer, code};
use crate::domain::alias::Alias;
use crate::domain::link::{CreateLink, LinkCommand, LinkError, Request};
use crate::execute::external_ids::leave_time;
use crate::execute::{ExecuteError, Foreseen, Origin, Outcome, foresee, forgo, may_forgo, recall};

mod foresee;

/// How many codes are tried before giving up; that two in a row are taken is already unlikely.
const CODES_TRIED_MAX: u32 = 8;

/// What somebody wants.
#[derive(Debug, Clone)]
pub struct WantedLink {
    /// Where it shall live.
    pub domain: Domain,
    /// The code they chose; otherwise one is made.
    pub alias: Option<Alias>,
    /// Where it shall lead.
    pub url: Destination,
    /// When it shall end.
    pub expires_at: Option<DateTime<Utc>>,
    /// The status of the redirect.
    pub redirect: RedirectStatus,
    /// A name for people.
    pub title: Option<Title>,
    /// Labels.
    pub tags: Tags,
    /// Free text.
    pub note: Option<Note>,
    /// Its name in the owner's system.
    pub external_id: Option<ExternalId>,
    /// What most links do without.
    pub extras: Extras,
}

impl WantedLink {
    /// Whether the code that an idempotency key stands for is not the link's: then a note is left there.
    pub(super) fn is_bound_elsewhere(&self) -> bool {
        self.alias.is_some() || self.domain != Domain::service()
    }
}

impl Commands {
    /// Creates a link. `host` is the one the request was sent to: a link can't lead there.
    ///
    /// With an idempotency key, the key seeds the code, so that a retry meets the claim of the
    /// first attempt and is answered with it. A request that chooses its code leaves a note there.
    ///
    /// # Errors
    /// See [`ExecuteError`].
    pub async fn create_link(
        &self,
        issuer: &Issuer,
        host: Option<&str>,
        idempotency: Option<&IdempotencyKey>,
        wanted: WantedLink,
    ) -> Result<Outcome, ExecuteError> {
        let origin = issuer.origin(idempotency);
        let tries = if wanted.alias.is_some() { 1 } else { CODES_TRIED_MAX };
        let mut taken = ExecuteError::Contended;
        for attempt in 0..tries {
            let code = self.code(issuer, idempotency, attempt, wanted.alias.as_ref());
            let Some(code) = code else { break };
            match self.create_as(issuer, host, idempotency, &wanted, code, &origin).await {
                Err(error @ ExecuteError::Refused(LinkError::CodeTaken(_))) => taken = error,
                other => return other,
            }
        }
        Err(taken)
    }

    /// Creates a link with a code; with another one where somebody who wanted the same external id was broken
    /// off before.
    async fn create_as(
        &self,
        issuer: &Issuer,
        host: Option<&str>,
        idempotency: Option<&IdempotencyKey>,
        wanted: &WantedLink,
        code: ShortCode,
        origin: &Origin,
    ) -> Result<Outcome, ExecuteError> {
        let request = |key: &LinkKey| {
            let command = LinkCommand::Create(Box::new(new_link(issuer, key, wanted)));
            self.request(issuer, host, None, command)
        };
        let key = LinkKey { domain: wanted.domain.clone(), code };
        let binding = idempotency.filter(|_| wanted.is_bound_elsewhere());
        let Some(external_id) = &wanted.external_id else {
            return self.create_bound(issuer, binding, &key, &request(&key), origin).await;
        };
        // First: a request that its key refuses must not hold the external id.
        if let Some(seeded) = binding.and_then(|idempotency| self.seeded(issuer, idempotency)) {
            may_forgo(self.log.as_ref(), &seeded, &key, origin).await?;
        }
        let asked = (external_id, wanted.alias.is_some());
        for round in 0..ATTEMPTS_MAX {
            let reserved = self.reserve(issuer, asked, key.clone(), &request(&key), origin).await?;
            let (key, version) = match reserved {
                Reserved::As(key, version) => (key, version),
                Reserved::Done(outcome) => return Ok(*outcome),
            };
            let exactly = Request { expected: Some(vec![version]), ..request(&key) };
            match self.create_bound(issuer, binding, &key, &exactly, origin).await {
                // We were slow, and the claim was made void.
                Err(ExecuteError::Refused(LinkError::VersionMismatch { .. })) => {
                    leave_time(round).await;
                }
                other => return other,
            }
        }
        Err(ExecuteError::Contended)
    }

    /// Creates a link; if it chose its code, or is of another domain than the service's own, for the only request of
    /// its idempotency key.
    async fn create_bound(
        &self,
        issuer: &Issuer,
        binding: Option<&IdempotencyKey>,
        key: &LinkKey,
        request: &Request,
        origin: &Origin,
    ) -> Result<Outcome, ExecuteError> {
        if let Some(idempotency) = binding {
            let repeated = self.bind(issuer, idempotency, key, request, origin).await?;
            if let Some(outcome) = repeated {
                return Ok(outcome);
            }
        }
        self.execute(key, request, origin).await
    }

    /// The link whose code an idempotency key stands for: on the service's own domain, where every request under the key
    /// looks, whichever domain it is for.
    fn seeded(&self, issuer: &Issuer, idempotency: &IdempotencyKey) -> Option<LinkKey> {
        let code = self.code(issuer, Some(idempotency), 0, None)?;
        Some(LinkKey { domain: Domain::service(), code })
    }

    /// What an earlier request under the same key created, with a code of our making. For those
    /// that may be content with less than a creation: a retry is answered with its own link. `domain`: where they want theirs.
    ///
    /// # Errors
    /// See [`ExecuteError`].
    pub async fn created_before(
        &self,
        issuer: &Issuer,
        idempotency: &IdempotencyKey,
        domain: &Domain,
    ) -> Result<Option<Outcome>, ExecuteError> {
        let Some(seeded) = self.seeded(issuer, idempotency) else { return Ok(None) };
        let key = LinkKey { domain: domain.clone(), code: seeded.code.clone() };
        let (log, origin) = (self.log.as_ref(), issuer.origin(Some(idempotency)));
        // The key may be of a request that made a link on another domain.
        if key != seeded {
            may_forgo(log, &seeded, &key, &origin).await?;
        }
        recall(log, &key, &origin).await
    }

    /// Sees to it that an idempotency key is used for no other request than this one, which
    /// chose its own code or another domain. Gives what it led to, if it was done before. A request that will be
    /// refused leaves nothing behind.
    async fn bind(
        &self,
        issuer: &Issuer,
        idempotency: &IdempotencyKey,
        chosen: &LinkKey,
        request: &Request,
        origin: &Origin,
    ) -> Result<Option<Outcome>, ExecuteError> {
        let foreseen = foresee(self.log.as_ref(), chosen, request, origin).await?;
        if let Foreseen::Done(outcome) = foreseen {
            return Ok(Some(*outcome));
        }
        if let Some(seeded) = self.seeded(issuer, idempotency) {
            forgo(&self.log, &seeded, chosen, issuer.now, origin).await?;
        }
        Ok(None)
    }

    fn code(
        &self,
        issuer: &Issuer,
        idempotency: Option<&IdempotencyKey>,
        attempt: u32,
        alias: Option<&Alias>,
    ) -> Option<ShortCode> {
        match (alias, idempotency) {
            (Some(alias), _) => Some(alias.clone().into_code()),
            (None, Some(idempotency)) => {
                let (secret, owner) = (self.secret.reveal(), &issuer.owner);
                let seed = format!("{secret}\n{owner}\n{}\n{attempt}", idempotency.key);
                code::seeded(seed.as_bytes())
            }
            (None, None) => self.codes.make(issuer.now),
        }
    }
}

fn new_link(issuer: &Issuer, key: &LinkKey, wanted: &WantedLink) -> CreateLink {
    let wanted = wanted.clone();
    CreateLink {
        key: key.clone(),
        url: wanted.url,
        owner: issuer.owner.clone(),
        expires_at: wanted.expires_at,
        redirect: wanted.redirect,
        title: wanted.title,
        tags: wanted.tags,
        note: wanted.note,
        external_id: wanted.external_id,
        extras: wanted.extras,
    }
}
