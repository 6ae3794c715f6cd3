//! Rules of a link: set, changed and removed as a whole.

use hoplog_events::link::{LinkRulesChanged, Rules};

use super::*;

/// Rules that lead bots here, and all others there.
fn rules(urls: &[&str]) -> Rules {
    let rules: Vec<_> =
        urls.iter().map(|url| format!(r#"{{"when":{{"visitor":"bot"}},"url":"{url}"}}"#)).collect();
    serde_json::from_str(&format!("[{}]", rules.join(","))).unwrap()
}

fn rules_changed(rules: Rules) -> LinkEvent {
    LinkEvent::RulesChanged(LinkRulesChanged { rules })
}

fn set(rules: Rules) -> LinkCommand {
    edit(|edit| edit.extras.rules = Some(rules))
}

#[test]
fn rules_are_one_fact() {
    let (one, two) = (rules(&["https://a.example/"]), rules(&["https://b.example/"]));
    given([created()]).when(set(one.clone())).then([rules_changed(one.clone())]);
    given([created()]).when(set(Rules::default())).then([]);
    given([created(), rules_changed(one.clone())]).when(set(one.clone())).then([]);
    let events = [created(), rules_changed(one.clone())];
    given(events.clone()).when(set(two.clone())).then([rules_changed(two)]);
    given(events.clone()).when(set(Rules::default())).then([rules_changed(Rules::default())]);
    let link = replay(&key(), events.iter().map(|event| (event, t(0)))).unwrap();
    assert_eq!(link.extras.rules, one);
    assert_eq!(link.answered_redirect(), RedirectStatus::Found);
    let permanent = Link { redirect: RedirectStatus::PermanentRedirect, ..link };
    assert_eq!(permanent.answered_redirect(), RedirectStatus::TemporaryRedirect);
    let erased = replay(&key(), events.iter().chain([&deleted(), &erased()]).map(|e| (e, t(0))));
    assert!(erased.unwrap().extras.is_empty());
}

/// Trap 19: the destination of a rule is looked at like that of the link, wherever it stands.
#[test]
fn trap_19_no_rule_leads_back_to_the_service() {
    let looped = rules(&["https://example.com/", "https://GO.example.com./x"]);
    let refused = || LinkError::Loop(DestinationField::Rule(1));
    let extras = Extras { rules: looped.clone(), ..Extras::default() };
    let create = LinkCommand::Create(Box::new(CreateLink { extras, ..new_link() }));
    given([]).when(create).then_refused(refused());
    given([created()]).when(set(looped)).then_refused(refused());
}

/// Campaign fields are those of every destination, whichever a visitor is led to.
#[test]
fn campaign_fields_are_set_in_the_destinations_of_rules_too() {
    let utm = || {
        let mut utm = EditUtm::default();
        utm.0[0] = Some(Some("mail".parse().unwrap()));
        utm
    };
    let url = "https://example.com/?utm_source=mail".parse().unwrap();
    let moved = LinkEvent::DestinationChanged(LinkDestinationChanged { url });
    let (before, after) =
        (rules(&["https://a.example/?b=1"]), rules(&["https://a.example/?b=1&utm_source=mail"]));
    let events = [created(), rules_changed(before.clone())];
    given(events)
        .when(edit(|edit| edit.utm = utm()))
        .then([moved.clone(), rules_changed(after.clone())]);
    let both = edit(|edit| {
        edit.utm = utm();
        edit.extras.rules = Some(before);
    });
    given([created()]).when(both).then([moved, rules_changed(after)]);
    let long = format!("https://a.example/{}", "a".repeat(8_170));
    let too_long = [created(), rules_changed(rules(&[&long]))];
    given(too_long).when(edit(|edit| edit.utm = utm())).then_refused(LinkError::UtmTooLong);
}
