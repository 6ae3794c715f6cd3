//! When a message that was not taken is sent again.

use std::time::Duration;

use rand::RngExt;

/// The pauses behind the attempts; behind the last one the message is given up. They add up to
/// more than a day, so that a receiver may be away for one.
const PAUSES: [Duration; 10] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_mins(2),
    Duration::from_mins(10),
    Duration::from_mins(30),
    Duration::from_hours(1),
    Duration::from_hours(2),
    Duration::from_hours(4),
    Duration::from_hours(8),
    Duration::from_hours(10),
];

/// A pause is longer by up to this part of it, so that messages which failed together do not come
/// back together.
const JITTER: f64 = 0.2;

/// The longest pause that a receiver may ask for.
const ASKED_MAX: Duration = Duration::from_hours(10);

/// The pause behind an attempt (1 for the first); `None`: there is none, the message is given up.
/// A receiver that says when it will be back is not asked sooner.
pub(super) fn pause(attempt: u32, asked: Option<Duration>) -> Option<Duration> {
    pause_with(attempt, asked, rand::rng().random_range(0.0..JITTER))
}

fn pause_with(attempt: u32, asked: Option<Duration>, jitter: f64) -> Option<Duration> {
    let pause = PAUSES.get(usize::try_from(attempt.checked_sub(1)?).ok()?)?;
    Some(pause.mul_f64(1.0 + jitter).max(asked.unwrap_or_default().min(ASKED_MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_tried_for_more_than_a_day_and_then_given_up() {
        let pauses: Vec<Duration> =
            (1..).map_while(|attempt| pause_with(attempt, None, 0.0)).collect();
        assert_eq!(pauses.len(), 10);
        assert_eq!(pauses[..3], [5, 30, 120].map(Duration::from_secs));
        assert!(pauses.is_sorted());
        let whole: Duration = pauses.iter().sum();
        assert!(whole > Duration::from_hours(25) && whole < Duration::from_hours(48), "{whole:?}");
        assert_eq!(pause_with(0, None, 0.0), None);
        assert_eq!(pause_with(u32::MAX, None, 0.0), None);
    }

    #[test]
    fn a_pause_is_a_little_longer_and_never_shorter() {
        for _ in 0..1_000 {
            let first = pause(1, None).unwrap();
            assert!(
                first >= Duration::from_secs(5) && first <= Duration::from_secs(6),
                "{first:?}"
            );
        }
    }

    #[test]
    fn a_receiver_may_ask_for_a_longer_pause_within_bounds() {
        let asked = |seconds| pause_with(1, Some(Duration::from_secs(seconds)), 0.0).unwrap();
        assert_eq!(asked(1), Duration::from_secs(5));
        assert_eq!(asked(600), Duration::from_mins(10));
        assert_eq!(asked(u64::MAX), ASKED_MAX);
    }
}
