//! Bars in the terminal.

/// A bar's length in eighths of a character at its end, from one to seven.
const EIGHTHS: [char; 7] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/// The bar of a value on a scale where `max` is `width` characters. A value above zero always
/// shows, a value below `max` never looks like it.
#[must_use]
pub(super) fn bar(value: u64, max: u64, width: usize) -> String {
    if value == 0 || max == 0 {
        return String::new();
    }
    let eighths = eighths(value.min(max), max, width);
    let mut bar = "█".repeat(eighths / 8);
    if let Some(&end) = (eighths % 8).checked_sub(1).and_then(|part| EIGHTHS.get(part)) {
        bar.push(end);
    }
    bar
}

/// In 128 bits, because counts of clicks times widths exceed 64.
fn eighths(value: u64, max: u64, width: usize) -> usize {
    let full = (width as u128) * 8;
    let share = u128::from(value) * full / u128::from(max);
    usize::try_from(share.max(1)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_bar_is_as_long_as_its_share() {
        assert_eq!(bar(0, 10, 4), "");
        assert_eq!(bar(10, 10, 4), "████");
        assert_eq!(bar(5, 10, 4), "██");
        assert_eq!(bar(1, 1_000_000, 4), "▏");
        assert_eq!(bar(999_999, 1_000_000, 4), "███▉");
        assert_eq!(bar(u64::MAX, u64::MAX, 2), "██");
    }

    proptest! {
        #[test]
        fn a_greater_value_never_has_a_shorter_bar(a: u64, b: u64, width in 1..100usize) {
            let (low, high) = (a.min(b), a.max(b));
            prop_assert!(eighths(low, high.max(1), width) <= eighths(high, high.max(1), width));
            prop_assert!(bar(low, high, width).chars().count() <= width);
        }
    }
}
