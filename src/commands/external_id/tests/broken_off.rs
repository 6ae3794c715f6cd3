//! Who has claimed an external id and is not heard of again, or late.

use super::*;

impl World {
    /// Ann claims an external id for a link and is broken off.
    async fn claim(&self, external_id: &str, key: &LinkKey, version: Version) {
        let (ann, external_id) = (issuer("ann"), id(external_id));
        let named = (&ann.owner, &external_id);
        let claimed = self.commands.claim_for(&ann, named, (key, version), false).await;
        assert!(matches!(claimed, Ok(Claimed::Own)), "{claimed:?}");
    }

    /// She was only slow, and goes on where her claim was made.
    async fn go_on(&self, key: &LinkKey, version: Version, command: LinkCommand) {
        let ann = issuer("ann");
        let request = self.commands.request(&ann, None, Some(vec![version]), command);
        let slow = self.commands.execute(key, &request, &ann.origin(None)).await;
        let void =
            ExecuteError::Refused(LinkError::VersionMismatch { actual: Version(version.0 + 1) });
        assert_eq!(slow.unwrap_err().to_string(), void.to_string());
    }
}

fn creation(key: &LinkKey, external_id: &str) -> LinkCommand {
    let wanted = wanted(None, Some(external_id));
    LinkCommand::Create(Box::new(crate::domain::link::CreateLink {
        key: key.clone(),
        url: wanted.url,
        owner: "ann".parse().unwrap(),
        expires_at: None,
        redirect: wanted.redirect,
        title: None,
        tags: wanted.tags,
        note: None,
        external_id: wanted.external_id,
        extras: wanted.extras,
    }))
}

/// Somebody was broken off between the claim and the link: the next one makes it.
#[tokio::test]
async fn a_creation_that_was_broken_off_is_finished_by_the_next() {
    let world = world().await;
    let half: LinkKey = "default/half".parse().unwrap();
    world.claim("e", &half, Version::NONE).await;
    assert_eq!(world.has("e").await, None);
    let Upserted::Created(outcome) = world.upsert("e").await.unwrap() else { panic!("an update") };
    assert_eq!(outcome.link.key, half);
    taken(world.create(wanted(Some("chosen"), Some("e"))).await, &half);
    // One whose code went to somebody else is void.
    let lost: LinkKey = "default/lost".parse().unwrap();
    world.claim("f", &lost, Version::NONE).await;
    world.create(wanted(Some("lost"), None)).await.unwrap();
    let link = world.create(wanted(Some("found"), Some("f"))).await.unwrap();
    assert_eq!(world.has("f").await, Some(link.key));
}

/// One that chooses another code makes the claim void: it blocks nobody for ever, and comes to nothing even if
/// it was only slow. Its code is free.
#[tokio::test]
async fn a_creation_that_was_broken_off_blocks_nobody_with_another_code() {
    let world = world().await;
    for (n, code) in ["slow0", "slow1"].into_iter().enumerate() {
        let slow: LinkKey = format!("default/{code}").parse().unwrap();
        let (external_id, alias) = (format!("e{n}"), format!("chosen{n}"));
        world.claim(&external_id, &slow, Version::NONE).await;
        let link = if n == 0 {
            world.create(wanted(Some(&alias), Some(&external_id))).await.unwrap()
        } else {
            let upserted = world.upsert_as(Some(&alias), &external_id).await.unwrap();
            let Upserted::Created(outcome) = upserted else { panic!("an update") };
            outcome.link
        };
        world.go_on(&slow, Version::NONE, creation(&slow, &external_id)).await;
        assert_eq!(world.has(&external_id).await.as_ref(), Some(&link.key));
        taken(world.create(wanted(Some(code), Some(&external_id))).await, &link.key);
        // Also with an external id of its own, which is claimed where the stream is now.
        let other = format!("other{n}");
        let late = world.create(wanted(Some(code), Some(&other))).await.unwrap();
        assert_eq!(world.has(&other).await, Some(late.key.clone()));
        taken(world.create(wanted(None, Some(&other))).await, &late.key);
    }
}

/// And between the claim and the change: whatever happens to the link makes room for the next.
#[tokio::test]
async fn a_change_that_was_broken_off_is_void_when_its_link_goes_on() {
    let world = world().await;
    let link = world.create(wanted(Some("a"), None)).await.unwrap();
    world.claim("e", &link.key, link.version).await;
    world.change(&link.key, LinkCommand::Disable).await.unwrap();
    let other = world.create(wanted(None, Some("e"))).await.unwrap().key;
    taken(world.name(&link.key, Some("e")).await, &other);
}

/// If nothing happens to it, who wants the external id makes it go on, and changes nothing of it.
#[tokio::test]
async fn a_change_that_was_broken_off_blocks_nobody() {
    let world = world().await;
    for (alias, external_id) in [("a", None), ("b", Some("before"))] {
        let link = world.create(wanted(Some(alias), external_id)).await.unwrap();
        let e = format!("e-of-{alias}");
        world.claim(&e, &link.key, link.version).await;
        let Upserted::Created(made) = world.upsert(&e).await.unwrap() else { panic!("an update") };
        assert_eq!(world.has(&e).await, Some(made.link.key.clone()));
        let edit = EditLink { external_id: Some(Some(id(&e))), ..EditLink::default() };
        world.go_on(&link.key, link.version, LinkCommand::Edit(Box::new(edit))).await;
        let after = load_link(world.log.as_ref(), &link.key).await.unwrap().unwrap();
        assert_eq!(after, Link { version: Version(link.version.0 + 1), ..link });
        taken(world.name(&after.key, Some(&e)).await, &made.link.key);
    }
}
