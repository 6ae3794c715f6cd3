use super::*;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

fn name(text: &str) -> Domain {
    text.parse().unwrap()
}

fn settings(default_url: Option<&str>) -> DomainSettings {
    let default_url = default_url.map(|url| url.parse().unwrap());
    DomainSettings { default_url, ..DomainSettings::default() }
}

fn added(text: &str) -> DomainEvent {
    DomainEvent::Added(DomainAdded { domain: name(text), settings: settings(None) })
}

fn removed(text: &str) -> DomainEvent {
    DomainEvent::Removed(DomainRemoved { domain: name(text) })
}

fn given(events: &[DomainEvent]) -> Option<LinkDomain> {
    events.iter().fold(None, |domain, event| evolve(domain, event, at(0)))
}

fn request(domain: &str, command: DomainCommand) -> DomainRequest {
    let others = ["one.example", "gone.example"].map(|host| given(&[added(host)]).unwrap());
    let [one, gone] = others;
    DomainRequest {
        name: name(domain),
        now: at(1),
        own_hosts: vec!["own.example".into()],
        domains: Arc::new(Domains::of([one, LinkDomain { is_removed: true, ..gone }])),
        blocked: Arc::default(),
        command,
    }
}

fn when(
    events: &[DomainEvent],
    domain: &str,
    command: DomainCommand,
) -> Result<Vec<DomainEvent>, DomainError> {
    decide(given(events).as_ref(), &request(domain, command))
}

fn add(default_url: Option<&str>) -> DomainCommand {
    DomainCommand::Add(Box::new(settings(default_url)))
}

fn edit(default_url: Option<&str>) -> DomainCommand {
    let default_url = Some(default_url.map(|url| url.parse().unwrap()));
    DomainCommand::Edit(Box::new(EditDomain { default_url, ..EditDomain::default() }))
}

#[test]
fn a_domain_is_added_once_and_again_after_it_was_removed() {
    assert_eq!(when(&[], "new.example", add(None)), Ok(vec![added("new.example")]));
    let there = [added("new.example")];
    let taken = Err(DomainError::Taken(name("new.example")));
    assert_eq!(when(&there, "new.example", add(None)), taken);
    let gone = [added("new.example"), removed("new.example")];
    assert_eq!(when(&gone, "new.example", add(None)), Ok(vec![added("new.example")]));
    let again = given(&[&gone[..], &there[..]].concat()).unwrap();
    assert!(!again.is_removed && again.version == Version(3));
}

#[test]
fn the_services_own_domain_is_changed_and_neither_added_nor_removed() {
    assert_eq!(when(&[], "default", add(None)), Err(DomainError::Own));
    assert_eq!(when(&[], "default", DomainCommand::Remove), Err(DomainError::Own));
    let url = Some("https://example.com/");
    let changed =
        DomainEvent::Changed(DomainChanged { domain: Domain::service(), settings: settings(url) });
    assert_eq!(when(&[], "default", edit(url)), Ok(vec![changed.clone()]));
    assert_eq!(given(std::slice::from_ref(&changed)).unwrap().settings, settings(url));
    assert_eq!(when(&[changed], "default", edit(url)), Ok(vec![]), "it is so already");
    assert_eq!(when(&[], "own.example", add(None)), Err(DomainError::OwnHost));
}

#[test]
fn a_domain_that_is_not_there_is_neither_changed_nor_removed() {
    let gone = [added("new.example"), removed("new.example")];
    for events in [&[][..], &gone[..]] {
        for command in [edit(None), DomainCommand::Remove] {
            assert_eq!(when(events, "new.example", command), Err(DomainError::NotFound));
        }
    }
    assert_eq!(given(&[removed("new.example")]), None);
    let settings = settings(None);
    let changed = DomainEvent::Changed(DomainChanged { domain: name("new.example"), settings });
    assert_eq!(given(&[changed]), None);
}

/// Trap 8 (U15), fault 8 of link platforms: no domain leads to this service, by whichever of its names.
#[test]
fn trap_8_a_domain_leads_to_none_of_our_hosts() {
    for url in [
        "https://own.example/",
        "http://OWN.example.:8080/x",
        "https://one.example/a",
        "https://one.example./",
        "https://new.example/",
    ] {
        let looped = Err(DomainError::Loop(DomainField::DefaultUrl));
        assert_eq!(when(&[], "new.example", add(Some(url))), looped, "{url}");
        let there = [added("new.example")];
        assert_eq!(when(&there, "new.example", edit(Some(url))), looped, "{url}");
    }
    assert!(when(&[], "new.example", add(Some("https://gone.example/"))).is_ok(), "not ours now");
    assert!(when(&[], "new.example", add(Some("https://sub.one.example/"))).is_ok());
}

/// What a domain led to may have become ours, or come on a block list, since: all else can be changed still.
#[test]
fn only_a_destination_that_changes_is_looked_at() {
    let there = DomainAdded {
        domain: name("new.example"),
        settings: settings(Some("https://one.example/")),
    };
    let there = [DomainEvent::Added(there)];
    let redirect = Some(Some(RedirectStatus::try_from(308).unwrap()));
    let other = EditDomain { redirect, ..EditDomain::default() };
    let changed = when(&there, "new.example", DomainCommand::Edit(Box::new(other)));
    assert!(matches!(changed.as_deref(), Ok([DomainEvent::Changed(_)])), "{changed:?}");
    let looped = Err(DomainError::Loop(DomainField::DefaultUrl));
    assert_eq!(when(&there, "new.example", edit(Some("https://one.example/x"))), looped);
    assert!(when(&there, "new.example", edit(None)).is_ok());
}

#[test]
fn a_host_name_is_kept_as_names_are_asked_for() {
    let parse = |text: &str| text.parse::<HostName>().map(|HostName(name)| String::from(name));
    for (text, kept) in [
        ("Go.Example.COM", "go.example.com"),
        ("go", "go"),
        ("пример.рф", "xn--e1afmkfd.xn--p1ai"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
    ] {
        assert_eq!(parse(text), Ok(kept.to_owned()), "{text}");
    }
    for text in [
        "go.example.com:443",
        "https://go.example.com",
        "go.example.com/",
        "go.example.com.",
        "go example",
        "a@b",
        "[::1]",
        "%61.example",
        "a\\b",
        "a\n",
    ] {
        assert_eq!(parse(text), Err(HostNameError::NotAlone), "{text:?}");
    }
    for text in ["127.0.0.1", "127.1", "0x7f.1", "2130706433"] {
        assert_eq!(parse(text), Err(HostNameError::Address), "{text}");
    }
    let long = format!("{}.example", "a".repeat(64));
    for text in ["", "a..b", ".a", "-a.example", "a-.example", "a_b.example", "*.example", &long] {
        assert_eq!(parse(text), Err(HostNameError::Name), "{text}");
    }
    assert_eq!(parse("default"), Err(HostNameError::Own));
    assert_eq!(parse("Default"), Err(HostNameError::Own));
}

#[test]
fn domains_are_found_by_their_hosts() {
    let domains = Domains::of([
        given(&[added("b.example")]).unwrap(),
        given(&[added("a.example")]).unwrap(),
        given(&[added("c.example"), removed("c.example")]).unwrap(),
    ]);
    let there: Vec<_> = domains.there().iter().map(|domain| domain.name.as_str()).collect();
    assert_eq!(there, ["a.example", "b.example"]);
    assert!(domains.answer("a.example") && !domains.answer("c.example"));
    assert!(domains.other("c.example").is_some(), "it is known still");
    assert!(!domains.is_alone() && Domains::default().is_alone() && domains.own().is_none());
}
