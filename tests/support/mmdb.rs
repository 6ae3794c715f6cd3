//! Writes databases in `MaxMind` format (version 2.0 of its specification): a search tree over the
//! bits of addresses, the data that its leaves point to, and what describes both.

use std::net::Ipv6Addr;
use std::path::Path;

use serde_json::{Value, json};

/// Between the tree and the data.
const SEPARATOR: [u8; 16] = [0; 16];

/// Before the description.
const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";

/// The types of the format that are needed here.
const TEXT: u8 = 2;
const UINT16: u8 = 5;
const UINT32: u8 = 6;
const MAP: u8 = 7;
/// From here on the number follows the control byte, less 7.
const UINT64: u8 = 9;
const ARRAY: u8 = 11;

/// Where a bit of an address leads.
#[derive(Clone, Copy)]
enum Record {
    Nothing,
    Node(usize),
    /// How far into the data.
    Data(usize),
}

/// A database of networks and what is known of them.
pub struct Mmdb {
    nodes: Vec<[Record; 2]>,
    data: Vec<u8>,
}

impl Mmdb {
    pub fn new() -> Self {
        Self { nodes: vec![[Record::Nothing; 2]], data: Vec::new() }
    }

    /// Adds an IPv6 network, such as `2001:db8::/32`; IPv4 networks stand at `::/96`, such as
    /// `::192.0.2.0/120`.
    pub fn with(mut self, network: &str, record: &Value) -> Self {
        let (address, length) = network.split_once('/').expect("a network");
        let bits = u128::from(address.parse::<Ipv6Addr>().expect("an address"));
        let length: usize = length.parse().expect("a length");
        let bit = |place: usize| usize::from(bits >> (127 - place) & 1 == 1);
        let mut node = 0;
        for place in 0..length - 1 {
            node = self.child(node, bit(place));
        }
        self.nodes[node][bit(length - 1)] = Record::Data(self.data.len());
        encode(record, &mut self.data);
        self
    }

    /// The node behind a bit; made if it is not there.
    fn child(&mut self, node: usize, bit: usize) -> usize {
        if let Record::Node(child) = self.nodes[node][bit] {
            return child;
        }
        let child = self.nodes.len();
        self.nodes.push([Record::Nothing; 2]);
        self.nodes[node][bit] = Record::Node(child);
        child
    }

    /// Writes the database beside a path and puts it there at once, as the vendors' tools do.
    pub fn put(&self, path: &Path) {
        let beside = path.with_extension("beside");
        std::fs::write(&beside, self.bytes()).expect("the database can be written");
        std::fs::rename(&beside, path).expect("the database can be put there");
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for record in self.nodes.iter().flatten() {
            let number = match record {
                Record::Nothing => self.nodes.len(),
                Record::Node(node) => *node,
                Record::Data(offset) => self.nodes.len() + SEPARATOR.len() + offset,
            };
            let number = u32::try_from(number).expect("a small tree").to_be_bytes();
            bytes.extend_from_slice(&number[1..]);
        }
        bytes.extend_from_slice(&SEPARATOR);
        bytes.extend_from_slice(&self.data);
        bytes.extend_from_slice(MARKER);
        let description = json!({
            "node_count": self.nodes.len(), "record_size": 24, "ip_version": 6,
            "database_type": "Test-City", "languages": ["en"],
            "binary_format_major_version": 2, "binary_format_minor_version": 0,
            "build_epoch": 1_767_225_600, "description": { "en": "for tests" },
        });
        encode(&description, &mut bytes);
        bytes
    }
}

/// A value as the data section has it.
fn encode(value: &Value, bytes: &mut Vec<u8>) {
    match value {
        Value::String(text) => {
            control(TEXT, text.len(), bytes);
            bytes.extend_from_slice(text.as_bytes());
        }
        Value::Array(values) => {
            control(ARRAY, values.len(), bytes);
            for value in values {
                encode(value, bytes);
            }
        }
        Value::Object(fields) => {
            control(MAP, fields.len(), bytes);
            for (name, value) in fields {
                encode(&name.as_str().into(), bytes);
                match value.as_u64() {
                    Some(number) => encode_number(name, number, bytes),
                    None => encode(value, bytes),
                }
            }
        }
        other => panic!("{other} is nothing that is needed here"),
    }
}

/// A number; how wide it is depends on what it says.
fn encode_number(name: &str, number: u64, bytes: &mut Vec<u8>) {
    let (kind, size) = match name {
        "build_epoch" => (UINT64, 8),
        "node_count" => (UINT32, 4),
        _ => (UINT16, 2),
    };
    control(kind, size, bytes);
    bytes.extend_from_slice(&number.to_be_bytes()[8 - size..]);
}

/// The type and size before a value.
fn control(kind: u8, size: usize, bytes: &mut Vec<u8>) {
    let small = u8::try_from(size).ok().filter(|size| *size < 29).expect("a short value");
    if kind < 8 {
        bytes.push(kind << 5 | small);
    } else {
        bytes.extend_from_slice(&[small, kind - 7]);
    }
}
