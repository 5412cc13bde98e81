//! Which processes `spillway dev` runs, with which flags, and when they are ready.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use pipeline::loopback;
use tokio::process::Command;

use super::DevArgs;
use super::folder::Folder;

/// How often a child may be started until it is ready for the first time.
const STARTS: u32 = 3;

/// How long a consumer's question for records waits at the private broker. Far longer than usual: with nothing to do
/// these questions are most of what the broker does.
const FETCH_WAIT: &str = "3s";

/// One child process.
#[derive(Clone, Debug)]
pub struct Role {
    /// What it is called in logs.
    pub name: String,
    executable: PathBuf,
    arguments: Vec<String>,
    /// Variables of this process that it must not see.
    hidden: Vec<OsString>,
    admin: Admin,
    starts: Arc<AtomicU32>,
}

/// Where a child tells whether it is ready.
#[derive(Clone, Debug)]
enum Admin {
    /// At the API's address.
    Api(SocketAddr),
    /// At an address of its own, another one if that is taken when it starts.
    Own(Arc<Mutex<SocketAddr>>),
}

impl Role {
    /// Returns the command that starts it, for the first time or again.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.executable);
        command.args(&self.arguments);
        for name in &self.hidden {
            command.env_remove(name);
        }
        self.starts.fetch_add(1, Ordering::Relaxed);
        if let Admin::Own(address) = &self.admin {
            let mut address = address.lock().unwrap_or_else(PoisonError::into_inner);
            if !loopback::is_free(*address)
                && let Ok(other) = loopback::free_address()
            {
                *address = other;
            }
            command.args(["--admin-listen", &address.to_string()]);
        }
        command
    }

    fn admin(&self) -> SocketAddr {
        match &self.admin {
            Admin::Api(address) => *address,
            Admin::Own(address) => *address.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }
}

/// All child processes.
pub struct Plan {
    roles: Vec<Role>,
}

impl Plan {
    /// Plans the children of a machine: one process a heavy stage, one for the three light ones, and ingest.
    ///
    /// # Errors
    /// When no free ports are found.
    pub fn new(args: &DevArgs, folder: &Folder, brokers: &str) -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(2, |cores| cores.get() as u32);
        let heavy = args.slots.unwrap_or(cores);
        // Light stages wait for disk and network, so they may hold more than there are cores.
        let stages = [
            ("fetch", 4),
            ("split", 2),
            ("transcribe", heavy),
            ("analyze", heavy),
            ("moments", 1),
            ("cut", heavy),
            ("gather", 12),
        ];
        let executable = std::env::current_exe().context("find this executable")?;
        let common = [
            ("--brokers", brokers.to_owned()),
            ("--store", format!("sqlite:{}", folder.path("spillway.db").display())),
            ("--blobs", folder.path("blobs").display().to_string()),
        ];
        let common: Vec<String> = common.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect();

        let hidden = if args.brokers.is_none() { of_other_brokers() } else { Vec::new() };
        let grace = humantime::format_duration(args.grace).to_string();
        let mut roles = Vec::new();
        for (stage, slots) in stages {
            let admin = Admin::Own(Arc::new(Mutex::new(loopback::free_address().context("find a free port")?)));
            let mut arguments = vec!["process".to_owned(), stage.to_owned()];
            arguments.extend(common.iter().cloned());
            arguments.extend(["--slots".to_owned(), slots.to_string(), "--drain-grace".to_owned(), grace.clone()]);
            if args.brokers.is_none() {
                arguments.extend(["--fetch-wait".to_owned(), FETCH_WAIT.to_owned()]);
            }
            if let Some(runtime) = &args.runtime.runtime {
                arguments.extend(["--runtime".to_owned(), runtime.display().to_string()]);
            }
            let (name, executable, hidden) = (stage.to_owned(), executable.clone(), hidden.clone());
            roles.push(Role { name, executable, arguments, hidden, admin, starts: Arc::default() });
        }
        let mut arguments = vec!["ingest".to_owned()];
        arguments.extend(common);
        arguments.extend(["--listen".to_owned(), args.listen.to_string(), "--ingest-grace".to_owned(), grace]);
        let (name, admin) = ("ingest".to_owned(), Admin::Api(args.listen));
        roles.push(Role { name, executable, arguments, hidden, admin, starts: Arc::default() });
        Ok(Self { roles })
    }

    /// Returns the children.
    pub fn children(&self) -> &[Role] {
        &self.roles
    }

    /// Waits until every child says that it is ready.
    ///
    /// # Errors
    /// Names the children that are not after `limit`, or the one that ends each time before it is.
    pub async fn wait_until_ready(&self, limit: Duration) -> Result<()> {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build()?;
        let started = Instant::now();
        let mut waiting: Vec<&Role> = self.roles.iter().collect();
        while !waiting.is_empty() {
            let mut still = Vec::new();
            for role in waiting {
                let answer = client.get(format!("http://{}/readyz", role.admin())).send().await;
                if !answer.is_ok_and(|a| a.status().is_success()) {
                    still.push(role);
                }
            }
            waiting = still;
            if let Some(role) = waiting.iter().find(|role| role.starts.load(Ordering::Relaxed) > STARTS) {
                bail!("{} ended {STARTS} times before it was ready; the log above says why", role.name);
            }
            if !waiting.is_empty() && started.elapsed() > limit {
                let names: Vec<&str> = waiting.iter().map(|r| r.name.as_str()).collect();
                bail!("not ready after {limit:?}: {}; see the log above", names.join(", "));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

/// Returns the variables that say how brokers are entered: not the private one, which lets everybody in.
fn of_other_brokers() -> Vec<OsString> {
    let names = std::env::vars_os().map(|(name, _)| name);
    let enters = |name: &OsString| {
        let name = name.to_string_lossy();
        name.starts_with("SPILLWAY_KAFKA_") && name != "SPILLWAY_KAFKA_SETTINGS"
    };
    names.filter(enters).collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_child_whose_address_was_taken_gets_another() {
        let lost = loopback::free_address().unwrap();
        let admin = Admin::Own(Arc::new(Mutex::new(lost)));
        let role = Role {
            name: "cut".to_owned(),
            executable: "spillway".into(),
            arguments: Vec::new(),
            hidden: Vec::new(),
            admin,
            starts: Arc::default(),
        };
        role.command();
        assert_eq!(role.admin(), lost);
        let _taken = TcpListener::bind(lost).unwrap();
        role.command();
        assert_ne!(role.admin(), lost);
    }
}
