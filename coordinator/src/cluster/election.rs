//! Who leads: alone at once, with etcd whoever is elected, for as long as its lease holds.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use shardex_seams::{Clock, StateStore};
use tokio::sync::watch;

use super::etcd::Term;
use super::serve::StateKeeper;
use super::task::{Asking, Leading};

/// Time before the next try after leading ended, or etcd did not answer.
const PAUSE: Duration = Duration::from_millis(500);

/// Leads whenever it may, until `stop` says so.
pub(super) async fn run(
    keeper: StateKeeper,
    clock: Arc<dyn Clock>,
    leader: impl Fn(Arc<dyn StateStore>, Arc<AtomicU64>) -> Leading,
    leading: watch::Sender<Option<Asking>>,
    mut stop: watch::Receiver<bool>,
) {
    while !*stop.borrow() {
        let ended = once(&keeper, &clock, &leader, &leading, &mut stop).await;
        leading.send_replace(None);
        if let Err(why) = ended {
            tracing::warn!(why, "this coordinator does not lead");
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }
}

/// Waits for its turn, and leads until that is over or it is to stop.
async fn once(
    keeper: &StateKeeper,
    clock: &Arc<dyn Clock>,
    leader: &impl Fn(Arc<dyn StateStore>, Arc<AtomicU64>) -> Leading,
    leading: &watch::Sender<Option<Asking>>,
    stop: &mut watch::Receiver<bool>,
) -> Result<(), String> {
    let lead = async |store, until| {
        let began = |asking| {
            tracing::info!("this coordinator leads");
            leading.send_replace(Some(asking));
        };
        leader(store, until).lead(began).await.map_err(|error| error.to_string())
    };
    match keeper {
        StateKeeper::Alone(store) => {
            let for_ever = Arc::new(AtomicU64::new(u64::MAX));
            tokio::select! {
                ended = lead(Arc::clone(store), for_ever) => ended,
                _ = stop.wait_for(|stop| *stop) => Ok(()),
            }
        }
        StateKeeper::Etcd(settings) => {
            let won = tokio::select! {
                won = Term::win(settings, Arc::clone(clock)) => won,
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
            };
            let mut term = won.map_err(|error| error.to_string())?;
            let (store, until) = (Arc::new(term.store()), term.until());
            let ended = tokio::select! {
                ended = lead(store, until) => ended,
                () = term.is_over() => Err("its lease in etcd is over".to_owned()),
                _ = stop.wait_for(|stop| *stop) => Ok(()),
            };
            // Nobody is answered any more before another one may lead.
            leading.send_replace(None);
            term.resign().await;
            ended
        }
    }
}
