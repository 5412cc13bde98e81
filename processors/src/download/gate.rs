//! Whom a download may ask: how the name of a host becomes addresses, and which of them are admitted.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use futures::FutureExt;
use futures::future::BoxFuture;
use pipeline::failure::{Code, Failure};
use tokio::time::timeout;
use url::{Host, Url};

use super::address::is_public;
use super::{CONNECT_TIMEOUT, reject, retry};

/// Finds the addresses of hosts.
pub trait Resolve: Send + Sync {
    /// Returns all addresses that `name` has now, each with `port`.
    ///
    /// # Errors
    /// When they cannot be found out.
    fn resolve<'a>(&'a self, name: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>>;
}

/// As the system resolves names.
struct System;

impl Resolve for System {
    fn resolve<'a>(&'a self, name: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        async move { Ok(tokio::net::lookup_host((name, port)).await?.collect()) }.boxed()
    }
}

/// What every hop of a download goes through. Cheap to clone.
#[derive(Clone)]
pub struct Gate {
    names: Arc<dyn Resolve>,
    is_open: bool,
    /// Admitted although they are not public.
    also: Vec<IpAddr>,
}

impl Gate {
    /// Makes the gate to the public Internet alone.
    pub fn public() -> Self {
        Self { names: Arc::new(System), is_open: false, also: Vec::new() }
    }

    /// Makes the gate that lets everybody through.
    pub fn open() -> Self {
        Self { is_open: true, ..Self::public() }
    }

    /// Has names resolved by `names`.
    pub fn resolving(self, names: Arc<dyn Resolve>) -> Self {
        Self { names, ..self }
    }

    /// Admits `address` as if it was public.
    pub fn admitting(mut self, address: IpAddr) -> Self {
        self.also.push(address);
        self
    }

    /// Returns the addresses of the host of `url`, all of which are admitted.
    ///
    /// # Errors
    /// [`Failure::Reject`] when one is not, or there is none; [`Failure::Retry`] when they cannot be found out.
    pub(super) async fn addresses(&self, url: &Url) -> Result<Vec<SocketAddr>, Failure> {
        let addresses = self.resolve(url).await?;
        if addresses.is_empty() {
            return Err(reject(Code::UrlFailed, "the host has no address"));
        }
        match addresses.iter().map(SocketAddr::ip).find(|address| !self.admits(*address)) {
            Some(refused) => {
                Err(reject(Code::UrlRefused, format_args!("the host is at {refused}, which is not public")))
            }
            None => Ok(addresses),
        }
    }

    fn admits(&self, address: IpAddr) -> bool {
        self.is_open || is_public(address) || self.also.contains(&address)
    }

    async fn resolve(&self, url: &Url) -> Result<Vec<SocketAddr>, Failure> {
        let port = url.port_or_known_default().unwrap_or(80);
        let name = match url.host() {
            Some(Host::Ipv4(ip)) => return Ok(vec![(IpAddr::V4(ip), port).into()]),
            Some(Host::Ipv6(ip)) => return Ok(vec![(IpAddr::V6(ip), port).into()]),
            Some(Host::Domain(name)) => name,
            None => return Err(reject(Code::UrlRefused, "the URL names no host")),
        };
        let found = timeout(CONNECT_TIMEOUT, self.names.resolve(name, port)).await;
        found
            .map_err(|elapsed| anyhow!(elapsed))
            .and_then(|found| found.map_err(|error| anyhow!(error)))
            .context("resolve host")
            .map_err(retry)
    }
}
