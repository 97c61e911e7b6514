//! Made-up people, places and machines.

use crate::random::Random;

const SYLLABLES: [&str; 16] = [
    "ba", "dor", "fen", "gal", "hin", "jo", "kel", "lum", "mar", "nis", "ol", "pra", "ris", "sut", "tam",
    "ves",
];

fn word(random: &mut Random, syllables: u64) -> String {
    let text: String = (0..syllables).map(|_| random.pick(&SYLLABLES)).collect();
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Family^Given, each of syllables; one in ten has an umlaut (ISO_IR 100, so one byte).
pub(crate) fn person(seed: u64, kind: u64, number: u64) -> Vec<u8> {
    let mut random = Random::of(&[seed, kind, number]);
    let mut name = format!("Synth{}^{}", word(&mut random, 3), word(&mut random, 2)).into_bytes();
    if random.chance(10) {
        name.push(0xFC);
    }
    name
}

pub(crate) fn institution(number: u64) -> String {
    format!("Synthetic Hospital {}", word(&mut Random::of(&[2, number]), 3))
}

/// Made-up makers; each has its way with private elements.
pub(crate) const MAKERS: [&str; 3] = ["SYNTHETIC IMAGING", "Bench Medical Systems", "Made-up Healthcare"];

/// A UID of 45 to 58 characters, as machines make them: machine, date, counters.
pub(crate) fn uid(kind: u64, day: u64, machine: u64, number: u64, counter: u64) -> String {
    let stamp = Random::of(&[3, kind, machine, number]).next() % 100_000_000_000;
    let base =
        format!("1.2.826.0.1.3680043.10.9999.{kind}.{}.{}.{stamp}", 40_000 + machine * 37, 10_000 + day);
    if counter == 0 { base } else { format!("{base}.{counter}") }
}
