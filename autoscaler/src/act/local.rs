//! Workers are slots of child processes on this machine: hundreds of processes would not fit, and slots need no time to
//! start. A stage's slots are spread evenly over as few processes as hold them, because Kafka gives each process as many
//! partitions as any other.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use async_trait::async_trait;
use pipeline::child;
use pipeline::control::Control;
use pipeline::stage::StageName;
use tokio::process::Command;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::{Act, Scale, Unit};

/// Makes the command that starts a process, for the first time or again, with as many slots as it is given.
pub type Start = Box<dyn FnMut(u32) -> Command + Send>;
/// Makes what starts the process of a stage that has this number, from 0.
pub type Starts = Box<dyn Fn(usize) -> Start + Send + Sync>;

/// The processes of all stages.
pub struct Local {
    slots_per_process: u32,
    grace: Duration,
    /// Ends all processes.
    stop: CancellationToken,
    crews: Mutex<BTreeMap<StageName, Crew>>,
    tasks: Mutex<JoinSet<Result<()>>>,
}

struct Crew {
    starts: Starts,
    slots: u32,
    processes: Vec<Process>,
    /// How many were started in all.
    started: usize,
}

struct Process {
    /// What is wanted of it: one that is let go finishes what it has in hand.
    want: watch::Sender<Control>,
}

impl Local {
    /// Will run the stages of `crews` in processes of up to `slots_per_process` slots, until `stop`; each process may
    /// take `grace` to end then. One that is let go before, because fewer are wanted, may take as long as its work does.
    pub fn new(
        crews: BTreeMap<StageName, Starts>,
        slots_per_process: u32,
        grace: Duration,
        stop: CancellationToken,
    ) -> Self {
        let crew = |starts| Crew { starts, slots: 0, processes: Vec::new(), started: 0 };
        let crews = crews.into_iter().map(|(stage, starts)| (stage, crew(starts))).collect();
        let slots_per_process = slots_per_process.max(1);
        Self { slots_per_process, grace, stop, crews: Mutex::new(crews), tasks: Mutex::default() }
    }

    /// Waits until `stop`, then for the end of all processes.
    ///
    /// # Errors
    /// When one cannot be started at all.
    pub async fn run(&self) -> Result<()> {
        loop {
            let ended = {
                let mut tasks = self.tasks.lock().await;
                tasks.try_join_next()
            };
            match ended {
                Some(ended) => ended.context("watch a process")??,
                None if self.stop.is_cancelled() => break,
                None => tokio::select! {
                    () = self.stop.cancelled() => {}
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                },
            }
        }
        while let Some(ended) = self.tasks.lock().await.join_next().await {
            ended.context("watch a process")??;
        }
        Ok(())
    }
}

/// How often is looked whether a process could not be started.
const LOOK_EVERY: Duration = Duration::from_millis(500);

#[async_trait]
impl Act for Local {
    fn unit(&self) -> Unit {
        Unit::Slot(self.slots_per_process)
    }

    async fn current(&self, stage: StageName) -> Result<Scale> {
        let crews = self.crews.lock().await;
        let crew = crews.get(&stage).with_context(|| format!("{stage} does not run here"))?;
        Ok(Scale { replicas: Some(crew.slots) })
    }

    async fn scale(&self, stage: StageName, slots: u32) -> Result<()> {
        let mut crews = self.crews.lock().await;
        let crew = crews.get_mut(&stage).with_context(|| format!("{stage} does not run here"))?;
        let shares = shares(slots, self.slots_per_process, crew.processes.len());
        for process in crew.processes.drain(shares.len().min(crew.processes.len())..) {
            process.want.send_replace(Control::let_go());
        }
        for (index, share) in shares.iter().enumerate() {
            if let Some(process) = crew.processes.get(index) {
                process.want.send_if_modified(|wanted| std::mem::replace(&mut wanted.slots, *share) != *share);
                continue;
            }
            let (want, wanted) = watch::channel(Control::slots(*share));
            // A number is not used twice: the process that had it may not have ended.
            let mut start = (crew.starts)(crew.started);
            let name = format!("{stage}-{}", crew.started);
            crew.started += 1;
            let current = wanted.clone();
            let command = move || start(current.borrow().slots);
            let watched = child::supervise(name, command, Some(wanted), self.stop.clone(), self.grace);
            self.tasks.lock().await.spawn(watched);
            crew.processes.push(Process { want });
        }
        info!(%stage, slots, processes = shares.len(), "slots changed");
        crew.slots = slots;
        Ok(())
    }
}

/// Spreads `slots` over as few processes as hold them, at least one: it costs little and keeps the group alive. Of the
/// `current` ones none ends before half of all slots are free: what lies in its partitions waits while it ends.
fn shares(slots: u32, most: u32, current: usize) -> Vec<u32> {
    let needed = slots.div_ceil(most).max(1);
    let processes = (current as u32).clamp(needed, (2 * slots).div_ceil(most).max(1));
    (0..processes).map(|index| slots / processes + u32::from(index < slots % processes)).collect()
}

#[cfg(test)]
mod tests {
    use testing::until::until;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// Its grace is over at once: a process that had to end in it would not finish.
    #[tokio::test]
    async fn a_process_too_many_finishes_what_it_has_in_hand() {
        let folder = tempfile::tempdir().unwrap();
        let script = format!(
            "cd {}; touch begun-$0; while read -r line; do case $line in *let_go*) touch told-$0; \
             while [ ! -e go ]; do sleep 0.01; done; touch finished-$0; exit;; esac; done",
            folder.path().display()
        );
        let starts: Starts = Box::new(move |number| {
            let script = script.clone();
            Box::new(move |_| {
                let mut command = Command::new("sh");
                command.args(["-c", &script, &number.to_string()]);
                command
            })
        });
        let stop = CancellationToken::new();
        let local = Local::new([(StageName::Cut, starts)].into(), 1, Duration::ZERO, stop.clone());
        let is_there = async |name: &str| folder.path().join(name).exists().then_some(());
        let scaling = async {
            local.scale(StageName::Cut, 2).await.unwrap();
            until("the second has begun", PATIENCE, async || is_there("begun-1").await).await;
            local.scale(StageName::Cut, 0).await.unwrap();
            until("the second is told", PATIENCE, async || is_there("told-1").await).await;
            std::fs::write(folder.path().join("go"), "").unwrap();
            until("it finishes", PATIENCE, async || is_there("finished-1").await).await;
            until("none takes its place", PATIENCE, async || (local.tasks.lock().await.len() == 1).then_some(())).await;
            stop.cancel();
        };
        let (ran, ()) = tokio::join!(local.run(), scaling);
        ran.unwrap();
        assert!(is_there("told-0").await.is_none(), "the first stays");
    }

    #[test]
    fn slots_are_spread_evenly() {
        assert_eq!(shares(0, 100, 0), [0]);
        assert_eq!(shares(100, 100, 1), [100]);
        assert_eq!(shares(101, 100, 1), [51, 50]);
        assert_eq!(shares(400, 100, 0), [100, 100, 100, 100]);
        assert_eq!(shares(7, 2, 0), [2, 2, 2, 1]);
    }

    #[test]
    fn a_process_ends_when_half_of_all_slots_are_free() {
        assert_eq!(shares(201, 100, 4), [51, 50, 50, 50]);
        assert_eq!(shares(101, 100, 4), [34, 34, 33]);
        assert_eq!(shares(51, 100, 2), [26, 25]);
        assert_eq!(shares(50, 100, 2), [50]);
        assert_eq!(shares(0, 100, 2), [0]);
    }
}
