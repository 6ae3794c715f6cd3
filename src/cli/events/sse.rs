//! Reads server-sent events (WHATWG HTML, section 9.2) as far as hoplog writes them.

use crate::cli::error::CliError;

/// The longest line that is read; an append carries a megabyte at most, and JSON escapes grow it.
const LINE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// One event of the stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    /// Where it is; what a later connection resumes after.
    pub(super) id: Option<String>,
    /// What it says; empty where it says nothing but the place.
    pub(super) data: String,
}

/// Puts messages together from bytes that arrive in any pieces.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    line: Vec<u8>,
    message: Message,
}

impl Decoder {
    /// Takes the next bytes and gives the messages they complete.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Message>, CliError> {
        let mut messages = Vec::new();
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.line.extend_from_slice(piece);
            if self.line.len() > LINE_BYTES_MAX {
                return Err(CliError::Answer("a line of the live stream is too long".to_owned()));
            }
            if self.line.last() == Some(&b'\n') {
                let line = std::mem::take(&mut self.line);
                messages.extend(self.take_line(String::from_utf8_lossy(&line).trim_end()));
            }
        }
        Ok(messages)
    }

    /// An empty line ends a message; one that says nothing is none (comments, heartbeats).
    fn take_line(&mut self, line: &str) -> Option<Message> {
        if line.is_empty() {
            let message = std::mem::take(&mut self.message);
            return Some(message).filter(|said| !said.data.is_empty() || said.id.is_some());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.message.id = Some(value.to_owned()),
            "data" if self.message.data.is_empty() => value.clone_into(&mut self.message.data),
            "data" => self.message.data.extend(["\n", value]),
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STREAM: &[u8] =
        b": heartbeat\n\nid: p0\n\nid: p1\nevent: t\ndata: {\"a\":\"\xc3\xbc\"}\n\n\nid: p2\r\ndata: {}\r\n\r\ndata: {\"half";

    fn expected() -> Vec<Message> {
        vec![
            Message { id: Some("p0".to_owned()), data: String::new() },
            Message { id: Some("p1".to_owned()), data: "{\"a\":\"ü\"}".to_owned() },
            Message { id: Some("p2".to_owned()), data: "{}".to_owned() },
        ]
    }

    proptest! {
        #[test]
        fn messages_are_the_same_however_the_bytes_arrive(
            cuts in prop::collection::vec(0..STREAM.len(), 0..20),
        ) {
            let mut cuts = cuts;
            cuts.extend([0, STREAM.len()]);
            cuts.sort_unstable();
            let mut decoder = Decoder::default();
            let mut messages = Vec::new();
            for pair in cuts.windows(2) {
                messages.extend(decoder.push(&STREAM[pair[0]..pair[1]]).unwrap());
            }
            prop_assert_eq!(messages, expected());
        }
    }

    #[test]
    fn a_line_without_end_is_given_up() {
        let mut decoder = Decoder::default();
        let error = decoder.push(&vec![b'x'; LINE_BYTES_MAX + 1]).unwrap_err();
        assert!(matches!(error, CliError::Answer(_)), "{error}");
    }
}
