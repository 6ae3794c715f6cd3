//! Edit, disable, enable or delete a link.

use hoplog_events::link::LinkKey;
use hoplog_events::position::Version;

use super::{Commands, IdempotencyKey, Issuer};
use crate::domain::link::LinkCommand;
use crate::execute::{ExecuteError, Outcome};

impl Commands {
    /// Changes a link, if it has a version that is expected. `host` is the one the request was
    /// sent to: a link can't lead there.
    ///
    /// # Errors
    /// See [`ExecuteError`].
    pub async fn change_link(
        &self,
        issuer: &Issuer,
        host: Option<&str>,
        idempotency: Option<&IdempotencyKey>,
        key: &LinkKey,
        expected: Option<Vec<Version>>,
        command: LinkCommand,
    ) -> Result<Outcome, ExecuteError> {
        let origin = issuer.origin(idempotency);
        let request = self.request(issuer, host, expected, command);
        if let LinkCommand::Edit(edit) = &request.command
            && let Some(Some(external_id)) = edit.external_id.clone()
        {
            return self.change_external_id(issuer, (key, &external_id), request, &origin).await;
        }
        self.execute(key, &request, &origin).await
    }
}
