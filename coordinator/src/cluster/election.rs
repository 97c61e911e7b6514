//! Who leads: alone at once, with etcd whoever is elected, for as long as its lease holds.

use std::sync::Arc;
use std::time::Duration;

use shardex_seams::StateStore;
use tokio::sync::watch;

use super::serve::StateKeeper;
use super::task::{Asking, Leading};
use crate::cluster::etcd::{EtcdStore, Term};

/// Time before the next try after leading ended, or etcd did not answer.
const PAUSE: Duration = Duration::from_millis(500);

/// Leads whenever it may, until `stop` says so.
pub(super) async fn run(
    keeper: StateKeeper,
    leader: impl Fn(Arc<dyn StateStore>) -> Leading,
    leading: watch::Sender<Option<Asking>>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let ended = tokio::select! {
            ended = once(&keeper, &leader, &leading) => ended,
            _ = stop.wait_for(|stop| *stop) => {
                leading.send_replace(None);
                return;
            }
        };
        leading.send_replace(None);
        if let Err(why) = ended {
            tracing::warn!(why, "this coordinator does not lead");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits for its turn, and leads until that is over.
async fn once(
    keeper: &StateKeeper,
    leader: &impl Fn(Arc<dyn StateStore>) -> Leading,
    leading: &watch::Sender<Option<Asking>>,
) -> Result<(), String> {
    let lead = async |store| {
        let began = |asking| {
            tracing::info!("this coordinator leads");
            leading.send_replace(Some(asking));
        };
        leader(store).lead(began).await.map_err(|error| error.to_string())
    };
    match keeper {
        StateKeeper::Alone(store) => lead(Arc::clone(store)).await,
        StateKeeper::Etcd(settings) => {
            let etcd = EtcdStore::connect(settings).await.map_err(|error| error.to_string())?;
            let mut term = Term::win(&etcd, settings).await.map_err(|error| error.to_string())?;
            let store: Arc<dyn StateStore> = Arc::new(etcd.under(&term));
            let ended = tokio::select! {
                ended = lead(store) => ended,
                () = term.is_over() => Err("its lease in etcd is over".to_owned()),
            };
            term.resign(&etcd).await;
            ended
        }
    }
}
