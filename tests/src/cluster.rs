//! A cluster of real processes on this machine: etcd, coordinators, workers, a router.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value as Json;

use crate::{Answer, Shardex};

/// Time that anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(120);

/// A process that is killed when it is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// Where it listens.
    pub url: String,
    arguments: Vec<String>,
    binary: PathBuf,
}

impl Process {
    /// Starts a role and waits until it listens.
    ///
    /// # Errors
    /// If it ends before it does.
    pub fn start(binary: &Path, arguments: Vec<String>) -> Result<Self> {
        let mut child = Command::new(binary)
            .args(&arguments)
            .env("SHARDEX_LOG", std::env::var("SHARDEX_LOG").unwrap_or_else(|_| "warn".to_owned()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("it was piped")?).lines();
        let line = lines.next().with_context(|| format!("`{}` ended", arguments.join(" ")))??;
        let url = line.strip_prefix("listening on ").context("it says where it listens")?.to_owned();
        Ok(Self { child, url, arguments, binary: binary.to_owned() })
    }

    /// Ends it as a power cut would end a process.
    ///
    /// # Errors
    /// If it cannot be killed.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Starts it again with the same arguments, at the same address.
    ///
    /// # Errors
    /// As [`Process::start`].
    pub fn restart(&mut self) -> Result<()> {
        let _ = self.kill();
        let address = self.url.rsplit('/').next().unwrap_or_default().to_owned();
        let at = self.arguments.iter().position(|argument| argument == "--listen").context("it listens")?;
        self.arguments[at + 1] = address;
        *self = Self::start(&self.binary, self.arguments.clone())?;
        Ok(())
    }

    /// Sends a signal, as `STOP` or `CONT`.
    ///
    /// # Errors
    /// If `kill` fails.
    pub fn signal(&self, signal: &str) -> Result<()> {
        let status =
            Command::new("kill").args([&format!("-{signal}"), &self.child.id().to_string()]).status()?;
        anyhow::ensure!(status.success(), "kill -{signal} failed");
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.signal("CONT");
        let _ = self.kill();
    }
}

/// An etcd of one or several members.
#[derive(Debug)]
pub struct Etcd {
    members: Vec<(Child, Vec<String>)>,
    /// URLs of its members for clients.
    pub urls: Vec<String>,
}

impl Etcd {
    /// Starts members with data below `folder`. `None` if etcd is not installed: the caller says that
    /// it was left out.
    ///
    /// # Errors
    /// If one does not start.
    pub fn start(folder: &Path, members: usize) -> Result<Option<Self>> {
        if Command::new("etcd").arg("--version").output().is_err() {
            return Ok(None);
        }
        let ports: Vec<_> = (0..members * 2).map(|_| free_port()).collect::<Result<_>>()?;
        let peer = |n: usize| format!("http://127.0.0.1:{}", ports[n * 2 + 1]);
        let cluster: Vec<_> = (0..members).map(|n| format!("m{n}={}", peer(n))).collect();
        let urls: Vec<_> = (0..members).map(|n| format!("http://127.0.0.1:{}", ports[n * 2])).collect();
        let mut started = Vec::new();
        for (n, url) in urls.iter().enumerate() {
            let options = [
                ("--name", format!("m{n}")),
                ("--data-dir", folder.join(format!("m{n}")).display().to_string()),
                ("--listen-client-urls", url.clone()),
                ("--advertise-client-urls", url.clone()),
                ("--listen-peer-urls", peer(n)),
                ("--initial-advertise-peer-urls", peer(n)),
                ("--initial-cluster", cluster.join(",")),
                ("--log-level", "error".to_owned()),
            ];
            let arguments: Vec<_> =
                options.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
            started.push((spawn_etcd(&arguments)?, arguments));
        }
        let etcd = Self { members: started, urls };
        etcd.wait_until_ready()?;
        Ok(Some(etcd))
    }

    fn wait_until_ready(&self) -> Result<()> {
        let ports = self.urls.iter().filter_map(|url| url.rsplit(':').next()).collect::<Vec<_>>();
        wait_for("etcd listens", || {
            Ok(ports.iter().all(|port| std::net::TcpStream::connect(format!("127.0.0.1:{port}")).is_ok()))
        })
    }

    /// Kills a member.
    ///
    /// # Errors
    /// If it cannot be killed.
    pub fn kill(&mut self, member: usize) -> Result<()> {
        self.members[member].0.kill()?;
        self.members[member].0.wait()?;
        Ok(())
    }

    /// Sends a signal to a member, as `STOP` or `CONT`.
    ///
    /// # Errors
    /// If `kill` fails.
    pub fn signal(&self, member: usize, signal: &str) -> Result<()> {
        let process = self.members[member].0.id().to_string();
        let status = Command::new("kill").args([&format!("-{signal}"), &process]).status()?;
        anyhow::ensure!(status.success(), "kill -{signal} failed");
        Ok(())
    }

    /// Starts a killed member again.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn restart(&mut self, member: usize) -> Result<()> {
        let arguments = self.members[member].1.clone();
        self.members[member].0 = spawn_etcd(&arguments)?;
        Ok(())
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        for (child, _) in &mut self.members {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn spawn_etcd(arguments: &[String]) -> Result<Child> {
    let mut etcd = Command::new("etcd");
    etcd.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(etcd.spawn()?)
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Waits until something is so.
///
/// # Errors
/// If it is not for too long, or looking fails.
pub fn wait_for(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    while !is_so()? {
        anyhow::ensure!(Instant::now() < until, "waited too long until {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Coordinators, workers and a router over one source named `s`.
#[derive(Debug)]
pub struct Cluster {
    folder: PathBuf,
    source: PathBuf,
    /// The binary.
    pub shardex: Shardex,
    /// The coordinators.
    pub coordinators: Vec<Process>,
    /// The workers, `w0` to …
    pub workers: Vec<Process>,
    /// The router.
    pub router: Option<Process>,
}

impl Cluster {
    /// A cluster without processes.
    ///
    /// # Errors
    /// If the binary is not there.
    pub fn new(folder: &Path, source: &Path) -> Result<Self> {
        Ok(Self {
            folder: folder.to_owned(),
            source: source.to_owned(),
            shardex: Shardex::new(&folder.join("none"))?,
            coordinators: Vec::new(),
            workers: Vec::new(),
            router: None,
        })
    }

    /// Starts a coordinator; `state` are the options that say where its state is.
    ///
    /// # Errors
    /// If it does not start.
    pub fn add_coordinator(&mut self, state: &[&str]) -> Result<()> {
        let mut arguments = vec!["coordinator", "--listen", "127.0.0.1:0", "--lease-seconds", "3"];
        arguments.extend(state);
        let arguments = arguments.into_iter().map(str::to_owned).collect();
        self.coordinators.push(Process::start(self.shardex.binary(), arguments)?);
        Ok(())
    }

    fn coordinator_urls(&self) -> String {
        self.coordinators.iter().map(|process| process.url.clone()).collect::<Vec<_>>().join(",")
    }

    /// Folder of a worker's stores.
    #[must_use]
    pub fn store(&self, worker: usize) -> PathBuf {
        self.folder.join(format!("store-{worker}"))
    }

    /// Starts a worker that reads and owns.
    ///
    /// # Errors
    /// If it does not start.
    pub fn add_worker(&mut self) -> Result<()> {
        let coordinators = self.coordinator_urls();
        self.add_worker_with(&coordinators, &[])
    }

    /// Starts a worker that knows the coordinators by these URLs, with further options.
    ///
    /// # Errors
    /// If it does not start.
    pub fn add_worker_with(&mut self, coordinators: &str, more: &[&str]) -> Result<()> {
        let number = self.workers.len();
        let mut arguments = vec![
            "worker".to_owned(),
            "--name".to_owned(),
            format!("w{number}"),
            "--listen".to_owned(),
            "127.0.0.1:0".to_owned(),
            "--coordinator".to_owned(),
            coordinators.to_owned(),
            "--store".to_owned(),
            self.store(number).display().to_string(),
            "--source".to_owned(),
            format!("s={}", self.source.display()),
        ];
        arguments.extend(more.iter().map(|option| (*option).to_owned()));
        self.workers.push(Process::start(self.shardex.binary(), arguments)?);
        Ok(())
    }

    /// Starts the router.
    ///
    /// # Errors
    /// If it does not start.
    pub fn add_router(&mut self) -> Result<()> {
        let arguments = ["router", "--listen", "127.0.0.1:0", "--coordinator", &self.coordinator_urls()]
            .map(str::to_owned);
        self.router = Some(Process::start(self.shardex.binary(), arguments.into())?);
        Ok(())
    }

    /// Asks the coordinators, as an operator does.
    ///
    /// # Errors
    /// If the command cannot be started.
    pub fn operate(&self, arguments: &[&str]) -> Result<Answer> {
        let urls = self.coordinator_urls();
        self.shardex.run(&[arguments, &["--coordinator", &urls]].concat())
    }

    /// Asks the router.
    ///
    /// # Errors
    /// If there is none, or the command cannot be started.
    pub fn ask(&self, arguments: &[&str]) -> Result<Answer> {
        let router = self.router.as_ref().context("a router was started")?;
        let mut command = Command::new(self.shardex.binary());
        let output = command.args(arguments).args(["--router", &router.url]).stdin(Stdio::null()).output()?;
        Ok(Answer {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Submits a job over the source; its number.
    ///
    /// # Errors
    /// If it is refused.
    pub fn submit(&self, options: &[&str]) -> Result<u64> {
        let answer = self.operate(&[&["job", "submit", "s", "--json"], options].concat())?;
        let job: Json = serde_json::from_str(answer.out.trim()).with_context(|| answer.err.clone())?;
        job["job"].as_u64().context("a job has a number")
    }

    /// What the coordinators say of a job.
    ///
    /// # Errors
    /// If they say nothing.
    pub fn job(&self, job: u64) -> Result<Json> {
        let answer = self.operate(&["job", "show", &job.to_string(), "--json"])?;
        serde_json::from_str(answer.out.trim()).with_context(|| answer.err)
    }

    /// Waits until a job has ended; what is said of it then.
    ///
    /// # Errors
    /// If it does not end.
    pub fn wait(&self, job: u64) -> Result<Json> {
        let mut last = Json::Null;
        wait_for("the job ends", || {
            // A coordinator may be down at the moment.
            last = self.job(job).unwrap_or(Json::Null);
            Ok(["complete", "held", "incomplete", "cancelled"].iter().any(|state| last["state"] == *state))
        })
        .with_context(|| last.to_string())?;
        Ok(last)
    }

    /// The logical dump, by the router.
    ///
    /// # Errors
    /// If it fails.
    pub fn dump(&self) -> Result<String> {
        let answer = self.ask(&["dump"])?;
        anyhow::ensure!(answer.code == Some(0), "dump: {}", answer.err);
        Ok(answer.out)
    }
}
