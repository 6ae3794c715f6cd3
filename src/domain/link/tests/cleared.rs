//! What a release says to block lists: the entries that an operator has looked at, and no others.

use hoplog_events::link::{
    ENTRIES_CLEARED_MAX, FoundBy, LinkExpiredUrlChanged, LinkQuarantined, LinkReleased,
    LinkReported, ReportCategory,
};

use super::*;

/// A link, and what is done about it by the lists of their time.
struct Overseen(Vec<LinkEvent>);

impl Overseen {
    fn leading(url: &str, expired_url: Option<&str>) -> Self {
        let url =
            LinkEvent::DestinationChanged(LinkDestinationChanged { url: url.parse().unwrap() });
        let expired_url = expired_url.map(|url| url.parse().unwrap());
        let end = LinkEvent::ExpiredUrlChanged(LinkExpiredUrlChanged { expired_url });
        Self(vec![created(), url, end])
    }

    /// What follows, with lists of several sources.
    fn after(&mut self, oversee: Oversee, sources: &[&[&str]]) -> Vec<LinkEvent> {
        let list = |lines: &&[&str]| {
            let mut list = BlockListReader::default();
            for line in *lines {
                list.line(line).unwrap();
            }
            Arc::new(list.finish())
        };
        let blocked = Arc::new(BlockLists::of(sources.iter().map(list)));
        let command = LinkCommand::Oversee(Box::new(oversee));
        let request = Request { requester: Requester::Admin, blocked, ..request(command) };
        let link = replay(&key(), self.0.iter().map(|event| (event, t(-100))));
        let events = decide(link.as_ref(), &request).unwrap();
        self.0.extend(events.clone());
        events
    }

    /// The entry that a look finds.
    fn look(&mut self, sources: &[&[&str]]) -> Option<String> {
        match self.after(Oversee::QuarantineIfBlocked, sources).as_slice() {
            [LinkEvent::Quarantined(LinkQuarantined { entry, by: FoundBy::Blocklist, .. })] => {
                entry.clone().map(Into::into)
            }
            [] => None,
            other => panic!("{other:?}"),
        }
    }

    fn release(&mut self, sources: &[&[&str]]) {
        assert_eq!(self.after(Oversee::Release, sources).len(), 1);
    }

    fn found(&mut self, entry: &str, sources: &[&[&str]]) {
        assert_eq!(self.look(sources).as_deref(), Some(entry));
    }
}

/// Trap 19: a name that was looked at says nothing of a page that gets on a list later.
#[test]
fn trap_19_an_entry_that_was_not_looked_at_is_found_beside_one_that_was() {
    for later in [
        &[&["sites.example", "sites.example/u/1"][..]][..],
        &[&["sites.example"], &["sites.example/u/1"]],
        &[&["sites.example/u/1"], &["sites.example"]],
    ] {
        let mut link = Overseen::leading("https://sites.example/u/1", None);
        link.found("sites.example", &[&["sites.example"]]);
        link.release(&[&["sites.example"]]);
        assert_eq!(link.look(&[&["sites.example"]]), None);
        link.found("sites.example/u/1", later);
    }
    let mut link = Overseen::leading("https://sites.example/u/1", None);
    link.found("sites.example/u*", &[&["sites.example/u*"]]);
    link.release(&[]);
    link.found("sites.example/u/*", &[&["sites.example/u*", "sites.example/u/*"]]);
}

#[test]
fn a_release_does_not_undo_the_one_before() {
    let mut link = Overseen::leading("https://a.example/", Some("https://b.example/"));
    for (entry, list) in [("a.example", &["a.example"][..]), ("b.example", &["b.example"])] {
        link.found(entry, &[list]);
        link.release(&[list]);
    }
    assert_eq!(link.look(&[&["a.example", "b.example"]]), None);
    // Several at once: all were there to be looked at.
    let mut link = Overseen::leading("https://a.example/", Some("https://b.example/"));
    link.found("a.example", &[&["a.example", "b.example"]]);
    link.release(&[&["a.example", "b.example"]]);
    assert_eq!(link.look(&[&["a.example", "b.example"]]), None);
}

#[test]
fn a_reason_of_an_operator_takes_back_no_entry_that_was_found() {
    let mut link = Overseen::leading("https://a.example/", None);
    link.found("a.example", &[&["a.example"]]);
    link.after(Oversee::Quarantine("worse".parse().unwrap()), &[]);
    link.release(&[]);
    assert_eq!(link.look(&[&["a.example"]]), None);
}

/// A list may have got a destination meanwhile: whoever releases the link has looked at it.
#[test]
fn a_release_is_by_the_lists_of_now() {
    let mut link = Overseen::leading("https://a.example/", None);
    link.after(Oversee::Quarantine("bad".parse().unwrap()), &[]);
    let released = link.after(Oversee::Release, &[&["a.example"], &["a.example"]]);
    let entries = vec!["a.example".into()];
    assert_eq!(released, [LinkEvent::Released(LinkReleased { entries })]);
    assert_eq!(link.look(&[&["a.example"]]), None);
}

#[test]
fn the_latest_entries_are_remembered() {
    let hosts: Vec<_> = (0..=ENTRIES_CLEARED_MAX).map(|n| format!("h{n}.example")).collect();
    let moved = |host: &String| {
        let url = format!("https://{host}/").parse().unwrap();
        LinkEvent::DestinationChanged(LinkDestinationChanged { url })
    };
    let mut link = Overseen::leading("https://a.example/", None);
    for host in &hosts {
        link.0.push(moved(host));
        link.found(host, &[&[host]]);
        link.release(&[&[host]]);
    }
    link.0.push(moved(&hosts[1]));
    assert_eq!(link.look(&[&[&hosts[1]]]), None);
    link.0.push(moved(&hosts[0]));
    link.found(&hosts[0], &[&[&hosts[0]]]);
}

fn report(threshold: u32) -> Oversee {
    Oversee::Report(Report { category: ReportCategory::Spam, text: None, threshold })
}

/// A hundred reports of nothing do not keep the next one from being heard for good.
#[test]
fn reports_are_dealt_with_by_a_release_also_of_a_link_in_no_quarantine() {
    let mut link = Overseen::leading("https://a.example/", None);
    let reported =
        || LinkEvent::Reported(LinkReported { category: ReportCategory::Spam, text: None });
    for _ in 0..REPORTS_MAX {
        assert_eq!(link.after(report(0), &[]), [reported()]);
    }
    assert_eq!(link.after(report(0), &[]), []);
    // What the lists have was in front of nobody.
    let released = link.after(Oversee::Release, &[&["a.example"]]);
    assert_eq!(released, [LinkEvent::Released(LinkReleased::default())]);
    assert_eq!(link.after(report(0), &[]), [reported()]);
    assert_eq!(link.look(&[&["a.example"]]).as_deref(), Some("a.example"));
}

#[test]
fn a_number_of_reports_that_is_there_when_it_is_asked_for_is_enough_at_the_next_one() {
    let mut link = Overseen::leading("https://a.example/", None);
    for _ in 0..REPORTS_MAX {
        link.after(report(0), &[]);
    }
    let [LinkEvent::Quarantined(LinkQuarantined { by: FoundBy::Reports, .. })] =
        &link.after(report(10), &[])[..]
    else {
        panic!("{:?}", link.0.last());
    };
    assert_eq!(link.after(report(10), &[]), []);
}
