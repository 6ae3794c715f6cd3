//! On a real log, with many at once.

use std::collections::HashMap;

use futures::future::join_all;
use hoplog_events::catalogue::Event;
use hoplog_events::link::{Domain, LinkEvent, LinkState};
use hoplog_events::log::ReadLimit;
use hoplog_events::position::{Sequence, Topic};
use proptest::prelude::*;

use super::*;
use crate::commands::tests::{World, issuer, wanted as wanted_as, world};
use crate::execute::load_link;

mod broken_off;

fn id(text: &str) -> ExternalId {
    text.parse().unwrap()
}

fn wanted(alias: Option<&str>, external_id: Option<&str>) -> WantedLink {
    WantedLink { external_id: external_id.map(id), ..wanted_as(alias) }
}

impl World {
    async fn create(&self, wanted: WantedLink) -> Result<Link, ExecuteError> {
        let created = self.commands.create_link(&issuer("ann"), None, None, wanted).await;
        created.map(|outcome| outcome.link)
    }

    async fn change(&self, key: &LinkKey, command: LinkCommand) -> Result<Link, ExecuteError> {
        let changed =
            self.commands.change_link(&issuer("ann"), None, None, key, None, command).await;
        changed.map(|outcome| outcome.link)
    }

    async fn name(&self, key: &LinkKey, external_id: Option<&str>) -> Result<Link, ExecuteError> {
        let edit = EditLink { external_id: Some(external_id.map(id)), ..EditLink::default() };
        self.change(key, LinkCommand::Edit(Box::new(edit))).await
    }

    async fn upsert(&self, external_id: &str) -> Result<Upserted, ExecuteError> {
        self.upsert_as(None, external_id).await
    }

    async fn upsert_as(
        &self,
        alias: Option<&str>,
        external_id: &str,
    ) -> Result<Upserted, ExecuteError> {
        let wanted = (&id(external_id), wanted(alias, Some(external_id)));
        self.commands.upsert_link(&issuer("ann"), None, None, wanted, EditLink::default()).await
    }

    async fn has(&self, external_id: &str) -> Option<LinkKey> {
        let owner = "ann".parse().unwrap();
        self.commands
            .link_with(&owner, (&Domain::service(), &id(external_id)))
            .await
            .unwrap()
            .map(|link| link.key)
    }

    /// The links that are there with their external ids, as their own events have it.
    async fn links(&self) -> Vec<Link> {
        let events = self.log.read_all(Topic::Links, Sequence::START, ReadLimit::default());
        let mut links = HashMap::new();
        for event in events.await.unwrap() {
            if let Event::Link(LinkEvent::Created(_)) = event.decode().unwrap().unwrap().event {
                let key: LinkKey = event.stream.key().parse().unwrap();
                let link = load_link(self.log.as_ref(), &key).await.unwrap().unwrap();
                links.insert(key, link);
            }
        }
        links.into_values().filter(|link| link.state != LinkState::Deleted).collect()
    }
}

#[track_caller]
fn taken<T: std::fmt::Debug>(outcome: Result<T, ExecuteError>, by: &LinkKey) {
    match outcome {
        Err(ExecuteError::Refused(LinkError::ExternalIdTaken(key))) if key == *by => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_external_id_is_one_links_until_that_lets_it_go() {
    let world = world().await;
    let first = world.create(wanted(None, Some("e"))).await.unwrap().key;
    taken(world.create(wanted(None, Some("e"))).await, &first);
    taken(world.create(wanted(Some("chosen"), Some("e"))).await, &first);
    let other = world.create(wanted(Some("chosen"), None)).await.unwrap().key;
    taken(world.name(&other, Some("e")).await, &first);
    world.name(&first, Some("e")).await.unwrap();
    // Changed, cleared, deleted: it is free.
    world.name(&first, Some("f")).await.unwrap();
    world.name(&other, Some("e")).await.unwrap();
    taken(world.name(&first, Some("e")).await, &other);
    world.name(&other, None).await.unwrap();
    world.name(&first, Some("e")).await.unwrap();
    world.change(&first, LinkCommand::Delete).await.unwrap();
    assert_eq!(world.has("e").await, None);
    let third = world.create(wanted(None, Some("e"))).await.unwrap().key;
    assert_eq!(world.has("e").await, Some(third));
    // Another owner's is another one.
    let bob = issuer("bob");
    world.commands.create_link(&bob, None, None, wanted(None, Some("e"))).await.unwrap();
}

/// U14: an upsert that looks first and then makes is no race.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_64_who_want_one_external_id_one_creates_it() {
    for alias in [None, Some("chosen")] {
        of_64_one_creates_it(alias).await;
    }
}

async fn of_64_one_creates_it(alias: Option<&str>) {
    let world = world().await;
    let upserts = join_all((0..64).map(|_| world.upsert_as(alias, "e"))).await;
    let keys: Vec<(LinkKey, bool)> = upserts
        .into_iter()
        .map(|upserted| match upserted.unwrap() {
            Upserted::Created(outcome) => (outcome.link.key, true),
            Upserted::Updated(outcome) => (outcome.link.key, false),
        })
        .collect();
    assert!(keys.iter().all(|(key, _)| *key == keys[0].0), "{keys:?}");
    assert_eq!(keys.iter().filter(|(_, is_created)| *is_created).count(), 1);
    assert_eq!(world.links().await.len(), 1);
}

#[tokio::test]
async fn an_alias_that_is_of_a_link_without_the_external_id_is_taken() {
    let world = world().await;
    world.create(wanted(Some("chosen"), Some("other"))).await.unwrap();
    let refused = world.upsert_as(Some("chosen"), "e").await;
    assert!(matches!(refused, Err(ExecuteError::Refused(LinkError::CodeTaken(_)))), "{refused:?}");
}

/// An upsert has found its link, which gives the external id away before it is changed.
#[tokio::test]
async fn an_upsert_changes_no_link_that_has_another_external_id() {
    let world = world().await;
    let found = world.create(wanted(None, Some("from"))).await.unwrap().key;
    let moved = world.name(&found, Some("to")).await.unwrap();
    let edit = EditLink { title: Some(Some("t".parse().unwrap())), ..EditLink::default() };
    let edit = LinkCommand::Edit(Box::new(edit));
    let change = async |external_id: &str| {
        let (ann, external_id) = (issuer("ann"), id(external_id));
        let found = (&found, &external_id);
        world.commands.change_named(&ann, None, None, found, edit.clone()).await
    };
    let refused = change("from").await;
    assert!(
        matches!(
            refused,
            Err(ExecuteError::Refused(LinkError::VersionMismatch { actual })) if actual == moved.version
        ),
        "{refused:?}"
    );
    assert_eq!(load_link(world.log.as_ref(), &found).await.unwrap(), Some(moved));
    change("to").await.unwrap();
}

#[tokio::test]
async fn an_idempotency_key_is_answered_with_what_it_made() {
    let world = world().await;
    let ann = issuer("ann");
    for (name, alias) in [("k1", None), ("k2", Some("chosen"))] {
        let key = IdempotencyKey { key: name.into(), request: "{}".into() };
        let create = || {
            let wanted = wanted(alias, Some(name));
            world.commands.create_link(&ann, None, Some(&key), wanted)
        };
        let first = create().await.unwrap();
        world.name(&first.link.key, Some("other")).await.unwrap();
        let again = create().await.unwrap();
        assert!(again.repeated && !first.repeated);
        assert_eq!((again.link, again.position), (first.link.clone(), first.position));
        world.name(&first.link.key, None).await.unwrap();
    }
}

#[tokio::test]
async fn a_creation_that_its_idempotency_key_refuses_holds_nothing() {
    let world = world().await;
    let ann = issuer("ann");
    let create = async |alias, external_id, request: &str| {
        let (name, request) = request.split_at(1);
        let key = IdempotencyKey { key: name.into(), request: request.into() };
        let wanted = wanted(alias, external_id);
        world.commands.create_link(&ann, None, Some(&key), wanted).await
    };
    create(None, None, "k1").await.unwrap();
    let refused = create(Some("chosen"), Some("e"), "k2").await;
    assert!(matches!(refused, Err(ExecuteError::IdempotencyKeyReused)), "{refused:?}");
    let link = world.create(wanted(None, Some("e"))).await.unwrap();
    assert_ne!(link.key.code.to_string(), "chosen", "the refused request chose it");
    // And what the external id refuses does not hold the key.
    taken(create(Some("chosen"), Some("e"), "l1").await, &link.key);
    create(Some("another"), Some("f"), "l2").await.unwrap();
}

/// Something that is done to a link or an external id.
#[derive(Debug, Clone, Copy)]
enum Step {
    Create(usize),
    Upsert(usize),
    Name(usize, usize),
    Clear(usize),
    Delete(usize),
}

const IDS: [&str; 3] = ["x", "y", "z"];

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..3_usize).prop_map(Step::Create),
        (0..3_usize).prop_map(Step::Upsert),
        (0..4_usize, 0..3_usize).prop_map(|(link, id)| Step::Name(link, id)),
        (0..4_usize).prop_map(Step::Clear),
        (0..4_usize).prop_map(Step::Delete),
    ]
}

impl World {
    async fn step(&self, step: Step) {
        let key = |n: usize| -> LinkKey { format!("default/link{n}").parse().unwrap() };
        // A refusal changes nothing.
        let outcome = match step {
            Step::Create(n) => self.create(wanted(None, Some(IDS[n]))).await.map(drop),
            Step::Upsert(n) => self.upsert(IDS[n]).await.map(drop),
            Step::Name(link, n) => self.name(&key(link), Some(IDS[n])).await.map(drop),
            Step::Clear(link) => self.name(&key(link), None).await.map(drop),
            Step::Delete(link) => self.change(&key(link), LinkCommand::Delete).await.map(drop),
        };
        if let Err(error) = outcome {
            assert!(matches!(error, ExecuteError::Refused(_) | ExecuteError::Contended), "{error}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Whatever is done at once and one after the other: no two links have one external id, and what stands
    /// for it knows which it is.
    #[test]
    fn no_two_links_have_one_external_id(
        rounds in proptest::collection::vec(proptest::collection::vec(any_step(), 1..6), 1..8)
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let world = world().await;
            for n in 0..4 {
                world.create(wanted(Some(&format!("link{n}")), None)).await.unwrap();
            }
            for round in rounds {
                join_all(round.iter().map(|step| world.step(*step))).await;
                let links = world.links().await;
                for external_id in IDS {
                    let have = |link: &&Link| link.external_id == Some(id(external_id));
                    let having: Vec<_> = links.iter().filter(have).map(|link| &link.key).collect();
                    assert!(having.len() <= 1, "{external_id}: {having:?} after {round:?}");
                    assert_eq!(world.has(external_id).await.as_ref(), having.first().copied());
                }
            }
        });
    }
}
