//! Asking a server whether it works: the standard gRPC health check, which needs no token.

use std::time::Duration;

use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::error::with_causes;
use super::{ChannelSettings, Error, connect};

/// A server that says nothing for so long does not work.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether a server answers and takes calls; one that drains does not.
///
/// # Errors
/// [`Error`] if the settings do not work, or the server does not answer within five seconds.
///
/// # Cancel safety
/// Nothing is left behind.
pub async fn is_serving(settings: &ChannelSettings) -> Result<bool, Error> {
    let unreachable = |detail| Error::Unreachable { url: settings.url.clone(), detail };
    let asked = async {
        let mut client = HealthClient::new(connect(settings).await?);
        let answer = client.check(HealthCheckRequest::default()).await;
        let answer = answer.map_err(|status| unreachable(with_causes(&status)))?;
        Ok(answer.into_inner().status() == ServingStatus::Serving)
    };
    let answer = tokio::time::timeout(PATIENCE, asked).await;
    answer.unwrap_or_else(|_| Err(unreachable(format!("no answer within {} s", PATIENCE.as_secs()))))
}
