//! Random numbers that a seed repeats.

/// SplitMix64 (Steele, Lea, Flood 2014): small, and good enough to choose what to break.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Numbers of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    #[expect(clippy::should_implement_trait, reason = "it never ends")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).expect("below a usize")
    }

    /// One of them.
    ///
    /// # Panics
    /// If there is none.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// The seed of `SHARDEX_TEST_SEED`; a new one each time if that is `random`; without it always the
/// same, so that a change is judged by what it does. Print it, so that a failure can be repeated.
///
/// # Panics
/// If the variable holds something else.
#[must_use]
pub fn seed() -> u64 {
    use std::hash::BuildHasher;
    match std::env::var("SHARDEX_TEST_SEED").as_deref() {
        Err(_) => 1,
        Ok("random") => std::hash::RandomState::new().hash_one(0) >> 32,
        Ok(given) => given.parse().expect("SHARDEX_TEST_SEED is a number or `random`"),
    }
}
