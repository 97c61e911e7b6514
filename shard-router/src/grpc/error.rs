//! The one place that says how a router's error looks to a peer.
//!
//! A peer gets no path of this machine and no value but those in its own statement.

use shardex_proto::Fault;
use shardex_proto::v1::error_detail::Reason;
use shardex_seams::{Retry, StoreError};
use tonic::Code;

use crate::Error;

impl From<&Error> for Fault {
    fn from(error: &Error) -> Self {
        match error {
            Error::Refused(_) | Error::Failed(_) => Self::new(Reason::Refused, error.to_string()),
            Error::Deadline(_) => Self::new(Reason::Deadline, error.to_string()),
            Error::Cancelled => Self::new(Reason::Cancelled, error.to_string()),
            Error::TooManyRows { rows_max, view } => {
                let mut fault = Self::new(Reason::TooManyRows, error.to_string());
                fault.detail.limit = *rows_max;
                fault.detail.view = view.to_string();
                fault
            }
            Error::TooManyBytes { bytes_max } => {
                let mut fault = Self::new(Reason::TooManyBytes, error.to_string());
                fault.detail.limit = *bytes_max;
                fault
            }
            Error::Shard { source: StoreError::Query(_), .. } => {
                Self::new(Reason::Refused, error.to_string())
            }
            Error::Shard { shard, source } => {
                let text = format!("shard `{shard}` failed: {}", source.without_files());
                let mut fault = store(Reason::ShardFailed, source, text);
                fault.detail.shard = shard.to_string();
                fault
            }
            Error::AllShards { failed, first } => {
                let text = format!(
                    "all {failed} shards that were asked failed; `{}`: {}",
                    first.shard, first.reason_for_peers
                );
                let mut fault = Self::new(Reason::AllShardsFailed, text);
                fault.detail.shard = first.shard.to_string();
                fault
            }
            Error::Split(shard) => {
                let mut fault = Self::new(Reason::ShardFailed, error.to_string());
                fault.detail.shard = shard.to_string();
                fault.detail.may_retry = true;
                fault
            }
            Error::Store(source) => store(
                Reason::StoreFailed,
                source,
                format!("the archive cannot be read: {}", source.without_files()),
            ),
            Error::Remote(fault) => (**fault).clone(),
        }
    }
}

fn store(reason: Reason, error: &StoreError, text: String) -> Fault {
    let mut fault = Fault::new(reason, text);
    fault.detail.may_retry = error.retry() == Retry::Later;
    if matches!(error, StoreError::Corrupt { .. }) {
        fault.code = Code::DataLoss;
    }
    fault
}

impl From<Fault> for Error {
    /// What a peer said, as this process would have said it.
    fn from(fault: Fault) -> Self {
        match fault.reason() {
            Reason::Cancelled => Self::Cancelled,
            Reason::Refused => Self::Refused(fault.message),
            _ => Self::Remote(Box::new(fault)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use shardex_catalog::{ShardId, View};

    use super::*;

    fn shard() -> ShardId {
        ShardId::new("2019-abc/0").expect("a name")
    }

    #[test]
    fn each_error_has_its_code_and_reason() {
        let corrupt =
            || StoreError::Corrupt { file: "/srv/archive/x.sqlite".into(), detail: "page 7".into() };
        for (error, code, reason, may_retry) in [
            (Error::Refused("no".into()), Code::InvalidArgument, Reason::Refused, false),
            (Error::Failed("no".into()), Code::InvalidArgument, Reason::Refused, false),
            (Error::Deadline(Duration::from_secs(5)), Code::DeadlineExceeded, Reason::Deadline, false),
            (Error::Cancelled, Code::Cancelled, Reason::Cancelled, false),
            (
                Error::TooManyRows { rows_max: 5, view: View::Series },
                Code::FailedPrecondition,
                Reason::TooManyRows,
                false,
            ),
            (Error::TooManyBytes { bytes_max: 5 }, Code::ResourceExhausted, Reason::TooManyBytes, false),
            (Error::Shard { shard: shard(), source: corrupt() }, Code::DataLoss, Reason::ShardFailed, false),
            (
                Error::Shard { shard: shard(), source: StoreError::Closed },
                Code::Unavailable,
                Reason::ShardFailed,
                true,
            ),
            (Error::Store(corrupt()), Code::DataLoss, Reason::StoreFailed, false),
        ] {
            let fault = Fault::from(&error);
            assert_eq!(
                (fault.code, fault.reason(), fault.detail.may_retry),
                (code, reason, may_retry),
                "{error}"
            );
            assert!(!fault.message.contains("/srv"), "{}", fault.message);
        }
    }
}
