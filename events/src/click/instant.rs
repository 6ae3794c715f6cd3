//! Instants of clicks as text, to the byte what `chrono` writes. It goes through the formatter of the
//! standard library, which was a third of the instructions that writing a click down took.

use chrono::{DateTime, Datelike, Timelike, Utc};
use serde::{Serialize, Serializer};

/// `2026-03-14T09:26:53.589793Z`: what is not in whole microseconds of these years is left to `chrono`.
pub(super) fn serialize<S: Serializer>(at: &DateTime<Utc>, out: S) -> Result<S::Ok, S::Error> {
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    let (Ok(year @ 0..=9_999), nanos) = (u32::try_from(at.year()), at.nanosecond()) else {
        return at.serialize(out);
    };
    if nanos % 1_000 != 0 || nanos >= 1_000_000_000 {
        return at.serialize(out);
    }
    put(&mut text[0..4], year);
    put(&mut text[5..7], at.month());
    put(&mut text[8..10], at.day());
    put(&mut text[11..13], at.hour());
    put(&mut text[14..16], at.minute());
    put(&mut text[17..19], at.second());
    let micros = nanos / 1_000;
    // As many decimals as it needs, in steps of three.
    let end = match micros {
        0 => 19,
        whole if whole % 1_000 == 0 => 23,
        _ => 26,
    };
    put(&mut text[20..26], micros);
    text[end] = b'Z';
    match std::str::from_utf8(&text[..=end]) {
        Ok(text) => out.serialize_str(text),
        Err(_) => at.serialize(out),
    }
}

/// The last digits of a number.
fn put(out: &mut [u8], mut number: u32) {
    for digit in out.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Serialize)]
    struct At(#[serde(serialize_with = "serialize")] DateTime<Utc>);

    fn check(at: DateTime<Utc>) -> Result<(), TestCaseError> {
        let ours = serde_json::to_string(&At(at)).unwrap();
        prop_assert_eq!(ours, serde_json::to_string(&at).unwrap());
        Ok(())
    }

    proptest! {
        #[test]
        fn an_instant_is_what_chrono_writes(
            seconds in -62_200_000_000..260_000_000_000_i64, nanos in 0..2_000_000_000_u32,
            rounded in prop::sample::select(vec![1_u32, 1_000, 1_000_000, 1_000_000_000]),
        ) {
            if let Some(at) = DateTime::from_timestamp(seconds, nanos / rounded * rounded) {
                check(at)?;
            }
        }
    }

    #[test]
    fn so_are_the_ends_of_years_and_of_time() {
        let written =
            ["0000-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "2016-12-31T23:59:60Z"];
        let written = written.map(|text| text.parse().unwrap());
        for at in written.into_iter().chain([DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC]) {
            check(at).unwrap();
        }
    }
}
