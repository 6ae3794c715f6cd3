//! Reading a topic: the part of `$all` whose streams begin alike, chosen by the servers.
//!
//! The client library has this as a subscription only. So every read is one, from after a place
//! until it has caught up or enough; then it is dropped. What was on its way by then (2 MB at most,
//! the window of an HTTP/2 stream) is thrown away.

use ::eventstore::{
    Client, Position as Place, StreamPosition, SubscriptionEvent, SubscriptionFilter,
};

use super::connection::{Call, CallError};
use super::read::Reader;
use crate::envelope::RecordedEvent;
use crate::log::{ReadError, ReadLimit};
use crate::position::{Sequence, Topic};

/// After how many events of other topics the servers say how far they have looked.
const WINDOW_EVENTS: u32 = 500;

/// A read that is under way.
pub(super) struct Scan<'a> {
    reader: &'a Reader,
    call: Call<'a>,
    topic: Topic,
    subscription: ::eventstore::Subscription,
    /// Up to here everything of the topic has been given.
    pub(super) scanned: Place,
}

/// The next thing there is.
#[derive(Debug)]
pub(super) enum Step {
    /// An event of the topic.
    Event(RecordedEvent),
    /// Others were passed over.
    Passed,
    /// There is nothing more now.
    CaughtUp,
}

/// The place of an event of ours in `$all`: see [`Reader::found`].
pub(super) fn place(Sequence(at): Sequence) -> Place {
    Place { commit: at, prepare: at }
}

impl Scan<'_> {
    /// Waits for the next step; not for ever.
    pub(super) async fn next(&mut self) -> Result<Step, CallError> {
        loop {
            let subscription = &mut self.subscription;
            let next = self.call.soon(async |_| subscription.next_subscription_event().await);
            let next = next.await?;
            if let Some(step) = self.step(next)? {
                return Ok(step);
            }
        }
    }

    /// Waits for the next step as long as it takes.
    pub(super) async fn wait(&mut self) -> Result<Step, CallError> {
        loop {
            let next = self.subscription.next_subscription_event();
            let next = self.call.some_day(next).await?;
            if let Some(step) = self.step(next)? {
                return Ok(step);
            }
        }
    }

    fn step(&mut self, next: SubscriptionEvent) -> Result<Option<Step>, CallError> {
        match next {
            SubscriptionEvent::EventAppeared(event) => {
                let event = self.reader.found(self.topic, event)?.event;
                self.scanned = place(event.position.sequence);
                Ok(Some(Step::Event(event)))
            }
            SubscriptionEvent::Checkpoint(place) => {
                self.scanned = self.scanned.max(place);
                Ok(Some(Step::Passed))
            }
            SubscriptionEvent::CaughtUp => Ok(Some(Step::CaughtUp)),
            _ => Ok(None),
        }
    }
}

impl Reader {
    /// Begins to read a topic after a place.
    pub(super) async fn scan(&self, topic: Topic, after: Place) -> Result<Scan<'_>, CallError> {
        let from = if after == Place::start() {
            StreamPosition::Start
        } else {
            StreamPosition::Position(after)
        };
        let filter = SubscriptionFilter::on_stream_name();
        let filter = filter.add_prefix(self.names.topic(topic)).max(WINDOW_EVENTS);
        let options = self.connection.subscribe_options().position(from).filter(filter);
        let call = self.connection.call()?;
        // Nothing is sent before the first step is asked for.
        let subscribe = async |client: &Client| Ok(client.subscribe_to_all(&options).await);
        let subscription = call.soon(subscribe).await?;
        Ok(Scan { reader: self, call, topic, subscription, scanned: after })
    }

    pub(super) async fn read_all(
        &self,
        topic: Topic,
        after: Sequence,
        limit: ReadLimit,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let page = self.page(topic, after, limit).await;
        // A place that this log does not have may be refused in words that say nothing.
        if matches!(&page, Ok(events) if events.is_empty())
            || matches!(page, Err(CallError::Refused(_)))
        {
            self.check(topic, after).await?;
        }
        Ok(page?)
    }

    async fn page(
        &self,
        topic: Topic,
        after: Sequence,
        limit: ReadLimit,
    ) -> Result<Vec<RecordedEvent>, CallError> {
        let mut page = Page::new(limit);
        let mut scan = self.scan(topic, place(after)).await?;
        while !page.is_full() {
            match scan.next().await? {
                Step::Event(event) => page.push(event),
                Step::Passed => {}
                Step::CaughtUp => {
                    self.heads.note(topic, place(after), scan.scanned, page.last());
                    break;
                }
            }
        }
        Ok(page.events)
    }
}

/// Events, as many as a reader has asked for.
#[derive(Debug)]
pub(super) struct Page {
    limit: ReadLimit,
    bytes: usize,
    full: bool,
    pub(super) events: Vec<RecordedEvent>,
}

impl Page {
    pub(super) fn new(limit: ReadLimit) -> Self {
        Self { limit, bytes: 0, full: false, events: Vec::new() }
    }

    pub(super) fn is_full(&self) -> bool {
        self.full || self.events.len() >= self.limit.events_max.max(1)
    }

    /// Takes an event, unless it would be too much.
    pub(super) fn push(&mut self, event: RecordedEvent) {
        self.bytes += event.body.len();
        if self.bytes > self.limit.bytes_max && !self.events.is_empty() {
            self.full = true;
        } else {
            self.events.push(event);
        }
    }

    fn last(&self) -> Option<Sequence> {
        self.events.last().map(|event| event.position.sequence)
    }
}
