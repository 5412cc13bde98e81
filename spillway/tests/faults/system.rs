//! The system under faults: the real binary, a process a role, each started again whenever it dies.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use pipeline::loopback;
use tempfile::TempDir;
use testing::api::Api;
use testing::log::{GIVEN_UP, Log, UNREADABLE};
use testing::member::Member;
use testing::processes;
use testing::until::until;

use crate::servers::{Kind, Servers};

/// The program under test.
const SPILLWAY: &str = env!("CARGO_BIN_EXE_spillway");
/// Partitions of each topic.
pub const PARTITIONS: &str = "4";
/// How long a process may take to be ready, on a machine that does much else.
const READY_LIMIT: Duration = Duration::from_secs(120);
/// Each role with its slots: small, because there are only few cores.
const ROLES: [(&str, u32); 7] =
    [("fetch", 4), ("split", 2), ("transcribe", 2), ("analyze", 2), ("moments", 1), ("cut", 2), ("gather", 8)];
/// Waits that make short forms short. Those in full run with what the program does by itself.
pub const SHORT: [(&str, &str); 4] =
    [("SPILLWAY_BACKOFF_MAX", "1s"), ("SPILLWAY_PUBLISH_TIMEOUT", "3s"), ("SPILLWAY_PUBLISH_EVERY", "500ms"), GRACE];
/// The same where workers die: their claims end soon.
pub const SHORT_LIVES: [(&str, &str); 5] = [SHORT[0], SHORT[1], SHORT[2], GRACE, ("SPILLWAY_CLAIM_LEASE", "3s")];
const GRACE: (&str, &str) = ("SPILLWAY_DRAIN_GRACE", "5s");

/// How a system is to run.
pub struct Plan<'a> {
    pub kind: Kind,
    /// Variables of all processes.
    pub settings: &'a [(&'a str, &'a str)],
    /// What goes before the program on each command line.
    pub wrapper: Vec<String>,
}

impl Plan<'_> {
    /// Plans a system of one host.
    pub fn host<'a>(settings: &'a [(&'a str, &'a str)]) -> Plan<'a> {
        Plan { kind: Kind::Host, settings, wrapper: Vec::new() }
    }

    /// Plans a system as it runs on a cluster.
    pub fn cluster<'a>(settings: &'a [(&'a str, &'a str)]) -> Plan<'a> {
        Plan { kind: Kind::Cluster, ..Plan::host(settings) }
    }
}

/// A running system; nothing of it is left when it is dropped.
pub struct System {
    pub api: Api,
    pub members: Vec<Member>,
    pub servers: Servers,
    commands: Commands,
    log: Log,
    _folder: TempDir,
}

impl System {
    /// Starts servers and processes and waits until all are ready.
    pub async fn start(plan: Plan<'_>) -> Self {
        let servers = Servers::start(&plan.kind).await;
        let folder = tempfile::tempdir().expect("a folder");
        let log = Log::new(folder.path().join("system.log"));
        let address = loopback::free_address().expect("a free port");
        let mut variables: BTreeMap<String, String> = servers.variables().into_iter().collect();
        let fixed = [
            ("SPILLWAY_LOG", "info,pipeline::runner=debug"),
            ("SPILLWAY_LOG_FORMAT", "json"),
            // What is made is compared byte by byte, and one scene fills its disk up: no work is saved, no space kept.
            ("SPILLWAY_DEGRADE_AT_QUEUE", "0"),
            ("SPILLWAY_DEGRADE_AT_MEMORY", "0"),
            ("SPILLWAY_DISK_RESERVE", "0"),
            ("SPILLWAY_ALLOW_PRIVATE_URLS", "true"),
            ("SPILLWAY_PARTITIONS", PARTITIONS),
        ];
        let settings = fixed.iter().chain(plan.settings);
        variables.extend(settings.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        variables.insert("SPILLWAY_LISTEN".to_owned(), address.to_string());
        let commands = Commands { wrapper: plan.wrapper, variables, log: log.path().to_owned() };
        let made = commands.call(&["topics"]).status().expect("spillway topics");
        assert!(made.success(), "the topics are not made: {}", log.tail(5));
        let (api, members) = (Api::at(address), Vec::new());
        let mut system = Self { api, members, servers, commands, log, _folder: folder };
        let mut admins = vec![address];
        system.members.push(Member::start("ingest", system.commands.of(["ingest"])));
        for (role, slots) in ROLES {
            let (member, admin) = system.commands.worker(role, slots);
            system.members.push(member);
            admins.push(admin);
        }
        for admin in admins {
            system.ready(admin).await;
        }
        system
    }

    /// Returns the first process of `role`.
    pub fn member(&self, role: &str) -> &Member {
        self.members.iter().find(|member| member.role() == role).unwrap_or_else(|| panic!("no {role} runs"))
    }

    /// Starts one more worker and waits until it has joined; it is not among the members.
    pub async fn join(&self, role: &'static str, slots: u32) -> Member {
        let (member, admin) = self.commands.worker(role, slots);
        self.ready(admin).await;
        member
    }

    /// Starts a process of another role, which is told by `flag` where to listen, and waits until it is ready. Returns its
    /// address.
    pub async fn serve(&mut self, role: &'static str, flag: &str) -> SocketAddr {
        let address = loopback::free_address().expect("a free port");
        self.members.push(Member::start(role, self.commands.of([role, flag, &address.to_string()])));
        self.ready(address).await;
        address
    }

    /// Starts one more process of the API, without some of the settings; it is not among the members.
    pub async fn join_api(&self, without: &[&str]) -> (Api, Member) {
        let address = loopback::free_address().expect("a free port");
        let mut commands = self.commands.clone();
        commands.variables.retain(|name, _| !without.contains(&name.as_str()));
        let member = Member::start("ingest", commands.of(["ingest", "--listen", &address.to_string()]));
        self.ready(address).await;
        (Api::at(address), member)
    }

    /// Takes the process of `role` out of the members.
    pub fn take(&mut self, role: &str) -> Member {
        let index = self.members.iter().position(|member| member.role() == role);
        self.members.swap_remove(index.unwrap_or_else(|| panic!("no {role} runs")))
    }

    /// Calls the program with what leads it to the servers, and with `settings`.
    pub async fn call(&self, arguments: &[&str], settings: &[(&str, &str)]) -> std::process::Output {
        let mut command = self.commands.call(arguments);
        command.envs(settings.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
        tokio::task::spawn_blocking(move || command.output()).await.expect("a thread").expect("spillway starts")
    }

    /// Returns what all processes logged.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Returns how many units and messages were set aside as dead letters.
    pub fn dead_letters(&self) -> usize {
        self.log.units(GIVEN_UP).len() + self.log.units(UNREADABLE).len()
    }

    /// Returns the processes that ended by themselves, with how: none may but those that were killed or told to.
    pub fn died(&self) -> Vec<String> {
        use std::os::unix::process::ExitStatusExt;
        let ends = |member: &Member| {
            let own =
                member.ends().into_iter().filter(|end| !end.success() && end.signal() != Some(Signal::SIGKILL as i32));
            own.map(|end| format!("{}: {end}", member.role())).collect::<Vec<String>>()
        };
        self.members.iter().flat_map(ends).collect()
    }

    /// Waits until the process that listens at `admin` is ready.
    pub async fn ready(&self, admin: SocketAddr) {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build().expect("a client");
        until(&format!("{admin} is ready"), READY_LIMIT, async || {
            let answer = client.get(format!("http://{admin}/readyz")).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
    }
}

impl Drop for System {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the last that the system logged:\n{}", self.log.tail(60));
        }
    }
}

/// How processes are started.
#[derive(Clone)]
struct Commands {
    wrapper: Vec<String>,
    variables: BTreeMap<String, String>,
    log: std::path::PathBuf,
}

impl Commands {
    /// Returns a call of the program.
    fn call(&self, arguments: &[&str]) -> Command {
        let mut words = self.wrapper.iter().map(String::as_str).chain([SPILLWAY]);
        let mut command = processes::command(words.next().expect("the program at least"));
        command.args(words).args(arguments).envs(&self.variables).stdin(Stdio::null()).stdout(Stdio::null());
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        command.stderr(log.expect("a file for the log"));
        command
    }

    /// Returns what starts a process.
    fn of<const COUNT: usize>(&self, arguments: [&str; COUNT]) -> Arc<dyn Fn() -> Command + Send + Sync> {
        let (commands, arguments) = (self.clone(), arguments.map(str::to_owned));
        Arc::new(move || commands.call(&arguments.each_ref().map(String::as_str)))
    }

    fn worker(&self, role: &'static str, slots: u32) -> (Member, SocketAddr) {
        let admin = loopback::free_address().expect("a free port");
        let (slots, listen) = (slots.to_string(), admin.to_string());
        let command = self.of(["process", role, "--slots", &slots, "--admin-listen", &listen]);
        (Member::start(role, command), admin)
    }
}
