//! What an operator says about listening, and whether it is safe.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tonic::transport::{Certificate, Identity, ServerTlsConfig};

use super::{Error, Tokens};

/// Longest TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Files of certificates and keys, PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate of the server, with those between it and the root.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Root of the certificates that callers must have; `None` if they need none.
    pub client_ca: Option<PathBuf>,
}

/// How a server listens.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Address and port; port 0 takes any.
    pub listen: String,
    /// Tokens, one of which a caller must have.
    pub token_file: Option<PathBuf>,
    /// Certificates; `None` for no encryption.
    pub tls: Option<TlsFiles>,
    /// Connections at once; more wait to be accepted.
    pub connections_max: usize,
    /// Time that running calls get when the server ends.
    pub drain: Duration,
}

impl ServerSettings {
    /// 256 connections, 10 seconds to drain, no encryption and no tokens.
    #[must_use]
    pub fn new(listen: impl Into<String>) -> Self {
        Self {
            listen: listen.into(),
            token_file: None,
            tls: None,
            connections_max: 256,
            drain: Duration::from_secs(10),
        }
    }

    /// The address, if it is safe to listen there.
    pub(super) fn address(&self) -> Result<SocketAddr, Error> {
        let failed = |source| Error::Listen { listen: self.listen.clone(), source };
        let mut addresses = self.listen.to_socket_addrs().map_err(failed)?;
        let listen = addresses.next().ok_or_else(|| failed(std::io::ErrorKind::AddrNotAvailable.into()))?;
        let asks_who =
            self.token_file.is_some() || self.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        if listen.ip().is_loopback() || asks_who { Ok(listen) } else { Err(Error::Open { listen }) }
    }

    pub(super) fn tokens(&self) -> Result<Option<Tokens>, Error> {
        self.token_file.as_deref().map(Tokens::read).transpose()
    }

    pub(super) fn tls(&self) -> Result<Option<ServerTlsConfig>, Error> {
        let Some(tls) = &self.tls else { return Ok(None) };
        let identity = Identity::from_pem(read(&tls.certificate)?, read(&tls.key)?);
        let config = ServerTlsConfig::new().identity(identity).timeout(HANDSHAKE);
        let client_ca = tls.client_ca.as_deref().map(read).transpose()?;
        Ok(Some(match client_ca {
            Some(root) => config.client_ca_root(Certificate::from_pem(root)),
            None => config,
        }))
    }
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_open_to_all() {
        let tls = |client_ca: Option<&str>| {
            let client_ca = client_ca.map(PathBuf::from);
            Some(TlsFiles { certificate: "c".into(), key: "k".into(), client_ca })
        };
        for (listen, token_file, tls, is_safe) in [
            ("127.0.0.1:0", None, None, true),
            ("127.1.2.3:7400", None, None, true),
            ("[::1]:7400", None, None, true),
            ("localhost:7400", None, None, true),
            ("0.0.0.0:7400", None, None, false),
            ("[::]:7400", None, None, false),
            ("192.0.2.1:7400", None, None, false),
            ("192.0.2.1:7400", None, tls(None), false),
            ("192.0.2.1:7400", None, tls(Some("ca")), true),
            ("0.0.0.0:7400", Some("tokens".into()), None, true),
        ] {
            let settings = ServerSettings { token_file, tls, ..ServerSettings::new(listen) };
            assert_eq!(settings.address().is_ok(), is_safe, "{settings:?}");
        }
        assert!(matches!(ServerSettings::new("nonsense").address(), Err(Error::Listen { .. })));
    }
}
