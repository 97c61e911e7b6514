//! How the error of a store travels, and what it is to the one who asked.

use shardex_proto::Fault;
use shardex_proto::packed::Malformed;
use shardex_proto::v1::error_detail::Reason;
use shardex_seams::{Retry, StoreError};
use tonic::{Code, Status};

pub(crate) fn out(error: &StoreError) -> Status {
    let reason = match error {
        StoreError::Fenced { .. } | StoreError::Over { .. } => Reason::Fenced,
        StoreError::Query(_) => Reason::Refused,
        StoreError::TooManyRows { .. } => Reason::TooManyRows,
        StoreError::Full { .. } => Reason::StoreFull,
        StoreError::Closed => Reason::ShuttingDown,
        StoreError::Corrupt { .. }
        | StoreError::Away { .. }
        | StoreError::Unusable { .. }
        | StoreError::Newer { .. } => {
            // Peers are not told which file it is and why.
            tracing::error!(%error, "a store failed");
            Reason::StoreFailed
        }
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
        // Only rows of a shard name it; else it is the gate in front of all stores that refuses.
        (Reason::Fenced, _) if fault.detail.shard.is_empty() => {
            StoreError::Over { store: format!("worker {worker}") }
        }
        (Reason::Fenced, _) => StoreError::Fenced { shard: fault.detail.shard },
        (Reason::Refused, _) => StoreError::Query(fault.message),
        (Reason::TooManyRows, _) => {
            StoreError::TooManyRows { limit: fault.detail.limit, view: fault.detail.view }
        }
        (Reason::StoreFull, _) => StoreError::Full { file },
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

/// Whether a fault that may pass is one of the store that was asked for: others of the same worker may serve.
pub(crate) fn is_of_one_store(fault: &Fault) -> bool {
    matches!(fault.reason(), Reason::NotFound | Reason::StoreFailed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_keep_their_kind_and_lose_their_files() {
        let file = || "shards/x.sqlite".to_owned();
        for (error, expected) in [
            (StoreError::Fenced { shard: "x/0".into() }, "shard `x/0` refused"),
            (StoreError::Over { store: "worker v".into() }, "worker w takes no writes"),
            (StoreError::Full { file: file() }, "no space left for `a store of worker w`"),
            (
                StoreError::Corrupt { file: file(), detail: "page 7".into() },
                "`a store of worker w` is damaged",
            ),
            (
                StoreError::Unusable { file: file(), detail: "I/O".into() },
                "worker w does not serve: its file cannot be used",
            ),
            (StoreError::Query("no such column".into()), "no such column"),
            (StoreError::TooManyRows { limit: 5, view: "files".into() }, "more than 5 rows of `files`"),
        ] {
            let fault = Fault::from(out(&error));
            assert!(!may_retry(&fault), "{error}");
            let text = back(fault, "w").to_string();
            assert!(text.contains(expected) && !text.contains("x.sqlite"), "{text}");
        }
        assert!(may_retry(&Fault::from(out(&StoreError::Closed))), "its owner comes back");
        assert!(may_retry(&Fault::from(Status::unavailable("connection refused"))));
        assert!(!may_retry(&Fault::from(Status::unauthenticated("who are you?"))));
    }
}
