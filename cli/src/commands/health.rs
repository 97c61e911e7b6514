//! `shardex health`: what probes of containers and monitoring run.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use shardex_daemon::net::{ChannelSettings, is_serving};

use crate::exit::ExitCode;
use crate::output;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shardex health http://127.0.0.1:7400
  shardex health https://router:7400 --tls-ca ca.pem

It says `serving` and ends with 0, or says why not and ends with 1. No token is needed; any tool for gRPC's health
check does the same.")]
pub(crate) struct Health {
    /// The process, as `http://HOST:PORT` or `https://HOST:PORT`.
    #[arg(value_name = "URL")]
    url: String,
    /// Root of its certificate, PEM.
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Own certificate, PEM, where it asks for one.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

pub(crate) fn run(health: &Health) -> anyhow::Result<ExitCode> {
    let settings = ChannelSettings {
        url: health.url.clone(),
        token_file: None,
        tls_ca: health.tls_ca.clone(),
        tls_identity: health.tls_cert.clone().zip(health.tls_key.clone()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    anyhow::ensure!(
        runtime.block_on(is_serving(&settings))?,
        "`{}` is ending: it takes no calls",
        health.url
    );
    writeln!(output::answer(), "serving")?;
    Ok(ExitCode::Done)
}
