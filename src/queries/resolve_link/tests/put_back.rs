//! A log that was put back, or can't be read: nothing of what was lost is shown.

use super::*;

impl World {
    /// What the links of a log that was put back are, while Redis has what became of them before.
    async fn check_nothing_is_of_the_lost_future(&self, expected: &Target) {
        let lost = self.nodes[0].shared.links().get(&expected.key).await.unwrap().unwrap();
        assert!(lost.value.unwrap().version > expected.version, "it is still there");
        for node in &self.nodes {
            let is_as_expected = async || {
                let found = node.try_resolve(&expected.key).await;
                found.inspect(|found| assert_eq!(**found, *expected)).is_some()
            };
            eventually("somebody answers", is_as_expected).await;
            // The answer may be remembered meanwhile: what is lost is not.
            let shown = node.ask_shared(&expected.key).await;
            assert_eq!(shown.filter(|shown| **shown != *expected), None);
        }
    }
}

/// Traps 1 and 2: the streams of a log are put back while nodes follow them. What was lost is in Redis, in
/// the read models and in every node's memory; none of it is shown any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_log_that_was_put_back_no_lost_future_is_shown() {
    let mut server = NatsServer::start();
    let (log, _) = JetStreamLog::open(&server.url().parse().unwrap()).await.unwrap();
    let mut world = World::on(Arc::new(log)).await;
    world.command(0, 1, &Step::Create(1)).await;
    let kept = Target::from(world.links[&key(1)].link.clone());
    server.copy_store();
    world.command_until(1, &Step::Edit(2), 2).await;
    world.settle().await;
    for node in &world.nodes {
        let is_believed = async || node.ask_shared(&key(1)).await.is_some();
        eventually("the edit is believed", is_believed).await;
    }
    server.put_copy_back();
    // Longer than before: the next event that is read tells.
    for n in 2..4 {
        world.command_until(n, &Step::Create(1), 1).await;
    }
    for node in &world.nodes {
        let is_noticed = async || node.resolver.source.followed.distrusts();
        eventually("it is noticed", is_noticed).await;
        // It begins anew from the log that there is now.
        let follows = async || node.resolver.source.recent().reached() > Sequence::START;
        eventually("it is followed again", follows).await;
        assert_eq!(node.shared.level2().missed(), 0);
    }
    world.check_nothing_is_of_the_lost_future(&kept).await;
    // And what happens from now on is followed.
    world.links.remove(&key(1));
    world.command_until(1, &Step::Disable, 2).await;
    let expected = Target::from(world.links[&key(1)].link.clone());
    for node in &world.nodes {
        let is_seen = async || node.try_resolve(&key(1)).await.as_deref() == Some(&expected);
        eventually("the change is seen", is_seen).await;
    }
}

/// Traps 1 and 2: who began before the log was put back, and ends after that, tells of what it does not have:
/// it is not remembered, or nothing that the log has would be new enough any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_begun_before_the_log_was_put_back_is_not_remembered() {
    let mut world = World::new().await;
    world.command(0, 1, &Step::Create(1)).await;
    let (link, expected) = {
        let outcome = &world.links[&key(1)];
        (outcome.link.clone(), Target::from(outcome.link.clone()))
    };
    let node = &world.nodes[0];
    let (resolver, head) = (&node.resolver, world.log.head(Topic::Links).await.unwrap());
    let lost = Sequence(head.sequence.0 + 1_000);
    let era = resolver.era();
    resolver.distrust_others();
    let lost_link = Link { version: Version(9), ..link };
    resolver.remember(era, lost_link.clone(), Position { sequence: lost, ..head }, NOW);
    resolver.source.note_ahead(era, &key(1), Version(9), lost);
    let path = LinkPath { domain: "default", code: "link1" };
    assert_eq!(resolver.at_hand(path, NOW), AtHand::Nothing);
    assert_eq!(resolver.source.recent().newest(&key(1)), Version::NONE);
    assert_eq!(node.resolve(&key(1)).await.as_deref(), Some(&expected));
    // Of what was begun since all is taken over.
    resolver.remember(resolver.era(), lost_link, Position { sequence: lost, ..head }, NOW);
    assert_eq!(resolver.source.recent().newest(&key(1)), Version(9));
}

/// The same with the file of the embedded log, put back while nothing runs, and read models that are
/// built anew: only that what is in Redis accounts for more than there is tells.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_file_that_was_put_back_no_lost_future_is_shown() {
    let mut world = World::new().await;
    world.command(0, 1, &Step::Create(1)).await;
    let kept = Target::from(world.links[&key(1)].link.clone());
    let copy = tempfile::tempdir().unwrap();
    let all = |from: &Path, to: &Path| {
        for file in std::fs::read_dir(from).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    };
    world.restart_with(|log| all(log, copy.path())).await;
    world.command(0, 1, &Step::Edit(2)).await;
    world.settle().await;
    let put_back = |log: &Path| {
        for file in std::fs::read_dir(log).unwrap() {
            std::fs::remove_file(file.unwrap().path()).unwrap();
        }
        all(copy.path(), log);
    };
    world.restart_with(put_back).await;
    let head = world.log.head(Topic::Links).await.unwrap();
    for node in &world.nodes {
        node.models.wait_for_all(head, PATIENCE).await.unwrap();
    }
    world.check_nothing_is_of_the_lost_future(&kept).await;
    // Nor when the log has grown beyond what was lost.
    for n in 2..6 {
        world.command(0, n, &Step::Create(n.into())).await;
    }
    let head = world.log.head(Topic::Links).await.unwrap().sequence;
    for node in &world.nodes {
        let has_read = async || node.resolver.source.recent().reached() == head;
        eventually("the log is read", has_read).await;
    }
    world.check_nothing_is_of_the_lost_future(&kept).await;
}

/// Trap 1: a node that can't read the log knows of no change any more, and takes nobody's word for what it
/// doubts itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_log_can_not_be_read_nothing_shared_is_believed() {
    let mut server = NatsServer::start();
    let (log, _) = JetStreamLog::open(&server.url().parse().unwrap()).await.unwrap();
    let mut world = World::on(Arc::new(log)).await;
    world.command(0, 1, &Step::Create(1)).await;
    world.settle().await;
    let are_believed = async |is: bool| {
        for node in &world.nodes {
            let believes = async || node.ask_shared(&key(1)).await.is_some() == is;
            eventually("what is shared is believed, or not", believes).await;
        }
    };
    are_believed(true).await;
    server.kill();
    are_believed(false).await;
    server.restart();
    world.command_until(2, &Step::Create(1), 1).await;
    for node in &world.nodes {
        let believes = async || node.ask_shared(&key(1)).await.is_some();
        eventually("it is believed again", believes).await;
    }
}
