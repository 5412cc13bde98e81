//! Brokers and topics.

use pipeline::kafka::topics::{self, Finding, Survey};
use pipeline::kafka::{BrokerArgs, GroupProtocol};

use super::row::{Row, count, one_line};

/// Looks at the brokers and every topic.
pub(super) async fn rows(args: &BrokerArgs) -> Vec<Row> {
    let survey = match topics::survey(args).await {
        Ok(survey) => survey,
        Err(error) => {
            let advice = "start the brokers, or correct --brokers and the --kafka flags";
            return vec![Row::wrong("brokers", &args.brokers, one_line(&error), advice)];
        }
    };
    let mut rows = vec![
        Row::right("brokers", &args.brokers, count(survey.brokers, "broker")),
        groups(&survey, args.group_protocol, &args.brokers),
    ];
    rows.extend(survey.topics.iter().filter_map(wrong_topic));
    if rows.iter().all(|row| row.ok) {
        rows.push(all_topics(&survey, &args.topic_prefix));
    }
    rows
}

fn groups(survey: &Survey, wanted: GroupProtocol, place: &str) -> Row {
    let name = match wanted {
        GroupProtocol::Consumer => "consumer",
        GroupProtocol::Classic => "classic",
    };
    match &survey.group_protocols {
        None => Row::right("groups", place, format!("the brokers do not tell whether they know the protocol {name}")),
        Some(known) if known.iter().any(|known| known == name) => {
            Row::right("groups", place, format!("protocol {name} of {}", known.join(", ")))
        }
        Some(known) => Row::wrong(
            "groups",
            place,
            format!("the brokers know the protocols {}, not {name}", known.join(", ")),
            "set --group-protocol to one of them, or use Kafka 4.0 or later",
        ),
    }
}

fn wrong_topic(found: &Finding) -> Option<Row> {
    if let Some(wrong) = &found.wrong {
        let advice = match found.partitions {
            0 => "create it with `spillway topics`",
            _ => "change it with Kafka's kafka-configs.sh, or delete it while it is empty and run `spillway topics`",
        };
        return Some(Row::wrong("topic", &found.topic, wrong, advice));
    }
    let behind = format!("{} of {} lack a copy that is up to date", found.behind, count(found.partitions, "partition"));
    let advice = "see that all brokers run; until then the loss of another may stop work";
    (found.behind > 0).then(|| Row::wrong("topic", &found.topic, behind, advice))
}

fn all_topics(survey: &Survey, prefix: &str) -> Row {
    let partitions = survey.topics.iter().map(|topic| topic.partitions).max().unwrap_or(0);
    let copies = survey.topics.iter().map(|topic| topic.copies).min().unwrap_or(0);
    let number = count(survey.topics.len(), "topic");
    let shape = match copies {
        1 => "one copy: a lost broker loses work".to_owned(),
        copies => format!("{copies} copies"),
    };
    let place = format!("{prefix}*");
    Row::right(
        "topics",
        place,
        format!("{number} as they should be, up to {}, {shape}", count(partitions, "partition")),
    )
}
