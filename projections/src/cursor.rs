//! Where a page of a list ended, as an opaque text.

use hoplog_events::hex::hex;

use crate::database::DatabaseError;

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// Use the cursor exactly as the last page gave it, with the same sort.
    #[error("not a cursor of this list")]
    Cursor,
    /// Ask for a longer interval or a shorter range.
    #[error("the series would have more than {max} points")]
    TooManyPoints {
        /// The most a series may have.
        max: usize,
    },
    /// Ask for a range that ends after it begins.
    #[error("the range ends before it begins")]
    EmptyRange,
    /// See [`DatabaseError`].
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// Cuts what was found to a page; the last on it, if there is more.
pub fn cut<T>(found: &mut Vec<T>, limit: usize) -> Option<&T> {
    let more = found.len() > limit;
    found.truncate(limit);
    found.last().filter(|_| more)
}

/// Writes the sort values of a page's last row as one token.
#[must_use]
pub(crate) fn encode(kind: &str, values: &[&str]) -> String {
    hex([&[kind], values].concat().join("\u{1f}").as_bytes())
}

/// Reads the token of the same kind with as many values.
pub(crate) fn decode<const N: usize>(kind: &str, token: &str) -> Result<[String; N], QueryError> {
    let nibble = |byte: &u8| char::from(*byte).to_digit(16).and_then(|n| u8::try_from(n).ok());
    let byte = |pair: &[u8]| match pair {
        [high, low] => Some(nibble(high)? << 4 | nibble(low)?),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = token.as_bytes().chunks(2).map(byte).collect();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or(QueryError::Cursor)?;
    let mut parts = text.split('\u{1f}').map(str::to_owned);
    if parts.next().as_deref() != Some(kind) {
        return Err(QueryError::Cursor);
    }
    let values: Vec<String> = parts.collect();
    values.try_into().map_err(|_| QueryError::Cursor)
}

/// Writes where a list in the order of time ended: the instant, the event and the place in it.
pub(crate) fn encode_place(kind: &str, place: [i64; 3]) -> String {
    let [at, sequence, index] = place.map(|number| number.to_string());
    encode(kind, &[&at, &sequence, &index])
}

/// Reads what [`encode_place`] wrote; without a token everything is behind it.
pub(crate) fn decode_place(kind: &str, token: Option<&str>) -> Result<[i64; 3], QueryError> {
    let Some(token) = token else { return Ok([i64::MAX; 3]) };
    let [at, sequence, index] = decode(kind, token)?;
    let number = |text: String| text.parse().map_err(|_| QueryError::Cursor);
    Ok([number(at)?, number(sequence)?, number(index)?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_cursor_reads_back_and_nothing_else_is_one(a in "[a-z0-9/]{0,20}", other in "\\PC{0,40}") {
            let token = encode("code", &[&a, "7"]);
            prop_assert_eq!(decode::<2>("code", &token).unwrap(), [a, "7".to_owned()]);
            prop_assert!(decode::<2>("created", &token).is_err());
            prop_assert!(decode::<3>("code", &token).is_err());
            prop_assert!(decode::<2>("code", &other).is_err());
        }
    }
}
