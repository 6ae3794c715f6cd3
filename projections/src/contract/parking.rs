//! What becomes of events that can't be handled.

use hoplog_events::catalogue::Event;
use hoplog_events::envelope::{CommandId, Metadata, NewEvent};
use hoplog_events::link::{LinkDisabled, LinkTitled};
use hoplog_events::log::{Append, ExpectedVersion};
use hoplog_events::position::{Position, StreamId, Topic};
use serde_json::json;
use uuid::Uuid;

use super::world::{PATIENCE, World, at, click, key};
use crate::parking::ParkedSequence;
use crate::read_models::OperationError;
use crate::runner::{First, State, WorkerError};

impl World {
    /// Appends an event whose data is not what its type says.
    pub(super) async fn poison(
        &self,
        stream: StreamId,
        event: Event,
        good: &str,
        bad: &str,
    ) -> Position {
        let command_id = CommandId(Uuid::new_v4());
        let metadata =
            Metadata { actor: "test".into(), command_id, command_hash: None, correlation_id: None };
        let time = at("2026-03-01T12:00:00Z");
        let mut event =
            NewEvent::write(&stream, &event, Uuid::now_v7(), time, time, &metadata).unwrap();
        let body = std::str::from_utf8(&event.body).unwrap();
        assert!(body.contains(good), "{body}");
        event.body = body.replace(good, bad).into();
        let append =
            Append { stream, expected: ExpectedVersion::Any, command_id, events: vec![event] };
        self.log.append(append).await.unwrap().position
    }

    async fn poison_link(&self, code: &str) -> Position {
        let titled = LinkTitled { title: Some("t".parse().unwrap()) };
        self.poison(key(code).stream(), titled.into(), r#""title":"t""#, r#""title":7"#).await
    }

    async fn poison_clicks(&self) -> Position {
        let clicks = json!({ "clicks": [click("a", "2026-03-01T00:00:00Z", json!({}))] });
        let event: hoplog_events::click::ClicksRecorded = serde_json::from_value(clicks).unwrap();
        let stream = StreamId::new(Topic::Clicks, "0");
        self.poison(stream, event.into(), r#""at":"2026"#, r#""at":"never"#).await
    }

    async fn parked(&self, projection: &str) -> Vec<ParkedSequence> {
        self.models.parked(projection, "", 100).await.unwrap()
    }

    async fn counts_parked(&self, projection: &str, events: u64) {
        loop {
            let status = self.models.status(chrono::DateTime::UNIX_EPOCH).await;
            let found = status.iter().find(|status| status.name == projection).unwrap();
            if found.parked == events {
                assert_ne!(found.state, State::Failed);
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn state_and_title(&self, code: &str) -> (String, Option<String>) {
        let link = self.models.link_directory().get(&key(code)).await.unwrap().unwrap();
        (link.state.name().to_owned(), link.title.map(|title| title.to_string()))
    }
}

pub(crate) async fn a_poison_event_parks_its_link_and_no_other(world: World) {
    for code in ["a", "b", "c"] {
        world.link(code, "2026-01-01T00:00:00Z", json!({ "title": "old" })).await;
    }
    world.caught_up().await;
    // Many at once: it has to be found among others.
    world.models.pause("link_directory").await.unwrap();
    world.change("b", LinkDisabled {}).await;
    let poison = world.poison_link("a").await;
    for code in ["a", "c"] {
        world.change(code, LinkDisabled {}).await;
    }
    world.models.resume("link_directory").await.unwrap();
    world.caught_up().await;
    // Later ones wait as well.
    world.change("a", LinkTitled { title: Some("new".parse().unwrap()) }).await;
    world.link("d", "2026-01-01T00:00:00Z", json!({})).await;
    world.caught_up().await;
    let old = Some("old".to_owned());
    for (code, state) in [("b", "disabled"), ("c", "disabled")] {
        assert_eq!(world.state_and_title(code).await, (state.to_owned(), old.clone()), "{code}");
    }
    // What it became is not known: it may be deleted by now.
    assert_eq!(world.models.link_directory().get(&key("a")).await.unwrap(), None);
    assert_eq!(world.models.link_directory().get_as_of(&[key("a")]).await.unwrap(), []);
    assert!(world.models.link_directory().get(&key("d")).await.unwrap().is_some());
    let [parked] = &world.parked("link_directory").await[..] else { panic!("one sequence") };
    assert_eq!((&*parked.sequence_of, parked.first), ("default/a", poison.sequence));
    assert_eq!((parked.events, parked.attempts), (3, 1));
    assert_eq!(parked.event_type, "hoplog.link.titled.v1");
    assert!(parked.error.contains("hoplog.link.titled.v1"), "{}", parked.error);
    world.counts_parked("link_directory", 3).await;
    // The tables are what the log gives without it.
    world.verified().await;
    // A restart knows of it.
    world.models.stop_projecting().await;
    let again = world.opened_again().await;
    let position = world.change("a", LinkTitled { title: None }).await;
    again.wait_for("link_directory", position, PATIENCE).await.unwrap();
    let parked = again.parked("link_directory", "", 100).await.unwrap();
    assert_eq!((parked.len(), parked[0].events), (1, 4));
}

pub(crate) async fn a_parked_link_goes_on_without_what_is_passed_over(world: World) {
    for code in ["a", "b"] {
        world.link(code, "2026-01-01T00:00:00Z", json!({ "title": "old" })).await;
    }
    let poison = world.poison_link("a").await;
    world.change("a", LinkDisabled {}).await;
    world.poison_link("b").await;
    world.caught_up().await;
    world.counts_parked("link_directory", 3).await;
    // It is no better than before.
    let retried = world.models.retry("link_directory", "default/a", First::Try).await.unwrap();
    assert_eq!(retried.applied, 0);
    assert!(retried.error.is_some_and(|error| error.contains("titled")));
    assert_eq!(world.parked("link_directory").await[0].attempts, 2);
    // New tables are not made without it: it is named.
    let refused = world.models.rebuild("link_directory").await;
    let Err(OperationError::Failed(WorkerError::Poison { position, stream, .. })) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!((position, &*stream), (poison, "default/a"));
    let skipped =
        world.models.retry("link_directory", "default/a", First::PassOver(None)).await.unwrap();
    assert_eq!((skipped.applied, skipped.error), (1, None));
    assert_eq!(world.state_and_title("a").await, ("disabled".to_owned(), Some("old".to_owned())));
    let missing = world.models.retry("link_directory", "default/a", First::PassOver(None)).await;
    assert!(matches!(missing, Err(OperationError::Failed(WorkerError::NotParked(_)))));
    world.counts_parked("link_directory", 1).await;
    world.models.retry("link_directory", "default/b", First::PassOver(None)).await.unwrap();
    world.counts_parked("link_directory", 0).await;
    // It stays passed over, and what comes later is live again.
    world.change("a", LinkTitled { title: Some("new".parse().unwrap()) }).await;
    world.verified().await;
    world.models.rebuild("link_directory").await.unwrap();
    assert_eq!(world.state_and_title("a").await, ("disabled".to_owned(), Some("new".to_owned())));
    world.verified().await;
}

/// Clicks stand for themselves: one batch that can't be read holds up no other.
pub(crate) async fn a_poison_batch_of_clicks_is_parked_alone(world: World) {
    let visit = || vec![click("a", "2026-03-01T00:00:00Z", json!({}))];
    world.clicks(visit()).await;
    let poison = world.poison_clicks().await;
    for _ in 0..3 {
        world.clicks(visit()).await;
    }
    world.caught_up().await;
    for name in ["clicks", "click_statistics", "top_links"] {
        let [parked] = &world.parked(name).await[..] else { panic!("one event of {name}") };
        assert_eq!((parked.first, parked.events), (poison.sequence, 1));
        assert_eq!(parked.sequence_of, format!("0@{}", poison.sequence.0));
    }
    let totals = world.models.click_statistics().totals(&[key("a")]).await.unwrap();
    assert_eq!(totals.values().map(|totals| totals.total).sum::<u64>(), 4);
    world.verified().await;
    assert!(world.models.rebuild("clicks").await.is_err());
    for name in ["clicks", "click_statistics", "top_links"] {
        let sequence = world.parked(name).await[0].sequence_of.clone();
        world.models.retry(name, &sequence, First::PassOver(None)).await.unwrap();
        assert_eq!(world.parked(name).await, []);
        world.models.rebuild(name).await.unwrap();
    }
    world.clicks(visit()).await;
    world.verified().await;
}

/// Something is wrong with the tables, not with the events: nothing is parked for that.
pub(crate) async fn broken_tables_park_nothing(world: World) {
    world.link("a", "2026-01-01T00:00:00Z", json!({})).await;
    world.caught_up().await;
    world.execute("alter table link_directory_1_tags rename to gone", &[]).await;
    world.link("b", "2026-01-01T00:00:00Z", json!({ "tags": ["x"] })).await;
    loop {
        let status = world.models.status(chrono::DateTime::UNIX_EPOCH).await;
        if status.iter().any(|it| it.name == "link_directory" && it.state == State::Failed) {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(world.parked("link_directory").await, []);
    world.execute("alter table gone rename to link_directory_1_tags", &[]).await;
    world.models.resume("link_directory").await.unwrap();
    world.verified().await;
}

/// The database does not take a row: its link waits, others go on, and it is taken when it can be.
pub(crate) async fn a_row_that_can_not_be_kept_parks_its_link(world: World) {
    world.link("a", "2026-01-01T00:00:00Z", json!({})).await;
    world.caught_up().await;
    world.execute("create unique index just_one on link_directory_1_links (title)", &[]).await;
    for code in ["b", "c", "d"] {
        let title = if code == "d" { "other" } else { "same" };
        world.link(code, "2026-01-01T00:00:00Z", json!({ "title": title })).await;
    }
    world.caught_up().await;
    let parked = world.parked("link_directory").await;
    assert_eq!(parked.len(), 1, "{parked:?}");
    assert_eq!(parked[0].sequence_of, "default/c");
    assert!(world.models.link_directory().get(&key("d")).await.unwrap().is_some());
    world.execute("drop index just_one", &[]).await;
    let retried = world.models.retry("link_directory", "default/c", First::Try).await.unwrap();
    assert_eq!((retried.applied, retried.error), (1, None));
    world.verified().await;
}

/// What is good between two that can't be handled is applied, and never passed over by mistake.
pub(crate) async fn only_what_can_not_be_handled_is_passed_over(world: World) {
    world.link("a", "2026-01-01T00:00:00Z", json!({ "title": "old" })).await;
    let first = world.poison_link("a").await;
    world.change("a", LinkDisabled {}).await;
    world.change("a", LinkTitled { title: Some("new".parse().unwrap()) }).await;
    let second = world.poison_link("a").await;
    world.change("a", LinkTitled { title: Some("newer".parse().unwrap()) }).await;
    world.caught_up().await;
    let retry = async |first| world.models.retry("link_directory", "default/a", first).await;
    let skipped = retry(First::PassOver(Some(first.sequence))).await.unwrap();
    assert_eq!(skipped.applied, 2);
    let [parked] = &world.parked("link_directory").await[..] else { panic!("one sequence") };
    assert_eq!((parked.first, parked.events), (second.sequence, 2));
    // The same once more, as whoever lost the answer says it.
    let again = retry(First::PassOver(Some(first.sequence))).await;
    assert!(matches!(again, Err(OperationError::Failed(WorkerError::NotParked(_)))), "{again:?}");
    let skipped = retry(First::PassOver(Some(second.sequence))).await.unwrap();
    assert_eq!((skipped.applied, skipped.error), (1, None));
    assert_eq!(world.state_and_title("a").await, ("disabled".to_owned(), Some("newer".to_owned())));
    world.verified().await;
    world.models.rebuild("link_directory").await.unwrap();
    world.verified().await;
}

/// Two operators at once: what waited counts once.
pub(crate) async fn what_two_retry_at_once_counts_once(world: World) {
    for n in 1..=10_u64 {
        // The rows of all links together and those of a link have the same number of bots: none.
        world.execute("delete from click_statistics_1_totals", &[]).await;
        let index = "create unique index just_one on click_statistics_1_totals (bots)";
        world.execute(index, &[]).await;
        world.clicks(vec![click("a", "2026-03-01T00:00:00Z", json!({}))]).await;
        world.caught_up().await;
        world.execute("drop index just_one", &[]).await;
        let parked = world.parked("click_statistics").await;
        assert_eq!(parked.len(), 1, "{parked:?}");
        let retry = || world.models.retry("click_statistics", &parked[0].sequence_of, First::Try);
        let (one, other) = tokio::join!(retry(), retry());
        assert!(one.is_ok() || other.is_ok(), "{one:?} {other:?}");
        let totals = world.models.click_statistics().totals(&[key("a")]).await.unwrap();
        assert_eq!(totals.values().map(|totals| totals.total).sum::<u64>(), 1, "round {n}");
        assert_eq!(world.parked("click_statistics").await, []);
    }
}
