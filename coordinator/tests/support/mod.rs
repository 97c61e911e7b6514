//! An etcd of its own for a test.

#[path = "../../../tests/src/ports.rs"]
mod ports;

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use shardex_coordinator::cluster::{EtcdSettings, EtcdStore};
use shardex_seams::StateStore;
use tempfile::TempDir;

/// Looks for an etcd that answers, of 100 ms each.
const LOOKS_MAX: u32 = 200;

/// A running etcd. Ends when it is dropped.
pub(crate) struct Etcd {
    processes: Vec<Child>,
    urls: Vec<String>,
    folder: TempDir,
}

impl Etcd {
    /// Starts one of so many members; `None`, said aloud, where the program is not installed.
    pub(crate) async fn start(members: usize) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let urls: Vec<_> = (0..members).map(|_| (free_url(), free_url())).collect();
        let all: Vec<_> = urls.iter().enumerate().map(|(n, (_, peer))| format!("m{n}={peer}")).collect();
        let mut etcd = Self { processes: Vec::new(), urls: Vec::new(), folder };
        for (n, (client, peer)) in urls.into_iter().enumerate() {
            let name = format!("m{n}");
            let process = Command::new("etcd")
                .args(["--name", &name, "--data-dir"])
                .arg(etcd.folder.path().join(&name))
                .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
                .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
                .args(["--initial-cluster", &all.join(",")])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            match process {
                Ok(process) => etcd.processes.push(process),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    eprintln!(
                        "SKIPPED 1 test: `etcd` is not installed (Debian: etcd-server; scripts/setup.sh installs it)"
                    );
                    return None;
                }
                Err(error) => panic!("etcd cannot be started: {error}"),
            }
            etcd.urls.push(client);
        }
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
            urls: self.urls.clone(),
            prefix: "/test".to_owned(),
            name: name.to_owned(),
            ..EtcdSettings::default()
        }
    }

    /// Stops a member or lets it go on, as a paused machine does.
    #[allow(dead_code, reason = "not every test pauses one")]
    pub(crate) fn signal(&self, member: usize, signal: &str) {
        let done = Command::new("kill").args([signal, &self.processes[member].id().to_string()]).status();
        assert!(done.expect("kill runs").success());
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn free_url() -> String {
    format!("http://127.0.0.1:{}", ports::free_port().expect("a port"))
}
