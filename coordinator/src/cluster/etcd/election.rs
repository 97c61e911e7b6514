//! Which coordinator leads: the one whose key is there, as long as its lease lasts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use etcd_client::{Compare, CompareOp, PutOptions, Txn, TxnOp, TxnOpResponse};
use shardex_seams::Clock;
use tokio::sync::watch;

use super::{Etcd, EtcdError, EtcdSettings, EtcdStore};

/// Life of a leader's lease, and time between its renewals.
const LEASE: Duration = Duration::from_secs(15);
const RENEW_EVERY: Duration = Duration::from_secs(3);
/// Time between two looks whether somebody leads, and between two tries of what failed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The time for which this process leads.
pub(in crate::cluster) struct Term {
    store: EtcdStore,
    lease: i64,
    until: Arc<AtomicU64>,
    over: watch::Receiver<bool>,
    /// Dropped, renewing ends.
    _renewing: watch::Sender<()>,
}

impl Term {
    /// Waits until this process leads.
    ///
    /// # Errors
    /// [`EtcdError`] if etcd cannot be asked, or the lease ended meanwhile: try again.
    ///
    /// # Cancel safety
    /// Dropped, its lease ends by itself.
    pub(in crate::cluster) async fn win(
        settings: &EtcdSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, EtcdError> {
        let etcd = Etcd::new(settings).await?;
        let sent = clock.elapsed();
        let seconds = i64::try_from(LEASE.as_secs()).unwrap_or(i64::MAX);
        let granted = etcd.ask(|mut client| async move { client.lease_grant(seconds, None).await }).await?;
        let lease = granted.id();
        let until = Arc::new(AtomicU64::new(millis(sent + LEASE)));
        let (renewing, is_wanted) = watch::channel(());
        let mut over = keep_alive(etcd.clone(), lease, Arc::clone(&until), clock, is_wanted);
        loop {
            if let Some(store) = try_to_lead(&etcd, lease, &settings.name).await? {
                return Ok(Self { store, lease, until, over, _renewing: renewing });
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                _ = over.wait_for(|over| *over) => return Err(super::failed("the lease of this coordinator ended")),
            }
        }
    }

    /// The state; it changes only in this term.
    pub(in crate::cluster) fn store(&self) -> EtcdStore {
        self.store.clone()
    }

    /// The moment (of [`Clock::elapsed`], in milliseconds) until which nobody else can lead. Grows.
    pub(in crate::cluster) fn until(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.until)
    }

    /// Waits until the term ends.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(in crate::cluster) async fn is_over(&mut self) {
        // An error says that whoever renewed the lease is gone.
        let _ = self.over.wait_for(|over| *over).await;
    }

    /// Lets another one lead at once.
    pub(in crate::cluster) async fn resign(self) {
        let lease = self.lease;
        // If it fails, the lease ends by itself.
        let _ = self.store.etcd.ask_once(|mut client| async move { client.lease_revoke(lease).await }).await;
    }
}

/// Takes the leader's key, if nobody has it.
async fn try_to_lead(etcd: &Etcd, lease: i64, name: &str) -> Result<Option<EtcdStore>, EtcdError> {
    let key = format!("{}leader", etcd.prefix);
    let put = TxnOp::put(key.as_str(), name, Some(PutOptions::new().with_lease(lease)));
    let transaction = Txn::new()
        .when([Compare::create_revision(key.as_str(), CompareOp::Equal, 0)])
        .and_then([put])
        .or_else([TxnOp::get(key.as_str(), None)]);
    // May be said twice: the second time the key is found to be of this lease.
    let answer = etcd.ask(|mut client| {
        let transaction = transaction.clone();
        async move { client.txn(transaction).await }
    });
    let answer = answer.await?;
    if answer.succeeded() {
        let revision = answer.header().map_or(0, etcd_client::ResponseHeader::revision);
        return Ok(Some(EtcdStore::of_term(etcd.clone(), key, revision)));
    }
    let found = answer.op_responses().into_iter().find_map(|answer| match answer {
        TxnOpResponse::Get(mut answer) => answer.take_kvs().pop(),
        TxnOpResponse::Put(_) | TxnOpResponse::Delete(_) | TxnOpResponse::Txn(_) => None,
    });
    let own = found.filter(|leader| leader.lease() == lease);
    Ok(own.map(|leader| EtcdStore::of_term(etcd.clone(), key, leader.create_revision())))
}

/// Renews a lease until nobody wants it, or it may be over; then says so.
fn keep_alive(
    etcd: Etcd,
    lease: i64,
    until: Arc<AtomicU64>,
    clock: Arc<dyn Clock>,
    mut is_wanted: watch::Receiver<()>,
) -> watch::Receiver<bool> {
    let (over, watched) = watch::channel(false);
    tokio::spawn(async move {
        let mut pause = RENEW_EVERY;
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // Nothing is ever sent: the sender is gone.
                _ = is_wanted.changed() => break,
            }
            let sent = clock.elapsed();
            if millis(sent) >= until.load(Ordering::Acquire) {
                break;
            }
            match etcd
                .ask_once(|mut client| async move { client.lease_keep_alive(lease).await.map(drop) })
                .await
            {
                Ok(()) => {
                    until.store(millis(sent + LEASE), Ordering::Release);
                    pause = RENEW_EVERY;
                }
                Err(error) => {
                    tracing::warn!(%error, "the lease of this coordinator could not be renewed");
                    pause = LOOK_EVERY;
                }
            }
        }
        over.send_replace(true);
    });
    watched
}

fn millis(moment: Duration) -> u64 {
    u64::try_from(moment.as_millis()).unwrap_or(u64::MAX)
}
