//! What S3 does with objects, as far as this project asks for it.

use bytes::Bytes;
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use url::form_urlencoded;

/// Keys of one answer to a listing: small, so that tests see more than one.
const PAGE: usize = 100;
const MODIFIED: &str = "Mon, 30 Nov 2026 00:00:00 GMT";

/// How a put "if there is none" is honoured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Conditions {
    #[default]
    Honest,
    /// Not at all, as Garage does it.
    Ignored,
    /// By looking first and writing then, as s3s-fs does it.
    CheckThenWrite,
}

/// All objects, by key.
#[derive(Default)]
pub(crate) struct Objects {
    objects: Mutex<BTreeMap<String, Bytes>>,
    /// Parts by upload.
    uploads: Mutex<BTreeMap<String, BTreeMap<u32, Bytes>>>,
    begun: AtomicUsize,
    pub(super) conditions: Mutex<Conditions>,
    pub(super) hidden: Mutex<Vec<&'static str>>,
}

/// A request.
pub(crate) struct Asked {
    method: Method,
    /// Without the bucket; empty for the bucket itself.
    key: String,
    query: BTreeMap<String, String>,
    headers: HeaderMap,
    body: Bytes,
}

impl Asked {
    pub(super) fn new(head: Parts, body: Bytes) -> Self {
        let path = head.uri.path().trim_start_matches('/');
        let (_, key) = path.split_once('/').unwrap_or((path, ""));
        let decoded = format!("key={key}");
        let key = form_urlencoded::parse(decoded.as_bytes()).next().unwrap().1;
        let query = head.uri.query().unwrap_or_default();
        Self {
            method: head.method,
            key: key.into_owned(),
            query: form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
            headers: head.headers,
            body,
        }
    }

    fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether an object may only be created, by the header of either vendor.
    fn creates(&self) -> bool {
        self.header("if-none-match") == Some("*")
            || self.header("x-goog-if-generation-match") == Some("0")
    }
}

/// What is answered.
pub(crate) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Bytes,
}

impl Answer {
    fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            headers: vec![
                ("etag", "\"e\"".to_owned()),
                ("last-modified", MODIFIED.to_owned()),
                ("x-goog-generation", "1".to_owned()),
            ],
            body: body.into(),
        }
    }

    pub(super) fn refusal(status: u16, code: &str) -> Self {
        Self::new(
            status,
            format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code></Error>"),
        )
    }
}

impl Objects {
    pub(super) fn unfinished(&self) -> usize {
        self.uploads.lock().len()
    }

    pub(super) async fn answer(&self, asked: &Asked) -> Answer {
        match (&asked.method, asked.key.as_str()) {
            (&Method::GET, "") => self.list(asked),
            (&Method::POST, "") => self.delete_all(asked),
            (&Method::POST, _) => self.multipart(asked),
            (&Method::GET | &Method::HEAD, key) => self.get(key, asked),
            (&Method::PUT, _) => self.put(asked).await,
            (&Method::DELETE, key) => {
                match asked.query("uploadId") {
                    Some(upload) => self.uploads.lock().remove(upload).map(drop),
                    None => self.objects.lock().remove(key).map(drop),
                };
                Answer::new(204, "")
            }
            _ => Answer::refusal(405, "MethodNotAllowed"),
        }
    }

    fn get(&self, key: &str, asked: &Asked) -> Answer {
        let found = self.objects.lock().get(key).cloned();
        let Some(bytes) = found else {
            return Answer::refusal(404, "NoSuchKey");
        };
        if asked.method == Method::HEAD {
            let mut answer = Answer::new(200, "");
            answer
                .headers
                .push(("content-length", bytes.len().to_string()));
            return answer;
        }
        let range = asked
            .header("range")
            .and_then(|range| range.strip_prefix("bytes="));
        let Some((first, last)) = range.and_then(|range| range.split_once('-')) else {
            return Answer::new(200, bytes);
        };
        let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
        if first >= bytes.len() {
            return Answer::refusal(416, "InvalidRange");
        }
        let last = last.min(bytes.len() - 1);
        let mut answer = Answer::new(206, bytes.slice(first..=last));
        let told = format!("bytes {first}-{last}/{}", bytes.len());
        answer.headers.push(("content-range", told));
        answer
    }

    async fn put(&self, asked: &Asked) -> Answer {
        if let (Some(upload), Some(part)) = (asked.query("uploadId"), asked.query("partNumber")) {
            let mut uploads = self.uploads.lock();
            let Some(parts) = uploads.get_mut(upload) else {
                return Answer::refusal(404, "NoSuchUpload");
            };
            parts.insert(part.parse().unwrap(), asked.body.clone());
            return Answer::new(200, "");
        }
        let conditions = *self.conditions.lock();
        let exists = self.objects.lock().contains_key(&asked.key);
        let creates = asked.creates() && conditions != Conditions::Ignored;
        if creates && exists {
            return Answer::refusal(412, "PreconditionFailed");
        }
        if creates && conditions == Conditions::CheckThenWrite {
            // Long enough that those who race have all looked.
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        }
        let mut objects = self.objects.lock();
        if creates && conditions == Conditions::Honest && objects.contains_key(&asked.key) {
            return Answer::refusal(412, "PreconditionFailed");
        }
        objects.insert(asked.key.clone(), asked.body.clone());
        Answer::new(200, "")
    }

    fn multipart(&self, asked: &Asked) -> Answer {
        if asked.query("uploads").is_some() {
            let upload = self.begun.fetch_add(1, Ordering::Relaxed).to_string();
            self.uploads.lock().insert(upload.clone(), BTreeMap::new());
            return Answer::new(
                200,
                format!(
                    "<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
                ),
            );
        }
        let upload = asked.query("uploadId").unwrap_or_default();
        let Some(parts) = self.uploads.lock().remove(upload) else {
            return Answer::refusal(404, "NoSuchUpload");
        };
        let whole: Vec<u8> = parts.into_values().flatten().collect();
        self.objects.lock().insert(asked.key.clone(), whole.into());
        Answer::new(
            200,
            "<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>",
        )
    }

    /// Keys that more than one request deletes at a time come in a body.
    fn delete_all(&self, asked: &Asked) -> Answer {
        let text = String::from_utf8_lossy(&asked.body).into_owned();
        let mut told = String::from("<DeleteResult>");
        for part in text.split("<Key>").skip(1) {
            let key = part.split("</Key>").next().unwrap();
            self.objects.lock().remove(key);
            write!(told, "<Deleted><Key>{key}</Key></Deleted>").unwrap();
        }
        Answer::new(200, told + "</DeleteResult>")
    }

    fn list(&self, asked: &Asked) -> Answer {
        let prefix = asked.query("prefix").unwrap_or_default();
        let after = asked
            .query("continuation-token")
            .or(asked.query("start-after"));
        let (after, hidden) = (after.unwrap_or_default(), self.hidden.lock().clone());
        let objects = self.objects.lock();
        let shown = objects.iter().filter(|(key, _)| {
            key.starts_with(prefix)
                && key.as_str() > after
                && !hidden.iter().any(|part| key.contains(part))
        });
        if let Some(delimiter) = asked.query("delimiter") {
            let folder = |(key, _): (&String, &Bytes)| {
                let (folder, _) = key[prefix.len()..].split_once(delimiter)?;
                Some(format!("{prefix}{folder}{delimiter}"))
            };
            let folders: std::collections::BTreeSet<String> = shown.filter_map(folder).collect();
            let folders = folders.into_iter().map(|folder| {
                format!("<CommonPrefixes><Prefix>{folder}</Prefix></CommonPrefixes>")
            });
            return listing(&folders.collect::<String>());
        }
        let keys: Vec<(&String, usize)> = shown.map(|(key, bytes)| (key, bytes.len())).collect();
        let mut told = String::new();
        for (key, size) in keys.iter().take(PAGE) {
            write!(
                told,
                "<Contents><Key>{key}</Key><Size>{size}</Size><ETag>e</ETag>\
                 <LastModified>2026-11-30T00:00:00.000Z</LastModified></Contents>"
            )
            .unwrap();
        }
        if keys.len() > PAGE {
            let last = keys[PAGE - 1].0;
            write!(
                told,
                "<NextContinuationToken>{last}</NextContinuationToken>"
            )
            .unwrap();
        }
        listing(&told)
    }
}

fn listing(inner: &str) -> Answer {
    Answer::new(200, format!("<ListBucketResult>{inner}</ListBucketResult>"))
}
