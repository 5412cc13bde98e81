//! Run-time files.

use pipeline::runtime::{Runtime, RuntimeArgs, RuntimeFile};

use super::row::Row;

/// Looks for what workers need. Kafka's jars are for `spillway dev` alone.
pub(super) fn rows(args: &RuntimeArgs) -> Vec<Row> {
    let runtime = Runtime::new(args);
    let wanted = RuntimeFile::ALL.into_iter().filter(|file| *file != RuntimeFile::Kafka);
    let found = |file: RuntimeFile| match runtime.locate(file) {
        Ok(path) => Row::right("run-time file", path.display(), "is there"),
        Err(missing) => Row::wrong(
            "run-time file",
            file.path(),
            missing.to_string(),
            "run `make setup` in the source folder, or name the folder with --runtime",
        ),
    };
    wanted.map(found).collect()
}
