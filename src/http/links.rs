//! `/api/v1/links`: links as their owners see them.

pub mod answer;
pub mod bulk;
pub mod change;
pub mod create;
mod extras;
pub mod history;
mod password;
pub mod place;
mod preview;
pub mod quarantine;
pub mod read;
pub mod request;
pub mod reuse;
mod rules;
mod split;
