//! Whether a request has the parameters that a rule asks for.

use std::collections::BTreeMap;

use hoplog_events::link::ParameterText;

/// How many parameters of a request are looked at.
const PARAMETERS_MAX: usize = 64;

/// Whether each is there, with one of the values that will do.
pub(super) fn has_parameters(
    wanted: &BTreeMap<ParameterText, Option<Vec<ParameterText>>>,
    query: Option<&str>,
) -> bool {
    let query = query.unwrap_or_default();
    wanted.iter().all(|(name, values)| {
        let mut given = query.split('&').take(PARAMETERS_MAX).filter(|pair| !pair.is_empty());
        given.any(|pair| {
            let (own, value) = pair.split_once('=').unwrap_or((pair, ""));
            let will_do = |wanted: &ParameterText| says(value, wanted.as_str());
            let any_will_do = |values: &Vec<ParameterText>| values.iter().any(will_do);
            says(own, name.as_str()) && values.as_ref().is_none_or(any_will_do)
        })
    })
}

/// Whether a text of a form says, decoded, the same as another.
fn says(written: &str, text: &str) -> bool {
    let is_plain = !written.bytes().any(|byte| matches!(byte, b'%' | b'+'));
    if is_plain { written == text } else { Decoded(written.as_bytes()).eq(text.bytes()) }
}

/// The bytes of a text of a form: nothing is kept of it.
struct Decoded<'a>(&'a [u8]);

impl Iterator for Decoded<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        let (byte, rest) = match (first, rest) {
            (b'+', _) => (b' ', rest),
            (b'%', [high, low, behind @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, behind),
                _ => (b'%', rest),
            },
            _ => (*first, rest),
        };
        self.0 = rest;
        Some(byte)
    }
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn has(wanted: &str, query: &str) -> bool {
        let wanted = serde_json::from_str(wanted).unwrap();
        has_parameters(&wanted, Some(query))
    }

    #[test]
    fn parameters_are_compared_as_they_are_when_they_are_decoded() {
        for (wanted, query, expected) in [
            (r#"{"a":["1"]}"#, "a=1", true),
            (r#"{"a":["1"]}"#, "b=1&a=2&a=1", true),
            (r#"{"a":["1"]}"#, "a=11", false),
            (r#"{"a":["1"]}"#, "A=1", false),
            (r#"{"a":["1","2"],"b":null}"#, "b&a=2", true),
            (r#"{"a":["1","2"],"b":null}"#, "a=2", false),
            (r#"{"a":[""]}"#, "a", true),
            (r#"{"a":null}"#, "", false),
            (r#"{"a b":["c&d"]}"#, "a+b=c%26d", true),
            (r#"{"a":["+"]}"#, "a=%2B", true),
            (r#"{"é":["%"]}"#, "%C3%A9=%", true),
            (r#"{"a":["%zz"]}"#, "a=%zz", true),
        ] {
            assert_eq!(has(wanted, query), expected, "{wanted} {query}");
        }
        assert!(has_parameters(&BTreeMap::new(), None));
    }

    proptest! {
        /// The same as what the library decodes, but where that replaces bytes that are no UTF-8.
        #[test]
        fn what_is_decoded_is_what_the_standard_says(written in "([a-c]|%[0-9a-fA-F]{2}|%|\\+|=){0,12}") {
            let ours: Vec<u8> = Decoded(written.as_bytes()).collect();
            let theirs: String =
                url::form_urlencoded::parse(format!("k={written}").replace('=', "%3D").replacen("%3D", "=", 1).as_bytes())
                    .map(|(_, value)| value.into_owned()).collect();
            prop_assert_eq!(String::from_utf8_lossy(&ours).into_owned(), theirs);
        }
    }
}
