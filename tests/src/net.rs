//! A cluster whose processes reach each other through proxies, so that any two can be cut off.

use std::path::Path;

use anyhow::{Context, Result};

use crate::Proxy;
use crate::cluster::{Cluster, Etcd};
use crate::ports::free_port;

/// Two that talk to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pair {
    /// A coordinator and all of etcd.
    CoordinatorAndEtcd(usize),
    /// A worker and all coordinators.
    WorkerAndCoordinators(usize),
    /// The router and all coordinators.
    RouterAndCoordinators,
    /// Two workers, each as the owner that the other writes to.
    Workers(usize, usize),
    /// The router and an owner.
    RouterAndOwner(usize),
}

/// Such a cluster with an etcd of several members.
#[derive(Debug)]
pub struct Net {
    /// Its processes.
    pub cluster: Cluster,
    /// Its etcd.
    pub etcd: Etcd,
    to_etcd: Vec<Vec<Proxy>>,
    to_coordinators: Vec<Vec<Proxy>>,
    router_to_coordinators: Vec<Proxy>,
    to_owners: Vec<Proxy>,
}

fn proxies(urls: &[String]) -> Result<Vec<Proxy>> {
    urls.iter().map(|url| Proxy::start(url.trim_start_matches("http://"))).collect()
}

fn urls(proxies: &[Proxy]) -> String {
    proxies.iter().map(|proxy| proxy.url.clone()).collect::<Vec<_>>().join(",")
}

impl Net {
    /// Starts so many coordinators and workers, and a router.
    ///
    /// # Errors
    /// If one does not start.
    pub fn start(mut cluster: Cluster, etcd: Etcd, coordinators: usize, workers: usize) -> Result<Self> {
        let mut to_etcd = Vec::new();
        for _ in 0..coordinators {
            let members = proxies(&etcd.urls)?;
            cluster.add_coordinator(&["--etcd", &urls(&members)])?;
            to_etcd.push(members);
        }
        let behind: Vec<_> = cluster.coordinators.iter().map(|process| process.url.clone()).collect();
        let (mut to_coordinators, mut to_owners) = (Vec::new(), Vec::new());
        for _ in 0..workers {
            let listen = format!("127.0.0.1:{}", free_port()?);
            let (coordinators, owner) = (proxies(&behind)?, Proxy::start(&listen)?);
            cluster.add_worker_at(&listen, &urls(&coordinators), &["--advertise", &owner.url])?;
            to_coordinators.push(coordinators);
            to_owners.push(owner);
        }
        let router_to_coordinators = proxies(&behind)?;
        cluster.add_router_with(&urls(&router_to_coordinators))?;
        Ok(Self { cluster, etcd, to_etcd, to_coordinators, router_to_coordinators, to_owners })
    }

    /// Starts it with an etcd of three members below a folder. `None`: etcd is not installed, or this system does not
    /// tell who connects, and the caller says that it was left out.
    ///
    /// # Errors
    /// If something does not start.
    pub fn start_at(
        folder: &Path,
        cluster: Cluster,
        coordinators: usize,
        workers: usize,
    ) -> Result<Option<Self>> {
        if !Proxy::knows_processes()? {
            return Ok(None);
        }
        let Some(etcd) = Etcd::start(&folder.join("etcd"), 3)? else { return Ok(None) };
        Self::start(cluster, etcd, coordinators, workers).map(Some)
    }

    /// Cuts two off, or joins them again.
    ///
    /// # Errors
    /// If there is no router.
    pub fn cut(&self, pair: Pair, is_cut: bool) -> Result<()> {
        let all = |proxies: &[Proxy]| proxies.iter().for_each(|proxy| proxy.cut(is_cut));
        match pair {
            Pair::CoordinatorAndEtcd(coordinator) => all(&self.to_etcd[coordinator]),
            Pair::WorkerAndCoordinators(worker) => all(&self.to_coordinators[worker]),
            Pair::RouterAndCoordinators => all(&self.router_to_coordinators),
            Pair::Workers(one, other) => {
                self.to_owners[one].cut_off(self.cluster.workers[other].id(), is_cut);
                self.to_owners[other].cut_off(self.cluster.workers[one].id(), is_cut);
            }
            Pair::RouterAndOwner(owner) => {
                let router = self.cluster.router.as_ref().context("there is a router")?;
                self.to_owners[owner].cut_off(router.id(), is_cut);
            }
        }
        Ok(())
    }
}
