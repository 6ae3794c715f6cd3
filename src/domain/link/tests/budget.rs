//! Links that are good for so many clicks.

use std::num::NonZeroU32;

use hoplog_events::link::{LinkClicksGranted, LinkMaxClicksChanged, MaxClicks};

use super::*;

fn max(clicks: u32) -> MaxClicks {
    clicks.try_into().unwrap()
}

fn count(clicks: u32) -> NonZeroU32 {
    clicks.try_into().unwrap()
}

fn limited_to(clicks: u32) -> LinkEvent {
    let extras = Extras { max_clicks: Some(max(clicks)), ..Extras::default() };
    let create = LinkCommand::Create(Box::new(CreateLink { extras, ..new_link() }));
    decide(None, &request(create)).unwrap().remove(0)
}

fn ask(clicks: u32) -> LinkCommand {
    LinkCommand::GrantClicks(count(clicks))
}

fn granted(clicks: u32, left: u32) -> LinkEvent {
    LinkEvent::ClicksGranted(LinkClicksGranted { count: count(clicks), left })
}

fn changed(max_clicks: Option<MaxClicks>) -> LinkEvent {
    LinkEvent::MaxClicksChanged(LinkMaxClicksChanged { max_clicks })
}

fn set(max_clicks: Option<MaxClicks>) -> LinkCommand {
    edit(|edit| edit.extras.max_clicks = Some(max_clicks))
}

#[test]
fn clicks_are_given_as_long_as_there_are_any() {
    given([limited_to(3)]).when(ask(1)).then([granted(1, 2)]);
    given([limited_to(3)]).when(ask(3)).then([granted(3, 0)]);
    let spent = |left| LinkError::ClicksSpent { left };
    given([limited_to(3)]).when(ask(4)).then_refused(spent(3));
    given([limited_to(3), granted(2, 1)]).when(ask(1)).then([granted(1, 0)]);
    given([limited_to(3), granted(2, 1)]).when(ask(2)).then_refused(spent(1));
    given([limited_to(3), granted(3, 0)]).when(ask(1)).then_refused(spent(0));
    given([limited_to(3), deleted()]).when(ask(1)).then_refused(LinkError::Deleted);
    given([]).when(ask(1)).then_refused(LinkError::NotFound);
    // A link without a budget is good for any number, and nothing is written of it.
    given([created()]).when(ask(9)).then([]);
}

#[test]
fn a_budget_is_raised_lowered_and_removed() {
    given([created()]).when(set(Some(max(2)))).then([changed(Some(max(2)))]);
    given([limited_to(2)]).when(set(Some(max(2)))).then([]);
    given([created()]).when(set(None)).then([]);
    let spent = [limited_to(2), granted(2, 0)];
    let then = |more: &[LinkEvent]| Given([&spent[..], more].concat());
    then(&[]).when(set(Some(max(3)))).then([changed(Some(max(3)))]);
    then(&[changed(Some(max(3)))]).when(ask(1)).then([granted(1, 0)]);
    then(&[changed(Some(max(3)))]).when(ask(2)).then_refused(LinkError::ClicksSpent { left: 1 });
    // Below what was given: nothing is left, and nothing was given too much at the time.
    then(&[]).when(set(Some(max(1)))).then([changed(Some(max(1)))]);
    then(&[changed(Some(max(1)))]).when(ask(1)).then_refused(LinkError::ClicksSpent { left: 0 });
    // A budget that is set after one was removed begins anew.
    then(&[]).when(set(None)).then([changed(None)]);
    then(&[changed(None)]).when(ask(5)).then([]);
    then(&[changed(None), changed(Some(max(2)))]).when(ask(2)).then([granted(2, 0)]);
}

#[test]
fn what_is_left_of_a_budget_is_told_and_goes_with_what_people_wrote() {
    let link = |events: &[LinkEvent]| {
        replay(&key(), events.iter().map(|event| (event, t(0)))).unwrap().extras
    };
    let extras = link(&[limited_to(3), granted(2, 1)]);
    assert_eq!(
        (extras.max_clicks, extras.clicks_left(), extras.is_spent()),
        (Some(max(3)), Some(1), false)
    );
    assert!(link(&[limited_to(3), granted(3, 0)]).is_spent());
    assert!(link(&[limited_to(3), granted(2, 1), changed(Some(max(1)))]).is_spent());
    assert_eq!(link(&[created()]).clicks_left(), None);
    assert!(link(&[limited_to(3), granted(2, 1), deleted(), erased()]).is_empty());
}

/// What happens to a link with a budget.
#[derive(Debug, Clone)]
enum Step {
    Ask(u32),
    Set(Option<u32>),
}

proptest! {
    /// Whatever is asked for and changed in whatever order: never more than the budget of the moment, and all of it.
    #[test]
    fn clicks_are_never_given_beyond_the_budget_of_the_moment(steps in proptest::collection::vec(
        prop_oneof![
            4 => (1..6_u32).prop_map(Step::Ask),
            1 => proptest::option::of(1..12_u32).prop_map(Step::Set),
        ],
        0..60,
    )) {
        let mut link = replay(&key(), [(&limited_to(5), t(0))]);
        let (mut budget, mut given) = (Some(5), 0);
        for step in steps {
            let command = match step {
                Step::Ask(clicks) => ask(clicks),
                Step::Set(clicks) => set(clicks.map(max)),
            };
            let decided = decide(link.as_ref(), &request(command));
            match (step, budget) {
                (Step::Ask(clicks), Some(budget)) if given + clicks <= budget => {
                    given += clicks;
                    prop_assert_eq!(&decided, &Ok(vec![granted(clicks, budget - given)]));
                }
                (Step::Ask(_), Some(budget)) => {
                    let left = budget.saturating_sub(given);
                    prop_assert_eq!(&decided, &Err(LinkError::ClicksSpent { left }));
                }
                (Step::Ask(_), None) => prop_assert_eq!(&decided, &Ok(vec![])),
                (Step::Set(to), _) => {
                    budget = to;
                    given = if to.is_none() { 0 } else { given };
                }
            }
            for event in decided.unwrap_or_default() {
                link = evolve(link, &key(), &event, t(0));
            }
            let left = budget.map(|budget| budget.saturating_sub(given));
            prop_assert_eq!(link.as_ref().unwrap().extras.clicks_left(), left);
        }
    }
}
