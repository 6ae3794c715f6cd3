//! Floor 1: **the facts**. What happened to links, clicks, API keys, domains and webhooks, how each fact is written
//! down, and the log the facts are kept in. Uses no other crate of ours.
//!
//! Where to start reading:
//!
//! 1. [`link`], [`click`], [`orphan`], [`account`], [`domain`], [`webhook`]: the events themselves, one file per aggregate.
//! 2. [`catalogue`]: the name and version of every event type; [`envelope`]: how an event is written down (CloudEvents 1.0, JSON).
//! 3. [`upcast`]: how an event written years ago is read today.
//! 4. [`erasure`]: what is left of an event when the personal data in it is erased.
//! 5. [`log`]: the [`log::EventLog`] trait and its obligations; its backends are beside it.
//! 6. [`spool`]: where appends wait for a log that is away.
//! 7. [`agreement`]: what the nodes of one log agree on for some days.
//! 8. [`position`]: where an event is, and the opaque token that clients see.
//! 9. [`asyncapi`]: the events as a document for programs describes them.

pub mod account;
pub mod agreement;
pub mod asyncapi;
pub mod catalogue;
pub mod click;
pub mod domain;
pub mod envelope;
pub mod erasure;
pub mod hex;
pub mod link;
pub mod log;
pub mod orphan;
pub mod position;
pub mod selector;
pub mod spool;
pub mod upcast;
pub mod webhook;

#[cfg(test)]
mod documentation;
#[cfg(test)]
mod golden;
