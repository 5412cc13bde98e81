//! `spillway check`, and what a process says that cannot connect, against servers that ask who comes: Kafka with
//! SCRAM over TLS, Cassandra with a password and certificates, S3.

use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use pipeline::store::{self, StoreArgs, StoreTls};
use serde_json::Value;
use testing::cassandra::{self, Cassandra, Doors};
use testing::kafka::{self, Guarded};
use testing::s3::{self, Access, BUCKET, s3};
use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::dev::command;

/// The longest that it may take to say what is wrong; a busy machine is slow.
const LIMIT: Duration = Duration::from_secs(25);

/// Servers that ask who comes.
pub struct Servers {
    pub brokers: Guarded,
    pub nodes: Cassandra,
    pub objects: Access,
}

/// Starts them once for all tests.
pub async fn servers() -> &'static Servers {
    static SERVERS: OnceCell<Servers> = OnceCell::const_new();
    let start = async || {
        let objects = tokio::task::spawn_blocking(s3);
        let (brokers, nodes, objects) = tokio::join!(Guarded::start(), Cassandra::start(Doors::Guarded), objects);
        Servers { brokers: brokers.expect("a broker"), nodes: nodes.expect("a node"), objects: objects.expect("S3") }
    };
    SERVERS.get_or_init(start).await
}

fn shown(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_owned()
}

/// Settings as an operator makes them, by variable.
#[derive(Clone)]
pub struct Settings(Vec<(String, String)>);

impl Settings {
    /// What lets in everywhere.
    pub fn right(servers: &Servers, prefix: &str) -> Self {
        let (brokers, nodes) = (servers.brokers.certificates(), servers.nodes.certificates());
        let settings = [
            ("SPILLWAY_BROKERS", servers.brokers.passwords()),
            ("SPILLWAY_TOPIC_PREFIX", prefix.to_owned()),
            ("SPILLWAY_KAFKA_SECURITY", "sasl_ssl".to_owned()),
            ("SPILLWAY_KAFKA_USER", kafka::USER.0.to_owned()),
            ("SPILLWAY_KAFKA_PASSWORD", kafka::USER.1.to_owned()),
            ("SPILLWAY_KAFKA_CA", shown(&brokers.authority)),
            ("SPILLWAY_STORE", format!("cql://{}@{}/clips", cassandra::USER.0, servers.nodes.address())),
            ("SPILLWAY_STORE_PASSWORD", cassandra::USER.1.to_owned()),
            ("SPILLWAY_STORE_REPLICATION", "1".to_owned()),
            ("SPILLWAY_STORE_CA", shown(&nodes.authority)),
            ("SPILLWAY_STORE_CERTIFICATE", shown(&nodes.client.certificate)),
            ("SPILLWAY_STORE_KEY", shown(&nodes.client.key)),
            ("SPILLWAY_BLOBS", format!("s3://{BUCKET}/{prefix}check")),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value));
        Self(settings.into_iter().chain(servers.objects.variables()).collect())
    }

    /// Sets some of them anew; what is empty is left out.
    pub fn but(&self, changes: &[(&str, &str)]) -> Self {
        let kept = self.0.iter().filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name)).cloned();
        let set = changes.iter().filter(|(_, value)| !value.is_empty());
        Self(kept.chain(set.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))).collect())
    }

    /// Returns their names and values.
    pub fn variables(&self) -> impl Iterator<Item = (String, String)> {
        self.0.iter().cloned()
    }

    /// Runs the program to its end.
    pub async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::from(command());
        command.args(arguments).envs(self.variables()).kill_on_drop(true);
        command.output().await.expect("spillway starts")
    }

    /// Runs `spillway check` and returns its exit code and rows.
    async fn check(&self) -> (Option<i32>, Vec<Value>) {
        let output = self.run(&["check", "--json"]).await;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let rows = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{output:?}"));
        (output.status.code(), rows)
    }

    /// Runs `arguments` and sees that they fail in time with one line that has all of `words` and no password.
    async fn refused(&self, arguments: &[&str], words: &[&str]) {
        let begun = Instant::now();
        let output = self.run(arguments).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(begun.elapsed() < LIMIT, "{words:?} took {:?}", begun.elapsed());
        assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{said}");
        for word in words {
            assert!(said.contains(word), "no {word:?} in {said}");
        }
        assert!(!said.contains("secret"), "{said}");
    }
}

fn row<'a>(rows: &'a [Value], what: &str) -> &'a Value {
    rows.iter().find(|row| row["what"] == what).unwrap_or_else(|| panic!("no {what} in {rows:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_right_is_told_and_what_is_missing_too() {
    let servers = servers().await;
    let settings = Settings::right(servers, "right.");
    let (code, rows) = settings.check().await;
    assert_eq!(code, Some(1), "{rows:?}");
    assert_eq!(row(&rows, "brokers")["ok"], true, "{rows:?}");
    assert_eq!(row(&rows, "topic")["advice"], "create it with `spillway topics`");
    assert_eq!(row(&rows, "store")["detail"], "not made yet: the first process makes it");

    let made = settings.run(&["topics", "--partitions", "2"]).await;
    assert!(made.status.success(), "{made:?}");
    let tls = servers.nodes.certificates();
    let address = format!("cql://{}@{}/clips", cassandra::USER.0, servers.nodes.address());
    let store = StoreArgs {
        store_password: cassandra::USER.1.parse().ok(),
        store_replication: 1,
        tls: StoreTls {
            store_ca: Some(tls.authority.clone()),
            store_certificate: Some(tls.client.certificate.clone()),
            store_key: Some(tls.client.key.clone()),
        },
        ..StoreArgs::at(address.parse().expect("an address"))
    };
    store::open(&store).await.expect("a store").ping().await.expect("it answers");

    let (code, rows) = settings.check().await;
    assert_eq!(code, Some(0), "{rows:?}");
    assert_eq!(row(&rows, "store")["detail"], "tables of version 1");
    assert_eq!(row(&rows, "replication")["detail"], "1 node, each row kept in one copy");
    assert!(row(&rows, "topics")["detail"].as_str().is_some_and(|d| d.contains("up to 2 partitions, one copy")));
    assert!(row(&rows, "groups")["detail"].as_str().is_some_and(|d| d.contains("protocol consumer of")));
    let table = settings.run(&["check"]).await;
    assert!(String::from_utf8_lossy(&table.stdout).ends_with("\nall is right\n"), "{table:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_that_do_not_let_in_are_one_line() {
    let servers = servers().await;
    let settings = Settings::right(servers, "doors.");
    let stranger = shown(&servers.brokers.certificates().stranger);
    let certified = servers.brokers.certified();
    let at_certified =
        [("SPILLWAY_BROKERS", &*certified), ("SPILLWAY_KAFKA_SECURITY", "ssl"), ("SPILLWAY_KAFKA_USER", "")];
    let refusals: [(&[(&str, &str)], &str); 6] = [
        (&[("SPILLWAY_KAFKA_PASSWORD", "secret-wrong")], "does not let this user in; check --kafka-user"),
        (&[("SPILLWAY_KAFKA_CA", &stranger)], "is not trusted; name who vouches for it with --kafka-ca"),
        (&[("SPILLWAY_KAFKA_CA", "")], "is not trusted; name who vouches for it with --kafka-ca"),
        (
            &[("SPILLWAY_KAFKA_SECURITY", ""), ("SPILLWAY_KAFKA_CA", ""), ("SPILLWAY_KAFKA_USER", "")],
            "check --kafka-security: it may want ssl or sasl_ssl",
        ),
        (&at_certified, "asks for a certificate; give --kafka-certificate and --kafka-key"),
        (&[("SPILLWAY_KAFKA_CA", "/none.pem")], "read --kafka-ca /none.pem"),
    ];
    for (changes, words) in refusals {
        settings.but(changes).refused(&["topics", "--check"], &[words]).await;
    }

    // And with what they ask for they do.
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), format!("{}\n", kafka::USER.1)).expect("written");
    let client = &servers.brokers.certificates().client;
    let (certificate, key, file) = (shown(&client.certificate), shown(&client.key), shown(file.path()));
    let shown = [("SPILLWAY_KAFKA_CERTIFICATE", &*certificate), ("SPILLWAY_KAFKA_KEY", &key)];
    let admitted: [Vec<(&str, &str)>; 3] = [
        vec![("SPILLWAY_KAFKA_MECHANISM", "PLAIN")],
        vec![
            ("SPILLWAY_KAFKA_MECHANISM", "scram-sha-256"),
            ("SPILLWAY_KAFKA_PASSWORD", ""),
            ("SPILLWAY_KAFKA_PASSWORD_FILE", &file),
        ],
        at_certified.into_iter().chain(shown).collect(),
    ];
    for changes in admitted {
        settings
            .but(&changes)
            .refused(&["topics", "--check"], &["topic doors.video.submitted.priority is missing"])
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_that_do_not_let_in_are_one_line() {
    let servers = servers().await;
    let settings = Settings::right(servers, "stores.");
    let made = settings.run(&["topics", "--partitions", "1"]).await;
    assert!(made.status.success(), "{made:?}");
    let stranger = shown(&servers.nodes.certificates().stranger);
    let endpoint = format!("http://{}", servers.objects.address());
    let no_certificate = [("SPILLWAY_STORE_CERTIFICATE", ""), ("SPILLWAY_STORE_KEY", "")];
    let refusals: [(&[(&str, &str)], &str); 5] = [
        (&[("SPILLWAY_STORE_PASSWORD", "secret-wrong")], "does not let this user in; check the user in --store"),
        (&[("SPILLWAY_STORE_CA", &stranger)], "is not trusted; name who vouches for it with --store-ca"),
        (&no_certificate, "give --store-certificate and --store-key"),
        (&[("SPILLWAY_BLOBS", "s3://not-there/x")], "there is no such bucket"),
        (&[("AWS_SECRET_ACCESS_KEY", "secret-wrong")], "S3 does not let us in; check AWS_ACCESS_KEY_ID"),
    ];
    for (changes, words) in refusals {
        settings.but(changes).refused(&["process", "record"], &[words]).await;
        let (code, rows) = settings.but(changes).check().await;
        let wrong: Vec<&Value> = rows.iter().filter(|row| row["ok"] == false).collect();
        assert_eq!((code, wrong.len()), (Some(1), 1), "{rows:?}");
        assert!(wrong[0]["detail"].as_str().is_some_and(|d| d.contains(words)), "{rows:?}");
    }
    let plain = [("SPILLWAY_STORE_CA", ""), no_certificate[0], no_certificate[1]];
    settings.but(&plain).refused(&["process", "record"], &["if it speaks TLS, give --store-ca"]).await;
    let reader = s3::variables(&endpoint, s3::READER_KEYS);
    let (code, rows) = settings.but(&reader.iter().map(|(n, v)| (&**n, &**v)).collect::<Vec<_>>()).check().await;
    assert_eq!((code, &row(&rows, "blobs")["ok"]), (Some(1), &Value::Bool(false)), "{rows:?}");
}
