//! A visitor that counts as another one does and is nobody: what stands in the place of somebody
//! whose data is erased.
//!
//! ```text
//! mixed hash   ├─ register, 14 bits ─┼─ zeros and the first 1: the rank ─┼─ the rest, no matter ─┤
//! surrogate    ├──────────── as it was ──────────────────────────────────┼─ of the click's id ───┤
//! ```
//!
//! Register and rank are all that a sketch keeps of a visitor, so every number stays what it was.
//! The rest is made of the id of the click, which says nothing of who it was: clicks of one
//! visitor get different surrogates, and the same click gets the same one however often and
//! wherever it is erased. (Of a visitor with a rank of 40 only 10 bits are left to be chosen; one
//! in 2^40 has such a rank.)

use hoplog_events::click::VisitorHash;
use uuid::Uuid;

use super::{INDEX_BITS, mix};

/// Who stands in the place of a click's visitor. A surrogate's own surrogate is itself.
#[must_use]
pub fn surrogate(visitor: VisitorHash, event: Uuid, place: usize) -> VisitorHash {
    let hash = mix(visitor.0);
    let zeros = (hash << INDEX_BITS).leading_zeros();
    let counted = INDEX_BITS + zeros + 1;
    let rest = u64::MAX.checked_shr(counted).unwrap_or(0);
    VisitorHash(unmix((hash & !rest) | (seed(event, place) & rest)))
}

/// Bits that differ from click to click.
fn seed(event: Uuid, place: usize) -> u64 {
    let (high, low) = event.as_u64_pair();
    mix(mix(mix(high) ^ low) ^ place as u64)
}

/// What [`mix`] was given: each of its steps can be taken back.
fn unmix(hash: u64) -> u64 {
    let hash = hash ^ hash >> 31 ^ hash >> 62;
    let hash = hash.wrapping_mul(0x3196_42b2_d24d_8ec3);
    let hash = hash ^ hash >> 27 ^ hash >> 54;
    let hash = hash.wrapping_mul(0x96de_1b17_3f11_9089);
    let hash = hash ^ hash >> 30 ^ hash >> 60;
    hash.wrapping_sub(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::super::{Place, Sketch};
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn mixing_can_be_taken_back(number: u64) {
            prop_assert_eq!(unmix(mix(number)), number);
            prop_assert_eq!(mix(unmix(number)), number);
        }

        /// Also of visitors with a rank that hardly anybody has.
        #[test]
        fn a_surrogate_counts_as_the_visitor_did(
            bits: u64, zeros in 0..=50_u32, event: u128, places in proptest::collection::vec(0..2_000_usize, 1..20),
        ) {
            let register = bits & !(u64::MAX >> INDEX_BITS);
            let rare = VisitorHash(unmix(register | (bits >> INDEX_BITS).checked_shr(zeros).unwrap_or(0)));
            let event = Uuid::from_u128(event);
            for visitor in [VisitorHash(bits), rare] {
                let instead = places.iter().map(|place| surrogate(visitor, event, *place));
                prop_assert_eq!(Sketch::of(instead).to_bytes(), Sketch::of([visitor]).to_bytes());
                let once = surrogate(visitor, event, places[0]);
                prop_assert_eq!(Place::of(once).0, Place::of(visitor).0);
                prop_assert_eq!(surrogate(once, event, places[0]), once);
            }
        }
    }

    /// Whose clicks they were can't be told from those of others with the same register and rank.
    #[test]
    fn the_rest_is_the_clicks_and_not_the_visitors() {
        let event = Uuid::from_u128(0x0190_163d_8694_739b_aea5_966c_26f8_ad91);
        let one = VisitorHash(unmix(0x1234_8000_0000_0001));
        let other = VisitorHash(unmix(0x1234_8fff_ffff_ffff));
        assert_eq!(Place::of(one).0, Place::of(other).0);
        assert_eq!(surrogate(one, event, 0), surrogate(other, event, 0));
        let all: std::collections::HashSet<u64> =
            (0..1_000).map(|place| surrogate(one, event, place).0).collect();
        assert_eq!(all.len(), 1_000, "one for each click");
        assert!(!all.contains(&one.0) && !all.contains(&other.0));
    }
}
