//! Why a bucket cannot be used is one clear line.

use pipeline::blob::Blobs;
use testing::s3::{KEYS, READER_KEYS, s3, variables};

use super::bucket;

async fn refusal(name: &str, variables: Vec<(String, String)>) -> String {
    let opened = Blobs::open_bucket(&bucket(name, variables));
    let error = match opened {
        Ok(blobs) => blobs.check().await.expect_err("refused"),
        Err(error) => error,
    };
    let line = format!("{error:#}");
    assert!(!line.contains('\n') && !line.contains(KEYS.1), "{line}");
    line
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_bucket_is_one_line() {
    let access = s3();
    let endpoint = format!("http://{}", access.address());
    let line = refusal("not-there", access.variables()).await;
    assert!(line.contains("there is no such bucket") && line.contains("AWS_ENDPOINT"), "{line}");
    for keys in [("nobody", KEYS.1), (KEYS.0, "wrong-secret")] {
        let line = refusal(testing::s3::BUCKET, variables(&endpoint, keys)).await;
        assert!(line.contains("does not let us in") && line.contains("AWS_SECRET_ACCESS_KEY"), "{line}");
    }
    let line = refusal("any", variables("http://127.0.0.1:1", KEYS)).await;
    assert!(line.contains("does not answer as it should") && line.contains("127.0.0.1:1"), "{line}");
    let plain = access.variables().into_iter().filter(|(name, _)| name != "AWS_ALLOW_HTTP").collect();
    let line = refusal("any", plain).await;
    assert!(line.contains("AWS_ALLOW_HTTP=true"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_may_only_read_cannot_write() {
    let access = s3();
    let endpoint = format!("http://{}", access.address());
    let reader = Blobs::open_bucket(&bucket(testing::s3::BUCKET, variables(&endpoint, READER_KEYS))).unwrap();
    reader.check().await.unwrap();
    let refused = reader.put("key", bytes::Bytes::from_static(b"x")).await;
    assert!(matches!(refused, Err(pipeline::blob::Error::Unavailable(_))), "{refused:?}");
}
