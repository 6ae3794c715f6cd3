//! What creating a link would lead to, without doing it.

use hoplog_events::link::LinkKey;

use super::{WantedLink, new_link};
use crate::commands::{Commands, IdempotencyKey, Issuer};
use crate::domain::link::{LinkCommand, LinkError};
use crate::execute::{ExecuteError, Foreseen, Outcome, foresee, may_forgo, recall};

impl Commands {
    /// Whether a link could be created now. `Some`: the same request created it before. Nothing is noted anywhere:
    /// somebody else may be faster.
    ///
    /// # Errors
    /// What creating it would fail with; see [`ExecuteError`].
    pub async fn foresee_link(
        &self,
        issuer: &Issuer,
        host: Option<&str>,
        idempotency: Option<&IdempotencyKey>,
        wanted: &WantedLink,
    ) -> Result<Option<Outcome>, ExecuteError> {
        let (log, origin) = (self.log.as_ref(), issuer.origin(idempotency));
        let code = self.code(issuer, idempotency, 0, wanted.alias.as_ref());
        let code = code.ok_or(ExecuteError::Contended)?;
        let key = LinkKey { domain: wanted.domain.clone(), code };
        let command = LinkCommand::Create(Box::new(new_link(issuer, &key, wanted)));
        let request = self.request(issuer, host, None, command);
        if let Foreseen::Done(outcome) = foresee(log, &key, &request, &origin).await? {
            return Ok(Some(*outcome));
        }
        let binding = idempotency.filter(|_| wanted.is_bound_elsewhere());
        if let Some(seeded) = binding.and_then(|idempotency| self.seeded(issuer, idempotency)) {
            may_forgo(log, &seeded, &key, &origin).await?;
        }
        let Some(external_id) = &wanted.external_id else { return Ok(None) };
        let Some(link) = self.link_with(&issuer.owner, (&wanted.domain, external_id)).await? else {
            return Ok(None);
        };
        match recall(log, &link.key, &origin).await? {
            Some(done) => Ok(Some(done)),
            None => Err(LinkError::ExternalIdTaken(link.key).into()),
        }
    }
}
