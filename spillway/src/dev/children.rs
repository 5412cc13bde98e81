//! Which processes `spillway dev` runs, with which flags, and when they are ready.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use autoscaler::act::local::Starts;
use pipeline::admin::Checks;
use pipeline::loopback;
use pipeline::stage::StageName;
use planning::stages::STAGES;
use reqwest::Client;
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
    /// Returns the command that starts it, for the first time or again, with as many slots as are wanted of it now.
    pub fn command(&self, slots: Option<u32>) -> Command {
        let mut command = Command::new(&self.executable);
        command.args(&self.arguments);
        if let Some(slots) = slots {
            command.args(["--slots", &slots.to_string()]);
        }
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

    /// Returns the same role for one more process.
    fn one_more(&self) -> Self {
        let admin = match &self.admin {
            Admin::Api(address) => Admin::Api(*address),
            // Without a free port the start fails, is told, and is tried again.
            Admin::Own(_) => Admin::own().unwrap_or_else(|_| self.admin.clone()),
        };
        Self { admin, starts: Arc::default(), ..self.clone() }
    }

    /// Says why it is not ready, if it is not.
    async fn ready(&self, client: &Client) -> Result<(), String> {
        let asked = client.get(format!("http://{}/readyz", self.admin())).send().await;
        let answer = asked.map_err(|_| "it does not answer".to_owned())?;
        if answer.status().is_success() { Ok(()) } else { Err(answer.text().await.unwrap_or_default()) }
    }

    fn admin(&self) -> SocketAddr {
        match &self.admin {
            Admin::Api(address) => *address,
            Admin::Own(address) => *address.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }
}

impl Admin {
    fn own() -> Result<Self> {
        Ok(Self::Own(Arc::new(Mutex::new(loopback::free_address().context("find a free port")?))))
    }
}

/// All child processes.
pub struct Plan {
    /// Those that are always there.
    children: Vec<(Role, Option<u32>)>,
    /// The first process of each stage that is scaled.
    scaled: BTreeMap<StageName, Role>,
}

impl Plan {
    /// Plans the children of a machine: one process a heavy stage, one for the three light ones, and ingest. What is
    /// scaled has as many processes as its slots need.
    ///
    /// # Errors
    /// When no free ports are found.
    pub fn new(args: &DevArgs, folder: &Folder, brokers: &str) -> Result<Self> {
        let executable = std::env::current_exe().context("find this executable")?;
        let hidden = if args.brokers.is_none() { of_other_brokers() } else { Vec::new() };
        let grace = humantime::format_duration(args.grace).to_string();
        let common = flags(&[
            ("--brokers", brokers.to_owned()),
            ("--store", format!("sqlite:{}", folder.path("spillway.db").display())),
            ("--blobs", folder.path("blobs").display().to_string()),
        ]);
        let role = |name: &str, arguments: Vec<String>, admin: Admin| Role {
            name: name.to_owned(),
            executable: executable.clone(),
            arguments,
            hidden: hidden.clone(),
            admin,
            starts: Arc::default(),
        };
        let of_workers = worker_flags(args, &grace);
        let (mut children, mut scaled) = (Vec::new(), BTreeMap::new());
        for (name, slots) in stages(args) {
            let stage = STAGES.into_iter().find(|stage| stage.as_str() == name);
            let mut arguments = vec!["process".to_owned(), name.to_owned()];
            if let (Some(spec), Some(_)) = (&args.scaling.emulate, stage) {
                arguments = ["loadtest", "work", name, "--emulate"].map(str::to_owned).to_vec();
                arguments.push(spec.display().to_string());
            }
            arguments.extend(common.iter().chain(&of_workers).cloned());
            match stage {
                Some(stage) if args.scaling.autoscale => {
                    arguments.push("--control".to_owned());
                    scaled.insert(stage, role(name, arguments, Admin::own()?));
                }
                _ => children.push((role(name, arguments, Admin::own()?), Some(slots))),
            }
        }
        let mut arguments = ["ingest", "--dashboard"].map(str::to_owned).to_vec();
        arguments.extend(common);
        arguments.extend(flags(&[("--listen", args.listen.to_string()), ("--ingest-grace", grace)]));
        children.push((role("ingest", arguments, Admin::Api(args.listen)), None));
        Ok(Self { children, scaled })
    }

    /// Returns the children that are always there, with the slots of those that work.
    pub fn children(&self) -> &[(Role, Option<u32>)] {
        &self.children
    }

    /// Returns what starts the processes of each stage that is scaled.
    pub fn crews(&self) -> BTreeMap<StageName, Starts> {
        let starts = |first: &Role| -> Starts {
            let first = first.clone();
            Box::new(move |number| {
                let role = if number == 0 { first.clone() } else { first.one_more() };
                Box::new(move |slots| role.command(Some(slots)))
            })
        };
        self.scaled.iter().map(|(stage, first)| (*stage, starts(first))).collect()
    }

    /// Returns what asks each child whether it is ready, by its name; of a stage that is scaled, its first process.
    ///
    /// # Errors
    /// When the HTTP client cannot be set up.
    pub fn checks(&self) -> Result<Checks> {
        let client = client()?;
        let mut checks = Checks::default();
        for role in self.roles() {
            let (asked, client) = (role.clone(), client.clone());
            checks.add(&role.name, move || {
                let (role, client) = (asked.clone(), client.clone());
                async move { role.ready(&client).await }
            });
        }
        Ok(checks)
    }

    fn roles(&self) -> impl Iterator<Item = &Role> {
        self.children.iter().map(|(role, _)| role).chain(self.scaled.values())
    }

    /// Waits until every child says that it is ready.
    ///
    /// # Errors
    /// Names the children that are not after `limit`, or the one that ends each time before it is.
    pub async fn wait_until_ready(&self, limit: Duration) -> Result<()> {
        let client = client()?;
        let started = Instant::now();
        let mut waiting: Vec<&Role> = self.roles().collect();
        while !waiting.is_empty() {
            let mut still = Vec::new();
            for role in waiting {
                if role.ready(&client).await.is_err() {
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

fn client() -> Result<Client> {
    let client = Client::builder().no_proxy().timeout(Duration::from_secs(2));
    client.build().context("set up the HTTP client")
}

/// Returns the stages' processes and how many slots each has unless it is scaled.
fn stages(args: &DevArgs) -> [(&'static str, u32); 7] {
    let heavy = args.slots.unwrap_or_else(cores);
    // Light stages wait for disk and network, so they may hold more than there are cores.
    [
        ("fetch", 4),
        ("split", 2),
        ("transcribe", heavy),
        ("analyze", heavy),
        ("moments", 1),
        ("cut", heavy),
        ("gather", 12),
    ]
}

/// Returns how many cores this machine has.
pub fn cores() -> u32 {
    std::thread::available_parallelism().map_or(2, |cores| cores.get() as u32)
}

fn worker_flags(args: &DevArgs, grace: &str) -> Vec<String> {
    let mut of_workers = flags(&[("--drain-grace", grace.to_owned())]);
    if args.scaling.time_scale > 1.0 {
        let every = humantime::format_duration(args.scaling.report_every()).to_string();
        of_workers.extend(flags(&[("--report-every", every)]));
    }
    if args.brokers.is_none() {
        of_workers.extend(flags(&[("--fetch-wait", FETCH_WAIT.to_owned())]));
    }
    if let Some(runtime) = &args.runtime.runtime {
        of_workers.extend(flags(&[("--runtime", runtime.display().to_string())]));
    }
    of_workers
}

fn flags(pairs: &[(&str, String)]) -> Vec<String> {
    pairs.iter().flat_map(|(flag, value)| [(*flag).to_owned(), value.clone()]).collect()
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
        role.command(Some(1));
        assert_eq!(role.admin(), lost);
        let _taken = TcpListener::bind(lost).unwrap();
        role.command(Some(1));
        assert_ne!(role.admin(), lost);
    }
}
