//! The rules of the protocol, each with a switch, so that the model can be shown to need it.

/// Which rules are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// A directory is marked open, durably, before its first row is sent.
    pub mark_before_rows: bool,
    /// A directory is marked open, durably, before its missing files are removed.
    pub mark_before_sweep: bool,
    /// Directories with an open mark of an earlier run are compared with the shards.
    pub marks_reconciled: bool,
    /// A study's claim is durable before its first row is sent.
    pub claim_before_rows: bool,
    /// Shards are durable before the ledger records what was applied to them.
    pub barrier_before_record: bool,
    /// A record's claims are compared with the shard's history.
    pub claims_checked: bool,
    /// The ledger's positions are compared with the shards' histories before the walk.
    pub positions_checked: bool,
    /// A shard that the ledger has no position of is treated as one that was put back.
    pub unknown_shards_healed: bool,
    /// Removals count as positions too.
    pub removals_recorded: bool,
    /// A healed shard gets a batch, and the ledger rests on it: no other copy has it.
    pub healing_recorded: bool,
    /// Reconciling an open mark notes the positions of all shards, for the removals of a run that died.
    pub reconciliation_recorded: bool,
    /// The row in the new shard is durable before the one in the old shard goes.
    pub new_shard_before_old: bool,
}

impl Rules {
    /// The protocol as ADR 0001 has it.
    pub const ALL: Self = Self {
        mark_before_rows: true,
        mark_before_sweep: true,
        marks_reconciled: true,
        claim_before_rows: true,
        barrier_before_record: true,
        claims_checked: true,
        positions_checked: true,
        unknown_shards_healed: true,
        removals_recorded: true,
        healing_recorded: true,
        reconciliation_recorded: true,
        new_shard_before_old: true,
    };
}
