//! The kinds of faults, and whom each strikes.

use std::time::Duration;

use super::setting::Settings;
use crate::Pair;

/// Workers, coordinators and members of etcd.
pub(super) const WORKERS: usize = 3;
pub(super) const COORDINATORS: usize = 2;
pub(super) const MEMBERS: usize = 3;

/// Longer than the leases of workers that tests give.
const LONGER_THAN_A_LEASE: Duration = Duration::from_secs(6);
/// Longer than that of a leader in etcd.
const LONGER_THAN_A_TERM: Duration = Duration::from_secs(18);
/// Before what was killed is started again, at most.
const DOWN_MS_MAX: u64 = 3000;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A worker that owns shards is killed, and started again.
    KillOwner,
    /// The same of the one that has ledger and registry.
    KillHome,
    /// The same of the coordinator that leads.
    KillLeader,
    /// The same of a member of etcd.
    KillMember,
    /// An owner is stopped for longer than its lease.
    SleepOwner,
    /// The same of the home.
    SleepHome,
    /// The same of the coordinator that leads.
    SleepLeader,
    /// The same of a member of etcd.
    SleepMember,
    /// Two workers are cut off from each other.
    CutWorkers,
    /// A worker from all coordinators.
    CutCoordinators,
    /// A coordinator from all of etcd.
    CutEtcd,
    /// The router from an owner.
    CutOwner,
    /// The router from all coordinators.
    CutRouter,
    /// Two of three members of etcd are stopped.
    NoQuorum,
    /// An owner's disk is lost: it comes back with an empty folder, and is given up.
    WipeOwner,
    /// The same of the home.
    WipeHome,
    /// Files are added that kill whoever reads them.
    Crash,
}

/// All kinds, with the words for the log.
pub const KINDS: [(Kind, &str); 17] = [
    (Kind::KillOwner, "an owner is killed"),
    (Kind::KillHome, "the home is killed"),
    (Kind::KillLeader, "the leader is killed"),
    (Kind::KillMember, "a member of etcd is killed"),
    (Kind::SleepOwner, "an owner sleeps"),
    (Kind::SleepHome, "the home sleeps"),
    (Kind::SleepLeader, "the leader sleeps"),
    (Kind::SleepMember, "a member of etcd sleeps"),
    (Kind::CutWorkers, "two workers are cut off"),
    (Kind::CutCoordinators, "a worker is cut off the coordinators"),
    (Kind::CutEtcd, "a coordinator is cut off etcd"),
    (Kind::CutOwner, "the router is cut off an owner"),
    (Kind::CutRouter, "the router is cut off the coordinators"),
    (Kind::NoQuorum, "etcd has no quorum"),
    (Kind::WipeOwner, "the disk of an owner is lost"),
    (Kind::WipeHome, "the disk of the home is lost"),
    (Kind::Crash, "files crash their reader"),
];

impl Kind {
    /// The words for the log.
    #[must_use]
    pub fn words(self) -> &'static str {
        KINDS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, words)| words)
    }

    /// How long it lasts; `drawn` is a number by chance.
    pub(super) fn lasts(self, settings: &Settings, drawn: u64) -> Duration {
        match self {
            Self::KillOwner | Self::KillHome | Self::KillLeader | Self::KillMember => {
                Duration::from_millis(drawn % DOWN_MS_MAX)
            }
            Self::SleepOwner | Self::SleepHome | Self::SleepMember => LONGER_THAN_A_LEASE,
            Self::SleepLeader => LONGER_THAN_A_TERM,
            Self::CutWorkers | Self::CutCoordinators | Self::CutEtcd | Self::CutOwner | Self::CutRouter => {
                settings.cut
            }
            Self::NoQuorum => settings.no_quorum,
            // Until the operator has given it up; until the files are found out.
            Self::WipeOwner | Self::WipeHome | Self::Crash => Duration::ZERO,
        }
    }
}

/// Who is struck, and by nothing else of its sort meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Victim {
    Worker(usize),
    Coordinator(usize),
    Member(usize),
    Wire(Pair),
    /// The disk of a worker: one at a time, so that another one can take its place.
    Disk,
}

/// Who leads, and who is home, as far as was heard.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Roles {
    pub(super) leader: usize,
    pub(super) home: usize,
}

/// Whom a fault of a kind strikes; `drawn` is a number by chance.
pub(super) fn victims(kind: Kind, roles: Roles, drawn: usize) -> Vec<Victim> {
    let owner = (roles.home + 1 + drawn % (WORKERS - 1)) % WORKERS;
    let (worker, other) = (drawn % WORKERS, (drawn + 1 + drawn / WORKERS % (WORKERS - 1)) % WORKERS);
    let coordinator = drawn % COORDINATORS;
    let member = drawn % MEMBERS;
    match kind {
        Kind::KillOwner | Kind::SleepOwner => vec![Victim::Worker(owner)],
        Kind::KillHome | Kind::SleepHome => vec![Victim::Worker(roles.home)],
        Kind::KillLeader | Kind::SleepLeader => vec![Victim::Coordinator(roles.leader)],
        Kind::KillMember | Kind::SleepMember => vec![Victim::Member(member)],
        Kind::CutWorkers => vec![Victim::Wire(Pair::Workers(worker.min(other), worker.max(other)))],
        Kind::CutCoordinators => vec![Victim::Wire(Pair::WorkerAndCoordinators(worker))],
        Kind::CutEtcd => vec![Victim::Wire(Pair::CoordinatorAndEtcd(coordinator))],
        Kind::CutOwner => vec![Victim::Wire(Pair::RouterAndOwner(worker))],
        Kind::CutRouter => vec![Victim::Wire(Pair::RouterAndCoordinators)],
        Kind::NoQuorum => vec![Victim::Member(member), Victim::Member((member + 1) % MEMBERS)],
        Kind::WipeOwner => vec![Victim::Worker(owner), Victim::Disk],
        Kind::WipeHome => vec![Victim::Worker(roles.home), Victim::Disk],
        Kind::Crash => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_strike_whom_they_say() {
        for drawn in 0..60 {
            for home in 0..WORKERS {
                let roles = Roles { leader: 1, home };
                assert_ne!(victims(Kind::KillOwner, roles, drawn), victims(Kind::KillHome, roles, drawn));
                let [Victim::Wire(Pair::Workers(one, other))] = victims(Kind::CutWorkers, roles, drawn)[..]
                else {
                    panic!("two workers");
                };
                assert!(one < other && other < WORKERS, "{one}, {other}");
            }
        }
    }
}
