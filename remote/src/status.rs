//! How the error of a store travels, and what it is to the one who asked.

use shardex_proto::Fault;
use shardex_proto::packed::Malformed;
use shardex_proto::v1::error_detail::Reason;
use shardex_seams::{Retry, StoreError};
use tonic::{Code, Status};

pub(crate) fn out(error: &StoreError) -> Status {
    let reason = match error {
        StoreError::Fenced { .. } => Reason::Fenced,
        StoreError::Query(_) => Reason::Refused,
        StoreError::TooManyRows { .. } => Reason::TooManyRows,
        _ => Reason::StoreFailed,
    };
    let mut fault = Fault::new(reason, error.without_files());
    fault.detail.may_retry = error.retry() == Retry::Later;
    match error {
        StoreError::Fenced { shard } => fault.detail.shard.clone_from(shard),
        StoreError::TooManyRows { limit, view } => {
            fault.detail.limit = *limit;
            fault.detail.view.clone_from(view);
        }
        StoreError::Corrupt { .. } => fault.code = Code::DataLoss,
        _ => {}
    }
    fault.into()
}

pub(crate) fn malformed(error: Malformed) -> Status {
    Fault::new(Reason::BadRequest, error.to_string()).into()
}

/// What a fault is to the one who asked `worker`.
pub(crate) fn back(fault: Fault, worker: &str) -> StoreError {
    let file = format!("a store of worker {worker}");
    match (fault.reason(), fault.code) {
        (Reason::Fenced, _) => StoreError::Fenced { shard: fault.detail.shard },
        (Reason::Refused, _) => StoreError::Query(fault.message),
        (Reason::TooManyRows, _) => {
            StoreError::TooManyRows { limit: fault.detail.limit, view: fault.detail.view }
        }
        (_, Code::DataLoss) => StoreError::Corrupt { file, detail: fault.message },
        _ => StoreError::Away { store: format!("worker {worker}"), detail: fault.message },
    }
}

/// Whether the same call may succeed soon, perhaps elsewhere.
pub(crate) fn may_retry(fault: &Fault) -> bool {
    fault.detail.may_retry
        || (fault.reason() == Reason::Unspecified
            && matches!(
                fault.code,
                Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded | Code::Unknown
            ))
}
