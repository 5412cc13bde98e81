//! The store.

use jiff::SignedDuration;
use pipeline::store::{self, ClusterSurvey, StoreArgs, Survey};

use super::row::{Row, count, one_line};

/// The most that clocks may differ: of two writes the later counts, and leases last 30 s.
const CLOCKS_APART: SignedDuration = SignedDuration::from_secs(1);

/// Looks at the store and changes nothing.
pub(super) async fn rows(args: &StoreArgs) -> Vec<Row> {
    let survey = match store::survey(args).await {
        Ok(survey) => survey,
        Err(error) => {
            let advice = "start it, or correct --store and the --store- flags";
            return vec![Row::wrong("store", &args.store, one_line(&error), advice)];
        }
    };
    let mut rows = vec![tables(&survey, args)];
    if let Some(cluster) = &survey.cluster {
        rows.push(copies(cluster, args));
        rows.push(clocks(cluster, args));
    }
    rows
}

fn tables(survey: &Survey, args: &StoreArgs) -> Row {
    match survey.version {
        None => Row::right("store", &args.store, "not made yet: the first process makes it"),
        Some(version) if version > survey.known_version => Row::wrong(
            "store",
            &args.store,
            format!("its tables have version {version}, this spillway knows {}", survey.known_version),
            "use the spillway that made them, or a newer one",
        ),
        Some(version) if version < survey.known_version => {
            let detail =
                format!("tables of version {version}: the first process makes version {}", survey.known_version);
            Row::right("store", &args.store, detail)
        }
        Some(version) => Row::right("store", &args.store, format!("tables of version {version}")),
    }
}

fn copies(cluster: &ClusterSurvey, args: &StoreArgs) -> Row {
    let nodes = count(cluster.nodes, "node");
    let (copies, made) = match cluster.copies {
        Some(copies) => (copies, true),
        None => (usize::from(args.store_replication), false),
    };
    let what = if made { "kept" } else { "to be kept (--store-replication)" };
    let detail = format!(
        "{nodes}, each row {what} in {}",
        if copies == 1 { "one copy".to_owned() } else { format!("{copies} copies") }
    );
    if copies > cluster.nodes {
        let advice = if made {
            "add nodes, or ALTER KEYSPACE to fewer copies"
        } else {
            "lower --store-replication, or add nodes"
        };
        return Row::wrong("replication", &args.store, detail, advice);
    }
    if copies < 3 && cluster.nodes >= 3 {
        let advice = "ALTER KEYSPACE to 3 copies and repair, so that one node may be away";
        return Row::wrong("replication", &args.store, detail, advice);
    }
    Row::right("replication", &args.store, detail)
}

fn clocks(cluster: &ClusterSurvey, args: &StoreArgs) -> Row {
    let apart = cluster.clock_ahead.abs();
    if apart <= CLOCKS_APART {
        return Row::right("clocks", &args.store, format!("less than {CLOCKS_APART:#} apart"));
    }
    let who = if cluster.clock_ahead.is_positive() { "ahead of" } else { "behind" };
    let detail = format!("a node's clock is {apart:#} {who} this host's");
    Row::wrong(
        "clocks",
        &args.store,
        detail,
        "keep the clocks of all hosts together (NTP): of two writes the later counts",
    )
}
