//! Clicks of a budget on a real log, asked for by many at once on nodes that know nothing of each other.

use futures::future::join_all;
use hoplog_events::catalogue::Event;
use hoplog_events::link::{Extras, LinkEvent, LinkState, MaxClicks};
use tokio::task::AbortHandle;

use super::*;
use crate::commands::create_link::WantedLink;
use crate::commands::tests::{World, issuer, wanted, world};
use crate::domain::link::{EditExtras, EditLink, LinkCommand};

/// A node that gives clicks, until it is dropped.
struct Node {
    budgets: Arc<ClickBudgets>,
    giving: AbortHandle,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.giving.abort();
    }
}

impl Node {
    fn start(log: &Arc<dyn EventLog>) -> Self {
        let budgets = Arc::new(ClickBudgets::new(Arc::clone(log), Clock::system()));
        let gives = Arc::clone(&budgets);
        let giving = tokio::spawn(async move { gives.give().await }).abort_handle();
        Self { budgets, giving }
    }

    async fn ask(&self, version: u64) -> Result<Grant, GrantError> {
        self.budgets.ask(key(), Version(version), 0).await
    }

    /// Whether there was a click for a visitor.
    async fn is_given(&self) -> bool {
        match self.ask(1).await.unwrap() {
            Grant::Given | Grant::Last(_) => true,
            Grant::Spent => false,
        }
    }
}

fn key() -> LinkKey {
    "default/a".parse().unwrap()
}

fn max(clicks: u32) -> MaxClicks {
    clicks.try_into().unwrap()
}

async fn limited_to(clicks: u32) -> World {
    let world = world().await;
    let extras = Extras { max_clicks: Some(max(clicks)), ..Extras::default() };
    let link = WantedLink { extras, ..wanted(Some("a")) };
    world.commands.create_link(&issuer("ann"), None, None, link).await.unwrap();
    world
}

impl World {
    async fn set(&self, max_clicks: Option<MaxClicks>) {
        let extras = EditExtras { max_clicks: Some(max_clicks), ..EditExtras::default() };
        let edit = LinkCommand::Edit(Box::new(EditLink { extras, ..EditLink::default() }));
        self.commands.change_link(&issuer("ann"), None, None, &key(), None, edit).await.unwrap();
    }

    /// The grants on the log, in order.
    async fn grants(&self) -> Vec<u32> {
        let events = self.log.read(&key().stream(), Version::NONE).await.unwrap();
        let count = |event| match event {
            Event::Link(LinkEvent::ClicksGranted(granted)) => Some(granted.count.get()),
            _ => None,
        };
        events.iter().filter_map(|event| count(event.decode().unwrap()?.event)).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_on_two_nodes_as_many_are_given_as_there_are() {
    for budget in [1, 10, 150] {
        let world = limited_to(budget).await;
        let nodes = [Node::start(&world.log), Node::start(&world.log)];
        let visitors = (0..200).map(|number| nodes[number % 2].is_given());
        let given = join_all(visitors).await.into_iter().filter(|given| *given).count();
        let grants = world.grants().await;
        assert_eq!((given, grants.iter().sum()), (budget as usize, budget));
        assert!(grants.len() < 100, "those who wait are given at once: {grants:?}");
        assert!(!nodes[0].is_given().await && !nodes[1].is_given().await);
    }
}

#[tokio::test]
async fn whoever_was_last_is_told_what_became_of_the_link() {
    let world = limited_to(2).await;
    let node = Node::start(&world.log);
    assert!(matches!(node.ask(1).await, Ok(Grant::Given)));
    let Ok(Grant::Last(last)) = node.ask(1).await else { panic!("the last") };
    assert_eq!((last.0.extras.clicks_left(), last.0.version), (Some(0), Version(3)));
    let recorded = world.log.last(&key().stream()).await.unwrap().unwrap();
    assert_eq!((recorded.position, recorded.version), (last.1, Version(3)));
    assert!(matches!(node.ask(1).await, Ok(Grant::Spent)));
}

/// What a node knows of a link is never believed where it would give too much, and no longer than until the link
/// is seen to have changed.
#[tokio::test]
async fn a_change_elsewhere_is_noticed() {
    let world = limited_to(5).await;
    let node = Node::start(&world.log);
    assert!(node.is_given().await);
    world.set(Some(max(1))).await;
    assert!(!node.is_given().await, "lowered");
    world.set(Some(max(2))).await;
    assert!(!node.is_given().await, "of a link that was shown as it was before, it is spent");
    assert!(matches!(node.ask(4).await, Ok(Grant::Last(_))), "raised");
    world.set(None).await;
    for _ in 0..3 {
        assert!(matches!(node.ask(6).await, Ok(Grant::Given)), "any number");
    }
    world.set(Some(max(1))).await;
    assert!(node.is_given().await && !node.is_given().await, "a new budget begins anew");
    assert_eq!(world.grants().await, [1, 1, 1]);
    let delete = LinkCommand::Delete;
    let ann = issuer("ann");
    let outcome = world.commands.change_link(&ann, None, None, &key(), None, delete).await;
    assert_eq!(outcome.unwrap().link.state, LinkState::Deleted);
    assert_eq!(node.ask(9).await.unwrap_err(), GrantError::Refused(LinkError::Deleted));
    let nobodys = node.budgets.ask("default/b".parse().unwrap(), Version(1), 0).await;
    assert_eq!(nobodys.unwrap_err(), GrantError::Refused(LinkError::NotFound));
}

/// A log that was put back has other events behind the same versions.
#[tokio::test]
async fn what_is_known_of_a_log_that_was_put_back_is_forgotten() {
    let (before, after) = (limited_to(1).await, limited_to(1).await);
    let mut desk = Desk::new(Arc::clone(&before.log), Clock::system());
    let ask = async |desk: &mut Desk, era| {
        let (answer, told) = oneshot::channel();
        desk.take(Visitor { link: key(), least: Version(1), era, answer });
        let turn = desk.under_way.next().await.unwrap();
        desk.end(turn);
        told.await.unwrap().unwrap()
    };
    assert!(matches!(ask(&mut desk, 0).await, Grant::Last(_)));
    desk.log = Arc::clone(&after.log);
    assert!(matches!(ask(&mut desk, 0).await, Grant::Spent));
    assert!(matches!(ask(&mut desk, 1).await, Grant::Last(_)));
    assert_eq!(desk.present, 0);
}

#[tokio::test]
async fn whoever_is_gone_takes_nothing_and_too_many_are_turned_away() {
    let world = limited_to(10).await;
    let mut desk = Desk::new(Arc::clone(&world.log), Clock::system());
    let take = |desk: &mut Desk| {
        let (answer, told) = oneshot::channel();
        desk.take(Visitor { link: key(), least: Version(1), era: 0, answer });
        told
    };
    let first = take(&mut desk);
    let mut waiting: Vec<_> = (0..WAITING_OF_LINK_MAX).map(|_| take(&mut desk)).collect();
    assert_eq!(take(&mut desk).await.unwrap().unwrap_err(), GrantError::Busy);
    assert_eq!(desk.present, 1 + WAITING_OF_LINK_MAX);
    waiting.truncate(3);
    for _ in 0..2 {
        let turn = desk.under_way.next().await.unwrap();
        desk.end(turn);
    }
    assert!(matches!(first.await, Ok(Ok(Grant::Given))));
    for told in waiting {
        assert!(matches!(told.await, Ok(Ok(Grant::Given))));
    }
    assert_eq!((world.grants().await, desk.present), (vec![1, 3], 0));
    assert!(desk.waiting.is_empty() && desk.under_way.is_empty());
}
