//! What a reader asks for: the topic, the place to start from, and which events.

use std::sync::Arc;

use axum::http::StatusCode;
use hoplog_events::log::{EventLog, ReadError, ReadLimit};
use hoplog_events::position::{LogId, Position, Sequence, Topic};

use super::filter::Filter;
use crate::http::fields::Parameters;
use crate::http::links::place::Places;
use crate::http::problem::Problem;

/// Events on a page when the request does not say.
const PAGE_EVENTS: usize = 100;

/// Events on a page at most.
const PAGE_EVENTS_MAX: usize = 1_000;

/// Which events a reader wants.
pub(super) struct Selection {
    pub(super) topic: Topic,
    pub(super) filter: Filter,
    pub(super) start: Start,
    /// Whether the address alone says where the answer starts.
    pub(super) is_in_address: bool,
    pub(super) page_events_max: usize,
}

/// Where a reader wants to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// With whatever there is.
    Earliest,
    /// With what is to come.
    Latest,
    /// Behind what it has seen: it is told if it would miss something.
    After(Sequence),
}

/// Where an answer starts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begun {
    pub(super) after: Position,
    /// Whether there never was an event before.
    pub(super) has_all: bool,
}

impl Begun {
    /// For the header that says so: a word where nothing is missing, because a token tells a
    /// reader nothing.
    pub(super) fn told(self) -> String {
        if self.has_all { "earliest".to_owned() } else { self.after.to_string() }
    }
}

impl Selection {
    /// Reads a query. What the header says was seen last goes before `after`: a reader that
    /// comes back asks for the address it asked for first.
    pub(super) fn take(
        log: LogId,
        query: Option<&str>,
        seen: Option<String>,
        places: &Places,
    ) -> Result<Self, Problem> {
        let mut query = Parameters::new(query);
        let topic = query.optional("topic").unwrap_or(Topic::Links);
        let filter = Filter::take(&mut query, topic, places);
        let page_events_max = query.limit(PAGE_EVENTS, PAGE_EVENTS_MAX);
        let after = query.raw("after");
        let is_in_address = seen.is_none();
        let start = place(seen.or(after).as_deref());
        if start.is_none() {
            query.wrong("after", "invalid", "must be a position token, earliest or latest");
        }
        query.finish()?;
        let start = match start.unwrap_or(Place::Word(Start::Earliest)) {
            Place::Word(start) => start,
            Place::Token(position) => Start::After(sequence(position, log, topic)?),
        };
        Ok(Self { topic, filter, start, is_in_address, page_events_max })
    }

    /// Finds the place to start from. Who begins at the beginning gets what there is. Who has
    /// seen something, and would miss what comes next because it is no longer kept, is told.
    pub(super) async fn begin(&self, log: &Arc<dyn EventLog>) -> Result<Begun, Problem> {
        let one = ReadLimit { events_max: 1, bytes_max: 1 };
        let after = match self.start {
            Start::Latest => log.head(self.topic).await?.sequence,
            Start::Earliest => match log.read_all(self.topic, Sequence::START, one).await {
                Err(ReadError::Trimmed { to, .. }) => to,
                answer => answer.map(|_| Sequence::START)?,
            },
            Start::After(seen) => log.read_all(self.topic, seen, one).await.map(|_| seen)?,
        };
        let has_all = after == Sequence::START;
        Ok(Begun { after: Position { log: log.id(), topic: self.topic, sequence: after }, has_all })
    }
}

enum Place {
    Word(Start),
    Token(Position),
}

fn place(text: Option<&str>) -> Option<Place> {
    match text {
        None | Some("earliest") => Some(Place::Word(Start::Earliest)),
        Some("latest") => Some(Place::Word(Start::Latest)),
        Some(token) => token.parse().ok().map(Place::Token),
    }
}

/// A position is good for the log and the topic that gave it.
fn sequence(position: Position, log: LogId, topic: Topic) -> Result<Sequence, Problem> {
    if position.log != log {
        return Err(Problem::another_log());
    }
    if position.topic != topic {
        let detail = format!("the position is of the topic {}, not of {topic}", position.topic);
        return Err(Problem::new(StatusCode::BAD_REQUEST, "invalid_position", detail));
    }
    Ok(position.sequence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const LOG: LogId = LogId(Uuid::from_u128(7));

    fn start(query: &str, seen: Option<&str>) -> Result<Start, String> {
        let selection = {
            let places = Places::new("own.example", std::sync::Arc::default());
            Selection::take(LOG, Some(query), seen.map(str::to_owned), &places)
        };
        selection.map(|selection| selection.start).map_err(|problem| problem.code().to_owned())
    }

    fn token(log: LogId, topic: Topic, sequence: u64) -> String {
        Position { log, topic, sequence: Sequence(sequence) }.to_string()
    }

    #[test]
    fn what_was_seen_last_goes_before_where_the_reader_first_began() {
        let [first, last] = [3, 9].map(|sequence| token(LOG, Topic::Links, sequence));
        assert_eq!(start("", None), Ok(Start::Earliest));
        assert_eq!(start("after=latest", None), Ok(Start::Latest));
        assert_eq!(start(&format!("after={first}"), None), Ok(Start::After(Sequence(3))));
        for query in [format!("after={first}"), "after=latest".to_owned(), String::new()] {
            assert_eq!(start(&query, Some(&last)), Ok(Start::After(Sequence(9))), "{query}");
        }
    }

    #[test]
    fn a_place_of_another_log_or_topic_is_none_of_this() {
        let foreign = token(LogId(Uuid::from_u128(8)), Topic::Links, 1);
        assert_eq!(start(&format!("after={foreign}"), None), Err("another_log".to_owned()));
        let clicks = token(LOG, Topic::Clicks, 1);
        assert_eq!(start(&format!("after={clicks}"), None), Err("invalid_position".to_owned()));
        assert_eq!(
            start(&format!("topic=clicks&after={clicks}"), None).unwrap(),
            Start::After(Sequence(1))
        );
        assert_eq!(start("", Some("17")), Err("invalid_parameter".to_owned()));
    }
}
