//! The scenario that an address asks for: bounded, so that none takes minutes, and said again as an address and as a command.

use planning::cost::{Costs, Prices};
use planning::plan::arrivals::VIDEOS_PER_USER;
use planning::plan::lengths::Lengths;
use planning::plan::scenario::{Bytes, Limits, Machines, Mix, Scenario};

use crate::asked::Asked;
use crate::fault::Fault;

/// A number that may be given.
#[derive(Debug)]
pub struct Field {
    /// Its name in the address.
    pub name: &'static str,
    /// What it is called, with its unit.
    pub what: &'static str,
    /// The flag of `spillway plan`, and what is written behind its value.
    flag: &'static str,
    unit: &'static str,
    /// What it is if it is not given, in words.
    pub usual: &'static str,
    /// Between what it is.
    pub least: f64,
    pub most: f64,
    is_whole: bool,
    /// Where it stands in the form.
    pub group: &'static str,
}

const COMES: &str = "What comes";
const RUNS: &str = "What it runs on";
const COSTS: &str = "What it costs";
const ANSWER: &str = "The answer";

/// The parts of the form.
pub const GROUPS: [&str; 4] = [COMES, RUNS, COSTS, ANSWER];

/// The lengths of videos and their weights if none are given, in words.
pub const LENGTHS: &str = "60s=2,3m=4,10m=3,40m=1";
/// How many fields there are.
const COUNT: usize = 20;
/// How many times the busiest hour is simulated if nothing is said.
const SEEDS: f64 = 3.0;
/// More pieces than this in the busiest hours are not simulated one by one, which a limit on pieces needs.
const MOST_PIECES: f64 = 600_000.0;

const fn whole(
    group: &'static str,
    name: &'static str,
    what: &'static str,
    flag: (&'static str, &'static str),
    usual: &'static str,
    bounds: (f64, f64),
) -> Field {
    Field { is_whole: true, ..number(group, name, what, flag, usual, bounds) }
}

const fn number(
    group: &'static str,
    name: &'static str,
    what: &'static str,
    (flag, unit): (&'static str, &'static str),
    usual: &'static str,
    (least, most): (f64, f64),
) -> Field {
    Field { name, what, flag, unit, usual, least, most, is_whole: false, group }
}

/// What may be given beside lengths, in the order of the form.
pub static FIELDS: [Field; COUNT] = [
    whole(COMES, "users", "Users at once", ("--users", ""), "500", (0.0, 10_000.0)),
    whole(COMES, "videos", "Videos a day", ("--videos-per-day", ""), "8 a user", (1.0, 100_000.0)),
    number(COMES, "priority", "In the priority lane, share", ("--priority-share", ""), "0.1", (0.0, 1.0)),
    whole(COMES, "clips", "Clips of a video", ("--clips", ""), "3", (1.0, 20.0)),
    whole(COMES, "clip", "Length of a clip, s", ("--clip-length", "s"), "30", (1.0, 600.0)),
    whole(RUNS, "startup", "Start-up of a worker, s", ("--startup", "s"), "45", (1.0, 900.0)),
    whole(RUNS, "wait", "Longest wait, s", ("--wait-target", "s"), "120", (5.0, 900.0)),
    whole(RUNS, "min", "Fewest workers of a stage", ("--min-workers", ""), "1", (1.0, 1000.0)),
    whole(RUNS, "max", "Most workers of a stage", ("--max-workers", ""), "400", (1.0, 1000.0)),
    whole(RUNS, "partitions", "Partitions of a lane", ("--partitions", ""), "60", (1.0, 1000.0)),
    number(RUNS, "disk", "Disk of the brokers, GB", ("--broker-disk", ""), "500", (1.0, 1e6)),
    number(RUNS, "quota", "Outside transcriber, pieces an hour", ("--quota", ""), "no limit", (1.0, 1e9)),
    number(COSTS, "price", "A worker for an hour, $", ("--price", ""), "0.045", (0.0, 1e3)),
    number(COSTS, "base", "What always runs, $ an hour", ("--base-price", ""), "0.67", (0.0, 1e6)),
    number(COSTS, "storage", "A GB for a month, $", ("--storage-price", ""), "0.023", (0.0, 1e3)),
    number(COSTS, "old", "A video in the old system, $", ("--old-price", ""), "0.10", (0.0, 1e3)),
    number(COSTS, "budget", "Budget a month, $", ("--budget", ""), "no limit", (0.01, 1e9)),
    number(COSTS, "hourly", "Workers at most, $ an hour", ("--budget-per-hour", ""), "no limit", (0.01, 1e6)),
    number(ANSWER, "growth", "Growth a month, %", ("--growth", ""), "20", (0.0, 1000.0)),
    whole(ANSWER, "seeds", "Times the busiest hour is simulated", ("--seeds", ""), "3", (1.0, 10.0)),
];

/// What an address asks for.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Wanted {
    /// As they were given; empty if they were not.
    lengths: String,
    mix: Option<Vec<(f64, f64)>>,
    /// In the order of [`FIELDS`].
    given: [Option<f64>; COUNT],
}

impl Wanted {
    /// Reads an address.
    ///
    /// # Errors
    /// Says what is out of its bounds or does not fit together.
    pub fn asked(asked: &Asked) -> Result<Self, Fault> {
        let mut given = [None; COUNT];
        for (value, field) in given.iter_mut().zip(&FIELDS) {
            *value = if field.is_whole {
                asked.whole(field.name, field.what, field.least as u32..=field.most as u32)?.map(f64::from)
            } else {
                asked.number(field.name, field.what, field.least..=field.most)?
            };
        }
        let lengths = asked.get("lengths").unwrap_or_default().to_owned();
        if lengths.len() > 200 {
            return Err(Fault::Refused("Lengths of videos are written in 200 characters at most.".to_owned()));
        }
        let read =
            |text: &str| text.parse::<Lengths>().map_err(|why| Fault::Refused(format!("Lengths of videos: {why}.")));
        let mix = if lengths.is_empty() { None } else { Some(read(&lengths)?.in_seconds()) };
        let wanted = Self { lengths, mix, given };
        wanted.check()?;
        Ok(wanted)
    }

    fn check(&self) -> Result<(), Fault> {
        let refuse = |why: String| Err(Fault::Refused(why));
        let (users, videos) = (self.users(), self.videos());
        if videos < 1.0 {
            return refuse("With no users at once, say how many videos a day.".to_owned());
        }
        if videos < users {
            return refuse(format!("{videos} videos a day do not hold the {users} users who come at once."));
        }
        if self.or("min", 1.0) > self.or("max", 400.0) {
            return refuse("The fewest workers are more than the most.".to_owned());
        }
        let scenario = self.scenario();
        let pieces = videos * scenario.mix.mean_s() / scenario.mix.picture_piece_s;
        if self.value("quota").is_some() && pieces > MOST_PIECES {
            return refuse(format!(
                "With a limit on pieces each one is simulated, and {pieces:.0} a day are too many for a page: at most \
                 {MOST_PIECES:.0}. The command line has no such limit."
            ));
        }
        Ok(())
    }

    /// Says whether anything was asked for.
    pub fn is_anything(&self) -> bool {
        !self.lengths.is_empty() || self.given.iter().any(Option::is_some)
    }

    /// Returns how many times the busiest hour is simulated.
    pub fn seeds(&self) -> u32 {
        self.or("seeds", SEEDS) as u32
    }

    /// Returns the scenario.
    pub fn scenario(&self) -> Scenario {
        let (usual, users, videos) = (Scenario::of_users(0, 0), self.users(), self.videos());
        let (mix, machines, limits, prices) = (usual.mix, usual.machines, usual.limits, usual.prices);
        Scenario {
            mix: Mix {
                lengths: self.mix.clone().unwrap_or(mix.lengths),
                priority_share: self.or("priority", mix.priority_share),
                clips: self.or("clips", f64::from(mix.clips)) as u32,
                clip_s: self.or("clip", mix.clip_s),
                ..Mix::default()
            },
            machines: Machines {
                startup_s: self.or("startup", machines.startup_s),
                wait_target_s: self.or("wait", machines.wait_target_s),
                min_workers: self.or("min", f64::from(machines.min_workers)) as u32,
                ..machines
            },
            limits: Limits {
                max_workers: self.or("max", f64::from(limits.max_workers)) as u32,
                partitions: self.or("partitions", f64::from(limits.partitions)) as u32,
                broker_disk_gb: self.or("disk", limits.broker_disk_gb),
                quota_per_hour: self.value("quota"),
                budget_per_month: self.value("budget"),
                budget_per_hour: self.value("hourly"),
                growth_per_month: self.value("growth").map_or(limits.growth_per_month, |percent| percent / 100.0),
            },
            prices: Prices {
                worker_hour: self.or("price", prices.worker_hour),
                base_hour: self.or("base", prices.base_hour),
                storage_gb_month: self.or("storage", prices.storage_gb_month),
                old_video: self.or("old", prices.old_video),
                source: if self.has_prices() { format!("given here; else {}", prices.source) } else { prices.source },
            },
            costs: Costs::measured(),
            bytes: Bytes::default(),
            ..Scenario::of_users(users as u32, videos as u32)
        }
    }

    /// Returns the address that asks for the same and holds nothing else.
    pub fn link(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (field, value) in self.all() {
            query.append_pair(field.name, &value.to_string());
        }
        if !self.lengths.is_empty() {
            query.append_pair("lengths", &self.lengths);
        }
        let query = query.finish();
        if query.is_empty() { "/capacity".to_owned() } else { format!("/capacity?{query}") }
    }

    /// Returns the command line that simulates the same.
    pub fn command(&self) -> String {
        let mut command = "spillway plan".to_owned();
        if self.value("users").is_none() {
            command += " --users 500";
        }
        for (field, value) in self.all() {
            command += &format!(" {} {value}{}", field.flag, field.unit);
        }
        if self.value("seeds").is_none() {
            command += &format!(" --seeds {SEEDS}");
        }
        if !self.lengths.is_empty() {
            // What was read as lengths holds no quotes.
            command += &format!(" --lengths '{}'", self.lengths);
        }
        command
    }

    fn all(&self) -> impl Iterator<Item = (&'static Field, f64)> {
        FIELDS.iter().zip(&self.given).filter_map(|(field, value)| Some((field, (*value)?)))
    }

    fn value(&self, name: &str) -> Option<f64> {
        self.all().find(|(field, _)| field.name == name).map(|(_, value)| value)
    }

    fn or(&self, name: &str, usual: f64) -> f64 {
        self.value(name).unwrap_or(usual)
    }

    fn users(&self) -> f64 {
        self.or("users", 500.0)
    }

    fn videos(&self) -> f64 {
        self.or("videos", self.users() * f64::from(VIDEOS_PER_USER))
    }

    fn has_prices(&self) -> bool {
        ["price", "base", "storage", "old"].iter().any(|name| self.value(name).is_some())
    }
}

impl Field {
    /// How far apart values are that may be given, for the browser.
    pub fn step(&self) -> &'static str {
        if self.is_whole { "1" } else { "any" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(query: &str) -> Result<Wanted, String> {
        Wanted::asked(&Asked::of(query)).map_err(|fault| fault.to_string())
    }

    #[test]
    fn an_address_is_a_scenario_a_shorter_address_and_a_command() {
        let asked = wanted("users=2000&videos=&startup=90&price=0.02&growth=50&lengths=60s%3D2%2C1h&odd=1").unwrap();
        let scenario = asked.scenario();
        assert_eq!((scenario.arrivals.burst, scenario.arrivals.videos_per_day().round()), (2000, 16_000.0));
        assert_eq!((scenario.machines.startup_s, scenario.prices.worker_hour), (90.0, 0.02));
        assert_eq!((scenario.limits.growth_per_month, scenario.mix.lengths), (0.5, vec![(60.0, 2.0), (3600.0, 1.0)]));
        assert_eq!(asked.link(), "/capacity?users=2000&startup=90&price=0.02&growth=50&lengths=60s%3D2%2C1h");
        assert_eq!(
            asked.command(),
            "spillway plan --users 2000 --startup 90s --price 0.02 --growth 50 --seeds 3 --lengths '60s=2,1h'"
        );
        assert_eq!(wanted(asked.link().split_once('?').unwrap().1), Ok(asked));
    }

    #[test]
    fn nothing_asked_is_what_the_command_has_without_flags() {
        let asked = wanted("users=&lengths=").unwrap();
        assert!(!asked.is_anything() && asked.link() == "/capacity");
        let usual = Scenario::of_users(500, 500 * VIDEOS_PER_USER);
        assert_eq!(asked.scenario(), usual);
        assert_eq!(asked.command(), "spillway plan --users 500 --seeds 3");
    }

    #[test]
    fn what_a_field_shows_in_its_place_is_what_is_simulated_without_it() {
        let usual = Scenario::of_users(500, 500 * VIDEOS_PER_USER);
        assert_eq!(LENGTHS.parse::<Lengths>().unwrap().in_seconds(), usual.mix.lengths);
        for field in &FIELDS {
            let value = match field.usual {
                "no limit" => continue,
                "8 a user" => (8 * 500).to_string(),
                value => value.to_owned(),
            };
            let asked = wanted(&format!("{}={value}", field.name)).unwrap();
            let mut scenario = asked.scenario();
            scenario.prices.source.clone_from(&usual.prices.source);
            assert_eq!((scenario, asked.seeds()), (usual.clone(), SEEDS as u32), "{}", field.name);
        }
        let unlimited = (usual.limits.quota_per_hour, usual.limits.budget_per_month, usual.limits.budget_per_hour);
        assert_eq!(unlimited, (None, None, None));
    }

    #[test]
    fn what_takes_minutes_or_makes_no_sense_is_refused_in_words() {
        for (query, words) in [
            ("users=1000000", "Users at once must be a number from 0 to 10"),
            ("users=0", "how many videos a day"),
            ("users=500&videos=10", "do not hold"),
            ("min=9&max=3", "more than the most"),
            ("startup=86400", "Start-up"),
            ("seeds=1000", "simulated must be"),
            ("lengths=x", "Lengths of videos"),
            ("lengths='", "Lengths of videos"),
            ("quota=100&users=10000", "too many for a page"),
            ("price=NaN", "A worker for an hour"),
        ] {
            let refused = wanted(query).unwrap_err();
            assert!(refused.contains(words), "{query}: {refused}");
        }
    }
}
