//! Uploads to a bucket that nobody will finish any more, because their process died: no list of objects shows them, and
//! their parts cost what objects cost. The client can give an upload up but not list them; the list is asked for here.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axum::http::Request;
use jiff::Timestamp;
use object_store::aws::AmazonS3;
use object_store::client::{HttpClient, HttpConnector, HttpRequestBody, ReqwestConnector};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::signer::{Method, SignedUrlOptions, Signer};
use object_store::{ClientOptions, Error};
use serde::Deserialize;

use crate::id::{TenantId, VideoId};

/// How long a question that was signed is good: it is sent at once.
const SIGNED_FOR: Duration = Duration::from_secs(60);

/// The uploads to a bucket.
#[derive(Clone, Debug)]
pub(super) struct Uploads {
    bucket: AmazonS3,
    /// What our keys begin with.
    prefix: Path,
    client: HttpClient,
}

/// A page of the list of uploads, as S3 gives it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    #[serde(default, rename = "Upload")]
    uploads: Vec<Upload>,
    #[serde(default)]
    is_truncated: bool,
    #[serde(default)]
    next_key_marker: String,
    #[serde(default)]
    next_upload_id_marker: String,
}

/// An upload that has neither ended nor been given up.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Upload {
    key: String,
    upload_id: String,
    initiated: Timestamp,
}

impl Uploads {
    /// Finds those to `bucket` under `prefix`; `options` say how long requests may take.
    pub(super) fn new(bucket: AmazonS3, prefix: &str, options: &ClientOptions) -> Result<Self> {
        let client = ReqwestConnector::default().connect(options).context("set up the HTTP client")?;
        Ok(Self { bucket, prefix: Path::from(prefix), client })
    }

    /// Gives up those of videos that began before `before`.
    pub(super) async fn give_up(&self, before: Timestamp) -> Result<()> {
        let (mut key, mut id) = (String::new(), String::new());
        loop {
            let page = self.list(&key, &id).await.context("list unfinished uploads")?;
            for upload in page.uploads.iter().filter(|upload| upload.initiated < before) {
                let Some(path) = of_a_video(&upload.key, &self.prefix) else { continue };
                match self.bucket.abort_multipart(&path, &upload.upload_id).await {
                    Ok(()) | Err(Error::NotFound { .. }) => {}
                    Err(error) => return Err(error).context("give up an unfinished upload"),
                }
            }
            if !page.is_truncated || (&page.next_key_marker, &page.next_upload_id_marker) == (&key, &id) {
                return Ok(());
            }
            (key, id) = (page.next_key_marker, page.next_upload_id_marker);
        }
    }

    /// Asks for the uploads after the one to `key` with that `id`.
    async fn list(&self, key: &str, id: &str) -> Result<Page> {
        let mut query = vec![("uploads", "")];
        let others = [("prefix", self.prefix.as_ref()), ("key-marker", key), ("upload-id-marker", id)];
        query.extend(others.into_iter().filter(|(_, value)| !value.is_empty()));
        let options = SignedUrlOptions::new().with_query(query);
        let url = self.bucket.signed_url_opts(Method::GET, &Path::default(), SIGNED_FOR, &options).await?;
        let request = Request::get(url.as_str()).body(HttpRequestBody::empty())?;
        let answer = self.client.execute(request).await?;
        let status = answer.status();
        let body = answer.into_body().bytes().await?;
        ensure!(status.is_success(), "S3 answered {status}; it must allow s3:ListBucketMultipartUploads");
        quick_xml::de::from_reader(&*body).context("read the answer")
    }
}

/// Returns the place of `key` if it is one of a video under `prefix`: others may keep things in the same bucket.
fn of_a_video(key: &str, prefix: &Path) -> Option<Path> {
    let path = Path::parse(key).ok()?;
    let parts: Vec<_> = path.prefix_match(prefix)?.collect();
    let [tenant, video, _, ..] = &parts[..] else { return None };
    let is_ours = tenant.as_ref().parse::<TenantId>().is_ok() && video.as_ref().parse::<VideoId>().is_ok();
    is_ours.then(|| path.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_upload_to_the_bucket_is_left_alone() {
        let video = VideoId::random();
        let ours = |key: &str, prefix: &str| of_a_video(key, &Path::from(prefix)).is_some();
        for (key, prefix, expected) in [
            (format!("default/{video}/source/original"), "", true),
            (format!("deep/down/default/{video}/clip/a.mp4"), "deep/down", true),
            (format!("default/{video}/source/original"), "deep/down", false),
            (format!("deep/down/default/{video}"), "deep/down", false),
            ("backups/monday/disk/image".to_owned(), "", false),
            ("check/17".to_owned(), "", false),
        ] {
            assert_eq!(ours(&key, prefix), expected, "{key} under {prefix:?}");
        }
    }

    #[test]
    fn a_page_is_read_as_amazon_writes_it() {
        let text = r#"<?xml version="1.0" encoding="UTF-8"?>
            <ListMultipartUploadsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
              <Bucket>bucket</Bucket><KeyMarker></KeyMarker><UploadIdMarker></UploadIdMarker>
              <NextKeyMarker>b &amp; c</NextKeyMarker><NextUploadIdMarker>YW55</NextUploadIdMarker>
              <MaxUploads>2</MaxUploads><IsTruncated>true</IsTruncated>
              <Upload><Key>a</Key><UploadId>XMgb</UploadId><Owner><ID>75aa</ID></Owner>
                <StorageClass>STANDARD</StorageClass><Initiated>2010-11-10T20:48:33.000Z</Initiated></Upload>
              <Upload><Key>b &amp; c</Key><UploadId>YW55</UploadId><Initiated>2010-11-10T20:48:34.000Z</Initiated></Upload>
            </ListMultipartUploadsResult>"#;
        let page: Page = quick_xml::de::from_str(text).unwrap();
        let uploads: Vec<_> = page.uploads.iter().map(|u| (u.key.as_str(), u.upload_id.as_str())).collect();
        assert_eq!(uploads, [("a", "XMgb"), ("b & c", "YW55")]);
        assert_eq!(page.uploads[0].initiated, "2010-11-10T20:48:33Z".parse().unwrap());
        assert_eq!((page.is_truncated, page.next_key_marker.as_str()), (true, "b & c"));
        let none: Page = quick_xml::de::from_str("<ListMultipartUploadsResult/>").unwrap();
        assert!(none.uploads.is_empty() && !none.is_truncated);
    }
}
