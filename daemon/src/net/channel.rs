//! The other end: a channel to a server.

use std::path::PathBuf;
use std::time::Duration;

use shardex_proto::v1::error_detail::Reason;
use shardex_proto::{Fault, PROTOCOL_HEADER, PROTOCOL_VERSION};
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};

use super::error::with_causes;
use super::settings::read;
use super::{Error, token};

const CONNECT: Duration = Duration::from_secs(10);

/// How to reach a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelSettings {
    /// `http://HOST:PORT`, `https://HOST:PORT`, or `HOST:PORT`, which is the former unless
    /// certificates are given.
    pub url: String,
    /// File whose first token is sent.
    pub token_file: Option<PathBuf>,
    /// Root of the server's certificate, PEM.
    pub tls_ca: Option<PathBuf>,
    /// Own certificate and its key, PEM, where the server asks for one.
    pub tls_identity: Option<(PathBuf, PathBuf)>,
}

/// When a silent server counts as gone. Default: a ping every 20 s, unanswered for 20 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// Time between pings while calls run.
    pub every: Duration,
    /// Time without an answer to one after which the server is gone.
    pub wait: Duration,
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self { every: Duration::from_secs(20), wait: Duration::from_secs(20) }
    }
}

/// A channel whose calls carry protocol version and token.
pub type Peer = InterceptedService<Channel, Credentials>;

/// What every call carries.
#[derive(Clone)]
pub struct Credentials {
    token: Option<MetadataValue<Ascii>>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("token", &self.token.is_some()).finish()
    }
}

impl Interceptor for Credentials {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let metadata = request.metadata_mut();
        metadata.insert(PROTOCOL_HEADER, PROTOCOL_VERSION.into());
        if let Some(token) = &self.token {
            metadata.insert("authorization", token.clone());
        }
        Ok(request)
    }
}

/// Connects to a server.
///
/// # Errors
/// [`Error`] if the settings do not work, or the server cannot be reached.
///
/// # Cancel safety
/// Nothing is left behind.
pub async fn connect(settings: &ChannelSettings) -> Result<Peer, Error> {
    connect_with(settings, KeepAlive::default()).await
}

/// [`connect`], with a say in when the server counts as gone.
///
/// # Errors
/// As [`connect`].
///
/// # Cancel safety
/// Nothing is left behind.
pub async fn connect_with(settings: &ChannelSettings, keep_alive: KeepAlive) -> Result<Peer, Error> {
    let endpoint = endpoint(settings, keep_alive)?;
    let token = settings.token_file.as_deref().map(token::first).transpose()?;
    let token = token.map(|token| {
        let mut value =
            MetadataValue::try_from(format!("Bearer {token}")).expect("tokens are printable ASCII");
        value.set_sensitive(true);
        value
    });
    let channel = endpoint
        .connect()
        .await
        .map_err(|error| Error::Unreachable { url: settings.url.clone(), detail: with_causes(&error) })?;
    Ok(InterceptedService::new(channel, Credentials { token }))
}

/// Whether an answer comes from a server of our protocol.
///
/// # Errors
/// [`Fault`] names both versions.
pub fn check_protocol(metadata: &MetadataMap) -> Result<(), Fault> {
    let theirs = metadata.get(PROTOCOL_HEADER).and_then(|theirs| theirs.to_str().ok());
    if theirs == Some(&*PROTOCOL_VERSION.to_string()) {
        return Ok(());
    }
    let theirs = theirs.map_or("none".to_owned(), |theirs| theirs.chars().take(20).collect());
    let text = format!(
        "this program speaks protocol version {PROTOCOL_VERSION} of shardex, the server version {theirs}: use the same \
         release on both sides"
    );
    Err(Fault::new(Reason::OtherProtocol, text))
}

fn endpoint(settings: &ChannelSettings, keep_alive: KeepAlive) -> Result<Endpoint, Error> {
    let wrong = |detail| Error::Url { url: settings.url.clone(), detail };
    let url = normalised(settings).map_err(wrong)?;
    let is_encrypted = url.starts_with("https://");
    let endpoint = Endpoint::from_shared(url)
        .map_err(|_| wrong("give http://HOST:PORT or https://HOST:PORT"))?
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(keep_alive.every)
        .keep_alive_timeout(keep_alive.wait)
        .tcp_nodelay(true);
    if !is_encrypted {
        return Ok(endpoint);
    }
    let mut tls = ClientTlsConfig::new();
    if let Some(root) = &settings.tls_ca {
        tls = tls.ca_certificate(Certificate::from_pem(read(root)?));
    }
    if let Some((certificate, key)) = &settings.tls_identity {
        tls = tls.identity(Identity::from_pem(read(certificate)?, read(key)?));
    }
    endpoint.tls_config(tls).map_err(|error| Error::Tls(with_causes(&error)))
}

/// The URL with its scheme. Pure.
fn normalised(settings: &ChannelSettings) -> Result<String, &'static str> {
    let wants_tls = settings.tls_ca.is_some() || settings.tls_identity.is_some();
    let url = settings.url.trim_end_matches('/');
    let (scheme, authority) =
        url.split_once("://").unwrap_or((if wants_tls { "https" } else { "http" }, url));
    if authority.is_empty() || authority.contains('/') {
        return Err("give http://HOST:PORT or https://HOST:PORT");
    }
    match scheme {
        "http" if wants_tls => Err("certificates are given, so it must begin with https://"),
        "https" if settings.tls_ca.is_none() => {
            Err("give --tls-ca FILE, the root of the server's certificate")
        }
        "http" | "https" => Ok(format!("{scheme}://{authority}")),
        _ => Err("it must begin with http:// or https://"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (url, ca, expected) in [
            ("127.0.0.1:7400", None, Some("http://127.0.0.1:7400")),
            ("http://h:1/", None, Some("http://h:1")),
            ("h:1", Some("ca"), Some("https://h:1")),
            ("https://h:1", Some("ca"), Some("https://h:1")),
            ("https://h:1", None, None),
            ("http://h:1", Some("ca"), None),
            ("ftp://h:1", None, None),
            ("http://h:1/path", None, None),
            ("", None, None),
        ] {
            let settings = ChannelSettings {
                url: url.into(),
                tls_ca: ca.map(PathBuf::from),
                ..ChannelSettings::default()
            };
            assert_eq!(normalised(&settings).ok().as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn a_token_is_not_shown() {
        let token = Some(MetadataValue::from_static("Bearer secret"));
        assert!(!format!("{:?}", Credentials { token }).contains("secret"));
    }

    #[test]
    fn a_server_of_another_protocol_is_named() {
        let mut metadata = MetadataMap::new();
        assert!(check_protocol(&metadata).expect_err("none").message.contains("none"));
        metadata.insert(PROTOCOL_HEADER, 2.into());
        assert!(check_protocol(&metadata).expect_err("another").message.contains("server version 2"));
        metadata.insert(PROTOCOL_HEADER, PROTOCOL_VERSION.into());
        assert_eq!(check_protocol(&metadata), Ok(()));
    }
}
