//! How etcd is reached.

use std::path::{Path, PathBuf};

use super::EtcdError;
use etcd_client::{Certificate, Identity, TlsOptions};

/// How etcd is reached.
#[derive(Clone, Default)]
pub struct EtcdSettings {
    /// `http://HOST:PORT` or `https://HOST:PORT` of its members.
    pub urls: Vec<String>,
    /// All keys begin with it; one for each cluster.
    pub prefix: String,
    /// Name of this coordinator, for people who look into etcd.
    pub name: String,
    /// User and password, where etcd asks for them.
    pub user: Option<(String, String)>,
    /// Root of the members' certificates, PEM.
    pub tls_ca: Option<PathBuf>,
    /// Own certificate and its key, PEM, where the members ask for one.
    pub tls_identity: Option<(PathBuf, PathBuf)>,
}

impl std::fmt::Debug for EtcdSettings {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EtcdSettings")
            .field("urls", &self.urls)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl EtcdSettings {
    pub(super) fn tls(&self) -> Result<Option<TlsOptions>, EtcdError> {
        if self.tls_ca.is_none() && self.tls_identity.is_none() {
            return Ok(None);
        }
        let mut tls = TlsOptions::new();
        if let Some(root) = &self.tls_ca {
            tls = tls.ca_certificate(Certificate::from_pem(read(root)?));
        }
        if let Some((certificate, key)) = &self.tls_identity {
            tls = tls.identity(Identity::from_pem(read(certificate)?, read(key)?));
        }
        Ok(Some(tls))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, EtcdError> {
    std::fs::read(path).map_err(|error| EtcdError(format!("`{}`: {error}", path.display())))
}
