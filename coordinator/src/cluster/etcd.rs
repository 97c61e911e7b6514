//! etcd: the state of a cluster, and who leads it. Nothing else knows etcd.

use std::time::Duration;

use async_trait::async_trait;
use etcd_client::{
    Client, Compare, CompareOp, ConnectOptions, GetOptions, PutOptions, SortOrder, SortTarget, Txn, TxnOp,
    TxnOpResponse,
};
use shardex_seams::{Expect, StateStore, StoreError, Swap, Versioned};
use tokio::sync::watch;

/// Life of a leader's lease, seconds, and time between its renewals.
const TTL_SECONDS: i64 = 15;
const RENEW_EVERY: Duration = Duration::from_secs(3);
/// A member that does not answer a ping of the connection within the second is given up for another.
const PING_EVERY: Duration = Duration::from_secs(1);
const PING_WAIT: Duration = Duration::from_secs(2);
/// Longest time for one request.
const REQUEST_MAX: Duration = Duration::from_secs(5);
/// Longest wait to be elected, before the connection is made anew.
const CAMPAIGN_MAX: Duration = Duration::from_secs(3600);

/// How etcd is reached.
#[derive(Clone, Debug)]
pub struct EtcdSettings {
    /// URLs of its members.
    pub urls: Vec<String>,
    /// All keys begin with it; one for each cluster.
    pub prefix: String,
    /// Name of this coordinator, for people who look into etcd.
    pub name: String,
    /// User and password, where etcd asks for them.
    pub user: Option<(String, String)>,
}

/// etcd did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[error("etcd does not answer: {0}; are a majority of its members up?")]
pub struct EtcdError(String);

impl From<etcd_client::Error> for EtcdError {
    fn from(error: etcd_client::Error) -> Self {
        Self(error.to_string())
    }
}

/// Keys of one cluster in etcd.
#[derive(Clone)]
pub struct EtcdStore {
    client: Client,
    prefix: String,
    /// The election's key with its creation's revision: writes count only while it is there.
    term: Option<(Vec<u8>, i64)>,
}

impl std::fmt::Debug for EtcdStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EtcdStore").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl EtcdStore {
    /// Connects, without any right to lead.
    ///
    /// # Errors
    /// [`EtcdError`] if no member answers.
    pub async fn connect(settings: &EtcdSettings) -> Result<Self, EtcdError> {
        let mut options = ConnectOptions::new()
            .with_connect_timeout(REQUEST_MAX)
            .with_keep_alive(PING_EVERY, PING_WAIT)
            .with_keep_alive_while_idle(true)
            .with_require_leader(true);
        if let Some((user, password)) = &settings.user {
            options = options.with_user(user, password);
        }
        let client = bounded(Client::connect(&settings.urls, Some(options))).await?;
        let prefix = format!("{}/", settings.prefix.trim_end_matches('/'));
        Ok(Self { client, prefix, term: None })
    }

    /// The same, whose writes count only in this term.
    pub(super) fn under(&self, term: &Term) -> Self {
        Self { term: Some((term.key.clone(), term.revision)), ..self.clone() }
    }

    fn key(&self, key: &str) -> String {
        format!("{}state/{key}", self.prefix)
    }

    async fn swap(&self, key: &str, value: Vec<u8>, expect: Expect) -> Result<Swap, EtcdError> {
        let key = self.key(key);
        let mut when = vec![match expect {
            Expect::Absent => Compare::version(key.clone(), CompareOp::Equal, 0),
            Expect::Version(version) => Compare::mod_revision(
                key.clone(),
                CompareOp::Equal,
                i64::try_from(version).unwrap_or(i64::MAX),
            ),
        }];
        if let Some((election, revision)) = &self.term {
            when.push(Compare::create_revision(election.clone(), CompareOp::Equal, *revision));
        }
        let txn = Txn::new().when(when).and_then([TxnOp::put(key, value, None)]);
        let answer = bounded(self.client.kv_client().txn(txn)).await?;
        if !answer.succeeded() {
            return Ok(Swap::Conflict);
        }
        let written = answer.op_responses().into_iter().any(|done| matches!(done, TxnOpResponse::Put(_)));
        let revision = answer.header().map_or(0, etcd_client::ResponseHeader::revision);
        if written { Ok(Swap::Done(revision.cast_unsigned())) } else { Ok(Swap::Conflict) }
    }
}

async fn bounded<T>(answer: impl Future<Output = Result<T, etcd_client::Error>>) -> Result<T, EtcdError> {
    match tokio::time::timeout(REQUEST_MAX, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(EtcdError(format!("nothing within {} s", REQUEST_MAX.as_secs()))),
    }
}

fn failed(error: EtcdError) -> StoreError {
    StoreError::Unusable { file: "etcd".to_owned(), detail: error.0 }
}

#[async_trait]
impl StateStore for EtcdStore {
    async fn get(&self, key: &str) -> Result<Option<Versioned>, StoreError> {
        let answer = bounded(self.client.kv_client().get(self.key(key), None)).await.map_err(failed)?;
        let found = answer
            .kvs()
            .first()
            .map(|kv| Versioned { value: kv.value().to_vec(), version: kv.mod_revision().cast_unsigned() });
        Ok(found)
    }

    async fn list(
        &self,
        prefix: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<(String, Versioned)>, StoreError> {
        // The least key above `after`, up to the end of the prefix.
        let from = [self.key(after.max(prefix)).as_bytes(), b"\0"].concat();
        let mut end = self.key(prefix).into_bytes();
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        let options = GetOptions::new()
            .with_range(end)
            .with_limit(limit.into())
            .with_sort(SortTarget::Key, SortOrder::Ascend);
        let answer = bounded(self.client.kv_client().get(from, Some(options))).await.map_err(failed)?;
        let skipped = self.key("").len();
        let entry = |kv: &etcd_client::KeyValue| {
            let key = String::from_utf8_lossy(kv.key()).into_owned();
            let key = key.get(skipped..).unwrap_or_default().to_owned();
            (key, Versioned { value: kv.value().to_vec(), version: kv.mod_revision().cast_unsigned() })
        };
        Ok(answer.kvs().iter().map(entry).collect())
    }

    async fn put(&self, key: &str, value: Vec<u8>, expect: Expect) -> Result<Swap, StoreError> {
        self.swap(key, value, expect).await.map_err(failed)
    }
}

/// The time for which this process leads.
pub(super) struct Term {
    key: Vec<u8>,
    revision: i64,
    lease: i64,
    over: watch::Receiver<bool>,
}

impl Term {
    /// Waits until this process is elected.
    ///
    /// # Cancel safety
    /// Dropped, its lease ends by itself.
    pub(super) async fn win(store: &EtcdStore, settings: &EtcdSettings) -> Result<Self, EtcdError> {
        let granted = bounded(store.client.lease_client().grant(TTL_SECONDS, None)).await?;
        let lease = granted.id();
        let over = keep_alive(store.client.clone(), lease);
        let election = format!("{}leader", store.prefix);
        let won = elected(store, &election, settings.name.clone(), lease, over.clone()).await?;
        let (key, revision) = won;
        Ok(Self { key, revision, lease, over })
    }

    /// Waits until the term ends.
    pub(super) async fn is_over(&mut self) {
        // An error says that whoever renewed the lease is gone.
        let _ = self.over.wait_for(|over| *over).await;
    }

    /// Lets another one lead at once.
    pub(super) async fn resign(self, store: &EtcdStore) {
        // Else the lease ends by itself.
        let _ = bounded(store.client.lease_client().revoke(self.lease)).await;
    }
}

/// Puts its name into the queue, and waits until it is the oldest there.
async fn elected(
    store: &EtcdStore,
    election: &str,
    name: String,
    lease: i64,
    mut over: watch::Receiver<bool>,
) -> Result<(Vec<u8>, i64), EtcdError> {
    let key = format!("{election}/{lease:x}");
    let options = PutOptions::new().with_lease(lease);
    bounded(store.client.kv_client().put(key.clone(), name, Some(options))).await?;
    let until = tokio::time::Instant::now() + CAMPAIGN_MAX;
    loop {
        let options =
            GetOptions::new().with_prefix().with_sort(SortTarget::Create, SortOrder::Ascend).with_limit(1);
        let queue = bounded(store.client.kv_client().get(format!("{election}/"), Some(options))).await?;
        let Some(first) = queue.kvs().first() else { return Err(EtcdError("its lease is over".to_owned())) };
        if first.key() == key.as_bytes() {
            return Ok((first.key().to_vec(), first.create_revision()));
        }
        let wait = tokio::time::sleep(PING_EVERY);
        tokio::select! {
            () = wait => {}
            _ = over.wait_for(|over| *over) => return Err(EtcdError("its lease is over".to_owned())),
        }
        if tokio::time::Instant::now() > until {
            return Err(EtcdError("nobody was elected for too long".to_owned()));
        }
    }
}

/// Renews a lease until that fails for as long as it lives; then says so.
fn keep_alive(client: Client, lease: i64) -> watch::Receiver<bool> {
    let (over, watched) = watch::channel(false);
    tokio::spawn(async move {
        let life = Duration::from_secs(TTL_SECONDS.cast_unsigned());
        let mut renewed = tokio::time::Instant::now();
        while renewed.elapsed() < life && !over.is_closed() {
            let sent = tokio::time::Instant::now();
            match bounded(renew(&client, lease)).await {
                Ok(true) => renewed = sent,
                Ok(false) => break,
                Err(error) => tracing::warn!(%error, "the leader's lease could not be renewed"),
            }
            tokio::time::sleep(RENEW_EVERY).await;
        }
        over.send_replace(true);
    });
    watched
}

/// Renews a lease once; false if it is over.
async fn renew(client: &Client, lease: i64) -> Result<bool, etcd_client::Error> {
    let (mut keeper, mut answers) = client.lease_client().keep_alive(lease).await?;
    keeper.keep_alive().await?;
    Ok(answers.message().await?.is_some_and(|answer| answer.ttl() > 0))
}
