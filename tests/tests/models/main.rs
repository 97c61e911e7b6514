//! Models of the cluster's protocol (`docs/adr/0002-cluster.md`), explored in every interleaving; and
//! proof that each can fail: a rule is switched off, and the checker finds what it protects from.

#![allow(clippy::print_stdout, reason = "how much was explored, and the counterexamples, are worth knowing")]

mod check;
mod claims;
mod homes;
mod moves;
mod owners;
mod sessions;
mod splits;
mod units;

use check::{can_always_end, fails, holds};

mod unit_leases {
    use super::*;
    use units::{Rules, Units};

    const FAULTS: u8 = 2;

    fn without(change: impl Fn(&mut Rules)) -> Units {
        let mut rules = Rules::ALL;
        change(&mut rules);
        Units { rules, faults: FAULTS }
    }

    #[test]
    fn hold() {
        holds("units", Units { rules: Rules::ALL, faults: FAULTS }, 10_000);
    }

    #[test]
    fn need_fences_at_the_stores() {
        fails("no fences", without(|rules| rules.stores_check_fences = false), "no stale write counts");
    }

    #[test]
    fn need_a_begin_at_every_store() {
        fails("one store begun", without(|rules| rules.begins_everywhere = false), "no stale write counts");
    }

    #[test]
    fn need_decisions_stored_before_they_are_told() {
        fails(
            "told before stored",
            without(|rules| rules.stored_before_answer = false),
            "a fence has one holder",
        );
    }

    #[test]
    fn need_spans_set_aside_to_wait() {
        fails("aside walked", without(|rules| rules.aside_waits = false), "no stale write counts");
    }

    #[test]
    fn need_grants_whose_answer_was_lost_to_be_taken_back() {
        let units = Units { faults: 1, ..without(|rules| rules.unnamed_let_go = false) };
        let stuck = can_always_end(&units);
        println!("lost grant:\n{}", stuck.expect_err("the job must get stuck"));
    }
    #[test]
    fn need_units_of_an_earlier_process_to_be_taken_back() {
        let stuck = can_always_end(&without(|rules| rules.old_sessions_let_go = false));
        println!("earlier process:\n{}", stuck.expect_err("the job must get stuck"));
    }
}

mod store_sessions {
    use super::*;
    use sessions::{Rules, Sessions};

    fn without(change: impl Fn(&mut Rules)) -> Sessions {
        let mut rules = Rules::ALL;
        change(&mut rules);
        Sessions { rules, restarts: 2 }
    }

    #[test]
    fn hold() {
        holds("sessions", without(|_| ()), 1000);
    }

    #[test]
    fn need_writes_to_name_a_session() {
        fails(
            "sessions, no writes_need_a_session",
            without(|rules| rules.writes_need_a_session = false),
            "no stale write counts",
        );
    }

    #[test]
    fn need_a_table_before_a_begin() {
        fails(
            "sessions, no begin_waits_for_table",
            without(|rules| rules.begin_waits_for_table = false),
            "no stale write counts",
        );
    }

    #[test]
    fn need_the_table_to_name_who_begins() {
        fails(
            "sessions, no table_names_who_begins",
            without(|rules| rules.table_names_who_begins = false),
            "no stale write counts",
        );
    }

    #[test]
    fn need_newer_fences_to_wait_for_a_table() {
        fails(
            "sessions, no newer_fence_waits_for_table",
            without(|rules| rules.newer_fence_waits_for_table = false),
            "no stale write counts",
        );
    }

    #[test]
    fn need_the_table_to_end_sessions() {
        fails(
            "sessions, no table_ends_sessions",
            without(|rules| rules.table_ends_sessions = false),
            "no stale write counts",
        );
    }

    /// As the protocol was first written: it held only while no job was cancelled and no store restarted.
    #[test]
    fn need_more_than_that_no_higher_fence_is_known() {
        let first = without(|rules| {
            rules.table_names_who_begins = false;
            rules.table_ends_sessions = false;
        });
        fails("sessions, no higher fence known", first, "no stale write counts");
    }

    #[test]
    fn need_a_begin_to_wait_for_writes_under_way() {
        fails(
            "sessions, no begin_waits_for_writes",
            without(|rules| rules.begin_waits_for_writes = false),
            "no stale write counts",
        );
    }

    #[test]
    fn need_leaders_that_know_the_end_of_their_term() {
        fails(
            "sessions, no term_is_checked",
            without(|rules| rules.term_is_checked = false),
            "no stale write counts",
        );
    }
}

mod shard_owners {
    use super::*;
    use owners::{Owners, Rules};

    fn without(change: impl Fn(&mut Rules)) -> Owners {
        let mut rules = Rules::ALL;
        change(&mut rules);
        Owners { rules, restarts: 2 }
    }

    #[test]
    fn hold() {
        holds("owners", without(|_| ()), 200);
    }

    #[test]
    fn need_leases_that_are_checked() {
        fails(
            "owners, no lease_is_checked",
            without(|rules| rules.lease_is_checked = false),
            "one owner serves",
        );
    }

    #[test]
    fn need_leases_that_count_from_the_report() {
        fails(
            "owners, no lease_from_report",
            without(|rules| rules.lease_from_report = false),
            "one owner serves",
        );
    }

    #[test]
    fn need_a_clock_that_counts_sleep() {
        fails(
            "owners, no sleep_counts",
            without(|rules| rules.sleep_counts = false),
            "no complete answer lacks a row",
        );
    }

    #[test]
    fn need_a_new_leader_that_waits_for_leases() {
        fails(
            "owners, no new_leader_waits",
            without(|rules| rules.new_leader_waits = false),
            "one owner serves",
        );
    }

    #[test]
    fn need_leaders_that_know_the_end_of_their_term() {
        fails(
            "owners, no term_is_checked",
            without(|rules| rules.term_is_checked = false),
            "no complete answer lacks a row",
        );
    }
}

mod shard_moves {
    use super::*;
    use moves::{Moves, Rules};

    fn without(change: impl Fn(&mut Rules)) -> Moves {
        let mut rules = Rules::ALL;
        change(&mut rules);
        Moves { rules, orders: 2, restarts: 1, rows: 2 }
    }

    #[test]
    fn hold() {
        holds("moves", without(|_| ()), 1000);
    }

    #[test]
    fn need_a_last_pass_that_stops_writes() {
        let model = without(|rules| rules.last_pass_stops_writes = false);
        fails("moves, no last_pass_stops_writes", model, "no answer lacks a row");
    }

    #[test]
    fn need_a_shard_to_be_nobodys_in_between() {
        fails("moves, no release", without(|rules| rules.released_before_named = false), "one worker serves");
    }

    #[test]
    fn need_moves_to_be_told_apart() {
        let model = without(|rules| rules.move_is_compared = false);
        fails("moves, no move_is_compared", model, "no answer lacks a row");
    }

    #[test]
    fn need_processes_of_the_owner_to_be_told_apart() {
        let model = without(|rules| rules.process_is_compared = false);
        fails("moves, no process_is_compared", model, "no answer lacks a row");
    }

    #[test]
    fn need_a_shard_in_its_place_before_it_is_served() {
        let model = without(|rules| rules.installed_before_served = false);
        fails("moves, no installed_before_served", model, "no answer lacks a row");
    }

    #[test]
    fn need_a_file_to_be_removed_last() {
        let model = without(|rules| rules.removed_last = false);
        fails("moves, no removed_last", model, "no answer lacks a row");
    }
}

mod registry_claims {
    use super::*;
    use claims::{Claims, Rules};

    fn without(change: impl Fn(&mut Rules)) -> Claims {
        let mut rules = Rules::ALL;
        change(&mut rules);
        Claims { rules, faults: 3 }
    }

    #[test]
    fn hold() {
        holds("claims", without(|_| ()), 200);
    }

    #[test]
    fn need_a_claim_before_a_row() {
        fails(
            "claims, no claim_before_row",
            without(|rules| rules.claim_before_row = false),
            "rows lie where a durable claim says",
        );
    }

    #[test]
    fn need_durable_claims_before_answers() {
        fails(
            "claims, no durable_before_answer",
            without(|rules| rules.durable_before_answer = false),
            "a study is in one shard",
        );
    }

    #[test]
    fn need_the_first_claim_to_stay() {
        fails(
            "claims, no first_claim_stays",
            without(|rules| rules.first_claim_stays = false),
            "a study is in one shard",
        );
    }

    #[test]
    fn need_a_lost_home_to_end_all_units() {
        fails(
            "claims, no lost_home_ends_units",
            without(|rules| rules.lost_home_ends_units = false),
            "a study is in one shard",
        );
    }

    #[test]
    fn need_a_registry_made_from_the_shards() {
        fails(
            "claims, no rebuilt_from_shards",
            without(|rules| rules.rebuilt_from_shards = false),
            "a study is in one shard",
        );
    }

    #[test]
    fn need_a_registry_that_is_made_after_a_begin() {
        fails(
            "claims, no rebuilt_after_begin",
            without(|rules| rules.rebuilt_after_begin = false),
            "a study is in one shard",
        );
    }

    #[test]
    fn need_forgotten_shards_to_stay_forgotten() {
        fails(
            "claims, no forgotten_stay_forgotten",
            without(|rules| rules.forgotten_stay_forgotten = false),
            "a study is in one shard",
        );
    }
}

mod home_moves {
    use super::*;
    use homes::{Homes, Rules};

    fn without(change: impl Fn(&mut Rules)) -> Homes {
        let mut rules = Rules::ALL;
        change(&mut rules);
        Homes { rules, orders: 2, restarts: 1, rows: 2 }
    }

    #[test]
    fn hold() {
        holds("homes", without(|_| ()), 10_000);
    }

    #[test]
    fn need_writes_to_both_to_stop() {
        let model = without(|rules| rules.last_pass_stops_both = false);
        fails("homes, no last_pass_stops_both", model, "no answer is wrong");
    }

    #[test]
    fn need_a_decision_before_the_first_is_in_its_place() {
        fails("homes, no decided_first", without(|rules| rules.decided_first = false), "no answer is wrong");
    }

    #[test]
    fn need_the_old_one_to_keep_both_until_they_are_in_their_places() {
        let stuck = can_always_end(&without(|rules| rules.kept_until_installed = false));
        println!("homes, no kept_until_installed:\n{}", stuck.expect_err("nobody has a ledger"));
    }

    #[test]
    fn need_what_was_leaving_to_be_told_from_what_is() {
        fails(
            "homes, no leaving_is_weak",
            without(|rules| rules.leaving_is_weak = false),
            "no answer is wrong",
        );
    }

    #[test]
    fn need_the_other_to_have_heard_before_both_are_taken_back() {
        let model = without(|rules| rules.heard_before_taken_back = false);
        fails("homes, no heard_before_taken_back", model, "no answer is wrong");
    }

    #[test]
    fn need_a_home_that_begins_anew_to_have_nothing() {
        let model = without(|rules| rules.begins_with_nothing = false);
        fails("homes, no begins_with_nothing", model, "no answer is wrong");
    }
}

mod shard_splits {
    use super::*;
    use splits::{Rules, Splits};

    fn without(change: impl Fn(&mut Rules)) -> Splits {
        let mut rules = Rules::ALL;
        change(&mut rules);
        Splits { rules, rows: 2, restarts: 1 }
    }

    #[test]
    fn hold() {
        holds("splits", without(|_| ()), 10_000);
    }

    #[test]
    fn need_units_to_be_let_go() {
        let model = without(|rules| rules.units_are_let_go = false);
        fails("splits, no units_are_let_go", model, "every row lies in one shard");
    }

    #[test]
    fn need_an_owner_that_takes_the_table_first() {
        let model = without(|rules| rules.owner_takes_table_first = false);
        fails("splits, no owner_takes_table_first", model, "every row lies in one shard");
    }

    #[test]
    fn need_a_home_that_takes_the_table_first() {
        let model = without(|rules| rules.home_takes_table_first = false);
        fails("splits, no home_takes_table_first", model, "the ledger names where rows lie");
    }

    #[test]
    fn need_shards_without_owner_while_halves_are_placed() {
        let model = without(|rules| rules.released_while_placing = false);
        fails("splits, no released_while_placing", model, "no answer is wrong");
    }

    #[test]
    fn need_lists_of_shards_to_be_compared() {
        let model = without(|rules| rules.lists_are_compared = false);
        fails("splits, no lists_are_compared", model, "no answer is wrong");
    }

    #[test]
    fn need_the_home_to_relabel_before_units_are_granted() {
        let model = without(|rules| rules.relabelled_before_grants = false);
        fails("splits, no relabelled_before_grants", model, "every row lies in one shard");
    }

    #[test]
    fn need_the_map_to_decide() {
        let model = without(|rules| rules.decided_by_the_map = false);
        fails("splits, no decided_by_the_map", model, "no answer is wrong");
    }
}
