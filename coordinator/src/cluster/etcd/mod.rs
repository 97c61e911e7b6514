//! etcd: the state of a cluster, and which coordinator leads. The one place that knows its client.

mod election;
mod settings;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use etcd_client::{Client, Compare, CompareOp, ConnectOptions, GetOptions, KeyValue, KvClient, Txn, TxnOp};
use shardex_seams::{CHANGES_MAX, Change, Expect, StateStore, StoreError, Swap, Versioned};

pub(super) use election::Term;
pub use settings::EtcdSettings;

/// A request that takes longer is given up, and the next endpoint asked.
const REQUEST: Duration = Duration::from_secs(3);
const CONNECT: Duration = Duration::from_secs(2);
/// A member that was paused holds its connections open: pings find it out.
const PING_EVERY: Duration = Duration::from_secs(1);
const PING_WAIT: Duration = Duration::from_secs(2);
/// A page of values.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// etcd did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[error("etcd: {0}; are a majority of its members up?")]
pub struct EtcdError(String);

impl From<EtcdError> for StoreError {
    fn from(error: EtcdError) -> Self {
        Self::Unusable { file: "etcd".to_owned(), detail: error.0 }
    }
}

/// The members of an etcd, with a client each: a member that does not answer costs one request.
#[derive(Clone)]
struct Etcd {
    clients: Arc<Vec<Client>>,
    /// The member that answered last.
    at: Arc<AtomicUsize>,
    prefix: Arc<str>,
}

impl Etcd {
    /// Prepares clients; connections are made when they are needed.
    async fn new(settings: &EtcdSettings) -> Result<Self, EtcdError> {
        if settings.urls.is_empty() {
            return Err(failed("no endpoint is given"));
        }
        let mut options = ConnectOptions::new()
            .with_connect_timeout(CONNECT)
            .with_timeout(REQUEST)
            .with_keep_alive(PING_EVERY, PING_WAIT)
            .with_keep_alive_while_idle(true)
            .with_require_leader(true);
        if let Some(tls) = settings.tls()? {
            options = options.with_tls(tls);
        }
        if let Some((user, password)) = &settings.user {
            options = options.with_user(user, password);
        }
        let mut clients = Vec::with_capacity(settings.urls.len());
        for endpoint in &settings.urls {
            // With a user this asks for a token; without one it waits for nothing.
            let connect = Client::connect([endpoint], Some(options.clone()));
            match tokio::time::timeout(REQUEST, connect).await {
                Ok(Ok(client)) => clients.push(client),
                Ok(Err(error)) => tracing::warn!(endpoint, %error, "an etcd member cannot be used"),
                Err(_) => tracing::warn!(endpoint, "an etcd member does not answer"),
            }
        }
        if clients.is_empty() {
            return Err(failed("no member answers, or the settings do not work"));
        }
        Ok(Self {
            clients: Arc::new(clients),
            at: Arc::default(),
            prefix: format!("{}/", settings.prefix.trim_end_matches('/')).into(),
        })
    }

    fn key(&self, key: &str) -> String {
        format!("{}state/{key}", self.prefix)
    }

    /// Asks one member after the other until one answers. Only for what may be said twice.
    async fn ask<T, A>(&self, act: impl Fn(Client) -> A) -> Result<T, EtcdError>
    where
        A: Future<Output = Result<T, etcd_client::Error>>,
    {
        let mut last = failed("it does not answer");
        for _ in 0..self.clients.len() {
            match self.ask_once(&act).await {
                Ok(answer) => return Ok(answer),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Asks the member that answered last; after a failure another one is next.
    async fn ask_once<T, A>(&self, act: impl Fn(Client) -> A) -> Result<T, EtcdError>
    where
        A: Future<Output = Result<T, etcd_client::Error>>,
    {
        let at = self.at.load(Ordering::Relaxed);
        let client = self.clients[at % self.clients.len()].clone();
        let error = match tokio::time::timeout(REQUEST, act(client)).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => failed(&error.to_string()),
            Err(_) => failed("it does not answer in time"),
        };
        // Several tasks that failed at one member move on by one together.
        let _ = self.at.compare_exchange(at, at.wrapping_add(1), Ordering::Relaxed, Ordering::Relaxed);
        Err(error)
    }
}

/// The state of a cluster in etcd.
#[derive(Clone)]
pub struct EtcdStore {
    etcd: Etcd,
    /// The leader's key and its revision, which every change compares.
    term: Option<(String, i64)>,
}

impl std::fmt::Debug for EtcdStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EtcdStore").field("prefix", &self.etcd.prefix).finish_non_exhaustive()
    }
}

impl EtcdStore {
    /// Connects, to change the state whoever leads: for tools and tests.
    ///
    /// # Errors
    /// [`EtcdError`] if the settings do not work, or no member answers.
    pub async fn connect(settings: &EtcdSettings) -> Result<Self, EtcdError> {
        Ok(Self { etcd: Etcd::new(settings).await?, term: None })
    }

    /// A store that changes only while the leader's key has this revision.
    fn of_term(etcd: Etcd, key: String, revision: i64) -> Self {
        Self { etcd, term: Some((key, revision)) }
    }

    fn transaction(&self, changes: &[Change]) -> Txn {
        let mut compares = Vec::with_capacity(changes.len() + 1);
        let mut operations = Vec::with_capacity(changes.len());
        if let Some((key, revision)) = &self.term {
            compares.push(Compare::create_revision(key.as_str(), CompareOp::Equal, *revision));
        }
        for change in changes {
            let key = self.etcd.key(&change.key);
            let revision = match change.expect {
                Expect::Absent => 0,
                Expect::Version(version) => version.cast_signed(),
            };
            compares.push(Compare::mod_revision(key.as_str(), CompareOp::Equal, revision));
            operations.push(match &change.value {
                Some(value) => TxnOp::put(key, value.as_slice(), None),
                None => TxnOp::delete(key, None),
            });
        }
        Txn::new().when(compares).and_then(operations)
    }
}

#[async_trait]
impl StateStore for EtcdStore {
    async fn get(&self, key: &str) -> Result<Option<Versioned>, StoreError> {
        let key = self.etcd.key(key);
        let read = |client: Client| {
            let key = key.clone();
            async move { reader(&client).get(key, None).await }
        };
        let mut answer = self.etcd.ask(read).await?;
        Ok(answer.take_kvs().pop().map(|pair| versioned(pair).1))
    }

    async fn list(
        &self,
        prefix: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<(String, Versioned)>, StoreError> {
        // The smallest key after a key is the key and a zero.
        let from = if after < prefix { self.etcd.key(prefix) } else { self.etcd.key(after) + "\0" };
        let to = end_of(self.etcd.key(prefix).as_bytes());
        let read = |client: Client| {
            let from = from.clone();
            let options = GetOptions::new().with_range(to.clone()).with_limit(limit.into());
            async move { reader(&client).get(from, Some(options)).await }
        };
        if limit == 0 || from.as_bytes() >= &to[..] {
            return Ok(Vec::new());
        }
        let mut answer = self.etcd.ask(read).await?;
        let pairs = answer.take_kvs().into_iter().map(versioned);
        let before = self.etcd.key("");
        let own = pairs.filter_map(|(key, value)| Some((key.strip_prefix(&before)?.to_owned(), value)));
        Ok(own.collect())
    }

    async fn put(&self, key: &str, value: Vec<u8>, expect: Expect) -> Result<Swap, StoreError> {
        let change = Change { key: key.to_owned(), value: Some(value), expect };
        let versions = self.apply(vec![change]).await?;
        Ok(versions.and_then(|versions| versions.first().copied()).map_or(Swap::Conflict, Swap::Done))
    }

    async fn apply(&self, changes: Vec<Change>) -> Result<Option<Vec<u64>>, StoreError> {
        if changes.len() > CHANGES_MAX {
            return Err(StoreError::Query(format!("more than {CHANGES_MAX} changes are not made together")));
        }
        let transaction = self.transaction(&changes);
        // Once only: whether a change was made that was not answered is for the caller to find out.
        let answer = self.etcd.ask_once(|mut client| {
            let transaction = transaction.clone();
            async move { client.txn(transaction).await }
        });
        let answer = answer.await?;
        if !answer.succeeded() {
            return Ok(None);
        }
        let revision = answer.header().map_or(0, etcd_client::ResponseHeader::revision).cast_unsigned();
        Ok(Some(changes.iter().map(|change| if change.value.is_some() { revision } else { 0 }).collect()))
    }
}

fn reader(client: &Client) -> KvClient {
    client.kv_client().max_decoding_message_size(ANSWER_BYTES_MAX)
}

fn versioned(pair: KeyValue) -> (String, Versioned) {
    let version = pair.mod_revision().cast_unsigned();
    let (key, value) = pair.into_key_value();
    (String::from_utf8_lossy(&key).into_owned(), Versioned { value, version })
}

/// The first key after all that begin with a prefix.
fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    // etcd's word for "to the last key".
    vec![0]
}

fn failed(detail: &str) -> EtcdError {
    EtcdError(detail.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_where_the_next_begins() {
        for (prefix, end) in [(&b"a/"[..], &b"a0"[..]), (b"a\xff", b"b"), (b"\xff", b"\0"), (b"", b"\0")] {
            assert_eq!(end_of(prefix), end);
        }
    }
}
