//! An etcd of its own for a test.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use shardex_coordinator::cluster::{EtcdSettings, EtcdStore};
use shardex_seams::StateStore;
use tempfile::TempDir;

/// Looks for an etcd that answers, of 100 ms each.
const LOOKS_MAX: u32 = 200;

/// A running etcd with one member. Ends when it is dropped.
pub(crate) struct Etcd {
    process: Child,
    url: String,
    _folder: TempDir,
}

impl Etcd {
    /// Starts one; `None`, said aloud, where the program is not installed.
    pub(crate) async fn start() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let (client, peer) = (free_url(), free_url());
        let process = Command::new("etcd")
            .args(["--name", "one", "--data-dir"])
            .arg(folder.path())
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("one={peer}")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let process = match process {
            Ok(process) => process,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                eprintln!(
                    "SKIPPED 1 test: `etcd` is not installed (Debian: etcd-server; scripts/setup.sh installs it)"
                );
                return None;
            }
            Err(error) => panic!("etcd cannot be started: {error}"),
        };
        let etcd = Self { process, url: client, _folder: folder };
        for _ in 0..LOOKS_MAX {
            if let Ok(store) = EtcdStore::connect(&etcd.settings("look")).await
                && store.get("nothing").await.is_ok()
            {
                return Some(etcd);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("etcd does not answer")
    }

    /// How a coordinator of this name reaches it.
    pub(crate) fn settings(&self, name: &str) -> EtcdSettings {
        EtcdSettings {
            urls: vec![self.url.clone()],
            prefix: "/test".to_owned(),
            name: name.to_owned(),
            ..EtcdSettings::default()
        }
    }

    /// Stops or goes on, as a paused machine does.
    #[allow(dead_code, reason = "not every test pauses it")]
    pub(crate) fn signal(&self, signal: &str) {
        let done = Command::new("kill").args([signal, &self.process.id().to_string()]).status();
        assert!(done.expect("kill runs").success());
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_url() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    format!("http://{}", listener.local_addr().expect("an address"))
}
