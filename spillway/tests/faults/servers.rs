//! What the processes of a system need: broker, store and blobs, each behind a proxy where that is possible.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use pipeline::blob::{Blobs, Bucket, Location};
use pipeline::id::TenantId;
use pipeline::kafka::BrokerArgs;
use pipeline::store::{self, SharedStore, StoreArgs};
use tempfile::TempDir;
use testing::cassandra::{Cassandra, Doors};
use testing::kafka::Alone;
use testing::processes;
use testing::proxy::Proxy;
use testing::s3::{self, BUCKET, KEYS, S3};

/// The keyspace of a cluster's system.
pub const KEYSPACE: &str = "spillway";
/// How long a scenario tries to reach the bucket.
const S3_PATIENCE: Duration = Duration::from_secs(20);

/// Which servers a system has.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Those of one host: Kafka, SQLite, a folder.
    Host,
    /// As [`Kind::Host`], with blobs in a folder of the caller's, which has another name for who is outside.
    BlobsIn { named: PathBuf, seen: PathBuf },
    /// Those of a cluster: Kafka, CQL, S3.
    Cluster,
}

/// Where store and blobs are.
pub enum Stores {
    Host {
        /// What processes call the folder.
        named: PathBuf,
        /// What this process calls it.
        blobs: PathBuf,
    },
    Cluster(Box<Cluster>),
}

/// What the processes of several hosts need.
pub struct Cluster {
    pub database: Cassandra,
    pub database_proxy: Proxy,
    pub s3: S3,
    pub s3_proxy: Proxy,
}

/// Running servers, gone when this is dropped.
pub struct Servers {
    pub broker: Alone,
    pub stores: Stores,
    folder: TempDir,
}

impl Servers {
    pub async fn start(kind: &Kind) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let broker = Alone::start();
        let (broker, stores) = match kind {
            Kind::Host => {
                let blobs = folder.path().join("blobs");
                (broker.await, Stores::Host { named: blobs.clone(), blobs })
            }
            Kind::BlobsIn { named, seen } => (broker.await, Stores::Host { named: named.clone(), blobs: seen.clone() }),
            Kind::Cluster => {
                let (broker, database, s3) = tokio::join!(broker, Cassandra::start(Doors::Open), S3::start());
                let (database, s3) = (database.expect("Cassandra starts"), s3.expect("SeaweedFS starts"));
                let (database_proxy, s3_proxy) =
                    (proxy(&database.address()).await, proxy(&s3.access().address()).await);
                (broker, Stores::Cluster(Box::new(Cluster { database, database_proxy, s3, s3_proxy })))
            }
        };
        Self { broker: broker.expect("Kafka starts"), stores, folder }
    }

    /// Returns where the broker is.
    pub fn brokers(&self) -> BrokerArgs {
        BrokerArgs::new(self.broker.proxy().address().to_string())
    }

    /// Returns the variables that lead a process there.
    pub fn variables(&self) -> Vec<(String, String)> {
        let (store, blobs, mut variables) = match &self.stores {
            Stores::Host { named, .. } => {
                let file = self.database_file();
                (format!("sqlite:{}", file.display()), named.display().to_string(), Vec::new())
            }
            Stores::Cluster(cluster) => {
                let variables = s3::variables(&format!("http://{}", cluster.s3_proxy.address()), KEYS);
                let store = format!("cql://{}/{KEYSPACE}", cluster.database_proxy.address());
                (store, format!("s3://{BUCKET}"), variables)
            }
        };
        let named = [
            ("SPILLWAY_BROKERS", self.broker.proxy().address().to_string()),
            ("SPILLWAY_STORE", store),
            ("SPILLWAY_STORE_REPLICATION", "1".to_owned()),
            ("SPILLWAY_BLOBS", blobs),
        ];
        variables.extend(named.map(|(name, value)| (name.to_owned(), value)));
        variables
    }

    /// Kills all of a cluster at once and starts it again.
    pub async fn kill_and_start_again(&mut self) {
        let Stores::Cluster(cluster) = &mut self.stores else { panic!("a cluster was not asked for") };
        let Cluster { database, s3, .. } = cluster.as_mut();
        tokio::join!(self.broker.kill(), database.kill(), s3.kill());
        let (broker, database, s3) = tokio::join!(self.broker.start_again(), database.start_again(), s3.start_again());
        broker.and(database).and(s3).expect("the servers are back");
    }

    /// Returns what a cluster has.
    ///
    /// # Panics
    /// When this is none.
    pub fn cluster(&mut self) -> &mut Cluster {
        match &mut self.stores {
            Stores::Cluster(cluster) => cluster,
            Stores::Host { .. } => panic!("a cluster was not asked for"),
        }
    }

    /// Returns the most memory that all servers of a cluster together ever held since they were started, in MiB.
    pub fn peak_mib(&mut self) -> u64 {
        let broker = self.broker.pid();
        let cluster = self.cluster();
        let pids = [broker, cluster.database.pid(), cluster.s3.pid()];
        let peaks = pids.map(|pid| processes::peak_mib(pid.expect("it runs")));
        println!("Kafka, Cassandra and SeaweedFS held {peaks:?} MiB at most");
        peaks.iter().sum()
    }

    /// Opens the store past the proxy.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn store(&self) -> Result<SharedStore> {
        match &self.stores {
            Stores::Host { .. } => store::open_file(&self.database_file()),
            Stores::Cluster(cluster) => store::open(&cluster.keyspace(KEYSPACE)).await,
        }
    }

    /// Opens the blobs past the proxy.
    pub fn blobs(&self) -> Blobs {
        let opened = match &self.stores {
            Stores::Host { blobs, .. } => Blobs::open(&Location::Folder(blobs.clone())),
            Stores::Cluster(cluster) => {
                let variables = cluster.s3.access().variables();
                let (name, prefix) = (BUCKET.to_owned(), String::new());
                Blobs::open_bucket(&Bucket { name, prefix, variables, patience: S3_PATIENCE })
            }
        };
        opened.expect("the blobs")
    }

    /// Returns what is kept of a video as it came.
    pub async fn sources(&self, video: &str) -> Vec<Vec<u8>> {
        let mut sources = Vec::new();
        if let Stores::Host { blobs, .. } = &self.stores {
            // Not through [`Servers::blobs`]: a folder of another mount namespace has no name that lasts here.
            let folder = blobs.join("default").join(video).join("source");
            for file in fs::read_dir(folder).expect("the source's folder").flatten() {
                sources.push(fs::read(file.path()).expect("the source"));
            }
            return sources;
        }
        let (blobs, video) = (self.blobs(), video.parse().expect("an id"));
        for object in blobs.objects(&TenantId::default_tenant(), video).await.expect("the objects of a video") {
            if object.key.contains("/source/") {
                sources.push(blobs.get(&object.key).await.expect("the source").to_vec());
            }
        }
        sources
    }

    fn database_file(&self) -> PathBuf {
        self.folder.path().join("spillway.db")
    }
}

impl Cluster {
    /// Names a keyspace, past the proxy.
    pub fn keyspace(&self, name: &str) -> StoreArgs {
        let address = format!("cql://{}/{name}", self.database.address());
        StoreArgs { store_replication: 1, ..StoreArgs::at(address.parse().expect("an address")) }
    }
}

async fn proxy(server: &str) -> Proxy {
    let server: SocketAddr = server.parse().expect("an address");
    Proxy::start(server).await.expect("a proxy")
}
