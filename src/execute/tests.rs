//! The write path on a real log, with many at once.

use std::collections::{HashMap, HashSet};

use chrono::TimeDelta;
use futures::future::join_all;
use hoplog_events::link::{LinkDisabled, LinkState};
use hoplog_events::log::ReadLimit;
use hoplog_events::position::{Sequence, Topic};

use super::*;
use crate::clock::Clock;
use crate::commands::IdempotencyKey;
use crate::commands::create_link::WantedLink;
use crate::commands::tests::{World, issuer, wanted, world};
use crate::domain::link::{EditLink, LinkCommand};

fn key(key: &str, request: &str) -> IdempotencyKey {
    IdempotencyKey { key: key.to_owned(), request: request.to_owned() }
}

impl World {
    /// An event of a type that does not exist.
    async fn append_unknown(&self, link: &LinkKey, version: Version) {
        let stream = link.stream();
        let origin = Origin::once("key:newer", None);
        let metadata = Metadata {
            actor: origin.actor,
            command_id: origin.command_id,
            command_hash: None,
            correlation_id: None,
        };
        let now = issuer("ann").now;
        let event = LinkEvent::Disabled(LinkDisabled {}).into();
        let known = NewEvent::write(&stream, &event, Uuid::now_v7(), now, now, &metadata).unwrap();
        let event_type = "hoplog.link.framed.v1";
        let body = String::from_utf8(known.body.to_vec()).unwrap();
        let body = body.replace(&*known.event_type, event_type).into();
        let events = vec![NewEvent { event_type: event_type.into(), body, ..known }];
        let (expected, command_id) = (ExpectedVersion::Exact(version), metadata.command_id);
        self.log.append(Append { stream, expected, command_id, events }).await.unwrap();
    }

    async fn events(&self) -> usize {
        self.log.read_all(Topic::Links, Sequence::START, ReadLimit::default()).await.unwrap().len()
    }
}

/// Trap 3 (U11): no "is it free?" before the claim.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_3_of_64_who_want_one_alias_one_gets_it() {
    let world = world().await;
    let ann = issuer("ann");
    let creates =
        (0..64).map(|_| world.commands.create_link(&ann, None, None, wanted(Some("launch"))));
    let outcomes = join_all(creates).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    for refused in outcomes.into_iter().filter_map(Result::err) {
        assert!(matches!(refused, ExecuteError::Refused(LinkError::CodeTaken(_))), "{refused}");
    }
    assert_eq!(world.events().await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_idempotency_key_makes_one_link_however_often_it_is_sent_at_once() {
    let world = world().await;
    let ann = issuer("ann");
    for alias in [None, Some("launch")] {
        let before = world.events().await;
        let idempotency = key(&format!("k-{alias:?}"), "{}");
        let creates = (0..64)
            .map(|_| world.commands.create_link(&ann, None, Some(&idempotency), wanted(alias)));
        let outcomes: Vec<_> = join_all(creates).await.into_iter().map(Result::unwrap).collect();
        let codes: HashSet<_> = outcomes.iter().map(|outcome| outcome.link.key.clone()).collect();
        assert_eq!(codes.len(), 1);
        assert_eq!(outcomes.iter().filter(|outcome| !outcome.repeated).count(), 1);
        let notes = usize::from(alias.is_some());
        assert_eq!(world.events().await, before + 1 + notes);
    }
}

#[tokio::test]
async fn an_idempotency_key_is_for_one_request_of_one_owner() {
    let world = world().await;
    let first = world
        .commands
        .create_link(&issuer("ann"), None, Some(&key("k", "a")), wanted(None))
        .await
        .unwrap();
    let other =
        world.commands.create_link(&issuer("ann"), None, Some(&key("k", "b")), wanted(None)).await;
    assert!(matches!(other, Err(ExecuteError::IdempotencyKeyReused)), "{other:?}");
    let bob = world
        .commands
        .create_link(&issuer("bob"), None, Some(&key("k", "a")), wanted(None))
        .await
        .unwrap();
    assert_ne!(bob.link.key, first.link.key);
}

/// A retry is answered as the first attempt was, even if the link is gone by now.
#[tokio::test]
async fn a_retry_sees_the_link_as_its_command_left_it() {
    let world = world().await;
    let ann = issuer("ann");
    let idempotency = key("k", "a");
    let first =
        world.commands.create_link(&ann, None, Some(&idempotency), wanted(None)).await.unwrap();
    let link = first.link.key.clone();
    world.commands.change_link(&ann, None, None, &link, None, LinkCommand::Delete).await.unwrap();
    let again =
        world.commands.create_link(&ann, None, Some(&idempotency), wanted(None)).await.unwrap();
    assert_eq!((again.link, again.position), (first.link, first.position));
    assert!(again.repeated);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_64_edits_of_one_version_one_is_made() {
    let world = world().await;
    let ann = issuer("ann");
    let link = world.commands.create_link(&ann, None, None, wanted(None)).await.unwrap().link.key;
    let edits = (0..64).map(|n| {
        let url = format!("https://example.com/{n}").parse().ok();
        let edit = LinkCommand::Edit(Box::new(EditLink { url, ..EditLink::default() }));
        world.commands.change_link(&ann, None, None, &link, Some(vec![Version(1)]), edit)
    });
    let outcomes = join_all(edits).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    for refused in outcomes.into_iter().filter_map(Result::err) {
        let mismatch = LinkError::VersionMismatch { actual: Version(2) };
        assert!(
            matches!(&refused, ExecuteError::Refused(error) if *error == mismatch),
            "{refused}"
        );
    }
}

/// Without an expected version, edits that meet are made one after the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_that_meet_are_all_made() {
    let world = world().await;
    let ann = issuer("ann");
    let link = world.commands.create_link(&ann, None, None, wanted(None)).await.unwrap().link.key;
    let edits = (0..6).map(|n| {
        let url = format!("https://example.com/{n}").parse().ok();
        let edit = LinkCommand::Edit(Box::new(EditLink { url, ..EditLink::default() }));
        world.commands.change_link(&ann, None, None, &link, None, edit)
    });
    let outcomes: Vec<_> = join_all(edits).await.into_iter().map(Result::unwrap).collect();
    let now = load_link(world.log.as_ref(), &link).await.unwrap().unwrap();
    assert_eq!(now.version, Version(7));
    // What the last one was answered with is what its events say.
    assert!(outcomes.iter().any(|outcome| outcome.link == now));
}

/// An event that a newer release wrote is skipped, but it is an event: a retry is answered with
/// the version that the first attempt was answered with.
#[tokio::test]
async fn a_retry_counts_events_of_types_that_are_unknown_here() {
    let world = world().await;
    let ann = issuer("ann");
    let link = world.commands.create_link(&ann, None, None, wanted(None)).await.unwrap().link.key;
    world.append_unknown(&link, Version(1)).await;
    let once = key("k", "disable");
    let disable =
        || world.commands.change_link(&ann, None, Some(&once), &link, None, LinkCommand::Disable);
    let first = disable().await.unwrap();
    assert_eq!(first.link.version, Version(3));
    world.append_unknown(&link, Version(3)).await;
    let again = disable().await.unwrap();
    assert!(again.repeated);
    assert_eq!((again.link, again.position), (first.link, first.position));
}

/// Trap 14 (U31, U32): a sweep works from a look that is older than it, and only links whose
/// end has come, and has not been noted, get an event.
#[tokio::test]
async fn trap_14_a_sweep_decides_for_each_link_again() {
    let world = world().await;
    let ann = issuer("ann");
    let end = ann.now + TimeDelta::seconds(10);
    let mut due = Vec::new();
    for alias in ["ended", "moved", "deleted"] {
        let wanted = WantedLink { expires_at: Some(end), ..wanted(Some(alias)) };
        due.push(world.commands.create_link(&ann, None, None, wanted).await.unwrap().link.key);
    }
    let moved =
        EditLink { expires_at: Some(Some(end + TimeDelta::days(1))), ..EditLink::default() };
    let moved = LinkCommand::Edit(Box::new(moved));
    world.commands.change_link(&ann, None, None, &due[1], None, moved).await.unwrap();
    world.commands.change_link(&ann, None, None, &due[2], None, LinkCommand::Delete).await.unwrap();
    due.push("default/never-there".parse().unwrap());
    let before = world.events().await;
    let clock = Clock::fixed(end);
    let outcomes = world.commands.expire_links(due.clone(), &clock).await;
    let states: HashMap<_, _> =
        outcomes.into_iter().map(|outcome| (outcome.link.key, outcome.link.state)).collect();
    let expected = [(due[0].clone(), LinkState::Expired), (due[1].clone(), LinkState::Active)];
    assert_eq!(states, HashMap::from(expected));
    assert_eq!(world.events().await, before + 1);
    // The read model may still be behind: the same look again changes nothing.
    world.commands.expire_links(due, &clock).await;
    assert_eq!(world.events().await, before + 1);
}
