//! Parts of reports over the wire.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use shardex_catalog::{Cell, ShardId, StoreId};
use shardex_proto::v1::report_part_request::Part;
use shardex_proto::v1::shard_report_part::Part as OfShard;
use shardex_proto::v1::{self, Done, LedgerReportPart};
use shardex_seams::{HomePart, KeysOf, Leaf, ReportParts, ShardPart, StoreError};
use tonic::Status;

use crate::leaf::RemoteLeaf;
use crate::service::{nonsense, shard_in};

/// What is asked for.
pub(crate) enum Wanted {
    Shard(ShardId, ShardPart),
    Home(HomePart),
}

pub(crate) fn wanted_in(request: v1::ReportPartRequest) -> Result<Wanted, Status> {
    match request.part {
        Some(Part::Shard(part)) => {
            let shard = shard_in(&part.shard)?;
            Ok(Wanted::Shard(shard, shard_part_in(part.part.ok_or_else(|| nonsense("part"))?)))
        }
        Some(Part::Ledger(part)) => {
            let part = LedgerReportPart::try_from(part).map_err(|_| nonsense("part"))?;
            Ok(Wanted::Home(match part {
                LedgerReportPart::Moves => HomePart::Moves,
                LedgerReportPart::Deletions => HomePart::Deletions,
                LedgerReportPart::Unreadable => HomePart::Unreadable,
                LedgerReportPart::Counts => HomePart::Counts,
                LedgerReportPart::Unspecified => return Err(nonsense("part")),
            }))
        }
        None => Err(nonsense("part")),
    }
}

fn shard_part_in(part: OfShard) -> ShardPart {
    match part {
        OfShard::Duplicates(Done {}) => ShardPart::Duplicates,
        OfShard::Dates(today) => ShardPart::Dates { today },
        OfShard::SplitStudies(Done {}) => ShardPart::SplitStudies,
        OfShard::Counts(v1::ShardCounts { today, file_rows_max }) => {
            ShardPart::Counts { today, file_rows_max }
        }
        OfShard::Keys(v1::ShardKeys { is_series, pass, passes }) => {
            let of = if is_series { KeysOf::Series } else { KeysOf::Patients };
            ShardPart::Keys { of, pass, passes: passes.max(1) }
        }
        OfShard::Size(Done {}) => ShardPart::Size,
        OfShard::Totals(headers_max) => ShardPart::Totals { headers_max },
    }
}

fn shard_part_out(part: &ShardPart) -> OfShard {
    match part.clone() {
        ShardPart::Duplicates => OfShard::Duplicates(Done {}),
        ShardPart::Dates { today } => OfShard::Dates(today),
        ShardPart::SplitStudies => OfShard::SplitStudies(Done {}),
        ShardPart::Counts { today, file_rows_max } => {
            OfShard::Counts(v1::ShardCounts { today, file_rows_max })
        }
        ShardPart::Keys { of, pass, passes } => {
            OfShard::Keys(v1::ShardKeys { is_series: of == KeysOf::Series, pass, passes })
        }
        ShardPart::Size => OfShard::Size(Done {}),
        ShardPart::Totals { headers_max } => OfShard::Totals(headers_max),
    }
}

fn home_part_out(part: HomePart) -> LedgerReportPart {
    match part {
        HomePart::Moves => LedgerReportPart::Moves,
        HomePart::Deletions => LedgerReportPart::Deletions,
        HomePart::Unreadable => LedgerReportPart::Unreadable,
        HomePart::Counts => LedgerReportPart::Counts,
    }
}

impl ReportParts for RemoteLeaf {
    fn shards(&self) -> Result<Vec<ShardId>, StoreError> {
        Leaf::shards(self)
    }

    fn of_shard(
        &self,
        shard: &ShardId,
        part: &ShardPart,
        cancel: &Arc<AtomicBool>,
        row: &mut dyn FnMut(Vec<Cell>) -> bool,
    ) -> Result<(), StoreError> {
        let wanted = v1::ShardReportPart { shard: shard.to_string(), part: Some(shard_part_out(part)) };
        let request = v1::ReportPartRequest { part: Some(Part::Shard(wanted)) };
        self.stream_of(
            &StoreId::Shard(shard.clone()),
            part.width(),
            request,
            cancel,
            row,
            |mut client, request| Box::pin(async move { client.report_part(request).await }),
        )
    }

    fn of_home(
        &self,
        part: HomePart,
        cancel: &Arc<AtomicBool>,
        row: &mut dyn FnMut(Vec<Cell>) -> bool,
    ) -> Result<(), StoreError> {
        let wanted = Part::Ledger(home_part_out(part).into());
        let request = v1::ReportPartRequest { part: Some(wanted) };
        self.stream_of(&StoreId::Home, part.width(), request, cancel, row, |mut client, request| {
            Box::pin(async move { client.report_part(request).await })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_travel() {
        let today = "20200102".to_owned();
        let parts = [
            ShardPart::Duplicates,
            ShardPart::Dates { today: today.clone() },
            ShardPart::SplitStudies,
            ShardPart::Counts { today: today.clone(), file_rows_max: None },
            ShardPart::Counts { today, file_rows_max: Some(7) },
            ShardPart::Keys { of: KeysOf::Series, pass: 2, passes: 4 },
            ShardPart::Keys { of: KeysOf::Patients, pass: 0, passes: 1 },
            ShardPart::Size,
            ShardPart::Totals { headers_max: 16 },
        ];
        for part in parts {
            assert_eq!(shard_part_in(shard_part_out(&part)), part);
        }
        for part in [HomePart::Moves, HomePart::Deletions, HomePart::Unreadable, HomePart::Counts] {
            let request = v1::ReportPartRequest { part: Some(Part::Ledger(home_part_out(part).into())) };
            assert!(matches!(wanted_in(request), Ok(Wanted::Home(back)) if back == part));
        }
        assert!(wanted_in(v1::ReportPartRequest { part: None }).is_err());
    }
}
