//! What the container files say, held against the command line they start: no container engine is needed for it.

mod files;
mod kubernetes;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clap::{ArgMatches, Command as Clap, CommandFactory};

use super::Cli;
use super::process::LEAVE;
use files::{COMPOSE_FILES, Compose, Service, dockerfile, path, read};

/// The image of all roles.
const DOCKERFILE: &str = "deploy/Dockerfile";

/// Finds the subcommand that `words` name, and the words that are left.
fn subcommand<'a, 'b>(mut command: &'a Clap, mut words: &'b [&'b str]) -> (&'a Clap, &'b [&'b str]) {
    while let [first, rest @ ..] = words
        && let Some(inner) = command.find_subcommand(first)
    {
        (command, words) = (inner, rest);
    }
    (command, words)
}

/// Returns the long flag of each variable that `command` reads.
fn flags_of_variables(command: &Clap) -> BTreeMap<String, String> {
    let named = command.get_arguments().filter_map(|arg| {
        let variable = arg.get_env()?.to_str()?.to_owned();
        Some((variable, arg.get_long()?.to_owned()))
    });
    named.collect()
}

/// Returns every variable that some subcommand reads.
fn all_variables(command: &Clap) -> BTreeSet<String> {
    let inner = command.get_subcommands().flat_map(all_variables);
    flags_of_variables(command).into_keys().chain(inner).collect()
}

/// Returns the command line with everything built, global flags too.
fn cli() -> Clap {
    let mut command = Cli::command();
    command.build();
    command
}

/// Reads a service's command and its variables as the process would, or says what is wrong with them.
fn parse(command: &[&str], variables: &BTreeMap<&str, &str>) -> Result<ArgMatches, String> {
    let cli = cli();
    let (named, _) = subcommand(&cli, command);
    let flags = flags_of_variables(named);
    let mut line: Vec<String> = std::iter::once("spillway").chain(command.iter().copied()).map(str::to_owned).collect();
    for (variable, value) in variables.iter().filter(|(name, _)| name.starts_with("SPILLWAY_")) {
        let flag = flags.get(*variable).ok_or_else(|| format!("{} does not read {variable}", named.get_name()))?;
        line.push(format!("--{flag}={value}"));
    }
    Cli::command().try_get_matches_from(line).map_err(|error| error.to_string())
}

/// Returns the matches of the innermost subcommand.
fn innermost(mut matches: &ArgMatches) -> &ArgMatches {
    while let Some((_, inner)) = matches.subcommand() {
        matches = inner;
    }
    matches
}

fn parsed(service: &Service<'_>) -> ArgMatches {
    parse(&service.texts("command"), &service.environment()).unwrap_or_else(|error| panic!("{service}: {error}"))
}

#[test]
fn compose_files_follow_the_specification() {
    let mut schemas = boon::Schemas::new();
    let mut compiler = boon::Compiler::new();
    let location = "https://example.org/compose-spec.json";
    let schema = serde_json::from_str(&read("deploy/compose-spec.json")).expect("JSON");
    compiler.add_resource(location, schema).expect("a schema");
    let schema = compiler.compile(location, &mut schemas).expect("a schema that is right");
    for file in Compose::both() {
        if let Err(error) = schemas.validate(&file.all, schema) {
            panic!("{}: {error:#}", file.name);
        }
    }
}

#[test]
fn every_command_and_variable_is_one_the_binary_takes() {
    for file in Compose::both() {
        for service in file.ours() {
            parsed(&service);
        }
    }
}

#[test]
fn a_variable_that_is_not_read_is_found() {
    let unknown = BTreeMap::from([("SPILLWAY_SHOP", "sqlite:a")]);
    let error = parse(&["process", "cut"], &unknown).expect_err("no such variable");
    assert!(error.contains("SPILLWAY_SHOP"), "{error}");
    let misplaced = BTreeMap::from([("SPILLWAY_PARTITIONS", "12")]);
    parse(&["process", "cut"], &misplaced).expect_err("of another subcommand");
    let wrong = BTreeMap::from([("SPILLWAY_PARTITIONS", "many")]);
    parse(&["topics"], &wrong).expect_err("no number");
    parse(&["topcis"], &BTreeMap::new()).expect_err("no such subcommand");
}

#[test]
fn every_stage_has_a_service_in_both_files() {
    let cli = cli();
    let process = cli.find_subcommand("process").expect("process");
    let gathered = ["join", "deliver", "record"];
    let stages = process.get_subcommands().map(Clap::get_name).filter(|name| !gathered.contains(name));
    let roles: BTreeSet<&str> =
        stages.chain(["autoscale", "dashboard", "ingest", "topics"]).filter(|name| *name != "help").collect();
    for file in Compose::both() {
        let named: BTreeSet<&str> = file.ours().map(|service| service.name).collect();
        assert_eq!(named, roles, "{}", file.name);
        for service in file.ours() {
            assert_eq!(service.texts("command").last(), Some(&service.name), "{service} is called as what it runs");
        }
    }
}

#[test]
fn every_service_says_whether_it_is_well_or_ends_by_itself() {
    for file in Compose::both() {
        for service in file.services() {
            assert!(service.is["mem_limit"].is_string(), "{service} may take all memory");
            let checked = service.is["healthcheck"]["test"].is_array();
            assert_ne!(checked, service.is_one_shot(), "{service}");
            assert!(checked == (service.is["restart"] == "unless-stopped"), "{service}");
            if checked && service.image().starts_with("spillway:") {
                check_health_command(&service.is["healthcheck"]["test"]);
            }
        }
    }
}

#[track_caller]
fn check_health_command(test: &serde_json::Value) {
    let words: Vec<&str> = test.as_array().expect("a list").iter().filter_map(|word| word.as_str()).collect();
    assert_eq!(words[..2], ["CMD", "spillway"]);
    parse(&words[2..], &BTreeMap::new()).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn what_is_waited_for_is_there_and_can_come_true() {
    for file in Compose::both() {
        let services: BTreeMap<&str, Service<'_>> = file.services().map(|service| (service.name, service)).collect();
        for service in services.values() {
            let needs = service.is["depends_on"].as_object();
            for (needed, how) in needs.into_iter().flatten() {
                let needed = services.get(needed.as_str()).unwrap_or_else(|| panic!("{service} waits for {needed}"));
                let condition = if needed.is_one_shot() { "service_completed_successfully" } else { "service_healthy" };
                assert_eq!(how["condition"], condition, "{service} waits for {needed}");
            }
        }
    }
}

#[test]
fn images_are_pinned_and_ours_has_the_version_of_the_sources() {
    let ours = format!("spillway:{}", env!("CARGO_PKG_VERSION"));
    for file in Compose::both() {
        assert!(file.ours().all(|service| service.image() == ours), "{}: the image is not {ours}", file.name);
        for service in file.services() {
            check_pinned(service.image());
        }
    }
    let instructions = dockerfile(DOCKERFILE);
    for (_, image) in instructions.iter().filter(|(name, _)| name == "FROM") {
        check_pinned(image.split_whitespace().next().expect("an image"));
    }
    let version = format!("org.opencontainers.image.version=\"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(instructions.iter().any(|(name, rest)| name == "LABEL" && rest.contains(&version)));
    let toolchain = read("rust-toolchain.toml");
    let (_, from) = &instructions[0];
    let rust = from.strip_prefix("rust:").and_then(|tag| tag.split('-').next()).expect("an image of Rust");
    assert!(toolchain.contains(&format!("channel = \"{rust}\"")), "{from}");
}

/// A tag that names a release: numbers with at least one dot, and perhaps a variant.
#[track_caller]
fn check_pinned(image: &str) {
    let (_, tag) = image.rsplit_once(':').unwrap_or_else(|| panic!("{image} has no tag"));
    let release = tag.split('-').next().unwrap_or_default();
    let numbers: Vec<&str> = release.split('.').collect();
    let all_digits = numbers.iter().all(|number| !number.is_empty() && number.bytes().all(|c| c.is_ascii_digit()));
    assert!(numbers.len() >= 2 && all_digits, "{image} is not pinned to a release");
}

#[test]
fn only_api_and_dashboard_are_published_and_only_to_this_machine() {
    for file in Compose::both() {
        let published: Vec<(&str, Vec<&str>)> = file
            .services()
            .map(|service| (service.name, service.texts("ports")))
            .filter(|(_, ports)| !ports.is_empty())
            .collect();
        let wanted = [("dashboard", vec!["127.0.0.1:8090:8080"]), ("ingest", vec!["127.0.0.1:8080:8080"])];
        assert_eq!(published, wanted, "{}", file.name);
        assert!(file.services().all(|service| service.is["network_mode"].is_null()), "{}", file.name);
    }
}

#[test]
fn ours_run_without_rights_on_a_file_system_they_cannot_write() {
    for file in Compose::both() {
        for service in file.ours() {
            assert_eq!(service.is["read_only"], true, "{service}");
            assert_eq!(service.texts("cap_drop"), ["ALL"], "{service}");
            assert_eq!(service.texts("security_opt"), ["no-new-privileges:true"], "{service}");
            assert!(service.texts("tmpfs").iter().all(|place| place.starts_with("/tmp:size=")), "{service}");
            for key in ["user", "privileged", "cap_add", "volumes"] {
                assert!(service.is[key].is_null(), "{service} has {key}");
            }
        }
    }
    let instructions = dockerfile(DOCKERFILE);
    let user = instructions.iter().rfind(|(name, _)| name == "USER").map(|(_, user)| user.as_str()).expect("a user");
    let ids: Vec<u32> = user.split(':').map(|id| id.parse().expect("a number")).collect();
    assert!(ids.len() == 2 && ids.iter().all(|id| *id >= 1000), "{user}");
}

#[test]
fn a_container_has_longer_to_stop_than_its_process_takes() {
    for file in Compose::both() {
        // The autoscaler has nothing in hand.
        let works = |service: &Service<'_>| !service.is_one_shot() && service.name != "autoscale";
        for service in file.ours().filter(works) {
            let matches = parsed(&service);
            let innermost = innermost(&matches);
            let grace = ["drain_grace", "ingest_grace"]
                .iter()
                .find_map(|name| innermost.try_get_one::<Duration>(name).ok().flatten())
                .unwrap_or_else(|| panic!("{service} has no grace"));
            let given = service.is["stop_grace_period"].as_str().expect("a time");
            let given = humantime::parse_duration(given).expect("a time");
            assert!(given > *grace + LEAVE, "{service}: {given:?}");
        }
    }
}

#[test]
fn no_secret_but_the_one_for_development_stands_in_the_files() {
    for file in Compose::both() {
        for service in file.services() {
            for (name, value) in service.environment() {
                let is_secret = ["KEY", "SECRET", "PASSWORD", "TOKEN"].iter().any(|word| name.contains(word));
                assert!(!is_secret || value.contains(":-development"), "{service}: {name}");
                assert!(!value.contains('@') || name.starts_with("KAFKA_"), "{service}: {name} may hold a password");
            }
        }
    }
}

#[test]
fn the_usual_variables_of_s3_are_ones_that_are_read() {
    for file in Compose::both() {
        for service in file.ours() {
            let environment = service.environment();
            let of_s3 = environment.keys().filter(|name| name.starts_with("AWS_"));
            for name in of_s3 {
                let key = name.to_ascii_lowercase().parse::<object_store::aws::AmazonS3ConfigKey>();
                // What is not a setting of S3 is one of its HTTP client's.
                let key = key.unwrap_or_else(|error| panic!("{service}: {name}: {error}"));
                assert!(!format!("{key:?}").is_empty());
            }
        }
    }
}

#[test]
fn the_cluster_keeps_three_copies_and_waits_for_two() {
    let file = Compose::read(COMPOSE_FILES[1]);
    let of = |image: &str| file.services().filter(|service| service.image().starts_with(image)).collect::<Vec<_>>();
    let (brokers, nodes) = (of("apache/kafka:"), of("scylladb/scylla:"));
    assert_eq!((brokers.len(), nodes.len()), (3, 3));
    for broker in &brokers {
        let settings = broker.environment();
        for (name, value) in [
            ("KAFKA_DEFAULT_REPLICATION_FACTOR", "3"),
            ("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "3"),
            ("KAFKA_MIN_INSYNC_REPLICAS", "2"),
        ] {
            assert_eq!(settings.get(name), Some(&value), "{broker}: {name}");
        }
    }
    let ids: BTreeSet<&str> = brokers.iter().map(|broker| broker.environment()["KAFKA_NODE_ID"]).collect();
    assert_eq!(ids.len(), 3);
    for service in file.ours().filter(|service| !["autoscale", "topics"].contains(&service.name)) {
        let environment = service.environment();
        assert_eq!(environment["SPILLWAY_STORE_REPLICATION"], "3", "{service}");
        assert_eq!(environment["SPILLWAY_STORE_CONSISTENCY"], "local-quorum", "{service}");
    }
}

#[test]
fn brokers_take_records_as_large_as_topics_admit() {
    let largest = pipeline::topic::MAX_RECORD_BYTES.to_string();
    for file in Compose::both() {
        for broker in file.services().filter(|service| service.image().starts_with("apache/kafka:")) {
            let settings = broker.environment();
            for name in ["KAFKA_MESSAGE_MAX_BYTES", "KAFKA_REPLICA_FETCH_MAX_BYTES"] {
                assert_eq!(settings[name], largest, "{broker}: {name}");
            }
        }
    }
}

/// Cargo reads the manifest of every member, whatever is built.
#[test]
fn the_image_is_given_every_member_of_the_workspace() {
    let given = std::fs::read_to_string(path(".dockerignore")).expect("a list of what is not given");
    let manifest = std::fs::read_to_string(path("Cargo.toml")).expect("the workspace's manifest");
    let (_, rest) = manifest.split_once("members = [").expect("members");
    let (members, _) = rest.split_once(']').expect("the end of the members");
    let members: Vec<&str> = members.split(',').map(|member| member.trim().trim_matches('"')).collect();
    let members = members.into_iter().filter(|member| !member.is_empty());
    let missing: Vec<&str> =
        members.filter(|member| !given.lines().any(|line| line == format!("!{member}/"))).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn the_image_is_built_from_what_is_there() {
    let instructions = dockerfile(DOCKERFILE);
    let variables = all_variables(&cli());
    for (name, rest) in &instructions {
        match name.as_str() {
            "ENV" => {
                let named = rest.split_whitespace().filter_map(|pair| Some(pair.split_once('=')?.0));
                for variable in named.filter(|variable| variable.starts_with("SPILLWAY_")) {
                    assert!(variables.contains(variable), "{variable}");
                }
            }
            "COPY" if !rest.starts_with("--from") => {
                let words: Vec<&str> = rest.split_whitespace().collect();
                for source in &words[..words.len() - 1] {
                    assert!(path(source).exists(), "{source}");
                }
            }
            "HEALTHCHECK" => {
                let (_, command) = rest.split_once("CMD ").expect("a command");
                let words: Vec<String> = serde_json::from_str(command).expect("a list");
                let words: Vec<&str> = std::iter::once("CMD").chain(words.iter().map(String::as_str)).collect();
                check_health_command(&words.into());
            }
            _ => {}
        }
    }
    let builds: Vec<&str> =
        instructions.iter().filter(|(_, rest)| rest.contains("cargo build")).map(|(_, rest)| rest.as_str()).collect();
    assert!(builds.len() == 1 && builds[0].contains("--release --locked -p spillway"), "{builds:?}");
}
