//! Looks what pages call themselves whose links are there already: on one node, behind the log, a few at a time.
//!
//! ```text
//! log ──► links that are new, lead elsewhere, or lost their title ──► fetch (few at once) ──► an event, if it is still so
//!                                                                        └──► in their order: how far this is
//! ```
//!
//! What this has not come to when it ends is looked at by whoever has the turn next. A title that can't be had is not
//! missed: nothing is kept of it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, Stream, StreamExt};
use hoplog_events::envelope::RecordedEvent;
use hoplog_events::link::{Destination, LinkKey, Title};
use hoplog_events::log::{ReadError, ReadLimit, Subscription};
use hoplog_events::position::{Sequence, Topic};
use hoplog_projections::DatabaseError;
use hoplog_projections::follower::{Follower, TURN};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use crate::app::{AppState, StartError};
use crate::config::Role;
use crate::domain::link::{PageTitle, wants_title};
use crate::execute::{ExecuteError, load_link};
use crate::titles::{FetchError, Fetcher, TitleSettings};

/// The name of this follower.
const NAME: &str = "titles";

/// How many pages are asked at once.
const FETCHES_MAX: usize = 16;

/// How long to wait before a page is asked again that had no answer: so often, and no more.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];

/// How often the turn is said to go on; several may fail.
const BEAT: Duration = Duration::from_secs(1);

/// How often it is kept how far this is, at most.
const KEEP_EVERY: Duration = Duration::from_secs(1);

/// How much of the log is read at once.
const PAGE: ReadLimit = ReadLimit { events_max: 500, bytes_max: 1024 * 1024 };

/// The events behind which there may be a title to fetch.
const OCCASIONS: [&str; 3] =
    ["hoplog.link.created.", "hoplog.link.destination-changed.", "hoplog.link.titled."];

/// Why there is no going on; it is tried again from where this was.
#[derive(Debug, thiserror::Error)]
enum TitleError {
    #[error(transparent)]
    Log(#[from] ReadError),
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("another process has the turn")]
    NotMyTurn,
}

/// Starts it, where the settings want it. Where nobody ever did, it begins where the log ends now: before the first request
/// to this process.
pub(super) async fn start(
    app: &AppState,
    settings: &TitleSettings,
    (jobs, projectors): (&mut JoinSet<()>, &Handle),
) -> Result<(), StartError> {
    if !settings.fetch || !app.roles.has(Role::Projector) {
        return Ok(());
    }
    let follower = Follower::open(&app.webhooks.deliveries, NAME).await?;
    let opened = app.log.head(Topic::Links).await?.sequence;
    let titles = Titles {
        app: Arc::clone(app),
        fetcher: Fetcher::new(settings.targets.clone()),
        follower,
        opened,
    };
    jobs.spawn_on(async move { titles.run().await }, projectors);
    Ok(())
}

struct Titles {
    app: AppState,
    fetcher: Fetcher,
    follower: Follower,
    /// Where the log ended when this process began.
    opened: Sequence,
}

/// How far this is when an item is done; and what is to be looked at before.
type Item = (Sequence, Option<LinkKey>);

impl Titles {
    async fn run(&self) {
        loop {
            match self.follower.take_turn().await {
                Ok(true) => {
                    let Err(error) = self.have_turn().await;
                    tracing::warn!(%error, "titles are not fetched for a moment");
                }
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "the turn at titles can't be taken"),
            }
            tokio::time::sleep(BEAT).await;
        }
    }

    /// Until the turn is over, or something is away.
    async fn have_turn(&self) -> Result<Infallible, TitleError> {
        tokio::select! {
            lost = self.keep_turn() => lost,
            broken = self.follow() => broken,
        }
    }

    async fn keep_turn(&self) -> Result<Infallible, TitleError> {
        if self.follower.is_alone() {
            return std::future::pending().await;
        }
        let mut beats = tokio::time::interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut taken = Instant::now();
        loop {
            beats.tick().await;
            let before = Instant::now();
            match self.follower.take_turn().await {
                Ok(true) => taken = before,
                Ok(false) => return Err(TitleError::NotMyTurn),
                Err(error) if taken.elapsed() > TURN => return Err(error.into()),
                Err(_) => {}
            }
        }
    }

    async fn follow(&self) -> Result<Infallible, TitleError> {
        let log = self.app.log.id();
        let from = self.begin().await?;
        let changes = self.app.log.subscribe(Topic::Links, from, PAGE).await?;
        let looked_at = items(changes).map(|item| async {
            let (sequence, link) = item?;
            if let Some(link) = link {
                self.look_at(&link).await?;
            }
            Ok::<_, TitleError>(sequence)
        });
        let mut looked_at = std::pin::pin!(looked_at.buffered(FETCHES_MAX));
        let mut kept_at: Option<Instant> = None;
        while let Some(sequence) = looked_at.next().await {
            let sequence = sequence?;
            // What is not kept is looked at again after a restart, and found done.
            if kept_at.is_none_or(|at| at.elapsed() >= KEEP_EVERY) {
                if !self.follower.reach(log, sequence).await? {
                    return Err(TitleError::NotMyTurn);
                }
                kept_at = Some(Instant::now());
            }
        }
        // Subscriptions don't end.
        Err(TitleError::NotMyTurn)
    }

    /// Where to go on: where this was, if the log has that still.
    async fn begin(&self) -> Result<Sequence, TitleError> {
        let log = self.app.log.id();
        let head = self.app.log.head(Topic::Links).await?.sequence;
        let from = self.follower.place(log).await?.filter(|place| *place <= head);
        let from = from.unwrap_or(self.opened.min(head));
        // Also where nothing has happened yet: who has the turn next begins here.
        self.follower.reach(log, from).await?;
        Ok(from)
    }

    /// Asks the page that a link leads to what it calls itself, if nobody has named the link, and notes it.
    async fn look_at(&self, key: &LinkKey) -> Result<(), TitleError> {
        let link = match load_link(self.app.log.as_ref(), key).await {
            // For an operator to look at; it holds up no other link.
            Err(ExecuteError::Unreadable(_)) => return Ok(()),
            link => link?,
        };
        let Some(link) = link.filter(wants_title) else { return Ok(()) };
        let title = match self.fetch(&link.url).await {
            Ok(title) => title,
            Err(error) => {
                tracing::debug!(%key, %error, "a page does not say what it is called");
                count(error.reason());
                return Ok(());
            }
        };
        let (era, now) = (self.app.links.era(), self.app.clock.now());
        let page = PageTitle { url: link.url, title };
        match self.app.commands.note_title(key, page, now).await {
            Ok(outcome) => {
                count("fetched");
                self.app.links.remember(era, outcome.link, outcome.position, now);
                Ok(())
            }
            // Deleted meanwhile, or changed all the time.
            Err(ExecuteError::Refused(_) | ExecuteError::Contended) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Asks a few times, where that may help.
    async fn fetch(&self, url: &Destination) -> Result<Title, FetchError> {
        for pause in PAUSES {
            match self.fetcher.title_of(url).await {
                Err(error) if error.may_pass() => tokio::time::sleep(pause).await,
                answer => return answer,
            }
        }
        self.fetcher.title_of(url).await
    }
}

fn count(outcome: &'static str) {
    metrics::counter!("hoplog_titles_total", "outcome" => outcome).increment(1);
}

/// What there is to look at, and how far the log was read: the last event of a page is told in any case.
fn items(changes: Box<dyn Subscription>) -> impl Stream<Item = Result<Item, ReadError>> {
    let pages = stream::unfold(Some(changes), |changes| async {
        let mut changes = changes?;
        let page = changes.next().await;
        // Behind a failure there is nothing: it is read again from where this was.
        let rest = page.is_ok().then_some(changes);
        Some((page, rest))
    });
    pages.flat_map(|page| match page {
        Ok(events) => stream::iter(items_of(&events).into_iter().map(Ok).collect::<Vec<_>>()),
        Err(error) => stream::iter(vec![Err(error)]),
    })
}

fn items_of(events: &[RecordedEvent]) -> Vec<Item> {
    let last = events.last().map(|event| (event.position.sequence, None));
    let links = events
        .iter()
        .filter(|event| OCCASIONS.iter().any(|occasion| event.event_type.starts_with(occasion)));
    let items = links.filter_map(|event| {
        Some((event.position.sequence, Some(event.stream.key().parse().ok()?)))
    });
    items.chain(last).collect()
}
