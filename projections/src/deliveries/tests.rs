//! What every database has to give to deliveries.

use chrono::TimeDelta;

use super::attempts::KEPT;
use super::*;
use crate::contract::World;
use crate::lease::Member;

fn t(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

fn webhook(n: u128) -> WebhookId {
    WebhookId(Uuid::from_u128(n))
}

/// As it is before anything was seen.
fn begin(sequence: u64) -> Progress {
    Progress { log: LogId(Uuid::nil()), sequence: Sequence(sequence), last: None }
}

fn seen(sequence: u64) -> Seen {
    let command_id = CommandId(Uuid::from_u128(sequence.into()));
    Seen { sequence: Sequence(sequence), command_id }
}

/// As it is when an event was seen.
fn progress(sequence: u64) -> Progress {
    Progress { last: Some(seen(sequence).command_id), ..begin(sequence) }
}

fn new(sequence: u64, lane: &str) -> NewMessage {
    NewMessage {
        sequence: Sequence(sequence),
        id: format!("msg_{sequence}"),
        event_type: "hoplog.link.created.v2".to_owned(),
        lane: lane.to_owned(),
        body: format!("{{\"n\":{sequence}}}"),
        since: t(0),
    }
}

fn attempt(message: &Message, outcome: Outcome, at: i64, next_at: Option<i64>) -> Attempt {
    Attempt {
        message: message.id.clone(),
        event_type: message.event_type.clone(),
        attempt: message.attempts + 1,
        at: t(at),
        outcome,
        status: (outcome == Outcome::Delivered).then_some(204),
        error: (outcome != Outcome::Delivered).then(|| "no answer in time".to_owned()),
        excerpt: Some("a\0b".to_owned()),
        duration: Duration::from_millis(3),
        next_at: next_at.map(t),
    }
}

async fn alone(database: &Database) -> Deliveries {
    let deliveries = Deliveries::open(database.clone(), Part::Alone).await.unwrap();
    assert!(deliveries.take_turn().await.unwrap());
    deliveries
}

/// A webhook with messages, and the place they came from.
async fn with_messages(database: &Database, messages: &[NewMessage]) -> Deliveries {
    let deliveries = alone(database).await;
    let (id, topic) = (webhook(1), Topic::Links);
    deliveries.place(id, topic, begin(0)).await.unwrap();
    let advanced = deliveries.advance(id, topic, begin(0), seen(9), messages, &[]);
    assert!(advanced.await.unwrap());
    deliveries
}

async fn due(deliveries: &Deliveries, at: i64, busy: &[&str]) -> Vec<Message> {
    let busy: Vec<String> = busy.iter().map(|lane| (*lane).to_owned()).collect();
    deliveries.due(webhook(1), t(at), &busy, 10).await.unwrap()
}

fn ids(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.id.as_str()).collect()
}

async fn a_checkpoint_moves_with_its_messages_or_not_at_all(database: Database) {
    let deliveries = alone(&database).await;
    let (id, topic) = (webhook(1), Topic::Links);
    assert_eq!(deliveries.progress(id, topic).await.unwrap(), None);
    deliveries.place(id, topic, begin(3)).await.unwrap();
    assert_eq!(deliveries.progress(id, topic).await.unwrap(), Some(begin(3)));
    let advance = async |from, to, message| {
        let to = seen(to);
        deliveries.advance(id, topic, progress(from), to, &[new(message, "a")], &[]).await.unwrap()
    };
    assert!(advance(3, 5, 4).await);
    assert!(!advance(3, 6, 6).await, "somebody else has moved it");
    assert_eq!(deliveries.progress(id, topic).await.unwrap(), Some(progress(5)));
    assert_eq!(deliveries.progress(id, Topic::Clicks).await.unwrap(), None);
    assert_eq!(ids(&due(&deliveries, 0, &[]).await), ["msg_4"]);
    // What was stored by a process that did not live to know it is not there twice.
    assert!(advance(5, 7, 4).await);
    let waiting = Waiting { messages: 1, new_clicks: 0, next: Some(t(0)) };
    assert_eq!(deliveries.waiting(id).await.unwrap(), waiting);
    // On a log that was put back, another event has the place of one that waits.
    let other = NewMessage { id: "msg_other".to_owned(), ..new(4, "a") };
    assert!(deliveries.advance(id, topic, progress(7), seen(7), &[other], &[]).await.unwrap());
    assert_eq!(ids(&due(&deliveries, 0, &[]).await), ["msg_4", "msg_other"]);
    // Nor does one write whose turn is over.
    let other = Deliveries::open(database.clone(), Part::Alone).await.unwrap();
    assert!(other.take_turn().await.unwrap());
    assert!(!advance(7, 8, 8).await);
    assert_eq!(deliveries.progress(id, topic).await.unwrap(), Some(progress(7)));
}

async fn messages_wait_for_their_time_and_lane(database: Database) {
    let messages = [new(1, "a"), new(2, "b"), new(3, "a")];
    let deliveries = with_messages(&database, &messages).await;
    assert_eq!(due(&deliveries, -1, &[]).await, []);
    let first = due(&deliveries, 0, &[]).await;
    assert_eq!(ids(&first), ["msg_1", "msg_2", "msg_3"]);
    assert_eq!((&*first[0].body, first[0].attempts), ("{\"n\":1}", 0));
    assert_eq!(ids(&due(&deliveries, 0, &["a"]).await), ["msg_2"]);
    assert_eq!(due(&deliveries, 0, &["a", "b"]).await, []);
    assert_eq!(deliveries.due_webhooks(t(0)).await.unwrap(), [webhook(1)]);

    let failed = attempt(&first[0], Outcome::Retrying, 1, Some(6));
    assert_eq!(deliveries.record(&first[0], &failed).await.unwrap(), Some(t(1)));
    let failed = attempt(&first[1], Outcome::Failed, 2, None);
    assert_eq!(deliveries.record(&first[1], &failed).await.unwrap(), Some(t(1)));
    assert_eq!(ids(&due(&deliveries, 5, &[]).await), ["msg_3"]);
    let again = due(&deliveries, 6, &[]).await;
    assert_eq!((ids(&again), again[0].attempts), (vec!["msg_1", "msg_3"], 1));
    let done = attempt(&again[1], Outcome::Delivered, 7, None);
    assert_eq!(deliveries.record(&again[1], &done).await.unwrap(), None);
    let waiting = Waiting { messages: 1, new_clicks: 0, next: Some(t(6)) };
    assert_eq!(deliveries.waiting(webhook(1)).await.unwrap(), waiting);
    assert_eq!(deliveries.waiting_in_all().await.unwrap(), 1);

    // One that was given up is tried once more if somebody wants it, a delivered one is not.
    assert!(deliveries.retry(webhook(1), "msg_2", t(8)).await.unwrap());
    assert!(!deliveries.retry(webhook(1), "msg_3", t(8)).await.unwrap());
    assert!(!deliveries.retry(webhook(2), "msg_2", t(8)).await.unwrap());
    assert_eq!(ids(&due(&deliveries, 8, &[]).await), ["msg_1", "msg_2"]);
}

/// Those of links and those that were tried are not counted among the new ones of clicks.
async fn new_clicks_are_counted_apart(database: Database) {
    let deliveries = with_messages(&database, &[new(1, "a")]).await;
    let (id, topic) = (webhook(1), Topic::Clicks);
    deliveries.place(id, topic, begin(0)).await.unwrap();
    let clicks = [new(2, "clicks"), new(3, "clicks")];
    assert!(deliveries.advance(id, topic, begin(0), seen(3), &clicks, &[]).await.unwrap());
    let of = async || deliveries.waiting(id).await.unwrap();
    assert_eq!((of().await.messages, of().await.new_clicks), (3, 2));
    let first = &deliveries.due(id, t(0), &["a".to_owned()], 1).await.unwrap()[0];
    let failed = attempt(first, Outcome::Retrying, 1, Some(6));
    deliveries.record(first, &failed).await.unwrap();
    assert_eq!((of().await.messages, of().await.new_clicks), (3, 1));
}

async fn whoever_begins_again_waits_for_nothing(database: Database) {
    let deliveries = with_messages(&database, &[new(1, "a"), new(2, "b")]).await;
    for (n, message) in (0..).zip(due(&deliveries, 0, &[]).await) {
        let outcome = if n == 0 { Outcome::Retrying } else { Outcome::Failed };
        let attempt = attempt(&message, outcome, n, (n == 0).then_some(3_600));
        deliveries.record(&message, &attempt).await.unwrap();
    }
    deliveries.begin_again(webhook(1), t(10)).await.unwrap();
    let waiting = due(&deliveries, 10, &[]).await;
    assert_eq!(ids(&waiting), ["msg_1"], "what was given up stays so");
    let failed = attempt(&waiting[0], Outcome::Retrying, 11, Some(20));
    assert_eq!(deliveries.record(&waiting[0], &failed).await.unwrap(), Some(t(11)));
}

async fn attempts_are_listed_newest_first_page_by_page(database: Database) {
    let deliveries = with_messages(&database, &[new(1, "a"), new(2, "b")]).await;
    let messages = due(&deliveries, 0, &[]).await;
    let mut made = Vec::new();
    // Two of them at the same instant.
    for (at, message) in [(1, &messages[0]), (1, &messages[1]), (2, &messages[0])] {
        let attempt = attempt(message, Outcome::Retrying, at, Some(at + 5));
        deliveries.record(message, &attempt).await.unwrap();
        made.push(Attempt { excerpt: Some("a\u{fffd}b".to_owned()), ..attempt });
    }
    made.reverse();
    let (mut listed, mut cursor) = (Vec::new(), None);
    loop {
        let page = deliveries.attempts(webhook(1), cursor.as_deref(), 1).await.unwrap();
        listed.extend(page.attempts);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(listed, made);
    assert!(deliveries.attempts(webhook(1), Some("nonsense"), 1).await.is_err());
    assert_eq!(deliveries.attempts(webhook(2), None, 5).await.unwrap().attempts, []);
    // What is old is dropped, with what was given up.
    deliveries.trim(webhook(1), t(1) + KEPT + TimeDelta::microseconds(1)).await.unwrap();
    let kept = deliveries.attempts(webhook(1), None, 5).await.unwrap().attempts;
    assert_eq!(kept, &made[..1]);
    assert_eq!(deliveries.waiting(webhook(1)).await.unwrap().messages, 2, "what waits is not old");
    deliveries.forget(webhook(1)).await.unwrap();
    assert_eq!(deliveries.attempts(webhook(1), None, 5).await.unwrap().attempts, []);
    assert_eq!(deliveries.known().await.unwrap(), []);
    assert_eq!(deliveries.waiting_in_all().await.unwrap(), 0);
}

async fn one_process_at_a_time_delivers(database: Database) {
    let open = async || {
        let part = Part::Member(Member(Uuid::new_v4()));
        Deliveries::open(database.clone(), part).await.unwrap()
    };
    let (one, two) = (open().await, open().await);
    assert!(one.take_turn().await.unwrap() && one.take_turn().await.unwrap());
    assert!(!two.take_turn().await.unwrap());
    two.give_turn_back().await.unwrap();
    assert!(!two.take_turn().await.unwrap(), "nobody gives back what is not theirs");
    one.give_turn_back().await.unwrap();
    assert!(two.take_turn().await.unwrap() && !one.take_turn().await.unwrap());
    // Who does not say that it goes on is replaced.
    let sql = "update webhook_turns set ends = {now}";
    two.change(sql, &[]).await.unwrap();
    assert!(one.take_turn().await.unwrap());
}

/// Where the state was begun is noted once.
async fn the_state_is_begun_where_the_log_ends(database: Database) {
    let world = World::new(database.clone()).await;
    world.link("a", "2026-03-01T00:00:00Z", serde_json::json!({})).await;
    let deliveries = alone(&database).await;
    deliveries.found(world.log.as_ref()).await.unwrap();
    world.link("b", "2026-03-01T00:00:00Z", serde_json::json!({})).await;
    deliveries.found(world.log.as_ref()).await.unwrap();
    let of = async |log, topic| deliveries.foundation(log, topic).await.unwrap();
    assert_eq!(of(world.log.id(), Topic::Links).await, Some(Sequence(1)));
    assert_eq!(of(world.log.id(), Topic::Clicks).await, Some(Sequence(0)));
    assert_eq!(of(LogId(Uuid::nil()), Topic::Links).await, None);
    assert_eq!(deliveries.known().await.unwrap(), []);
}

/// What is no read model is not built anew.
async fn a_rebuild_touches_no_delivery(database: Database) {
    let deliveries = with_messages(&database, &[new(1, "a")]).await;
    let world = World::new(database).await;
    for name in crate::contract::NAMES {
        world.models.rebuild(name).await.unwrap();
    }
    assert_eq!(ids(&due(&deliveries, 0, &[]).await), ["msg_1"]);
    assert_eq!(deliveries.progress(webhook(1), Topic::Links).await.unwrap(), Some(progress(9)));
}

macro_rules! on_every_database {
    ($($promise:ident,)*) => {
        mod sqlite {$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                let dir = tempfile::tempdir().unwrap();
                let path = dir.path().join("read.db");
                super::$promise(crate::Database::open_sqlite(&path).await.unwrap()).await;
            }
        )*}

        mod postgres {$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                let server = crate::postgres_server::PostgresServer::start();
                let options = crate::PostgresOptions::new(server.url());
                super::$promise(crate::Database::open_postgres(options).await.unwrap()).await;
            }
        )*}
    };
}

on_every_database! {
    a_checkpoint_moves_with_its_messages_or_not_at_all,
    messages_wait_for_their_time_and_lane,
    new_clicks_are_counted_apart,
    whoever_begins_again_waits_for_nothing,
    attempts_are_listed_newest_first_page_by_page,
    one_process_at_a_time_delivers,
    the_state_is_begun_where_the_log_ends,
    a_rebuild_touches_no_delivery,
}
