//! A cluster of real processes on this machine: etcd, coordinators, workers, a router.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value as Json;

use crate::ports::free_port;
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
    log: PathBuf,
}

impl Process {
    /// Starts a role and waits until it listens. What it says goes to the end of a file.
    ///
    /// # Errors
    /// If it ends before it does.
    pub fn start(binary: &Path, arguments: Vec<String>, log: PathBuf) -> Result<Self> {
        let mut child = command(binary, &arguments, &log)?.stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("it was piped")?).lines();
        let ended = || format!("`{}` ended: {}", arguments.join(" "), last_lines(&log));
        let line = lines.next().with_context(ended)??;
        let url = line.strip_prefix("listening on ").context("it says where it listens")?.to_owned();
        Ok(Self { child, url, arguments, binary: binary.to_owned(), log })
    }

    /// Its number in the system.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended by itself.
    ///
    /// # Errors
    /// If that cannot be found out.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.status()?.is_some())
    }

    /// How it has ended, if it has.
    ///
    /// # Errors
    /// If that cannot be found out.
    pub fn status(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// What it and those before it at its place have said, all of it.
    #[must_use]
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
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
        self.end_at_its_address()?;
        *self = Self::start(&self.binary, self.arguments.clone(), self.log.clone())?;
        Ok(())
    }

    /// The same without waiting until it listens: whom it asks before that may be away.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn relaunch(&mut self) -> Result<()> {
        self.end_at_its_address()?;
        let mut command = command(&self.binary, &self.arguments, &self.log)?;
        self.child = command.stdout(Stdio::null()).spawn()?;
        Ok(())
    }

    fn end_at_its_address(&mut self) -> Result<()> {
        let _ = self.kill();
        let address = self.url.rsplit('/').next().unwrap_or_default().to_owned();
        let at = self.arguments.iter().position(|argument| argument == "--listen").context("it listens")?;
        self.arguments[at + 1] = address;
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

fn command(binary: &Path, arguments: &[String], log: &Path) -> Result<Command> {
    let to = OpenOptions::new().create(true).append(true).open(log)?;
    let mut command = Command::new(binary);
    command
        .args(arguments)
        .env("SHARDEX_LOG", std::env::var("SHARDEX_LOG").unwrap_or_else(|_| "warn".to_owned()))
        .stdin(Stdio::null())
        .stderr(to);
    Ok(command)
}

/// The end of a log.
fn last_lines(log: &Path) -> String {
    const LINES: usize = 8;
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

/// An etcd of one or several members.
#[derive(Debug)]
pub struct Etcd {
    folder: PathBuf,
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
        let ports: Vec<_> = (0..members * 2).map(|_| free_port()).collect::<Result<_, _>>()?;
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
        let etcd = Self { folder: folder.to_owned(), members: started, urls };
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

    /// Loses the data of all members, and starts them empty.
    ///
    /// # Errors
    /// If they cannot be ended or started.
    pub fn wipe(&mut self) -> Result<()> {
        self.with_all_down(|etcd| {
            (0..etcd.members.len()).try_for_each(|member| Ok(std::fs::remove_dir_all(etcd.data(member))?))
        })
    }

    /// Copies the data of all members to a folder.
    ///
    /// # Errors
    /// If they cannot be ended, copied or started.
    pub fn back_up(&mut self, to: &Path) -> Result<()> {
        self.with_all_down(|etcd| {
            let member = |n| copy_folder(&etcd.data(n), &to.join(n.to_string()));
            (0..etcd.members.len()).try_for_each(member)
        })
    }

    /// Puts such a copy back in the place of what they have.
    ///
    /// # Errors
    /// If they cannot be ended, replaced or started.
    pub fn put_back(&mut self, from: &Path) -> Result<()> {
        self.with_all_down(|etcd| {
            (0..etcd.members.len()).try_for_each(|member| {
                std::fs::remove_dir_all(etcd.data(member))?;
                copy_folder(&from.join(member.to_string()), &etcd.data(member))
            })
        })
    }

    fn with_all_down(&mut self, act: impl FnOnce(&Self) -> Result<()>) -> Result<()> {
        (0..self.members.len()).try_for_each(|member| self.kill(member))?;
        act(self)?;
        (0..self.members.len()).try_for_each(|member| self.restart(member))?;
        self.wait_until_ready()
    }

    fn data(&self, member: usize) -> PathBuf {
        self.folder.join(format!("m{member}"))
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

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// An address on this machine that nobody else takes.
fn free_address() -> Result<String> {
    Ok(format!("127.0.0.1:{}", free_port()?))
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
    /// The binary of workers.
    pub of_workers: PathBuf,
    /// Seconds of the leases that coordinators give, which are started later.
    pub lease_seconds: u32,
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
        let shardex = Shardex::new(&folder.join("none"))?;
        Ok(Self {
            folder: folder.to_owned(),
            source: source.to_owned(),
            of_workers: shardex.binary().to_owned(),
            lease_seconds: 3,
            shardex,
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
        let lease = self.lease_seconds.to_string();
        let listen = free_address()?;
        let mut arguments = vec!["coordinator", "--listen", &listen, "--lease-seconds", &lease];
        arguments.extend(state);
        let arguments = arguments.into_iter().map(str::to_owned).collect();
        let log = self.folder.join(format!("coordinator-{}.log", self.coordinators.len()));
        self.coordinators.push(Process::start(self.shardex.binary(), arguments, log)?);
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

    /// Starts a worker that owns and does not read.
    ///
    /// # Errors
    /// If it does not start.
    pub fn add_owner(&mut self) -> Result<()> {
        let coordinators = self.coordinator_urls();
        self.start_worker(&free_address()?, &coordinators, &[])
    }

    /// Starts a worker that knows the coordinators by these URLs, with further options.
    ///
    /// # Errors
    /// If it does not start.
    pub fn add_worker_with(&mut self, coordinators: &str, more: &[&str]) -> Result<()> {
        self.add_worker_at(&free_address()?, coordinators, more)
    }

    /// The same, at an address.
    ///
    /// # Errors
    /// If it does not start.
    pub fn add_worker_at(&mut self, listen: &str, coordinators: &str, more: &[&str]) -> Result<()> {
        let source = format!("s={}", self.source.display());
        self.start_worker(listen, coordinators, &[&["--source", &source], more].concat())
    }

    fn start_worker(&mut self, listen: &str, coordinators: &str, more: &[&str]) -> Result<()> {
        let number = self.workers.len();
        let options = [
            ("--name", format!("w{number}")),
            ("--listen", listen.to_owned()),
            ("--coordinator", coordinators.to_owned()),
            ("--store", self.store(number).display().to_string()),
        ];
        let options = options.into_iter().flat_map(|(name, value)| [name.to_owned(), value]);
        let more = more.iter().map(|option| (*option).to_owned());
        let arguments = std::iter::once("worker".to_owned()).chain(options).chain(more).collect();
        let log = self.folder.join(format!("worker-{number}.log"));
        self.workers.push(Process::start(&self.of_workers, arguments, log)?);
        Ok(())
    }

    /// Starts the router.
    ///
    /// # Errors
    /// If it does not start.
    pub fn add_router(&mut self) -> Result<()> {
        let coordinators = self.coordinator_urls();
        self.add_router_with(&coordinators)
    }

    /// Starts a router that knows the coordinators by these URLs.
    ///
    /// # Errors
    /// If it does not start.
    pub fn add_router_with(&mut self, coordinators: &str) -> Result<()> {
        let arguments = ["router", "--listen", &free_address()?, "--coordinator", coordinators];
        let arguments = arguments.map(str::to_owned).into();
        let log = self.folder.join("router.log");
        self.router = Some(Process::start(self.shardex.binary(), arguments, log)?);
        Ok(())
    }

    /// The end of what each process has said.
    #[must_use]
    pub fn logs(&self) -> String {
        let processes = self.coordinators.iter().chain(&self.workers).chain(&self.router);
        let logs =
            processes.map(|process| format!("{}:\n{}", process.log.display(), last_lines(&process.log)));
        logs.collect::<Vec<_>>().join("\n")
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

    /// The instances and studies that the router counts; `None` if it does not answer, or says that it does not know
    /// all.
    ///
    /// # Errors
    /// If it cannot be asked, or its answer makes no sense.
    pub fn count(&self) -> Result<Option<(u64, u64)>> {
        let statement = "SELECT count(*), count(DISTINCT StudyInstanceUID) FROM instances";
        let answer = self.ask(&["sql", statement, "--format", "csv"])?;
        if answer.code != Some(0) {
            return Ok(None);
        }
        let line = answer.out.lines().last().context("a line")?;
        let (instances, studies) = line.split_once(',').with_context(|| answer.out.clone())?;
        Ok(Some((instances.parse()?, studies.parse()?)))
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
        .with_context(|| format!("{last}\n{}", self.logs()))?;
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
