//! Given these events, when this is asked for, then these events follow, or this refusal.

use hoplog_events::position::{LogId, Sequence};
use hoplog_events::webhook::{
    WebhookChanged, WebhookCreated, WebhookDeleted, WebhookDisabled, WebhookEnabled, WebhookEvent,
    WebhookSecretRotated,
};
use uuid::Uuid;

use super::*;

fn t(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

fn secret(name: &str) -> WebhookSecret {
    WebhookSecret(format!("whsec_{name}").into())
}

fn owner(name: &str) -> Requester {
    Requester::Owner(name.parse().unwrap())
}

fn settings(url: &str) -> WebhookSettings {
    let types = vec![TypeSelector::of(&hoplog_events::position::Topic::ALL, "hoplog.link.created")];
    WebhookSettings {
        url: url.parse().unwrap(),
        types: types.into_iter().map(Result::unwrap).collect(),
        link: None,
        tag: None,
        description: None,
    }
}

fn create(owner: Option<&str>, settings: WebhookSettings) -> CreateWebhook {
    CreateWebhook {
        id: WebhookId(Uuid::nil()),
        owner: owner.map(|owner| owner.parse().unwrap()),
        settings,
        secret: secret("one"),
        start: start(3, 5),
    }
}

fn start(links: u64, clicks: u64) -> WebhookStart {
    let (links, clicks) = (Sequence(links), Sequence(clicks));
    WebhookStart { log: LogId(Uuid::nil()), links, clicks }
}

/// Nothing is changed.
fn no_edit() -> EditWebhook {
    let start = start(30, 50);
    EditWebhook { start, url: None, types: None, link: None, tag: None, description: None }
}

const URL: &str = "https://hooks.example.com/";

fn created() -> WebhookEvent {
    let CreateWebhook { id, owner, settings, secret, start } = create(Some("ann"), settings(URL));
    WebhookEvent::Created(WebhookCreated { id, owner, settings, secret, after: start })
}

fn disabled(reason: DisabledReason) -> WebhookEvent {
    WebhookEvent::Disabled(WebhookDisabled { reason })
}

fn enabled() -> WebhookEvent {
    WebhookEvent::Enabled(WebhookEnabled {})
}

fn deleted() -> WebhookEvent {
    WebhookEvent::Deleted(WebhookDeleted {})
}

fn rotated(name: &str) -> WebhookEvent {
    let previous_until = t(0) + PREVIOUS_SECRET;
    WebhookEvent::SecretRotated(WebhookSecretRotated { secret: secret(name), previous_until })
}

fn given(events: &[WebhookEvent]) -> Option<Webhook> {
    events.iter().fold(None, |webhook, event| evolve(webhook, event, t(0)))
}

#[track_caller]
fn when(
    events: &[WebhookEvent],
    requester: Requester,
    command: WebhookCommand,
) -> Result<Vec<WebhookEvent>, WebhookError> {
    let request = WebhookRequest { requester, now: t(0), plain_is_allowed: false, command };
    decide(given(events).as_ref(), &request)
}

#[test]
fn a_webhook_is_created_as_it_is_wanted() {
    let command = WebhookCommand::Create(Box::new(create(Some("ann"), settings(URL))));
    assert_eq!(when(&[], owner("ann"), command.clone()), Ok(vec![created()]));
    assert_eq!(when(&[created()], owner("ann"), command), Err(WebhookError::NotFound));
    let webhook = given(&[created()]).unwrap();
    assert_eq!((webhook.state, webhook.version), (WebhookState::Active, Version(1)));
    assert_eq!(webhook.start.clicks, Sequence(5));
}

#[test]
fn plain_http_is_refused_unless_the_operator_allows_it() {
    let plain = create(None, settings("http://hooks.example.com/"));
    let command = WebhookCommand::Create(Box::new(plain));
    assert_eq!(when(&[], Requester::Admin, command.clone()), Err(WebhookError::PlainHttp));
    let request =
        WebhookRequest { requester: Requester::Admin, now: t(0), plain_is_allowed: true, command };
    assert_eq!(decide(None, &request).map(|events| events.len()), Ok(1));
    let url = Some("http://hooks.example.com/".parse().unwrap());
    let edit = WebhookCommand::Edit(Box::new(EditWebhook { url, ..no_edit() }));
    assert_eq!(when(&[created()], owner("ann"), edit), Err(WebhookError::PlainHttp));
}

#[test]
fn a_webhook_wants_one_type_at_least_and_not_too_many() {
    for count in [0, TYPES_MAX + 1] {
        let mut settings = settings(URL);
        settings.types = vec![settings.types[0].clone(); count];
        let edit = EditWebhook { types: Some(settings.types.clone()), ..no_edit() };
        let command = WebhookCommand::Create(Box::new(create(Some("ann"), settings)));
        assert_eq!(when(&[], owner("ann"), command), Err(WebhookError::Types), "{count}");
        let edit = WebhookCommand::Edit(Box::new(edit));
        assert_eq!(when(&[created()], owner("ann"), edit), Err(WebhookError::Types), "{count}");
    }
}

#[test]
fn what_is_edited_changes_and_the_rest_stays() {
    let edit = EditWebhook {
        description: Some("To the CRM".parse().ok()),
        tag: Some("mail".parse().ok()),
        ..no_edit()
    };
    let edit = WebhookCommand::Edit(Box::new(edit));
    let expected = WebhookSettings {
        description: "To the CRM".parse().ok(),
        tag: "mail".parse().ok(),
        ..settings(URL)
    };
    let changed =
        WebhookEvent::Changed(WebhookChanged { settings: expected.clone(), after: start(30, 50) });
    let events = when(&[created()], owner("ann"), edit.clone());
    assert_eq!(events, Ok(vec![changed.clone()]));
    assert_eq!(when(&[created(), changed.clone()], owner("ann"), edit), Ok(vec![]));
    assert_eq!(given(&[created(), changed.clone()]).unwrap().settings, expected);
    let clear = EditWebhook { tag: Some(None), description: Some(None), ..no_edit() };
    let cleared = when(&[created(), changed], owner("ann"), WebhookCommand::Edit(Box::new(clear)));
    let expected =
        WebhookEvent::Changed(WebhookChanged { settings: settings(URL), after: start(30, 50) });
    assert_eq!(cleared, Ok(vec![expected]));
}

#[test]
fn the_secret_before_signs_for_a_day_longer() {
    let rotate = WebhookCommand::RotateSecret(secret("two"));
    assert_eq!(when(&[created()], owner("ann"), rotate), Ok(vec![rotated("two")]));
    let webhook = given(&[created(), rotated("two")]).unwrap();
    let (just_before, end) = (t(86_399), t(86_400));
    assert_eq!(webhook.secrets(just_before), [&secret("two"), &secret("one")]);
    assert_eq!(webhook.secrets(end), [&secret("two")]);
    let again = given(&[created(), rotated("two"), rotated("three")]).unwrap();
    assert_eq!(again.secrets(t(0)), [&secret("three"), &secret("two")]);
}

#[test]
fn a_webhook_is_disabled_once_and_enabled_once() {
    let gone = WebhookCommand::Disable(DisabledReason::Gone);
    let off = disabled(DisabledReason::Gone);
    assert_eq!(when(&[created()], Requester::Admin, gone.clone()), Ok(vec![off.clone()]));
    assert_eq!(when(&[created(), off.clone()], Requester::Admin, gone), Ok(vec![]));
    let state = WebhookState::Disabled { reason: DisabledReason::Gone, at: t(0) };
    assert_eq!(given(&[created(), off.clone()]).unwrap().state, state);
    assert_eq!(when(&[created()], owner("ann"), WebhookCommand::Enable), Ok(vec![]));
    let events = when(&[created(), off.clone()], owner("ann"), WebhookCommand::Enable);
    assert_eq!(events, Ok(vec![enabled()]));
    assert_eq!(given(&[created(), off, enabled()]).unwrap().state, WebhookState::Active);
}

#[test]
fn a_webhook_that_is_gone_or_somebody_elses_is_not_there() {
    let commands = [
        WebhookCommand::Edit(Box::new(no_edit())),
        WebhookCommand::RotateSecret(secret("two")),
        WebhookCommand::Disable(DisabledReason::Operator),
        WebhookCommand::Enable,
        WebhookCommand::Delete,
    ];
    let everybodys = create(None, settings(URL));
    let CreateWebhook { id, owner: nobody, settings, secret, start } = everybodys;
    let everybodys = WebhookCreated { id, owner: nobody, settings, secret, after: start };
    for command in commands {
        let not_found = Err(WebhookError::NotFound);
        assert_eq!(when(&[], owner("ann"), command.clone()), not_found, "{command:?}");
        let gone = [created(), deleted()];
        assert_eq!(when(&gone, Requester::Admin, command.clone()), not_found, "{command:?}");
        assert_eq!(when(&[created()], owner("bob"), command.clone()), not_found, "{command:?}");
        let of_all = [WebhookEvent::Created(everybodys.clone())];
        assert_eq!(when(&of_all, owner("ann"), command.clone()), not_found, "{command:?}");
    }
    let delete = when(&[created()], owner("ann"), WebhookCommand::Delete);
    assert_eq!(delete, Ok(vec![deleted()]));
}

/// What is wanted in addition is not told from long ago, and what was wanted before goes on.
#[test]
fn a_topic_that_is_wanted_later_begins_later() {
    let mut both = settings(URL);
    let clicks = "hoplog.clicks.recorded".parse::<hoplog_events::selector::WebhookType>().unwrap();
    both.types.push(clicks.0);
    let changed = WebhookEvent::Changed(WebhookChanged { settings: both, after: start(30, 50) });
    assert_eq!(given(&[created(), changed]).unwrap().start, start(3, 50));
}
