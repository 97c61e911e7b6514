//! Arguments of what listens and of what asks elsewhere.

use std::path::PathBuf;

use clap::Args;

/// What a question goes to: archives of this machine, or a router.
///
/// The environment is read by hand, so that a flag of one kind beats a variable of the other.
#[derive(Debug, Args)]
pub(crate) struct Asked {
    /// Folder of the archive [env: SHARDEX_ARCHIVE]. Given several times, the answers follow each other, with
    /// a first column `archive`.
    #[arg(long, short, value_name = "DIR", conflicts_with = "router")]
    archive: Vec<PathBuf>,
    /// Server to ask instead, as `http://HOST:PORT` or `https://HOST:PORT` [env: SHARDEX_ROUTER].
    #[arg(long, value_name = "URL")]
    router: Option<String>,
    #[command(flatten)]
    credentials: Credentials,
}

#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Asking a router")]
struct Credentials {
    /// File whose first token is sent to the router [env: SHARDEX_TOKEN_FILE].
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Root of the router's certificate, PEM.
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Own certificate, PEM, where the router asks for one.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

/// Where a question goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// To archives of this machine; at least one.
    Archives(Vec<PathBuf>),
    /// To a router.
    Router(shardex_daemon::net::ChannelSettings),
}

impl Asked {
    /// Where to ask, given what the environment says of a variable.
    ///
    /// # Errors
    /// A text for people if there is nothing to ask, or two things.
    pub(crate) fn place(
        &self,
        environment: &dyn Fn(&str) -> Option<std::ffi::OsString>,
    ) -> Result<Place, &'static str> {
        let (archives, router) = match (&*self.archive, &self.router) {
            ([], None) => {
                let router = environment("SHARDEX_ROUTER").map(|url| url.to_string_lossy().into_owned());
                (environment("SHARDEX_ARCHIVE").map(PathBuf::from).into_iter().collect(), router)
            }
            (archives, router) => (archives.to_vec(), router.clone()),
        };
        match (archives, router) {
            (archives, None) if !archives.is_empty() => Ok(Place::Archives(archives)),
            (archives, Some(url)) if archives.is_empty() => {
                let given = self.credentials.clone();
                Ok(Place::Router(shardex_daemon::net::ChannelSettings {
                    url,
                    token_file: given
                        .token_file
                        .or_else(|| environment("SHARDEX_TOKEN_FILE").map(PathBuf::from)),
                    tls_ca: given.tls_ca,
                    tls_identity: given.tls_cert.zip(given.tls_key),
                }))
            }
            (_, None) => {
                Err("say what to ask: --archive DIR or --router URL (or SHARDEX_ARCHIVE or SHARDEX_ROUTER)")
            }
            (_, Some(_)) => {
                Err("SHARDEX_ARCHIVE and SHARDEX_ROUTER are both set: give --archive or --router")
            }
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shardex serve --archive ./archive
  shardex sql \"SELECT count(*) FROM studies\" --router http://127.0.0.1:7400
  shardex serve -a ./archive --listen 0.0.0.0:7400 --token-file tokens
  shardex serve -a ./archive --listen 0.0.0.0:7400 --tls-cert s.pem --tls-key s.key \\
    --tls-client-ca ca.pem

A file of tokens has a line NAME TOKEN for each caller; `openssl rand -hex 32` makes a token. The server reads only:
an ingest may run meanwhile. SIGTERM or Ctrl-C ends it when running queries have ended, a second one at once.")]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) archive: super::ArchiveArgument,
    /// Address to listen on; port 0 takes a free one, and the line on standard output says which.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7400")]
    pub(crate) listen: String,
    /// File of tokens; a caller must have one. Needed beyond loopback, unless --tls-client-ca is given.
    #[arg(long, value_name = "FILE", env = "SHARDEX_TOKEN_FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Certificate of the server, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Root of the certificates that callers must have, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_client_ca: Option<PathBuf>,
    /// Queries that run at once; more are refused.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) max_queries: u16,
    /// Rows of one view that a query may read, unless it says otherwise.
    #[arg(long, value_name = "N", default_value_t = 5_000_000)]
    pub(crate) max_rows: u64,
    /// Seconds that running queries get when the server is stopped.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) drain_seconds: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(
        archive: Option<&str>,
        router: Option<&str>,
        variables: &[(&str, &str)],
    ) -> Result<String, &'static str> {
        let asked = Asked {
            archive: archive.map(PathBuf::from).into_iter().collect(),
            router: router.map(str::to_owned),
            credentials: Credentials::default(),
        };
        let environment =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        asked.place(&environment).map(|place| match place {
            Place::Archives(paths) => paths[0].display().to_string(),
            Place::Router(settings) => settings.url,
        })
    }

    #[test]
    fn flags_beat_the_environment() {
        let both = [("SHARDEX_ARCHIVE", "env-a"), ("SHARDEX_ROUTER", "env-r")];
        assert_eq!(place(Some("a"), None, &both).as_deref(), Ok("a"));
        assert_eq!(place(None, Some("r"), &both).as_deref(), Ok("r"));
        assert_eq!(place(None, None, &both[..1]).as_deref(), Ok("env-a"));
        assert_eq!(place(None, None, &both[1..]).as_deref(), Ok("env-r"));
        assert!(place(None, None, &both).is_err());
        assert!(place(None, None, &[]).is_err());
    }
}
