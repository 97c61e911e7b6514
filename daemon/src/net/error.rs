//! Why a server does not listen, or a client does not connect.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A set-up that cannot work. For the one who started the process.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the set-up cannot be read.
    #[error("`{path}`: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of tokens holds something else.
    #[error("`{path}`, line {line}: {detail}")]
    Token {
        /// The file.
        path: PathBuf,
        /// Where, from 1.
        line: usize,
        /// What is wrong.
        detail: &'static str,
    },
    /// Anybody on the network could read the archive.
    #[error(
        "`{listen}` is open to the network, and nothing says who may call: give --token-file FILE, or --tls-cert, \
         --tls-key and --tls-client-ca; or listen on 127.0.0.1"
    )]
    Open {
        /// The address.
        listen: SocketAddr,
    },
    /// The address is none, or none of this machine.
    #[error("cannot listen on `{listen}`: {source}")]
    Listen {
        /// As it was given.
        listen: String,
        /// Why.
        source: io::Error,
    },
    /// Certificates or keys do not work.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
    /// Not an address of a server.
    #[error("`{url}` is no address of a server: {detail}")]
    Url {
        /// As it was given.
        url: String,
        /// What is wrong.
        detail: &'static str,
    },
    /// The server does not answer.
    #[error("`{url}` cannot be reached: {detail}; does shardex run there, and listen?")]
    Unreachable {
        /// The server.
        url: String,
        /// Why.
        detail: String,
    },
    /// Serving failed.
    #[error("the server failed: {0}")]
    Serve(String),
}

/// A transport error with its causes.
pub(super) fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    shardex_proto::with_causes(&error.to_string(), error.source())
}
