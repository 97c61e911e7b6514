//! A failure on the wire: the one place that knows how a gRPC status carries it.

use std::error::Error;

use prost::Message;
use tonic::{Code, Status};

use crate::v1::ErrorDetail;
use crate::v1::error_detail::Reason;

const DETAIL_TYPE: &str = "type.googleapis.com/shardex.v1.ErrorDetail";

/// Why a call failed: a text for people, the rest for programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// gRPC's own class of the failure.
    pub code: Code,
    /// What happened and what to do. Holds no path and no value but those the caller sent.
    pub message: String,
    /// The same for programs.
    pub detail: ErrorDetail,
}

/// `google.rpc.Status`, the form in which every gRPC library looks for details.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

impl Fault {
    /// A fault without more detail than its reason. The code follows from the reason.
    #[must_use]
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        let may_retry = matches!(
            reason,
            Reason::Busy | Reason::ShuttingDown | Reason::Stalled | Reason::NotLeader | Reason::NoLease
        );
        let detail = ErrorDetail { reason: reason.into(), may_retry, ..ErrorDetail::default() };
        Self { code: code(reason), message: message.into(), detail }
    }

    /// What happened, for programs.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.detail.reason()
    }
}

/// The code of each reason.
fn code(reason: Reason) -> Code {
    match reason {
        Reason::Unspecified => Code::Internal,
        Reason::BadRequest | Reason::Refused => Code::InvalidArgument,
        Reason::Deadline => Code::DeadlineExceeded,
        Reason::Cancelled => Code::Cancelled,
        Reason::TooManyRows | Reason::OtherProtocol => Code::FailedPrecondition,
        Reason::TooManyBytes | Reason::Busy | Reason::StoreFull => Code::ResourceExhausted,
        Reason::ShardFailed
        | Reason::AllShardsFailed
        | Reason::ShuttingDown
        | Reason::StoreFailed
        | Reason::NotLeader
        | Reason::NoLease => Code::Unavailable,
        Reason::Unauthenticated => Code::Unauthenticated,
        Reason::Stalled | Reason::Fenced => Code::Aborted,
        Reason::NotFound => Code::NotFound,
    }
}

impl From<Fault> for Status {
    fn from(fault: Fault) -> Self {
        let detail =
            prost_types::Any { type_url: DETAIL_TYPE.to_owned(), value: fault.detail.encode_to_vec() };
        let code = fault.code as i32;
        let status = RpcStatus { code, message: fault.message.clone(), details: vec![detail] };
        Status::with_details(fault.code, fault.message, status.encode_to_vec().into())
    }
}

impl From<Status> for Fault {
    /// What a peer says, as far as it can be read.
    fn from(status: Status) -> Self {
        let detail = RpcStatus::decode(status.details()).ok().and_then(|read| {
            let any = read.details.into_iter().find(|any| any.type_url == DETAIL_TYPE)?;
            ErrorDetail::decode(&*any.value).ok()
        });
        // What comes from a peer has no cause; what was made here, of a connection that broke, says little without.
        let message = with_causes(status.message(), status.source());
        Self { code: status.code(), message, detail: detail.unwrap_or_default() }
    }
}

/// An error's text with its causes: tonic's own text says only `transport error`, or `http2 error`.
#[must_use]
pub fn with_causes(text: &str, mut cause: Option<&(dyn Error + 'static)>) -> String {
    let mut text = text.to_owned();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text.strip_prefix("transport error: ").map(str::to_owned).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_travels_whole() {
        let mut fault = Fault::new(Reason::TooManyRows, "more than 5 rows");
        fault.detail.limit = 5;
        fault.detail.view = "series".to_owned();
        let status = Status::from(fault.clone());
        assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, "more than 5 rows"));
        assert_eq!(Fault::from(status), fault);
    }

    #[test]
    fn any_other_status_is_a_fault_without_detail() {
        let foreign = Status::with_details(Code::NotFound, "what", vec![255, 1, 2].into());
        let fault = Fault::from(foreign);
        assert_eq!(
            (fault.code, fault.reason(), &*fault.message),
            (Code::NotFound, Reason::Unspecified, "what")
        );
    }

    #[test]
    fn a_broken_connection_says_why() {
        let mut broken = Status::unavailable("http2 error");
        let cause = std::io::Error::new(std::io::ErrorKind::TimedOut, "keep-alive timed out");
        broken.set_source(std::sync::Arc::new(cause));
        assert_eq!(Fault::from(broken).message, "http2 error: keep-alive timed out");
    }
}
