//! What goes over the wire, as far as this program and the double need it. A choice between several
//! fields is written as fields that may be missing: on the wire it is the same.

use std::collections::HashMap;

use bytes::Bytes;
use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub(super) struct StreamName {
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) bytes: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Id {
    #[prost(message, optional, tag = "1")]
    pub(super) halves: Option<Halves>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Halves {
    #[prost(int64, tag = "1")]
    pub(super) first: i64,
    #[prost(int64, tag = "2")]
    pub(super) second: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Place {
    #[prost(uint64, tag = "1")]
    pub(super) commit: u64,
    #[prost(uint64, tag = "2")]
    pub(super) prepare: u64,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Nothing {}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AppendRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) options: Option<AppendOptions>,
    #[prost(message, optional, tag = "2")]
    pub(super) event: Option<ProposedEvent>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AppendOptions {
    #[prost(message, optional, tag = "1")]
    pub(super) stream: Option<StreamName>,
    #[prost(uint64, optional, tag = "2")]
    pub(super) revision: Option<u64>,
    #[prost(message, optional, tag = "3")]
    pub(super) no_stream: Option<Nothing>,
    #[prost(message, optional, tag = "4")]
    pub(super) any: Option<Nothing>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ProposedEvent {
    #[prost(message, optional, tag = "1")]
    pub(super) id: Option<Id>,
    #[prost(map = "string, string", tag = "2")]
    pub(super) metadata: HashMap<String, String>,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) custom_metadata: Bytes,
    #[prost(bytes = "bytes", tag = "4")]
    pub(super) data: Bytes,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct AppendResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) success: Option<AppendSuccess>,
    #[prost(message, optional, tag = "2")]
    pub(super) wrong: Option<WrongVersion>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct AppendSuccess {
    #[prost(uint64, optional, tag = "1")]
    pub(super) revision: Option<u64>,
    #[prost(message, optional, tag = "3")]
    pub(super) position: Option<Place>,
    #[prost(message, optional, tag = "4")]
    pub(super) no_position: Option<Nothing>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct WrongVersion {
    #[prost(uint64, optional, tag = "6")]
    pub(super) revision: Option<u64>,
    #[prost(message, optional, tag = "7")]
    pub(super) no_stream: Option<Nothing>,
    #[prost(uint64, optional, tag = "8")]
    pub(super) expected: Option<u64>,
    #[prost(message, optional, tag = "9")]
    pub(super) expected_any: Option<Nothing>,
    #[prost(message, optional, tag = "11")]
    pub(super) expected_no_stream: Option<Nothing>,
}

/// Its request is that of an append without events.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct DeleteResponse {
    #[prost(message, optional, tag = "2")]
    pub(super) no_position: Option<Nothing>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ReadRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) options: Option<ReadOptions>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ReadOptions {
    #[prost(message, optional, tag = "1")]
    pub(super) stream: Option<ReadStream>,
    #[prost(message, optional, tag = "2")]
    pub(super) all: Option<ReadAll>,
    /// 1: from the end to the beginning.
    #[prost(int32, tag = "3")]
    pub(super) backwards: i32,
    #[prost(uint64, optional, tag = "5")]
    pub(super) count: Option<u64>,
    #[prost(message, optional, tag = "6")]
    pub(super) subscription: Option<Nothing>,
    #[prost(message, optional, tag = "7")]
    pub(super) filter: Option<Filter>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ReadStream {
    #[prost(message, optional, tag = "1")]
    pub(super) stream: Option<StreamName>,
    #[prost(uint64, optional, tag = "2")]
    pub(super) revision: Option<u64>,
    #[prost(message, optional, tag = "4")]
    pub(super) end: Option<Nothing>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct ReadAll {
    #[prost(message, optional, tag = "1")]
    pub(super) place: Option<Place>,
    #[prost(message, optional, tag = "3")]
    pub(super) end: Option<Nothing>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Filter {
    #[prost(message, optional, tag = "1")]
    pub(super) streams: Option<Expression>,
    #[prost(uint32, optional, tag = "3")]
    pub(super) window: Option<u32>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Expression {
    #[prost(string, repeated, tag = "2")]
    pub(super) prefixes: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ReadResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) event: Option<ReadEvent>,
    #[prost(message, optional, tag = "2")]
    pub(super) confirmation: Option<Confirmation>,
    #[prost(message, optional, tag = "3")]
    pub(super) checkpoint: Option<Place>,
    #[prost(message, optional, tag = "4")]
    pub(super) no_stream: Option<NoStream>,
    #[prost(message, optional, tag = "8")]
    pub(super) caught_up: Option<Nothing>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Confirmation {
    #[prost(string, tag = "1")]
    pub(super) id: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct NoStream {
    #[prost(message, optional, tag = "1")]
    pub(super) stream: Option<StreamName>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ReadEvent {
    #[prost(message, optional, tag = "1")]
    pub(super) event: Option<StoredEvent>,
    #[prost(uint64, optional, tag = "3")]
    pub(super) commit: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct StoredEvent {
    #[prost(message, optional, tag = "1")]
    pub(super) id: Option<Id>,
    #[prost(message, optional, tag = "2")]
    pub(super) stream: Option<StreamName>,
    #[prost(uint64, tag = "3")]
    pub(super) revision: u64,
    #[prost(uint64, tag = "4")]
    pub(super) prepare: u64,
    #[prost(uint64, tag = "5")]
    pub(super) commit: u64,
    #[prost(map = "string, string", tag = "6")]
    pub(super) metadata: HashMap<String, String>,
    #[prost(bytes = "bytes", tag = "7")]
    pub(super) custom_metadata: Bytes,
    #[prost(bytes = "bytes", tag = "8")]
    pub(super) data: Bytes,
}
