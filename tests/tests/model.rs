//! The model of `docs/adr/0001-durability.md`, explored; and proof that it can fail.

#![allow(clippy::print_stdout, reason = "how much was explored is worth knowing")]

use shardex_tests::model::{Bounds, CONTENTS, Explored, Rules, World, explore, walk};
use shardex_tests::random::{Random, seed};

const BOUNDS: Bounds = Bounds { faults: 2, changes_in_a_run: true, worlds: 3_000_000 };

/// Two files of one study that disagree on its date, in one directory, and a file of another study.
fn three_files() -> World {
    World::of_files(CONTENTS.map(Some))
}

/// The same study in two directories.
fn two_directories() -> World {
    World::of_files([Some(CONTENTS[0]), None, Some(CONTENTS[1])])
}

fn one_file() -> World {
    World::of_files([None, None, Some(CONTENTS[2])])
}

#[test]
fn whatever_happens_one_undisturbed_run_makes_it_right() {
    for (name, world) in [("three files", three_files()), ("two directories", two_directories())] {
        match explore(&world, Rules::ALL, BOUNDS) {
            Ok(Explored { worlds, runs }) => {
                println!("{name}: {worlds} worlds, {runs} runs, {} faults", BOUNDS.faults);
                assert!(worlds > 1_000, "the search has become shallow");
            }
            Err(found) => panic!("{name}: the protocol fails\n{found}"),
        }
    }
}

/// How many random walks are made; `SHARDEX_TEST_WALKS` asks for more.
fn walks() -> u32 {
    std::env::var("SHARDEX_TEST_WALKS").map_or(3_000, |walks| walks.parse().expect("a number of walks"))
}

#[test]
fn random_walks_with_many_faults_end_right() {
    let seed = seed();
    println!("SHARDEX_TEST_SEED={seed}");
    let mut seeds = Random::new(seed);
    for _ in 0..walks() {
        let walked = walk(&two_directories(), Rules::ALL, seeds.next(), 25);
        if let Err(found) = walked {
            panic!("the protocol fails\n{found}");
        }
    }
}

#[test]
fn one_file_and_three_faults() {
    let bounds = Bounds { faults: 3, changes_in_a_run: false, ..BOUNDS };
    match explore(&one_file(), Rules::ALL, bounds) {
        Ok(Explored { worlds, runs }) => println!("one file: {worlds} worlds, {runs} runs, 3 faults"),
        Err(found) => panic!("the protocol fails\n{found}"),
    }
}

/// What is found without a rule; a rule whose absence nobody notices is not tested by the model.
#[track_caller]
fn is_needed(name: &str, rules: Rules) {
    is_needed_within(name, rules, &[two_directories(), three_files()], BOUNDS);
}

#[track_caller]
fn is_needed_within(name: &str, rules: Rules, worlds: &[World], bounds: Bounds) {
    let found = worlds.iter().find_map(|world| explore(world, rules, bounds).err());
    match found {
        Some(found) => println!("without `{name}`:\n{found}\n"),
        None => panic!("nothing goes wrong without `{name}`"),
    }
}

#[test]
fn rows_need_an_open_mark() {
    is_needed("mark_before_rows", Rules { mark_before_rows: false, ..Rules::ALL });
}

#[test]
fn open_marks_must_be_reconciled() {
    is_needed("marks_reconciled", Rules { marks_reconciled: false, ..Rules::ALL });
}

#[test]
fn rows_need_a_durable_claim() {
    is_needed("claim_before_rows", Rules { claim_before_rows: false, ..Rules::ALL });
}

#[test]
fn records_need_a_barrier() {
    is_needed("barrier_before_record", Rules { barrier_before_record: false, ..Rules::ALL });
}

#[test]
fn claims_must_be_compared_with_the_history() {
    is_needed("claims_checked", Rules { claims_checked: false, ..Rules::ALL });
}

#[test]
fn positions_must_be_compared_with_the_history() {
    is_needed("positions_checked", Rules { positions_checked: false, ..Rules::ALL });
}

#[test]
fn shards_that_nobody_knows_must_be_healed() {
    // It takes a shard lost, a file deleted and the shard put back.
    let bounds = Bounds { faults: 3, changes_in_a_run: false, ..BOUNDS };
    let rules = Rules { unknown_shards_healed: false, ..Rules::ALL };
    is_needed_within("unknown_shards_healed", rules, &[one_file()], bounds);
}

#[test]
fn removals_must_be_recorded_as_positions() {
    is_needed("removals_recorded", Rules { removals_recorded: false, ..Rules::ALL });
}

#[test]
fn a_row_leaves_its_shard_after_the_new_one_is_durable() {
    is_needed("new_shard_before_old", Rules { new_shard_before_old: false, ..Rules::ALL });
}

/// Rules whose absence takes more faults to notice than the search can have: a walk that fails without.
#[track_caller]
fn is_needed_in_walk(name: &str, rules: Rules, seed: u64) {
    let world = two_directories();
    assert!(walk(&world, Rules::ALL, seed, 25).is_ok(), "it fails with `{name}`");
    match walk(&world, rules, seed, 25) {
        Err(found) => println!("without `{name}`:\n{found}\n"),
        Ok(()) => panic!("nothing goes wrong without `{name}`: look for another seed"),
    }
}

#[test]
fn a_reconciliation_must_be_recorded() {
    let rules = Rules { reconciliation_recorded: false, ..Rules::ALL };
    is_needed_in_walk("reconciliation_recorded", rules, 1_163_423_389_192_011_323);
}

#[test]
fn a_healing_must_be_recorded() {
    let rules = Rules { healing_recorded: false, ..Rules::ALL };
    is_needed_in_walk("healing_recorded", rules, 11_613_919_314_534_282_322);
}
