//! Links that are made at once: charged before the first, given back when none was.

use axum::response::{IntoResponse, Response};

use super::{ClientAddress, uncharged, verdict_refused};
use crate::accounts::Principal;
use crate::app::App;
use crate::limits::Asker;
use crate::ratelimit::{Fields, Outcome, Receipt};

/// What links were charged that are made at once. Dropped, they stay charged.
#[derive(Debug, Default)]
pub struct LinksCharged {
    fields: Option<Fields>,
    receipt: Option<Receipt>,
}

/// Charges for links that are made at once.
///
/// # Errors
/// When it is refused, or could never pass.
pub async fn charge_links(
    app: &App,
    address: ClientAddress,
    principal: &Principal,
    links: usize,
) -> Result<LinksCharged, Response> {
    let asker = Asker { address: address.0, principal: Some(principal) };
    let links = u32::try_from(links).unwrap_or(u32::MAX);
    match app.limits.bulk(&asker, links).await {
        Ok(None) => Ok(LinksCharged::default()),
        Ok(Some(mut verdict)) if verdict.decision.is_allowed() => {
            let fields = Some(Fields::of(&verdict.charges, &verdict.decision));
            Ok(LinksCharged { fields, receipt: verdict.decision.take_receipt() })
        }
        Ok(Some(verdict)) => Err(verdict_refused(&verdict)),
        Err(error) => Err(uncharged(&error).into_response()),
    }
}

impl LinksCharged {
    /// Gives back what is due after such an end, and leaves with the answer what is to be said of limits.
    pub fn ended(self, app: &App, outcome: Outcome, answer: &mut Response) {
        if let Some(receipt) = self.receipt {
            app.limits.limiter().refund_soon(receipt, outcome);
        }
        if let Some(fields) = self.fields {
            answer.extensions_mut().insert(fields);
        }
    }
}
