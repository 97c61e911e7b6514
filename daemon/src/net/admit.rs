//! Who may call: every call passes here before a service sees it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use shardex_proto::v1::error_detail::Reason;
use shardex_proto::{Fault, PROTOCOL_HEADER, PROTOCOL_VERSION};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use tower::Layer;

use super::subject::subject;
use super::{Principal, Tokens};

/// Health says whether the server works and nothing else, and probes have no tokens.
const OPEN_TO_ALL: &str = "/grpc.health.v1.Health/";

/// Wraps services so that they see admitted calls only.
#[derive(Clone, Debug)]
pub(super) struct Admission(pub(super) Arc<Option<Tokens>>);

impl Admission {
    /// Who calls, if the call is admitted. Pure.
    fn admit(&self, path: &str, headers: &HeaderMap, certificate: Option<&[u8]>) -> Result<Principal, Fault> {
        if let Some(theirs) =
            headers.get(PROTOCOL_HEADER).filter(|theirs| **theirs != PROTOCOL_VERSION.to_string())
        {
            let theirs: String = theirs.to_str().unwrap_or("?").chars().take(20).collect();
            let text = format!(
                "this server speaks protocol version {PROTOCOL_VERSION} of shardex, the caller version {theirs}: use \
                 the same release on both sides"
            );
            return Err(Fault::new(Reason::OtherProtocol, text));
        }
        let Some(tokens) = &*self.0 else {
            return Ok(certificate.map_or(Principal::Local, |der| Principal::Certificate(subject(der))));
        };
        if path.starts_with(OPEN_TO_ALL) {
            return Ok(Principal::Local);
        }
        let refused = |text: &str| Err(Fault::new(Reason::Unauthenticated, text));
        let Some(given) = headers.get(header::AUTHORIZATION) else {
            return refused(
                "this server asks for a token: give --token-file, or the metadata `authorization: Bearer TOKEN`",
            );
        };
        let token = given.as_bytes().strip_prefix(b"Bearer ").unwrap_or_default();
        match tokens.name_of(token) {
            Some(name) => Ok(Principal::Token(name.to_owned())),
            None => refused("the token is not one that this server knows"),
        }
    }
}

impl<S> Layer<S> for Admission {
    type Service = Admitted<S>;

    fn layer(&self, inner: S) -> Admitted<S> {
        Admitted { inner, admission: self.clone() }
    }
}

/// A service behind [`Admission`].
#[derive(Clone, Debug)]
pub(super) struct Admitted<S> {
    inner: S,
    admission: Admission,
}

type Answer<E> = Pin<Box<dyn Future<Output = Result<Response<Body>, E>> + Send>>;

impl<S> Service<Request<Body>> for Admitted<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Answer<S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let certificates =
            request.extensions().get::<TlsConnectInfo<TcpConnectInfo>>().and_then(TlsConnectInfo::peer_certs);
        let certificate = certificates.as_ref().and_then(|all| all.first()).map(|first| &**first);
        let admitted = self.admission.admit(request.uri().path(), request.headers(), certificate);
        let answer = match admitted {
            Ok(principal) => {
                request.extensions_mut().insert(principal);
                Ok(self.inner.call(request))
            }
            Err(fault) => Err(Status::from(fault)),
        };
        Box::pin(async move {
            let mut response = match answer {
                Ok(future) => future.await?,
                Err(status) => status.into_http(),
            };
            let version = HeaderValue::from(PROTOCOL_VERSION);
            response.headers_mut().insert(HeaderName::from_static(PROTOCOL_HEADER), version);
            Ok(response)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQL: &str = "/shardex.v1.Query/Sql";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"))
        };
        pairs.iter().map(pair).collect()
    }

    fn with_tokens() -> Admission {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "alice 0123456789abcdef\n").expect("written");
        Admission(Arc::new(Some(Tokens::read(file.path()).expect("tokens"))))
    }

    #[test]
    fn without_tokens_callers_are_local_or_their_certificate() {
        let open = Admission(Arc::new(None));
        assert_eq!(open.admit(SQL, &headers(&[]), None), Ok(Principal::Local));
        let named = open.admit(SQL, &headers(&[]), Some(b"no certificate")).expect("admitted");
        assert!(named.to_string().starts_with("tls:certificate-"));
    }

    #[test]
    fn with_tokens_a_caller_needs_one() {
        let admission = with_tokens();
        let alice = Ok(Principal::Token("alice".to_owned()));
        for (value, expected) in [
            ("Bearer 0123456789abcdef", alice),
            ("Bearer 0123456789abcdeg", Err(Reason::Unauthenticated)),
            ("0123456789abcdef", Err(Reason::Unauthenticated)),
            ("Bearer ", Err(Reason::Unauthenticated)),
            ("", Err(Reason::Unauthenticated)),
        ] {
            let admitted = admission.admit(SQL, &headers(&[("authorization", value)]), Some(b"x"));
            assert_eq!(admitted.map_err(|fault| fault.reason()), expected, "{value}");
        }
        assert!(admission.admit(SQL, &headers(&[]), None).is_err());
        assert!(admission.admit("/grpc.health.v1.Health/Check", &headers(&[]), None).is_ok());
    }

    #[test]
    fn another_protocol_is_refused_by_both_names() {
        let admission = with_tokens();
        let fault = admission.admit(SQL, &headers(&[(PROTOCOL_HEADER, "7")]), None).expect_err("refused");
        assert_eq!(fault.reason(), Reason::OtherProtocol);
        assert!(
            fault.message.contains("version 1") && fault.message.contains("version 7"),
            "{}",
            fault.message
        );
        let same = headers(&[(PROTOCOL_HEADER, "1"), ("authorization", "Bearer 0123456789abcdef")]);
        assert!(admission.admit(SQL, &same, None).is_ok());
    }
}
