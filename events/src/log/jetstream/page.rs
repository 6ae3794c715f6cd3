//! One request for messages, and whether all of its answer has come.

use async_nats::{HeaderMap, Message, Subscriber};
use bytes::Bytes;
use futures::StreamExt;
use futures::future::select_all;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::read::{NOT_FOUND, Reader, away, number, status};
use crate::envelope::RecordedEvent;
use crate::log::{ReadError, ReadLimit};
use crate::position::{Sequence, Topic};

/// The most messages and bytes one request may bring: a server drops a client that it has to
/// keep more than 64 MiB for.
const PAGE_MAX: ReadLimit = ReadLimit { events_max: 8_192, bytes_max: 16 * 1024 * 1024 };

/// How often a request is sent before it counts as one without an answer.
const ASKED_MAX: u32 = 8;

/// The status behind the last message of a batch.
const END_OF_BATCH: u16 = 204;

/// Messages as a server gave them, and how many there are beyond.
pub(super) struct Page<T = RecordedEvent> {
    pub(super) events: Vec<T>,
    pub(super) pending: u64,
}

/// What of an answer has come. With every message, and with the end, a server names the message
/// it sent before (0: none). Those of a batch are otherwise not connected: when the connection
/// breaks, the rest is sent to the next one, and looks like a whole answer.
#[derive(Debug, Default)]
struct Chain {
    last: u64,
}

impl Chain {
    /// The next message, or the end.
    fn follow(&mut self, headers: Option<&HeaderMap>) -> Result<(), ReadError> {
        let before = number(headers, "Nats-Last-Sequence");
        if before != Some(self.last) {
            return Err(away("the connection broke in the middle of an answer"));
        }
        self.last = number(headers, "Nats-Sequence").unwrap_or(self.last);
        Ok(())
    }

    /// An answer that says there is nothing is the only one.
    fn is_empty(&self) -> bool {
        self.last == 0
    }
}

impl Reader {
    /// One request: messages of a subject after a sequence, within bounds.
    pub(super) async fn page(
        &self,
        topic: Topic,
        after: Sequence,
        subject: &str,
        limit: ReadLimit,
    ) -> Result<Page, ReadError> {
        let wanted = json!({
            "seq": after.0 + 1,
            "batch": limit.events_max.clamp(1, PAGE_MAX.events_max),
            "max_bytes": limit.bytes_max.clamp(1, PAGE_MAX.bytes_max),
            "next_by_subj": subject,
        });
        let name = self.subjects.stream_name(topic);
        self.messages(&name, &wanted, limit.bytes_max, |message| self.event(topic, message)).await
    }

    /// One request for messages of a stream on the servers.
    pub(super) async fn messages<T>(
        &self,
        name: &str,
        wanted: &Value,
        bytes_max: usize,
        read: impl Fn(&Message) -> Result<T, ReadError>,
    ) -> Result<Page<T>, ReadError> {
        let request = format!("$JS.API.DIRECT.GET.{name}");
        let asking = self.answered(&request, wanted.to_string().into());
        let (first, mut answers) = self.api.in_time(asking).await??;
        let mut first = Some(first);
        let mut page = Page { events: Vec::new(), pending: 0 };
        let (mut chain, mut bytes) = (Chain::default(), 0);
        loop {
            let answer = match first.take() {
                Some(first) => first,
                None => self.api.in_time(answers.next()).await?.ok_or_else(|| away("closed"))?,
            };
            match status(&answer) {
                None => {
                    chain.follow(answer.headers.as_ref())?;
                    page.pending = number(answer.headers.as_ref(), "Nats-Num-Pending").unwrap_or(0);
                    bytes += answer.payload.len();
                    // The servers count headers as well, and may give one message too many.
                    if bytes <= bytes_max || page.events.is_empty() {
                        page.events.push(read(&answer)?);
                    } else {
                        page.pending += 1;
                        return Ok(page);
                    }
                }
                Some(END_OF_BATCH) => {
                    return chain.follow(answer.headers.as_ref()).map(|()| page);
                }
                Some(NOT_FOUND) if chain.is_empty() => return Ok(page),
                Some(status) => return Err(away(&format!("status {status}"))),
            }
        }
    }

    /// Asks until an answer begins: its first message and where the rest comes. Any server that
    /// has a replica may be asked, also one that stands still and was not yet given up by the
    /// others.
    async fn answered(
        &self,
        request: &str,
        wanted: Bytes,
    ) -> Result<(Message, Subscriber), ReadError> {
        let pause = self.api.timeout / ASKED_MAX;
        let mut asked = Vec::new();
        loop {
            asked.push(self.ask(request, wanted.clone()).await?);
            let first = select_all(asked.iter_mut().map(|answers| answers.next()));
            if let Ok((first, which, _)) = timeout(pause, first).await {
                let first = first.ok_or_else(|| away("closed"))?;
                return Ok((first, asked.swap_remove(which)));
            }
        }
    }

    /// Sends the request, with a place of its own for the answer.
    async fn ask(&self, request: &str, wanted: Bytes) -> Result<Subscriber, ReadError> {
        self.api.connected().await?;
        let client = &self.api.client;
        let inbox = client.new_inbox();
        let answers = client.subscribe(inbox.clone()).await;
        let answers = answers.map_err(|error| away(&error.to_string()))?;
        let published = client.publish_with_reply(request.to_owned(), inbox, wanted).await;
        published.map_err(|error| away(&error.to_string()))?;
        Ok(answers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message (or the end, without a place of its own) behind another one.
    fn behind(before: u64, sequence: Option<u64>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Last-Sequence", before.to_string());
        if let Some(sequence) = sequence {
            headers.insert("Nats-Sequence", sequence.to_string());
        }
        headers
    }

    fn follow(answer: &[HeaderMap]) -> Result<(), ReadError> {
        let mut chain = Chain::default();
        answer.iter().try_for_each(|headers| chain.follow(Some(headers)))
    }

    /// Of one subject, so that sequences are missing that belong to others.
    #[test]
    fn an_answer_without_any_one_of_its_messages_is_not_whole() {
        let answer = [
            behind(0, Some(3)),
            behind(3, Some(4)),
            behind(4, Some(9)),
            behind(9, Some(11)),
            behind(11, None),
        ];
        assert_eq!(follow(&answer), Ok(()));
        for missing in 0..answer.len() - 1 {
            let rest = [&answer[..missing], &answer[missing + 1..]].concat();
            let Err(ReadError::Unavailable(_)) = follow(&rest) else { panic!("without {missing}") };
        }
        assert!(follow(&answer[4..]).is_err(), "only the end");
        assert_eq!(follow(&[behind(0, None)]), Ok(()), "nothing there");
        assert!(Chain::default().follow(None).is_err(), "no server does that");
    }
}
