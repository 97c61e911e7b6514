//! Buckets: which studies of a partition a shard covers, and what a split takes from it.
//!
//! A bucket is named after the leading bits of the keys of its studies: `0` is the root, without any, and `0.01` has
//! those that begin with 01. A split makes one bucket, of half of what the split one covers, which keeps its name and the
//! other half. So what a bucket covers follows from the names of all buckets of its partition, and from nothing else.

use std::collections::BTreeSet;
use std::fmt;

use crate::{PartitionKey, ShardId, StudyKey, shard_of};

/// The bucket that every partition begins with.
const ROOT: &str = "0";
/// Bits of a bucket's name. 2^64 buckets are enough for any partition.
const BITS_MAX: u32 = 64;

/// Leading bits of the keys of studies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyPrefix {
    /// From the highest bit on; those after the prefix are 0.
    bits: u128,
    length: u32,
}

impl KeyPrefix {
    /// Reads bits: characters 0 and 1, 64 at most. `None` for any other text.
    #[must_use]
    pub fn new(bits: &str) -> Option<Self> {
        let mut prefix = Self::default();
        for bit in bits.bytes() {
            prefix = match bit {
                b'0' => prefix.with(false)?,
                b'1' => prefix.with(true)?,
                _ => return None,
            };
        }
        Some(prefix)
    }

    /// Whether a study's key begins with it.
    #[must_use]
    pub fn contains(self, study: StudyKey) -> bool {
        let (low, high) = self.keys();
        (low..=high).contains(&study)
    }

    /// The lowest and the highest key that begin with it.
    #[must_use]
    pub fn keys(self) -> (StudyKey, StudyKey) {
        let rest = u128::MAX.checked_shr(self.length).unwrap_or(0);
        (StudyKey(self.bits), StudyKey(self.bits | rest))
    }

    /// It and one bit more; `None` where it is as long as one may be.
    fn with(self, bit: bool) -> Option<Self> {
        let length = self.length + 1;
        (length <= BITS_MAX).then(|| Self { bits: self.bits | (u128::from(bit) << (128 - length)), length })
    }
}

impl fmt::Display for KeyPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (1..=self.length).try_for_each(|n| write!(f, "{}", (self.bits >> (128 - n)) & 1))
    }
}

/// What a split does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardSplit {
    /// The shard that is split; it keeps its name, and what does not go.
    pub from: ShardId,
    /// The new shard.
    pub to: ShardId,
    /// The keys of the studies that go to it.
    pub moved: KeyPrefix,
}

impl ShardSplit {
    /// The split of a shard, given all shards that there are. `None` for a bucket of another maker's name, and for one
    /// whose name would become too long.
    #[must_use]
    pub fn new(from: &ShardId, shards: &BTreeSet<ShardId>) -> Option<Self> {
        let moved = covered(from, shards)?.with(true)?;
        let to = ShardId::new(&format!("{}/{ROOT}.{moved}", from.partition())).ok()?;
        Some(Self { from: from.clone(), to, moved })
    }
}

/// The keys that a shard covers, given all shards that there are. `None` for a bucket of another maker's name.
#[must_use]
pub fn covered(shard: &ShardId, shards: &BTreeSet<ShardId>) -> Option<KeyPrefix> {
    let mut covered = own_prefix(shard)?;
    while let Some(half) = covered.with(true) {
        let name = ShardId::new(&format!("{}/{ROOT}.{half}", shard.partition())).ok()?;
        if !shards.contains(&name) {
            break;
        }
        covered = covered.with(false)?;
    }
    Some(covered)
}

/// The shard of a new study: the bucket of its partition with the longest name that its key begins with.
/// `shards` may name those of other partitions, too.
#[must_use]
pub fn bucket_of<'a>(
    partition: &PartitionKey,
    study: StudyKey,
    shards: impl IntoIterator<Item = &'a ShardId>,
) -> ShardId {
    let root = shard_of(partition);
    let mut found = (0, None);
    for shard in shards {
        let prefix = own_prefix(shard).filter(|prefix| prefix.length > found.0 && prefix.contains(study));
        if let Some(prefix) = prefix.filter(|_| shard.partition() == root.partition()) {
            found = (prefix.length, Some(shard.clone()));
        }
    }
    found.1.unwrap_or(root)
}

/// The bits in a bucket's name; those of a split end in 1.
fn own_prefix(shard: &ShardId) -> Option<KeyPrefix> {
    if shard.bucket() == ROOT {
        return Some(KeyPrefix::default());
    }
    let bits = shard.bucket().strip_prefix(ROOT)?.strip_prefix('.')?;
    KeyPrefix::new(bits).filter(|_| bits.ends_with('1'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Domain, PartitionInput, PartitionScheme};

    fn partition() -> PartitionKey {
        let domain = Domain::default();
        let input = PartitionInput { domain: &domain, study_date: Some("20190304"), institution: None };
        PartitionScheme::default().partition(input)
    }

    /// The shards after splits of those at these places.
    fn after(splits: &[usize]) -> BTreeSet<ShardId> {
        let mut shards = BTreeSet::from([shard_of(&partition())]);
        for at in splits {
            let from = shards.iter().nth(at % shards.len()).cloned().expect("one of them");
            let split = ShardSplit::new(&from, &shards).expect("short names");
            assert!(shards.insert(split.to), "a new name");
        }
        shards
    }

    #[test]
    fn names_carry_the_bits() {
        let mut shards = BTreeSet::from([shard_of(&partition())]);
        let mut split = |bucket: &str| {
            let from = ShardId::new(&format!("{}/{bucket}", shard_of(&partition()).partition()));
            let split = ShardSplit::new(&from.expect("an id"), &shards).expect("a split");
            shards.insert(split.to.clone());
            (split.to.bucket().to_owned(), split.moved.to_string())
        };
        for (bucket, to) in [("0", "1"), ("0", "01"), ("0.1", "11"), ("0.1", "101"), ("0.01", "011")] {
            assert_eq!(split(bucket), (format!("0.{to}"), to.to_owned()));
        }
        for bucket in ["1", "0.", "0.10", "0.2", "root", "0-1", &format!("0.{}1", "0".repeat(64))] {
            let shard = ShardId::new(&format!("p/{bucket}")).expect("an id");
            assert_eq!(covered(&shard, &BTreeSet::new()), None, "{bucket}");
        }
    }

    #[test]
    fn other_partitions_do_not_matter() {
        let other = ShardId::new("2020-00000000/0.1").expect("an id");
        let root = shard_of(&partition());
        assert_eq!(bucket_of(&partition(), StudyKey(u128::MAX), [&other]), root);
        assert_eq!(covered(&root, &BTreeSet::from([other])), Some(KeyPrefix::default()));
    }

    proptest! {
        #[test]
        fn every_study_is_covered_once(splits in prop::collection::vec(0_usize..64, 0..20), key: u128) {
            let shards = after(&splits);
            let covers = |shard: &&ShardId| covered(shard, &shards).expect("a known name").contains(StudyKey(key));
            let covering: Vec<&ShardId> = shards.iter().filter(covers).collect();
            let bucket = bucket_of(&partition(), StudyKey(key), &shards);
            prop_assert_eq!(covering, vec![&bucket]);
        }

        #[test]
        fn a_split_moves_half_of_one_shard_and_nothing_else(
            splits in prop::collection::vec(0_usize..64, 0..8), at: usize, seed: u64,
        ) {
            let before = after(&splits);
            let from = before.iter().nth(at % before.len()).expect("one of them");
            let split = ShardSplit::new(from, &before).expect("short names");
            let mut shards = before.clone();
            shards.insert(split.to.clone());
            let (mut had, mut went) = (0_u32, 0_u32);
            let partition = partition();
            for n in 0..400_u32 {
                let key = StudyKey::new(&Domain::default(), &format!("1.2.{seed}.{n}"));
                let (was, is) = (bucket_of(&partition, key, &before), bucket_of(&partition, key, &shards));
                had += u32::from(was == *from);
                went += u32::from(was != is);
                prop_assert_eq!(was != is, split.moved.contains(key));
                prop_assert!(was == is || (was == *from && is == split.to));
            }
            prop_assert!(had < 100 || (had / 5..=had * 4 / 5).contains(&went), "{} of {}", went, had);
        }

        #[test]
        fn prefixes_are_read_as_they_are_written(bits in "[01]{0,64}") {
            let prefix = KeyPrefix::new(&bits).expect("bits");
            prop_assert_eq!(prefix.to_string(), bits);
            let (low, high) = prefix.keys();
            prop_assert!(prefix.contains(low) && prefix.contains(high));
            prop_assert!(low.0 == 0 || !prefix.contains(StudyKey(low.0 - 1)));
            prop_assert!(high.0 == u128::MAX || !prefix.contains(StudyKey(high.0 + 1)));
        }
    }
}
