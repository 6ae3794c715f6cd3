//! Events that get another body: what no read gives any more, and all that stays as it was.

use super::{Log, append, at, command, stream};
use crate::envelope::RecordedEvent;
use crate::log::{
    APPEND_BYTES_MAX, AppendError, ExpectedVersion, ReadLimit, Rewrite, RewriteError, Seen,
};
use crate::position::{Sequence, StreamId, Topic, Version};

/// What puts a body in the place of an event's.
#[must_use]
pub fn rewrite(event: &RecordedEvent, body: &str) -> Rewrite {
    Rewrite {
        topic: event.position.topic,
        sequence: event.position.sequence,
        command_id: event.command_id,
        read: event.body.clone(),
        body: body.to_owned().into(),
    }
}

/// Everything that a topic holds.
pub(super) async fn all(log: &Log, topic: Topic) -> Vec<RecordedEvent> {
    let (mut events, mut after) = (Vec::new(), Sequence::START);
    loop {
        let page = log.read_all(topic, after, ReadLimit::default()).await.unwrap();
        let Some(last) = page.last() else { return events };
        after = last.position.sequence;
        events.extend(page);
    }
}

/// Two links, the first of three events of which two are of one append, and two batches of clicks.
async fn filled(log: &Log) {
    let clicks = StreamId::new(Topic::Clicks, "node/0");
    log.append(append(&stream("a"), at(0), 2)).await.unwrap();
    log.append(append(&stream("b"), at(0), 1)).await.unwrap();
    log.append(append(&clicks, ExpectedVersion::Any, 1)).await.unwrap();
    log.append(append(&clicks, ExpectedVersion::Any, 1)).await.unwrap();
    log.append(append(&stream("a"), at(2), 1)).await.unwrap();
}

/// Obligation 10, for a log that can't: nothing changes.
async fn is_unsupported(log: &Log) {
    let before = all(log, Topic::Links).await;
    let asked = log.rewrite(vec![rewrite(&before[0], "{}")]).await;
    assert_eq!(asked, Err(RewriteError::Unsupported));
    assert_eq!(all(log, Topic::Links).await, before);
}

/// Obligation 10: only the body is another one, for every way to read; also where the event is
/// the first, or the last, of its topic.
pub async fn a_rewritten_event_has_another_body_and_all_else_as_before(log: Log) {
    filled(&log).await;
    if !log.can_rewrite() {
        return is_unsupported(&log).await;
    }
    let (mut links, mut clicks) = (all(&log, Topic::Links).await, all(&log, Topic::Clicks).await);
    let heads = [log.head(Topic::Links).await, log.head(Topic::Clicks).await];
    let rewrites = vec![
        rewrite(&links[0], "{\"n\":0}"),
        rewrite(&links[1], "{\"n\":1}"),
        rewrite(&clicks[1], "{\"n\":2}"),
    ];
    (links[0].body, links[1].body) = ("{\"n\":0}".into(), "{\"n\":1}".into());
    clicks[1].body = "{\"n\":2}".into();
    for time in ["once", "and again"] {
        log.rewrite(rewrites.clone()).await.unwrap();
        assert_eq!(all(&log, Topic::Links).await, links, "{time}");
        assert_eq!(all(&log, Topic::Clicks).await, clicks, "{time}");
        assert_eq!([log.head(Topic::Links).await, log.head(Topic::Clicks).await], heads, "{time}");
        for events in [&links, &clicks] {
            reads_give(&log, events).await;
        }
    }
}

/// Every way to read gives these events, which are all of a topic.
pub(super) async fn reads_give(log: &Log, events: &[RecordedEvent]) {
    let Some(first) = events.first() else { return };
    let topic = first.position.topic;
    let limit = ReadLimit::default();
    let mut subscription = log.subscribe(topic, Sequence::START, limit).await.unwrap();
    let mut followed = Vec::new();
    while followed.len() < events.len() {
        followed.extend(subscription.next().await.unwrap());
    }
    assert_eq!(followed, events);
    for (place, event) in events.iter().enumerate() {
        assert_eq!(log.confirm(topic, Seen::from(event)).await, Ok(()));
        let one = ReadLimit { events_max: 1, ..limit };
        let before = Sequence(event.position.sequence.0 - 1);
        assert_eq!(log.read_all(topic, before, one).await.unwrap(), events[place..=place]);
        let of_stream: Vec<_> = events.iter().filter(|it| it.stream == event.stream).collect();
        let after = Version(event.version.0 - 1);
        let rest: Vec<_> = of_stream.iter().copied().filter(|it| it.version > after).collect();
        let read = log.read(&event.stream, after).await.unwrap();
        assert_eq!(read.iter().collect::<Vec<_>>(), rest, "{} after {after}", event.stream.key());
        let page = log.read_page(&event.stream, after, one).await.unwrap();
        assert_eq!(page.iter().collect::<Vec<_>>(), rest[..1]);
        let last = log.last(&event.stream).await.unwrap();
        assert_eq!(last.as_ref(), of_stream.last().copied());
    }
}

/// Obligations 3 and 4 hold of rewritten events: also of the last of a stream of clicks.
pub async fn who_appends_behind_a_rewritten_event_is_told_the_same_as_before(log: Log) {
    if !log.can_rewrite() {
        return;
    }
    let (a, clicks) = (stream("a"), StreamId::new(Topic::Clicks, "node/0"));
    let one = append(&a, at(0), 2);
    let first = log.append(one.clone()).await.unwrap();
    log.append(append(&a, at(2), 1)).await.unwrap();
    let batches = [append(&clicks, at(0), 1), append(&clicks, at(1), 1)];
    for batch in &batches {
        log.append(batch.clone()).await.unwrap();
    }
    let (links, recorded) = (all(&log, Topic::Links).await, all(&log, Topic::Clicks).await);
    let events = links[..2].iter().chain(&recorded);
    log.rewrite(events.map(|event| rewrite(event, "{}")).collect()).await.unwrap();
    let again = log.append(one).await.unwrap();
    assert!(again.duplicate);
    assert_eq!((again.position, again.version), (first.position, first.version));
    for (n, batch) in batches.iter().enumerate() {
        let again = log.append(batch.clone()).await.unwrap();
        assert!(again.duplicate, "batch {n}");
        assert_eq!((again.position, again.version), (recorded[n].position, recorded[n].version));
    }
    for (stream, actual) in [(&a, 3), (&clicks, 2)] {
        for expected in [0, 1, 7] {
            let refused = log.append(append(stream, at(expected), 1)).await;
            assert_eq!(refused, Err(AppendError::Conflict { actual: Version(actual) }));
        }
        let next = log.append(append(stream, at(actual), 1)).await.unwrap();
        assert_eq!(next.version, Version(actual + 1));
        let any = log.append(append(stream, ExpectedVersion::Any, 1)).await.unwrap();
        assert_eq!(any.version, Version(actual + 2));
    }
    for topic in [Topic::Links, Topic::Clicks] {
        let events = all(&log, topic).await;
        reads_give(&log, &events).await;
    }
}

/// An event that is not there, or is another command's, is left alone; so is one that would get a
/// body that nobody could append.
pub async fn what_is_not_there_is_not_rewritten(log: Log) {
    if !log.can_rewrite() {
        return;
    }
    filled(&log).await;
    let before = all(&log, Topic::Links).await;
    let of_another = Rewrite { command_id: command(), ..rewrite(&before[0], "{}") };
    let beyond = Rewrite { sequence: Sequence(99), ..rewrite(&before[0], "{}") };
    for missing in [of_another, beyond] {
        assert_eq!(log.rewrite(vec![missing]).await, Err(RewriteError::Missing));
    }
    let large = " ".repeat(APPEND_BYTES_MAX + 1);
    let refused = log.rewrite(vec![rewrite(&before[0], &large)]).await;
    assert!(matches!(refused, Err(RewriteError::Unavailable(_))), "{refused:?}");
    assert_eq!(log.rewrite(Vec::new()).await, Ok(()));
    assert_eq!(all(&log, Topic::Links).await, before);
    let large = " ".repeat(APPEND_BYTES_MAX - 1) + "!";
    log.rewrite(vec![rewrite(&before[0], &large)]).await.unwrap();
    assert_eq!(&all(&log, Topic::Links).await[0].body[..], large.as_bytes());
}

/// Obligation 10: each takes something else out of what it read. Who comes second is told, and
/// nothing changes; made of what is there then, both are gone. Whichever is first, at once as well.
pub async fn of_two_who_rewrite_what_they_read_neither_undoes_the_other(log: Log) {
    if !log.can_rewrite() {
        return;
    }
    filled(&log).await;
    let before = all(&log, Topic::Clicks).await;
    let changed = Err(RewriteError::Changed);
    log.rewrite(vec![rewrite(&before[0], "{\"n\":1}")]).await.unwrap();
    let late = vec![rewrite(&before[1], "{\"n\":3}"), rewrite(&before[0], "{\"n\":2}")];
    assert_eq!(log.rewrite(late).await, changed, "of the first body");
    let now = all(&log, Topic::Clicks).await;
    assert_eq!((&now[0].body[..], &now[1].body), (&b"{\"n\":1}"[..], &before[1].body));
    log.rewrite(vec![rewrite(&now[0], "{\"n\":4}")]).await.unwrap();
    assert_eq!(log.rewrite(vec![rewrite(&now[0], "{\"n\":5}")]).await, changed, "of the second");
    let twice = vec![rewrite(&now[1], "{\"n\":6}"), rewrite(&now[1], "{\"n\":7}")];
    assert!(matches!(log.rewrite(twice).await, Err(RewriteError::Unavailable(_))));
    for event in all(&log, Topic::Clicks).await {
        everybody_takes_out_his_own(&log, &event).await;
    }
}

/// Some at once, each of which replaces its letter until it is gone.
async fn everybody_takes_out_his_own(log: &Log, event: &RecordedEvent) {
    let text = "abcdefgh";
    log.rewrite(vec![rewrite(event, text)]).await.unwrap();
    let place = Sequence(event.position.sequence.0 - 1);
    let one = ReadLimit { events_max: 1, ..ReadLimit::default() };
    let take_out = async |letter: char| {
        for _ in 0..1_000 {
            let read = log.read_all(Topic::Clicks, place, one).await.unwrap().remove(0);
            let body = String::from_utf8(read.body.to_vec()).unwrap().replace(letter, "-");
            match log.rewrite(vec![rewrite(&read, &body)]).await {
                Err(RewriteError::Changed) => {}
                answer => return answer,
            }
        }
        Err(RewriteError::Changed)
    };
    let answers = futures::future::join_all(text.chars().map(take_out)).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let left = log.read_all(Topic::Clicks, place, one).await.unwrap().remove(0);
    assert_eq!(&left.body[..], b"--------");
}

/// A subscription that waits at the end sees what comes, and nothing twice, although events before
/// and behind its place are rewritten.
pub async fn a_subscription_goes_on_across_rewritten_events(log: Log) {
    if !log.can_rewrite() {
        return;
    }
    let a = stream("a");
    log.append(append(&a, at(0), 3)).await.unwrap();
    let limit = ReadLimit { events_max: 2, ..ReadLimit::default() };
    let mut subscription = log.subscribe(Topic::Links, Sequence::START, limit).await.unwrap();
    let mut seen = subscription.next().await.unwrap();
    let events = all(&log, Topic::Links).await;
    log.rewrite(vec![rewrite(&events[1], "{\"n\":1}")]).await.unwrap();
    log.append(append(&a, at(3), 2)).await.unwrap();
    let events = all(&log, Topic::Links).await;
    log.rewrite(events[2..4].iter().map(|it| rewrite(it, "{\"n\":2}")).collect()).await.unwrap();
    while seen.len() < 5 {
        seen.extend(subscription.next().await.unwrap());
    }
    let versions: Vec<u64> = seen.iter().map(|event| event.version.0).collect();
    assert_eq!(versions, [1, 2, 3, 4, 5]);
    assert_eq!(seen[2..], all(&log, Topic::Links).await[2..]);
}

/// Numbers that look random and are the same each time.
struct Numbers(u64);

impl Numbers {
    /// One below a bound.
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}

/// Whatever is appended, rewritten and opened again: reads give what a list in memory says. The
/// last event of a link is left alone, as not every log can rewrite it. Needs a way to open the
/// log again, so each backend's tests call it themselves.
pub async fn reads_are_those_of_a_model(
    mut log: Log,
    steps: usize,
    reopen: impl AsyncFn(Log) -> Log,
) {
    let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
    let mut model: [Vec<RecordedEvent>; 2] = Default::default();
    for step in 0..steps {
        match numbers.below(10) {
            0..=4 => append_some(&log, &mut model, &mut numbers).await,
            5..=7 => rewrite_some(&log, &mut model, &mut numbers).await,
            8 if step % 3 == 0 => log = reopen(log).await,
            _ => {
                let events = &model[numbers.below(2)];
                let Some(first) = events.first() else { continue };
                let from = numbers.below(events.len());
                let limit = ReadLimit { events_max: 1 + numbers.below(5), bytes_max: usize::MAX };
                let after = Sequence(events[from].position.sequence.0 - 1);
                let read = log.read_all(first.position.topic, after, limit).await.unwrap();
                assert!(!read.is_empty() && read.len() <= limit.events_max, "step {step}");
                assert_eq!(read, events[from..from + read.len()], "step {step}");
            }
        }
    }
    for events in &model {
        let Some(first) = events.first() else { continue };
        assert_eq!(&all(&log, first.position.topic).await, events);
        reads_give(&log, events).await;
    }
}

async fn append_some(log: &Log, model: &mut [Vec<RecordedEvent>; 2], numbers: &mut Numbers) {
    let which = numbers.below(2);
    let key = format!("s/{}", numbers.below(4));
    let stream = StreamId::new([Topic::Links, Topic::Clicks][which], key);
    let version = model[which].iter().filter(|event| event.stream == stream).count() as u64;
    let expected = if numbers.below(2) == 0 { at(version) } else { ExpectedVersion::Any };
    let appended = log.append(append(&stream, expected, 1 + numbers.below(2))).await.unwrap();
    let added = log.read(&stream, Version(version)).await.unwrap();
    assert_eq!(added.last().map(|event| event.version), Some(appended.version));
    assert_eq!(added.len() as u64, appended.version.0 - version);
    model[which].extend(added);
}

async fn rewrite_some(log: &Log, model: &mut [Vec<RecordedEvent>; 2], numbers: &mut Numbers) {
    let which = numbers.below(2);
    let events = &mut model[which];
    let mut rewrites = Vec::new();
    for _ in 0..numbers.below(4) {
        if events.is_empty() {
            return;
        }
        let place = numbers.below(events.len());
        let chosen = events[place].clone();
        if rewrites.iter().any(|it: &Rewrite| it.sequence == chosen.position.sequence) {
            continue;
        }
        let is_last = !events[place + 1..].iter().any(|event| event.stream == chosen.stream);
        if which == 0 && is_last {
            continue;
        }
        let body = format!("{{\"n\":\"{}\"}}", "x".repeat(numbers.below(400)));
        events[place].body = body.clone().into();
        rewrites.push(rewrite(&chosen, &body));
    }
    log.rewrite(rewrites).await.unwrap();
}

/// Whether any file below a directory holds some bytes.
///
/// # Panics
/// When the directory can't be read.
#[must_use]
pub fn is_on_disk(directory: &std::path::Path, bytes: &[u8]) -> bool {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.into_iter().any(|path| {
        if path.is_dir() {
            return is_on_disk(&path, bytes);
        }
        // A file may go while it is looked for.
        let content = std::fs::read(&path).unwrap_or_default();
        content.windows(bytes.len()).any(|found| found == bytes)
    })
}

/// A body that no compression makes shorter, with a mark in it that is looked for.
#[must_use]
pub fn marked(mark: &str, length: usize) -> String {
    let mut numbers =
        Numbers(mark.bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(31) + u64::from(byte)));
    let letter = |_| char::from(b'!' + u8::try_from(numbers.below(90)).unwrap());
    let letters: String = (0..length).map(letter).collect();
    format!("{mark}{letters}{mark}")
}

/// What was rewritten is in none of the log's files, long and short, also where it was rewritten
/// before; the rest is still there. For logs whose files can be looked at.
pub async fn nothing_of_a_rewritten_event_is_on_the_disk(log: Log, directory: &std::path::Path) {
    const LENGTHS: [usize; 7] = [20, 500, 3_000, 16_350, 18_400, 40_000, 400_000];
    let clicks = StreamId::new(Topic::Clicks, "node/0");
    for round in 0..4 {
        for length in LENGTHS {
            let mut batch = append(&clicks, ExpectedVersion::Any, 1);
            batch.events[0].body = marked(&format!("old-{round}-{length}-"), length).into();
            log.append(batch).await.unwrap();
        }
    }
    let mut events = all(&log, Topic::Clicks).await;
    assert!(is_on_disk(directory, b"old-2-18400-"), "the test looks at the wrong place");
    for share in [9, 8] {
        // First a part of what they say, then all of it.
        let shorter = |event: &RecordedEvent| {
            let text = String::from_utf8(event.body.to_vec()).unwrap();
            let kept = text.len() * share / 10;
            format!("new{}{}", share, &text[12..kept.max(13)]).replace("old", "new")
        };
        let odd = events.iter().enumerate().filter(|(n, _)| n % 2 == share % 2);
        let rewrites: Vec<_> = odd.map(|(_, event)| rewrite(event, &shorter(event))).collect();
        log.rewrite(rewrites).await.unwrap();
        events = all(&log, Topic::Clicks).await;
    }
    let rewrites = events.iter().map(|event| rewrite(event, "{}")).collect();
    log.rewrite(rewrites).await.unwrap();
    for round in 0..4 {
        for length in LENGTHS {
            let mark = format!("old-{round}-{length}-");
            let old = marked(&mark, length);
            let middle = &old.as_bytes()[old.len() / 2 - 8..old.len() / 2 + 8];
            assert!(!is_on_disk(directory, mark.as_bytes()), "{mark}");
            assert!(!is_on_disk(directory, middle), "the middle of {mark}");
        }
    }
    assert!(all(&log, Topic::Clicks).await.iter().all(|event| &event.body[..] == b"{}"));
}
