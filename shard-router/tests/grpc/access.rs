//! Who may call, and how.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use shardex_daemon::net::{ChannelSettings, Error as NetError, Peer, Server, ServerSettings, TlsFiles};
use shardex_proto::Fault;
use shardex_proto::v1::SqlRequest;
use shardex_proto::v1::error_detail::Reason;
use shardex_proto::v1::query_client::QueryClient;
use shardex_shard_router::{Answers, QueryOptions, QueryService, Remote};
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServiceResponse};

use crate::served::{Served, small_router};
use crate::support::Answer;

fn count(remote: &Remote) -> Result<i64, String> {
    let mut answer = Answer::default();
    let asked = remote.sql("SELECT count(*) FROM studies", &QueryOptions::default(), &mut answer);
    asked.map_err(|error| error.to_string())?;
    match &answer.rows[0][0] {
        shardex_catalog::Cell::Integer(count) => Ok(*count),
        other => panic!("{other:?}"),
    }
}

fn written(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("written");
    path
}

#[test]
fn a_token_is_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let tokens = written(folder.path(), "tokens", "alice 0123456789abcdef\nbob fedcba9876543210\n");
    let served = Served::with(small_router(), |bounds| bounds.server.token_file = Some(tokens.clone()));
    let with = |token_file| {
        Remote::connect(&ChannelSettings { token_file, ..served.channel() }).expect("a connection")
    };
    assert_eq!(count(&with(Some(tokens))), Ok(10));
    let bob = written(folder.path(), "bob", "fedcba9876543210\n");
    assert_eq!(count(&with(Some(bob))), Ok(10));
    let wrong = written(folder.path(), "wrong", "0123456789abcdeX\n");
    assert!(count(&with(Some(wrong))).expect_err("unknown").contains("not one that this server knows"));
    assert!(count(&with(None)).expect_err("none").contains("--token-file"));
    let mut client = served.client();
    let status = served.runtime.block_on(client.sql(SqlRequest::default())).expect_err("no token");
    assert_eq!(status.code(), Code::Unauthenticated);
    // Probes have no tokens; reflection is not for everybody.
    assert_eq!(health(&served, ""), Ok(ServingStatus::Serving));
    assert_eq!(services(&served).expect_err("no token").code(), Code::Unauthenticated);
}

#[test]
fn a_network_address_needs_to_know_who_calls() {
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let settings = ServerSettings::new("0.0.0.0:0");
    let error = runtime.block_on(Server::bind(&settings)).expect_err("open to the network");
    assert!(matches!(error, NetError::Open { .. }), "{error}");
    assert!(error.to_string().contains("--token-file"), "{error}");
    let folder = tempfile::tempdir().expect("a folder");
    let token_file = Some(written(folder.path(), "tokens", "0123456789abcdef"));
    let settings = ServerSettings { token_file, ..settings };
    assert!(runtime.block_on(Server::bind(&settings)).is_ok());
}

/// A root with certificates for a server and for a client, as files.
fn certificates(folder: &Path) -> (PathBuf, TlsFiles, (PathBuf, PathBuf)) {
    let key = KeyPair::generate().expect("a key");
    let mut root = CertificateParams::new(Vec::new()).expect("parameters");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(root, key).expect("a root");
    let signed = |name: &str, host: &str| {
        let key = KeyPair::generate().expect("a key");
        let mut parameters = CertificateParams::new(vec![host.to_owned()]).expect("parameters");
        parameters.distinguished_name.push(DnType::CommonName, name);
        let certificate = parameters.signed_by(&key, &root).expect("signed");
        let certificate = written(folder, &format!("{name}.pem"), &certificate.pem());
        (certificate, written(folder, &format!("{name}.key"), &key.serialize_pem()))
    };
    let ca = written(folder, "ca.pem", &root.pem());
    let (certificate, key) = signed("server", "localhost");
    let client = signed("alice", "alice");
    (ca, TlsFiles { certificate, key, client_ca: None }, client)
}

#[test]
fn tls_there_and_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ca, tls, _) = certificates(folder.path());
    let served = Served::with(small_router(), |bounds| bounds.server.tls = Some(tls));
    let url = format!("https://localhost:{}", served.address.port());
    let settings = ChannelSettings { url: url.clone(), tls_ca: Some(ca), ..ChannelSettings::default() };
    assert_eq!(count(&Remote::connect(&settings).expect("a connection")), Ok(10));
    // Another root, and no encryption at all.
    let (other, ..) = certificates(tempfile::tempdir_in(folder.path()).expect("a folder").keep().as_path());
    let settings = ChannelSettings { url, tls_ca: Some(other), ..ChannelSettings::default() };
    assert!(Remote::connect(&settings).is_err());
    let plain = Remote::connect(&served.channel());
    assert!(plain.map_or_else(|error| Err(error.to_string()), |remote| count(&remote)).is_err());
}

#[test]
fn tls_knows_callers_by_their_certificates() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ca, tls, client) = certificates(folder.path());
    let tls = TlsFiles { client_ca: Some(ca.clone()), ..tls };
    let served = Served::with(small_router(), |bounds| bounds.server.tls = Some(tls));
    let url = format!("https://localhost:{}", served.address.port());
    let without = ChannelSettings { url, tls_ca: Some(ca), ..ChannelSettings::default() };
    let with = ChannelSettings { tls_identity: Some(client), ..without.clone() };
    assert_eq!(count(&Remote::connect(&with).expect("a connection")), Ok(10));
    let refused = Remote::connect(&without).map_err(|error| error.to_string());
    assert!(refused.and_then(|remote| count(&remote)).is_err());
}

#[test]
fn another_protocol_version_is_refused() {
    let served = Served::small();
    let mut client = QueryClient::new(plain(&served));
    let mut request = Request::new(SqlRequest { statement: "SELECT 1".into(), ..SqlRequest::default() });
    request.metadata_mut().insert(shardex_proto::PROTOCOL_HEADER, 2.into());
    let fault = Fault::from(served.runtime.block_on(client.sql(request)).expect_err("another version"));
    assert_eq!((fault.code, fault.reason()), (Code::FailedPrecondition, Reason::OtherProtocol));
    assert!(fault.message.contains("version 1") && fault.message.contains("version 2"), "{}", fault.message);
    // A caller that names none is a general tool; the answer says what is spoken here.
    let request = SqlRequest { statement: "SELECT 1".into(), ..SqlRequest::default() };
    let response = served.runtime.block_on(client.sql(request)).expect("answered");
    assert_eq!(response.metadata().get(shardex_proto::PROTOCOL_HEADER).expect("said"), "1");
}

fn plain(served: &Served) -> tonic::transport::Channel {
    let endpoint =
        tonic::transport::Endpoint::from_shared(format!("http://{}", served.address)).expect("a URL");
    served.runtime.block_on(endpoint.connect()).expect("a connection")
}

fn health(served: &Served, service: &str) -> Result<ServingStatus, Code> {
    let mut client = HealthClient::new(plain(served));
    let request = HealthCheckRequest { service: service.to_owned() };
    let response = served.runtime.block_on(client.check(request)).map_err(|status| status.code())?;
    Ok(response.into_inner().status())
}

fn services(served: &Served) -> Result<Vec<String>, tonic::Status> {
    let mut client = ServerReflectionClient::new(plain(served));
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    served.runtime.block_on(async {
        let requests = tonic::codegen::tokio_stream::once(request);
        let mut answers = client.server_reflection_info(requests).await?.into_inner();
        match answers.message().await?.expect("an answer").message_response {
            Some(MessageResponse::ListServicesResponse(list)) => {
                Ok(list.service.into_iter().map(|ServiceResponse { name }| name).collect())
            }
            other => panic!("{other:?}"),
        }
    })
}

#[test]
fn health_and_reflection_answer() {
    let served = Served::small();
    assert_eq!(health(&served, ""), Ok(ServingStatus::Serving));
    assert_eq!(health(&served, QueryService::NAME), Ok(ServingStatus::Serving));
    assert_eq!(health(&served, "nobody"), Err(Code::NotFound));
    let services = services(&served).expect("listed");
    for expected in ["shardex.v1.Query", "grpc.health.v1.Health"] {
        assert!(services.iter().any(|name| name == expected), "{services:?}");
    }
}

#[test]
fn health_says_that_the_server_ends() {
    let mut served = Served::small();
    let mut client = HealthClient::new(plain(&served));
    let request = HealthCheckRequest { service: QueryService::NAME.to_owned() };
    let mut watched = served.runtime.block_on(client.watch(request)).expect("watched").into_inner();
    let mut next = || served.runtime.block_on(watched.message()).expect("said").expect("more").status();
    assert_eq!(next(), ServingStatus::Serving);
    served.say_stop();
    assert_eq!(next(), ServingStatus::NotServing);
    drop((watched, client));
    served.wait_for_end();
}

#[test]
fn nonsense_on_the_wire_harms_nobody() {
    let served = Served::small();
    for bytes in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xFF; 4096], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xFF\xFF\xFF\xFF"]
    {
        let mut socket = std::net::TcpStream::connect(served.address).expect("a connection");
        // The server may hang up in the middle.
        let _ = socket.write_all(bytes).and_then(|()| socket.read_to_end(&mut Vec::new()));
    }
    let mut client: QueryClient<Peer> = served.client();
    let large = SqlRequest { statement: "x".repeat(17 << 20), ..SqlRequest::default() };
    let status = served.runtime.block_on(client.sql(large)).expect_err("too large");
    assert_eq!(status.code(), Code::OutOfRange, "{status:?}");
    let status = served.runtime.block_on(client.sql(SqlRequest::default())).expect_err("empty");
    assert_eq!(Fault::from(status).reason(), Reason::BadRequest);
    assert_eq!(count(&served.remote()), Ok(10));
}
