//! The edge: routes, extractors, answers. Handlers parse, call one command or query, and answer.

pub mod body;
pub mod fields;
pub mod headers;
pub mod problem;
pub mod qr;
pub mod server;
