//! Which pages are asked next, and how far the log is done with. No page holds up another: what is done is done in any order,
//! what waits for its next attempt has no place, and no host has all of them.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use hoplog_events::link::LinkKey;
use hoplog_events::position::Sequence;
use tokio::time::Instant;

/// How many pages are asked at once.
const FETCHES_MAX: usize = 16;

/// How many of them of one host.
const FETCHES_OF_HOST_MAX: usize = 2;

/// How many links wait, at most; about 300 bytes each. Behind them the log is not read on.
const LINKS_MAX: usize = 10_000;

/// How many of them lead to one host: what comes beyond is left, so that no import keeps everybody else waiting.
const LINKS_OF_HOST_MAX: usize = 1_000;

/// How many links are read at once, to see where they lead.
const FINDS_MAX: usize = 8;

/// A link whose page is to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The event behind which there may be a title.
    pub(super) sequence: Sequence,
    pub(super) key: LinkKey,
    /// Where it leads.
    pub(super) host: Box<str>,
    /// How often it was asked, or would have been.
    pub(super) asked: usize,
    /// How often what it says could not be written.
    pub(super) unwritten: u32,
}

#[derive(Debug, Default)]
struct Host {
    waiting: VecDeque<Wanted>,
    running: usize,
    /// Waiting, running, and waiting for a time.
    all: usize,
    in_line: bool,
}

/// What there is to do.
#[derive(Debug)]
pub(super) struct Queue {
    read_to: Sequence,
    kept: Sequence,
    is_keeping: bool,
    /// Events that are not done with.
    open: BTreeSet<Sequence>,
    finding: usize,
    running: usize,
    hosts: HashMap<Box<str>, Host>,
    /// Hosts of which a page may be asked, each in its turn.
    line: VecDeque<Box<str>>,
    /// What is not to be asked before its time.
    later: BTreeMap<(Instant, Sequence), Wanted>,
}

impl Queue {
    /// Everything up to here is done.
    pub(super) fn after(done: Sequence) -> Self {
        Self {
            read_to: done,
            kept: done,
            is_keeping: false,
            open: BTreeSet::new(),
            finding: 0,
            running: 0,
            hosts: HashMap::new(),
            line: VecDeque::new(),
            later: BTreeMap::new(),
        }
    }

    /// Whether the log may be read on.
    pub(super) fn has_room(&self) -> bool {
        self.open.len() < LINKS_MAX && self.finding < FINDS_MAX
    }

    /// The log was read so far. `finds`: where the event's link leads is looked up now.
    pub(super) fn read(&mut self, sequence: Sequence, finds: bool) {
        self.read_to = self.read_to.max(sequence);
        if finds {
            self.open.insert(sequence);
            self.finding += 1;
        }
    }

    /// Where a link leads is known; `None`: there is no title to fetch. `false`: too many lead there.
    pub(super) fn found(&mut self, sequence: Sequence, link: Option<(LinkKey, Box<str>)>) -> bool {
        self.finding -= 1;
        let Some((key, host)) = link else {
            self.open.remove(&sequence);
            return true;
        };
        let of_host = self.hosts.entry(host.clone()).or_default();
        if of_host.all >= LINKS_OF_HOST_MAX {
            self.open.remove(&sequence);
            return false;
        }
        of_host.all += 1;
        let name = host.clone();
        of_host.waiting.push_back(Wanted { sequence, key, host, asked: 0, unwritten: 0 });
        self.line_up(&name);
        true
    }

    /// The next page to ask now, if there is a place.
    pub(super) fn next(&mut self, now: Instant) -> Option<Wanted> {
        while let Some(first) = self.later.first_entry().filter(|first| first.key().0 <= now) {
            let wanted = first.remove();
            let name = wanted.host.clone();
            self.hosts.entry(name.clone()).or_default().waiting.push_back(wanted);
            self.line_up(&name);
        }
        if self.running >= FETCHES_MAX {
            return None;
        }
        let name = self.line.pop_front()?;
        let host = self.hosts.get_mut(&name)?;
        host.in_line = false;
        let wanted = host.waiting.pop_front()?;
        host.running += 1;
        self.running += 1;
        self.line_up(&name);
        Some(wanted)
    }

    /// A page was asked. `again`: when it is to be asked again.
    pub(super) fn asked(&mut self, wanted: Wanted, again: Option<Instant>) {
        self.running -= 1;
        let name = wanted.host.clone();
        if let Some(host) = self.hosts.get_mut(&name) {
            host.running -= 1;
            host.all -= usize::from(again.is_none());
        }
        match again {
            Some(at) => {
                self.later.insert((at, wanted.sequence), wanted);
            }
            None => {
                self.open.remove(&wanted.sequence);
            }
        }
        self.line_up(&name);
    }

    fn line_up(&mut self, name: &str) {
        let Some(host) = self.hosts.get_mut(name) else { return };
        if host.all == 0 {
            self.hosts.remove(name);
        } else if !host.in_line && host.running < FETCHES_OF_HOST_MAX && !host.waiting.is_empty() {
            host.in_line = true;
            self.line.push_back(name.into());
        }
    }

    /// Everything up to here is done.
    fn mark(&self) -> Sequence {
        let before = |open: &Sequence| Sequence(open.0.saturating_sub(1));
        self.open.first().map_or(self.read_to, before)
    }

    /// How far it is, if that is to be kept now.
    pub(super) fn take_mark(&mut self) -> Option<Sequence> {
        let mark = self.mark();
        if self.is_keeping || mark <= self.kept {
            return None;
        }
        self.is_keeping = true;
        Some(mark)
    }

    /// It was kept, or could not be.
    pub(super) fn kept(&mut self, mark: Option<Sequence>) {
        self.is_keeping = false;
        self.kept = mark.unwrap_or(self.kept);
    }
}

/// How long what could not be written is waited with, after so many attempts.
pub(super) fn back_off(failures: u32) -> Duration {
    Duration::from_secs((1_u64 << failures.min(6)).min(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(number: u64, host: &str) -> (LinkKey, Box<str>) {
        (format!("default/l{number}").parse().unwrap(), host.into())
    }

    /// A queue of links, one event each, that lead to these hosts.
    fn queue(hosts: &[&str]) -> Queue {
        let mut queue = Queue::after(Sequence(0));
        for (number, host) in (1..).zip(hosts) {
            queue.read(Sequence(number), true);
            assert!(queue.found(Sequence(number), Some(link(number, host))));
        }
        queue
    }

    fn places(queue: &mut Queue, now: Instant) -> Vec<Wanted> {
        std::iter::from_fn(|| queue.next(now)).collect()
    }

    fn numbers(wanted: &[Wanted]) -> Vec<u64> {
        wanted.iter().map(|wanted| wanted.sequence.0).collect()
    }

    /// Hundreds of links to a host that is silent: those of others pass them.
    #[test]
    fn no_host_has_all_places_and_others_pass_it() {
        let now = Instant::now();
        let mut hosts = vec!["silent"; 500];
        hosts.extend(["a", "b", "a", "a"]);
        let mut queue = queue(&hosts);
        let first = places(&mut queue, now);
        let mut asked = numbers(&first);
        asked.sort_unstable();
        assert_eq!(asked, [1, 2, 501, 502, 503]);
        // What is done is done in any order; what is behind is not done before.
        let of_a = first.into_iter().filter(|wanted| &*wanted.host == "a");
        for wanted in of_a {
            queue.asked(wanted, None);
        }
        assert_eq!(numbers(&places(&mut queue, now)), [504]);
        assert_eq!(queue.take_mark(), None, "the first is not done");
    }

    #[test]
    fn there_are_so_many_places_and_what_waits_for_its_time_has_none() {
        let now = Instant::now();
        let names: Vec<String> = (0..FETCHES_MAX + 3).map(|number| number.to_string()).collect();
        let mut queue = queue(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let first = places(&mut queue, now);
        assert_eq!(first.len(), FETCHES_MAX);
        let later = now + Duration::from_mins(1);
        for wanted in first {
            queue.asked(wanted, Some(later));
        }
        let rest = places(&mut queue, now);
        assert_eq!(numbers(&rest), [17, 18, 19], "the pauses of others hold no place");
        for wanted in rest {
            queue.asked(wanted, None);
        }
        assert_eq!(places(&mut queue, later - Duration::from_secs(1)), []);
        let again = places(&mut queue, later);
        assert_eq!(again.len(), FETCHES_MAX);
        for wanted in again {
            queue.asked(wanted, None);
        }
        assert!(queue.hosts.is_empty() && queue.line.is_empty() && queue.later.is_empty());
        assert_eq!(queue.take_mark(), Some(Sequence(19)));
    }

    #[test]
    fn it_is_kept_how_far_everything_is_done_and_no_farther() {
        let now = Instant::now();
        let mut queue = queue(&["a", "b", "c"]);
        queue.read(Sequence(9), false);
        let asked = places(&mut queue, now);
        assert_eq!(numbers(&asked), [1, 2, 3]);
        let [first, second, third] = <[Wanted; 3]>::try_from(asked).unwrap();
        queue.asked(third, None);
        assert_eq!(queue.take_mark(), None);
        queue.asked(first, None);
        assert_eq!(queue.take_mark(), Some(Sequence(1)));
        queue.asked(second, None);
        assert_eq!(queue.take_mark(), None, "one at a time");
        queue.kept(None);
        assert_eq!(queue.take_mark(), Some(Sequence(9)), "it could not be kept");
        queue.kept(Some(Sequence(9)));
        assert_eq!(queue.take_mark(), None);
    }

    #[test]
    fn what_is_too_much_of_one_host_is_left_and_what_is_too_much_is_not_read() {
        let mut queue = queue(&vec!["one"; LINKS_OF_HOST_MAX]);
        let sequence = Sequence(LINKS_OF_HOST_MAX as u64 + 1);
        queue.read(sequence, true);
        assert!(!queue.found(sequence, Some(link(0, "one"))));
        queue.read(Sequence(sequence.0 + 1), true);
        assert!(queue.found(Sequence(sequence.0 + 1), Some(link(0, "two"))));
        assert!(queue.has_room());
        for number in 0..FINDS_MAX as u64 {
            queue.read(Sequence(sequence.0 + 2 + number), true);
        }
        assert!(!queue.has_room());
    }

    #[test]
    fn pauses_grow_to_a_minute() {
        let pauses: Vec<u64> = (0..9).map(|failures| back_off(failures).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }
}
