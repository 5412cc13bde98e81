//! The blob store.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use jiff::Timestamp;
use pipeline::blob::{BlobArgs, Blobs, Error};

use super::row::{Row, one_line};

/// What is written and read back.
const BYTES: &[u8] = b"spillway check";

/// Opens the blob store, and writes, reads and removes an object that is not there otherwise.
pub(super) async fn rows(args: &BlobArgs) -> Vec<Row> {
    let place = &args.blobs;
    let tried = async { try_out(&Blobs::connect(args).await?).await };
    match tried.await {
        Ok(()) => vec![Row::right("blobs", place, "written, read, read by range, uploaded in parts, removed")],
        Err(error) => {
            let advice =
                "make it, allow reading, writing, listing and deleting, or correct --blobs and the AWS_ variables";
            vec![Row::wrong("blobs", place, one_line(&error), advice)]
        }
    }
}

async fn try_out(blobs: &Blobs) -> Result<()> {
    let key = format!("check/{}", std::process::id());
    let written = blobs.put(&key, Bytes::from_static(BYTES)).await;
    written.context("write an object")?;
    ensure!(blobs.get(&key).await.context("read an object")? == BYTES, "an object is not read as it was written");
    let part = blobs.get_range(&key, 1..4).await.context("read an object by range")?;
    ensure!(part == BYTES[1..4], "a range of an object is not what was written");
    blobs.remove(&key).await.context("remove an object")?;
    let gone = blobs.get(&key).await;
    ensure!(matches!(gone, Err(Error::NotFound)), "a removed object is still there");

    let mut upload = blobs.upload(&key).await.context("begin an upload")?;
    upload.write(Bytes::from_static(BYTES)).await.context("upload a part")?;
    upload.abort().await.context("give an upload up")?;
    // As the sweep does with those that nobody will finish; none is that old.
    blobs.remove_unfinished(Timestamp::UNIX_EPOCH).await.context("look for unfinished uploads")
}
