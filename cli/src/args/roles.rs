//! Arguments of the processes of a cluster and of those who operate it.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use shardex_daemon::net::{ChannelSettings, ServerSettings, TlsFiles};

/// Every worker keeps a connection to the coordinator that leads, and to each owner that it writes to.
const CONNECTIONS_MAX: usize = 4096;

/// How a process of a cluster listens, and calls the others.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Network")]
pub(crate) struct Network {
    /// File of options, TOML: keys are the long options without hyphens, as `listen = "127.0.0.1:7500"`. A flag or the
    /// environment beats it.
    // Read by `crate::config`, before the command line is parsed.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address to listen on; port 0 takes a free one, and the line on standard output says which.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) listen: String,
    /// URL under which the others reach this process [default: the address it listens on].
    #[arg(long, value_name = "URL")]
    pub(crate) advertise: Option<String>,
    /// File of tokens, a line NAME TOKEN each: callers must have one, and the first is sent to others.
    /// Needed beyond loopback, unless --tls-client-ca is given.
    #[arg(long, value_name = "FILE", env = "SHARDEX_TOKEN_FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Certificate of this process, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Root of the certificates that callers must have, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_client_ca: Option<PathBuf>,
    /// Root of the certificates of the others, PEM.
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_ca: Option<PathBuf>,
}

impl Network {
    /// As a server takes it.
    pub(crate) fn server(&self) -> ServerSettings {
        let tls = self.tls_cert.clone().zip(self.tls_key.clone()).map(|(certificate, key)| TlsFiles {
            certificate,
            key,
            client_ca: self.tls_client_ca.clone(),
        });
        ServerSettings {
            token_file: self.token_file.clone(),
            tls,
            drain: Duration::from_secs(5),
            connections_max: CONNECTIONS_MAX,
            ..ServerSettings::new(&self.listen)
        }
    }

    /// As whoever calls `url` takes it.
    pub(crate) fn channel(&self, url: &str) -> ChannelSettings {
        ChannelSettings {
            url: url.to_owned(),
            token_file: self.token_file.clone(),
            tls_ca: self.tls_ca.clone(),
            tls_identity: self.tls_client_ca.as_ref().and(self.tls_cert.clone().zip(self.tls_key.clone())),
        }
    }

    /// The URL under which others reach a process that listens on `address`.
    pub(crate) fn url(&self, address: std::net::SocketAddr) -> String {
        let scheme = if self.tls_cert.is_some() { "https" } else { "http" };
        self.advertise.clone().unwrap_or_else(|| format!("{scheme}://{address}"))
    }
}

/// The coordinators of a cluster, as an operator asks them.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Asking a cluster")]
pub(crate) struct Coordinators {
    /// URLs of the coordinators, joined by commas; the one that leads is found by itself.
    #[arg(long, value_name = "URL", env = "SHARDEX_COORDINATOR", required = true, value_delimiter = ',')]
    pub(crate) coordinator: Vec<String>,
    #[command(flatten)]
    credentials: Credentials,
}

/// What an operator shows to coordinators, and what they show.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Asking a cluster")]
pub(crate) struct Credentials {
    /// File whose first token is sent.
    #[arg(long, value_name = "FILE", env = "SHARDEX_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// Root of the coordinators' certificates, PEM.
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Own certificate, PEM, where a coordinator asks for one.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

impl Coordinators {
    /// Each as a channel takes it.
    pub(crate) fn channels(&self) -> Vec<ChannelSettings> {
        self.credentials.channels(&self.coordinator)
    }
}

impl Credentials {
    /// These coordinators, each as a channel takes it.
    pub(crate) fn channels(&self, coordinators: &[String]) -> Vec<ChannelSettings> {
        let channel = |url: &String| ChannelSettings {
            url: url.clone(),
            token_file: self.token_file.clone(),
            tls_ca: self.tls_ca.clone(),
            tls_identity: self.tls_cert.clone().zip(self.tls_key.clone()),
        };
        coordinators.iter().map(channel).collect()
    }
}
