//! The rules, pure: what a link may become (`decide`) and what it is (`evolve`). No clock, no
//! randomness, no I/O: time, codes and whatever else a rule needs are in the command.

pub mod alias;
pub mod base62;
pub mod blocklist;
pub mod choice;
pub mod countries;
pub mod domains;
pub mod expiry;
pub mod forward;
pub mod link;
pub mod password;
pub mod proportions;
pub mod rules;
pub mod split;
pub mod utm;
pub mod warnings;
pub mod webhook;
