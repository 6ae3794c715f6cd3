//! The work of a projection, split by link: which partition a link is in.
//!
//! A link's rows are accounted for by the checkpoint of its partition alone. So **the hash below
//! must never change**: a link that moved to another partition would be folded from that one's
//! checkpoint on, and its events between the two checkpoints would be lost or counted twice. The
//! same holds for the number of partitions, which therefore belongs to a set of tables.
//! `DefaultHasher` promises neither the same value in the next release nor on another machine.

/// Into how many partitions the links are split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partitions(u32);

/// One of the partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    number: u32,
    of: Partitions,
}

/// Whose facts are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Every link's, split into partitions all the same.
    All(Partitions),
    /// Those of the links of one partition.
    One(Partition),
}

impl Partitions {
    /// All links in one.
    pub const ONE: Self = Self(1);

    /// The most there can be.
    pub const MAX: u32 = 64;

    /// So many, from 1 to [`Self::MAX`].
    #[must_use]
    pub fn new(count: u32) -> Option<Self> {
        (1..=Self::MAX).contains(&count).then_some(Self(count))
    }

    /// How many.
    #[must_use]
    pub fn count(self) -> u32 {
        self.0
    }

    /// The number of the partition that a link is in, called as in the tables: `domain/code`.
    pub(crate) fn number_of(self, link: &str) -> u32 {
        if self == Self::ONE {
            return 0;
        }
        let number = hash(link) % u64::from(self.0);
        u32::try_from(number).unwrap_or_default()
    }

    /// One of them; `None`: there are not so many.
    #[must_use]
    pub fn get(self, number: u32) -> Option<Partition> {
        (number < self.0).then_some(Partition { number, of: self })
    }
}

impl Partition {
    /// Counts from 0.
    #[must_use]
    pub fn number(self) -> u32 {
        self.number
    }

    /// How many there are.
    #[must_use]
    pub fn of(self) -> Partitions {
        self.of
    }

    /// Whether a link (`domain/code`) is in it.
    #[must_use]
    pub fn holds(self, link: &str) -> bool {
        self.of.number_of(link) == self.number
    }
}

impl Share {
    /// How the links are split.
    #[must_use]
    pub fn of(self) -> Partitions {
        match self {
            Self::All(of) => of,
            Self::One(partition) => partition.of,
        }
    }

    /// Whether every link's facts are wanted: there is nothing to be looked for.
    #[must_use]
    pub fn is_everything(self) -> bool {
        matches!(self, Self::All(_)) || self.of() == Partitions::ONE
    }

    /// Whether the facts of a link are wanted.
    #[must_use]
    pub fn holds(self, link: &str) -> bool {
        match self {
            Self::All(_) => true,
            Self::One(partition) => partition.holds(link),
        }
    }
}

/// Which of so many turns a link has, whatever its partition is: as with that, it must never change.
pub(crate) fn turn_of(link: &str, turns: u32) -> u32 {
    u32::try_from((hash(link) >> 32) % u64::from(turns)).unwrap_or_default()
}

/// FNV-1a, and a finisher that lets every bit of the name reach the low ones (that of
/// `MurmurHash3`): short names that differ in one character spread evenly.
fn hash(link: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let mut hash = link.bytes().fold(0xcbf2_9ce4_8422_2325, step);
    for factor in [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53] {
        hash = (hash ^ (hash >> 33)).wrapping_mul(factor);
    }
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(count: u32) -> Partitions {
        Partitions::new(count).unwrap()
    }

    /// Written down once, for ever: see the head of this file.
    #[test]
    fn a_link_stays_in_its_partition() {
        let links = ["default/a", "default/b", "default/abc", "go.example.com/abc", ""];
        let numbers = links.map(|link| [2, 4, 8, 64].map(|count| of(count).number_of(link)));
        assert_eq!(
            numbers,
            [[1, 1, 5, 29], [0, 0, 0, 48], [1, 3, 3, 59], [1, 3, 7, 63], [0, 2, 6, 38]]
        );
    }

    #[test]
    fn every_link_is_in_one_partition_and_they_are_about_even() {
        for count in [1, 2, 3, 8, 64] {
            let mut links = vec![0; count as usize];
            for n in 0..64_000 {
                let link = format!("default/c{n}");
                let holding: Vec<u32> = (0..count)
                    .filter(|number| of(count).get(*number).unwrap().holds(&link))
                    .collect();
                let [number] = holding[..] else { panic!("{holding:?}") };
                links[number as usize] += 1;
            }
            let mean = 64_000 / count;
            let even = mean * 4 / 5..=mean * 6 / 5;
            assert!(links.iter().all(|links| even.contains(links)), "{links:?}");
        }
    }

    #[test]
    fn there_are_some_and_not_too_many() {
        assert_eq!(Partitions::new(0), None);
        assert_eq!(Partitions::new(1), Some(Partitions::ONE));
        assert_eq!(Partitions::new(Partitions::MAX + 1), None);
        assert_eq!(of(4).get(4), None);
    }
}
