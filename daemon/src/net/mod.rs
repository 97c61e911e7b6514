//! How every role of shardex listens and connects: in this one place it is decided who may call,
//! what is encrypted, what is bounded and how a server ends.
//!
//! Nothing here knows what is served.

mod admit;
mod channel;
mod error;
mod health;
mod incoming;
mod principal;
mod server;
mod settings;
mod signals;
mod subject;
mod token;

pub use channel::{ChannelSettings, Credentials, KeepAlive, Peer, check_protocol, connect, connect_with};
pub use error::Error;
pub use health::is_serving;
pub use principal::Principal;
pub use server::{Ending, Server};
pub use settings::{ServerSettings, TlsFiles};
pub use signals::stop_signals;
pub use token::Tokens;
pub use tonic::service::Routes;
