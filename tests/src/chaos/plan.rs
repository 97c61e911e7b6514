//! What happens when: all of it follows from the seed.

use std::time::Duration;

use super::fault::{KINDS, Kind};
use crate::Random;

/// Faults of one wave, at least and at most.
const WAVE_MIN: usize = 5;
const WAVE_MAX: usize = 7;
/// Time in which the faults of a wave begin.
const WAVE_MS: usize = 12_000;

/// A fault that is to come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planned {
    pub(super) kind: Kind,
    /// Since the wave began; later if who is struck has another fault then.
    pub(super) at: Duration,
    /// Chooses whom it strikes, and for how long.
    pub(super) drawn: u64,
}

/// Deals the kinds as cards are dealt: each comes once before any comes again.
#[derive(Debug)]
pub(super) struct Deck {
    random: Random,
    rest: Vec<Kind>,
}

impl Deck {
    pub(super) fn new(random: Random) -> Self {
        Self { random, rest: Vec::new() }
    }

    /// The next wave, in the order of its beginnings.
    pub(super) fn wave(&mut self) -> Vec<Planned> {
        let count = WAVE_MIN + self.random.below(WAVE_MAX - WAVE_MIN + 1);
        let mut wave: Vec<_> = (0..count).map(|_| self.planned()).collect();
        wave.sort_by_key(|planned| planned.at);
        wave
    }

    fn planned(&mut self) -> Planned {
        if self.rest.is_empty() {
            self.rest = KINDS.iter().map(|(kind, _)| *kind).collect();
        }
        let at = self.random.below(self.rest.len());
        let kind = self.rest.swap_remove(at);
        let at = Duration::from_millis(self.random.below(WAVE_MS) as u64);
        Planned { kind, at, drawn: self.random.next() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_comes_before_any_comes_again() {
        let mut deck = Deck::new(Random::new(5));
        let dealt: Vec<_> = std::iter::repeat_with(|| deck.wave()).take(30).flatten().collect();
        for round in dealt.chunks_exact(KINDS.len()).take(5) {
            assert_eq!(round.len(), KINDS.len());
        }
        let kinds: BTreeSet<_> = dealt.iter().map(|planned| planned.kind).collect();
        assert_eq!(kinds.len(), KINDS.len());
        let again: Vec<_> = Deck::new(Random::new(5)).wave().iter().map(|planned| planned.kind).collect();
        assert_eq!(again, dealt[..again.len()].iter().map(|planned| planned.kind).collect::<Vec<_>>());
    }
}
