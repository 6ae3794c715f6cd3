//! Numbers as short codes: digits, capitals, small letters.

/// The 62 characters, in ASCII order, so that codes of one length sort as their numbers do.
pub const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The one way to write a number.
#[must_use]
pub fn encode(mut number: u64) -> String {
    let mut digits = Vec::with_capacity(11);
    loop {
        digits.push(char::from(ALPHABET[usize::try_from(number % 62).unwrap_or_default()]));
        number /= 62;
        if number == 0 {
            return digits.iter().rev().collect();
        }
    }
}

/// The number a code was written from; `None` for anything that [`encode`] never writes.
#[must_use]
pub fn decode(code: &str) -> Option<u64> {
    let mut number: u64 = 0;
    for byte in code.bytes() {
        let digit = ALPHABET.iter().position(|known| *known == byte)?;
        number = number.checked_mul(62)?.checked_add(u64::try_from(digit).ok()?)?;
    }
    // `00` and the empty text are not how a number is written.
    (encode(number) == code).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Trap 16 (U3, U9): the whole range, and nothing the encoder never writes.
    #[test]
    fn trap_16_only_what_was_encoded_is_decoded() {
        assert_eq!(encode(0), "0");
        assert_eq!(encode(61), "z");
        assert_eq!(encode(62), "10");
        assert_eq!(decode(&encode(u64::MAX)), Some(u64::MAX));
        for bad in ["", "00", "0a", "a b", "-1", "é", "zzzzzzzzzzzz"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_number_comes_back(number: u64) {
            prop_assert_eq!(decode(&encode(number)), Some(number));
        }

        #[test]
        fn what_is_decoded_is_written_the_same_way(code in "[0-9A-Za-z]{0,12}") {
            if let Some(number) = decode(&code) {
                prop_assert_eq!(encode(number), code);
            }
        }
    }
}
