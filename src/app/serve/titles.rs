//! Looks what pages call themselves whose links are there already: on one node, behind the log, a few at a time.
//!
//! ```text
//! log ──► links that are new, lead elsewhere, or lost their title ──► queue ──► fetch (few at once) ──► an event, if it is still so
//!                                                     how far all is done ◄──┴── again, later
//! ```
//!
//! What this has not come to when it ends is looked at by whoever has the turn next. A title that can't be had is not
//! missed: nothing is kept of it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{self, FuturesUnordered, Stream, StreamExt};
use hoplog_events::envelope::RecordedEvent;
use hoplog_events::link::{Destination, LinkKey};
use hoplog_events::log::{ReadError, ReadLimit, Subscription};
use hoplog_events::position::{Sequence, Topic};
use hoplog_projections::DatabaseError;
use hoplog_projections::follower::{Follower, TURN};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use crate::app::{AppState, StartError};
use crate::config::Role;
use crate::domain::link::{Link, PageTitle, wants_title};
use crate::execute::{ExecuteError, load_link};
use crate::titles::{FetchError, Fetcher, MayAsk, TitleSettings};

mod queue;

use queue::{Queue, Wanted, back_off};

/// The name of this follower.
const NAME: &str = "titles";

/// How long to wait before a page is asked again that had no answer: so often, and no more.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];

/// How long to wait before one is asked again whose host took too long: once.
const SLOW_PAUSE: Duration = Duration::from_secs(61);

/// How often it is tried to write a title that was fetched: for half an hour.
const WRITES_MAX: u32 = 30;

/// How many titles are remembered that could not be written; nobody is asked for them again.
const UNWRITTEN_MAX: usize = 1_024;

/// How often the turn is said to go on, and kept how far this is; several may fail.
const BEAT: Duration = Duration::from_secs(1);

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
        fetcher: Fetcher::new(settings.targets.clone(), may_ask(app)),
        follower,
        opened,
        unwritten: Mutex::default(),
    };
    jobs.spawn_on(async move { titles.run().await }, projectors);
    Ok(())
}

/// Neither this service nor what its block lists have, at any hop.
fn may_ask(app: &AppState) -> MayAsk {
    let app = Arc::clone(app);
    Box::new(move |url| app.commands.may_lead_to(url))
}

struct Titles {
    app: AppState,
    fetcher: Fetcher,
    follower: Follower,
    /// Where the log ended when this process began.
    opened: Sequence,
    /// What pages said that could not be written yet.
    unwritten: Mutex<HashMap<LinkKey, PageTitle>>,
}

/// What came of something.
enum Done {
    /// Where a link leads that wants a title.
    Found(Sequence, Option<(LinkKey, Box<str>)>),
    /// A page was asked; when it is to be asked again.
    Asked(Wanted, Option<Instant>),
    /// It was kept how far this is.
    Kept(Option<Sequence>),
}

type Job<'a> = BoxFuture<'a, Result<Done, TitleError>>;

/// How far this is when an item is done; and what is to be looked at before.
type Item = (Sequence, Option<LinkKey>);

impl Titles {
    async fn run(&self) {
        let mut failures = 0;
        loop {
            let begun = Instant::now();
            let pause = match self.follower.take_turn().await {
                Ok(false) => BEAT,
                Ok(true) => {
                    let Err(error) = self.have_turn().await;
                    tracing::warn!(%error, "titles are not fetched for a moment");
                    // Whoever is asked is not asked every second for as long as something is away.
                    failures =
                        if begun.elapsed() > back_off(failures) * 2 { 0 } else { failures + 1 };
                    if matches!(error, TitleError::NotMyTurn) { BEAT } else { back_off(failures) }
                }
                Err(error) => {
                    tracing::warn!(%error, "the turn at titles can't be taken");
                    BEAT
                }
            };
            tokio::time::sleep(pause).await;
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
            match tokio::time::timeout(TURN, self.follower.take_turn()).await {
                Ok(Ok(true)) => taken = before,
                Ok(Ok(false)) | Err(_) => return Err(TitleError::NotMyTurn),
                Ok(Err(error)) if taken.elapsed() > TURN => return Err(error.into()),
                Ok(Err(_)) => {}
            }
        }
    }

    async fn follow(&self) -> Result<Infallible, TitleError> {
        let from = self.begin().await?;
        let mut items =
            std::pin::pin!(items(self.app.log.subscribe(Topic::Links, from, PAGE).await?));
        let mut queue = Queue::after(from);
        let mut jobs = FuturesUnordered::<Job<'_>>::new();
        let mut beats = tokio::time::interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            while let Some(wanted) = queue.next(Instant::now()) {
                jobs.push(Box::pin(self.ask(wanted)));
            }
            tokio::select! {
                item = items.next(), if queue.has_room() => {
                    // Subscriptions don't end.
                    let (sequence, link) = item.ok_or(TitleError::NotMyTurn)??;
                    queue.read(sequence, link.is_some());
                    if let Some(key) = link {
                        jobs.push(Box::pin(self.find(sequence, key)));
                    }
                }
                Some(done) = jobs.next() => settle(&mut queue, done?),
                _ = beats.tick() => {
                    if let Some(mark) = queue.take_mark() {
                        jobs.push(Box::pin(self.keep(mark)));
                    }
                }
            }
        }
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

    /// What is not kept is looked at again after a restart, and found done where there was a title.
    async fn keep(&self, mark: Sequence) -> Result<Done, TitleError> {
        match self.follower.reach(self.app.log.id(), mark).await {
            Ok(true) => Ok(Done::Kept(Some(mark))),
            Ok(false) => Err(TitleError::NotMyTurn),
            Err(error) => {
                tracing::debug!(%error, "how far titles are fetched is kept later");
                Ok(Done::Kept(None))
            }
        }
    }

    async fn find(&self, sequence: Sequence, key: LinkKey) -> Result<Done, TitleError> {
        let link = self.link(&key).await?;
        let host = link.and_then(|link| host_of(&link.url));
        Ok(Done::Found(sequence, host.map(|host| (key, host))))
    }

    /// A link that wants a title now.
    async fn link(&self, key: &LinkKey) -> Result<Option<Link>, ExecuteError> {
        let link = match load_link(self.app.log.as_ref(), key).await {
            // For an operator to look at; it holds up no other link.
            Err(ExecuteError::Unreadable(_)) => return Ok(None),
            link => link?,
        };
        let now = self.app.clock.now();
        Ok(link.filter(|link| wants_title(link, now)))
    }

    /// Asks the page that a link leads to what it calls itself, if nobody has named the link, and notes it.
    async fn ask(&self, mut wanted: Wanted) -> Result<Done, TitleError> {
        let link = self.link(&wanted.key).await?;
        // Where it leads to another host by now, that has an event of its own.
        let link = link.filter(|link| host_of(&link.url).as_deref() == Some(&*wanted.host));
        let Some(link) = link else { return Ok(Done::Asked(wanted, None)) };
        let page = match self.page(&wanted.key, link.url).await {
            Ok(page) => page,
            Err(error) => {
                let pause = pause_after(error, wanted.asked);
                wanted.asked += 1;
                if pause.is_none() {
                    tracing::debug!(key = %wanted.key, %error, "a page does not say what it is called");
                    count(error.reason());
                }
                return Ok(Done::Asked(wanted, pause.map(|pause| Instant::now() + pause)));
            }
        };
        let again = self.note(&mut wanted, page).await;
        Ok(Done::Asked(wanted, again))
    }

    /// What a page says now, or said when it could not be written.
    async fn page(&self, key: &LinkKey, url: Destination) -> Result<PageTitle, FetchError> {
        let said = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        if let Some(said) = said.filter(|said| said.url == url) {
            return Ok(said);
        }
        let title = self.fetcher.title_of(&url).await?;
        Ok(PageTitle { url, title })
    }

    /// Notes it; gives when that is to be tried again.
    async fn note(&self, wanted: &mut Wanted, page: PageTitle) -> Option<Instant> {
        let (era, now) = (self.app.links.era(), self.app.clock.now());
        match self.app.commands.note_title(&wanted.key, page.clone(), now).await {
            Ok(outcome) => {
                count("fetched");
                self.app.links.remember(era, outcome.link, outcome.position, now);
                None
            }
            // Deleted meanwhile, or changed all the time.
            Err(ExecuteError::Refused(_) | ExecuteError::Contended) => None,
            Err(error) if wanted.unwritten >= WRITES_MAX => {
                tracing::warn!(key = %wanted.key, %error, "what a page calls itself can't be written");
                count("unwritten");
                None
            }
            Err(_) => {
                let mut unwritten = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
                if unwritten.len() < UNWRITTEN_MAX {
                    unwritten.insert(wanted.key.clone(), page);
                }
                let pause = back_off(wanted.unwritten);
                wanted.unwritten += 1;
                Some(Instant::now() + pause)
            }
        }
    }
}

fn settle(queue: &mut Queue, done: Done) {
    match done {
        Done::Found(sequence, link) => {
            if !queue.found(sequence, link) {
                count("crowded_host");
            }
        }
        Done::Asked(wanted, again) => queue.asked(wanted, again),
        Done::Kept(mark) => queue.kept(mark),
    }
}

fn host_of(url: &Destination) -> Option<Box<str>> {
    Some(url.to_url()?.host_str()?.into())
}

/// When a page is asked again that was asked so often before; `None`: that would not help.
fn pause_after(error: FetchError, asked: usize) -> Option<Duration> {
    match error {
        FetchError::TimedOut | FetchError::Slow => (asked == 0).then_some(SLOW_PAUSE),
        error if error.may_pass() => PAUSES.get(asked).copied(),
        _ => None,
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
