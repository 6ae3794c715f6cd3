//! Numbers and bytes, one behind the other.

use super::QuarterError;

/// Seven bits for each byte, the lowest first; the highest bit says that there are more.
pub(super) fn put_number(bytes: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

/// What `put_number` wrote.
pub(super) fn take_number(bytes: &mut &[u8]) -> Result<usize, QuarterError> {
    let mut number = 0;
    for shift in [0, 7, 14] {
        let [byte] = take(bytes)?;
        number |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(QuarterError)
}

/// So many bytes.
pub(super) fn take<const LENGTH: usize>(bytes: &mut &[u8]) -> Result<[u8; LENGTH], QuarterError> {
    let (first, rest) = bytes.split_first_chunk().ok_or(QuarterError)?;
    *bytes = rest;
    Ok(*first)
}
