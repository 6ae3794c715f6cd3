//! How the errors of commands, queries and the recorder are answered.

use axum::http::StatusCode;
use hoplog_events::log::ReadError;
use hoplog_projections::DatabaseError;
use hoplog_projections::cursor::QueryError;

use super::problem::{FieldError, Problem};
use crate::accounts::KeyError;
use crate::app::erasure::ErasureError;
use crate::clicks::import::ImportError;
use crate::clicks::recorder::RecordError;
use crate::commands::EraseError;
use crate::commands::grant_clicks::GrantError;
use crate::domain::link::{DestinationField, LinkError};
use crate::domain::webhook::WebhookError;
use crate::execute::ExecuteError;
use crate::queries::QueryFailure;
use crate::queries::resolve_link::ResolveError;
use crate::webhooks::TestError;
use crate::webhooks::manage::ManageError;

/// When to try again after something was away, in seconds.
const RETRY_AFTER_S: u32 = 1;

impl Problem {
    /// There is no such link, or it is somebody else's.
    #[must_use]
    pub fn link_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "link_not_found", "there is no such link")
    }

    /// The link was deleted.
    #[must_use]
    pub fn link_deleted() -> Self {
        Self::new(StatusCode::GONE, "link_deleted", "the link was deleted")
    }

    /// All clicks that the link was good for were given.
    #[must_use]
    pub fn link_spent() -> Self {
        let detail = "the link was good for so many clicks, and all were given";
        Self::new(StatusCode::GONE, "link_spent", detail)
    }

    /// A position that another log gave.
    #[must_use]
    pub fn another_log() -> Self {
        let detail = "the position is of another log; start again from earliest";
        Self::new(StatusCode::CONFLICT, "another_log", detail)
    }

    fn log_away(error: &impl std::fmt::Display) -> Self {
        tracing::error!(%error, "the log is away");
        let detail = "the log is away; nothing was acknowledged";
        Self::unavailable("log_unavailable", detail, RETRY_AFTER_S)
    }

    fn erasure_unfinished(error: &impl std::fmt::Display) -> Self {
        tracing::error!(%error, "an erasure is not finished");
        let detail = "not everything is erased yet; ask again to finish it";
        Self::unavailable("erasure_unfinished", detail, RETRY_AFTER_S)
    }

    fn of_field(pointer: &str, code: &'static str, detail: String) -> Self {
        Self::validation(vec![FieldError { pointer: pointer.to_owned(), code, detail }])
    }
}

/// Where a request has a destination.
fn pointer(field: DestinationField) -> String {
    match field {
        DestinationField::Url => "/url".to_owned(),
        DestinationField::ExpiredUrl => "/expiredUrl".to_owned(),
        DestinationField::Rule(place) => format!("/rules/{place}/url"),
        DestinationField::Variant(place) => format!("/split/{place}/url"),
        DestinationField::PreviewImage => "/preview/image".to_owned(),
    }
}

impl From<LinkError> for Problem {
    fn from(error: LinkError) -> Self {
        let detail = error.to_string();
        match error {
            LinkError::CodeTaken(_) => Self::new(StatusCode::CONFLICT, "code_taken", detail),
            LinkError::NotFound => Self::link_not_found(),
            LinkError::Deleted => Self::link_deleted(),
            LinkError::VersionMismatch { .. } => {
                Self::new(StatusCode::PRECONDITION_FAILED, "version_mismatch", detail)
            }
            LinkError::ExpiryPassed => Self::of_field("/expiresAt", "expiry_passed", detail),
            LinkError::ExpiryTooFar => Self::of_field("/expiresAt", "expiry_too_far", detail),
            LinkError::Loop(field) => Self::of_field(&pointer(field), "loop", detail),
            LinkError::Blocked { field, .. } => {
                Self::of_field(&pointer(field), "destination_blocked", detail)
            }
            LinkError::NotQuarantined => Self::new(StatusCode::CONFLICT, "not_quarantined", detail),
            LinkError::ValidFromTooFar => {
                Self::of_field("/validFrom", "valid_from_too_far", detail)
            }
            LinkError::ValidFromBehindEnd => {
                Self::of_field("/validFrom", "valid_from_behind_end", detail)
            }
            LinkError::UtmTooLong => Self::of_field("/utm", "too_long", detail),
            LinkError::ClicksSpent { .. } => Self::link_spent(),
            LinkError::ExternalIdTaken(_) => {
                Self::new(StatusCode::CONFLICT, "external_id_taken", detail)
            }
        }
    }
}

impl From<ExecuteError> for Problem {
    fn from(error: ExecuteError) -> Self {
        match error {
            ExecuteError::Refused(refused) => refused.into(),
            ExecuteError::IdempotencyKeyReused => {
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                Self::new(status, "idempotency_key_reused", error.to_string())
            }
            ExecuteError::Contended => {
                Self::unavailable("contended", error.to_string(), RETRY_AFTER_S)
            }
            ExecuteError::Unavailable(_) => Self::log_away(&error),
            ExecuteError::Unreadable(error) => {
                tracing::error!(%error, "an event can't be read");
                Self::internal()
            }
        }
    }
}

impl From<EraseError> for Problem {
    fn from(error: EraseError) -> Self {
        match error {
            EraseError::Unsupported => {
                Self::new(StatusCode::NOT_IMPLEMENTED, "log_cannot_rewrite", error.to_string())
            }
            EraseError::Unavailable(_) | EraseError::Changed => Self::erasure_unfinished(&error),
            // Asking again is of no use.
            EraseError::Moved => {
                Self::new(StatusCode::CONFLICT, "rebuild_needed", error.to_string())
            }
            EraseError::Unreadable(error) => ExecuteError::Unreadable(error).into(),
            EraseError::Execute(error) => error.into(),
        }
    }
}

impl From<ErasureError> for Problem {
    fn from(error: ErasureError) -> Self {
        match error {
            ErasureError::Log(error) => error.into(),
            ErasureError::Query(QueryFailure::Behind) => {
                let detail = "the read models have not erased it yet; ask again to finish it";
                Self::unavailable("behind", detail, RETRY_AFTER_S)
            }
            ErasureError::Query(error) => error.into(),
            ErasureError::Parked(_) => {
                Self::new(StatusCode::CONFLICT, "events_parked", error.to_string())
            }
            ErasureError::Building(_) => {
                Self::unavailable("build_under_way", error.to_string(), RETRY_AFTER_S)
            }
            ErasureError::Database(_) | ErasureError::Kept(_) | ErasureError::Operation(_) => {
                Self::erasure_unfinished(&error)
            }
        }
    }
}

impl From<ResolveError> for Problem {
    fn from(error: ResolveError) -> Self {
        tracing::error!(%error, "a link can't be looked up");
        let detail = "links can't be looked up right now";
        Self::unavailable("lookup_unavailable", detail, RETRY_AFTER_S)
    }
}

impl From<RecordError> for Problem {
    fn from(error: RecordError) -> Self {
        Self::unavailable("clicks_unavailable", error.to_string(), RETRY_AFTER_S)
    }
}

impl From<GrantError> for Problem {
    fn from(error: GrantError) -> Self {
        match error {
            GrantError::Refused(refused) => refused.into(),
            GrantError::Busy => Self::unavailable("budget_busy", error.to_string(), RETRY_AFTER_S),
            GrantError::Away => {
                Self::unavailable("budget_unavailable", error.to_string(), RETRY_AFTER_S)
            }
        }
    }
}

impl From<ImportError> for Problem {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Contended => {
                Self::unavailable("contended", error.to_string(), RETRY_AFTER_S)
            }
            ImportError::Unavailable(_) => Self::log_away(&error),
            ImportError::Unreadable(error) => {
                tracing::error!(%error, "an event can't be read");
                Self::internal()
            }
        }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable(_) => Self::log_away(&error),
            ReadError::Rewound { .. } => {
                Self::new(StatusCode::CONFLICT, "log_rewound", error.to_string())
            }
            ReadError::Trimmed { .. } => {
                let detail = format!("{error}; after=earliest begins with what is there");
                Self::new(StatusCode::GONE, "events_gone", detail)
            }
        }
    }
}

impl From<DatabaseError> for Problem {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::TooLong => {
                let detail = "the answer takes too long; ask for a shorter range, or for one link";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "answer_too_long", detail)
            }
            DatabaseError::Busy => {
                Self::unavailable("too_many_long_answers", error.to_string(), RETRY_AFTER_S)
            }
            DatabaseError::Unavailable(_) | DatabaseError::Broken(_) | DatabaseError::Row(_) => {
                tracing::error!(%error, "the read models are away");
                let detail = "the read models are away; redirects and commands work on";
                Self::unavailable("read_models_unavailable", detail, RETRY_AFTER_S)
            }
        }
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        let (pointer, code) = match error {
            QueryError::Cursor => ("?cursor", "invalid_cursor"),
            QueryError::TooManyPoints { .. } => ("?interval", "too_many_points"),
            QueryError::EmptyRange => ("?to", "empty_range"),
            QueryError::Database(error) => return error.into(),
        };
        let (pointer, detail) = (pointer.to_owned(), error.to_string());
        Self::parameters(vec![FieldError { pointer, code, detail }])
    }
}

impl From<QueryFailure> for Problem {
    fn from(error: QueryFailure) -> Self {
        match error {
            QueryFailure::Log(error) => error.into(),
            QueryFailure::Database(error) => error.into(),
            QueryFailure::Deleted => Self::link_deleted(),
            QueryFailure::NotFound => Self::link_not_found(),
            QueryFailure::AnotherLog => Self::another_log(),
            QueryFailure::Behind => {
                let detail = "the read model has not reached the position yet";
                Self::unavailable("behind", detail, RETRY_AFTER_S)
            }
        }
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        let detail = error.to_string();
        match error {
            KeyError::ExpiryPassed => Self::of_field("/expiresAt", "expiry_passed", detail),
            KeyError::AlreadyCreated => Self::new(StatusCode::CONFLICT, "already_created", detail),
            KeyError::NotFound => Self::new(StatusCode::NOT_FOUND, "key_not_found", detail),
            KeyError::Unavailable(_) => Self::log_away(&error),
        }
    }
}

impl From<WebhookError> for Problem {
    fn from(error: WebhookError) -> Self {
        let detail = error.to_string();
        match error {
            WebhookError::NotFound => Self::new(StatusCode::NOT_FOUND, "webhook_not_found", detail),
            WebhookError::PlainHttp => Self::of_field("/url", "insecure", detail),
            WebhookError::Types => Self::of_field("/types", "invalid", detail),
        }
    }
}

impl From<ManageError> for Problem {
    fn from(error: ManageError) -> Self {
        match error {
            ManageError::Refused(refused) => refused.into(),
            ManageError::IdempotencyKeyReused => ExecuteError::IdempotencyKeyReused.into(),
            ManageError::Contended => {
                Self::unavailable("contended", error.to_string(), RETRY_AFTER_S)
            }
            ManageError::Unavailable(_) => Self::log_away(&error),
            ManageError::Unreadable(error) => ExecuteError::Unreadable(error).into(),
        }
    }
}

impl From<TestError> for Problem {
    fn from(error: TestError) -> Self {
        match error {
            TestError::Busy => {
                Self::unavailable("too_many_tests", error.to_string(), RETRY_AFTER_S)
            }
            TestError::Database(error) => error.into(),
        }
    }
}
