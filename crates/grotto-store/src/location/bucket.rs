//! Addresses of buckets.
//!
//! Owns: their form, and which settings may stand in one. Never: takes a credential from an address, or repeats one.

use std::fmt;

use url::Url;

use super::Access;
use crate::error::{Error, Result};

/// Whose interface a bucket has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vendor {
    /// Amazon S3 and what is compatible with it.
    S3,
    /// Google Cloud Storage.
    Google,
    /// Azure Blob.
    Azure,
}

impl Vendor {
    pub(super) const ALL: [Self; 3] = [Self::S3, Self::Google, Self::Azure];

    pub(super) fn of(scheme: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|vendor| vendor.scheme() == scheme)
    }

    pub(crate) fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Google => "gs",
            Self::Azure => "az",
        }
    }

    /// How the names of its variables begin.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::S3 => "AWS_",
            Self::Google => "GOOGLE_",
            Self::Azure => "AZURE_",
        }
    }

    /// What its buckets are called.
    pub(crate) fn bucket(self) -> &'static str {
        match self {
            Self::S3 | Self::Google => "bucket",
            Self::Azure => "container",
        }
    }
}

/// Where in which bucket a store lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketUrl {
    pub(crate) vendor: Vendor,
    pub(crate) bucket: String,
    /// Without slashes at its ends; empty for the whole bucket.
    pub(crate) prefix: String,
    /// `?endpoint=`: a server that is compatible, instead of the vendor's own.
    pub(crate) endpoint: Option<Url>,
    /// `?region=`, of S3.
    pub(crate) region: Option<String>,
    /// `?account=`, of Azure.
    pub(crate) account: Option<String>,
    pub(crate) access: Access,
}

impl BucketUrl {
    pub(super) fn parse(vendor: Vendor, text: &str) -> Result<Self> {
        let form = || {
            let (scheme, bucket) = (vendor.scheme(), vendor.bucket());
            format!("store address: expected {scheme}://{bucket}/prefix")
        };
        // What the parser complains about may be part of a credential.
        let url = Url::parse(text).map_err(|_| Error::invalid(form()))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::invalid(format!(
                "{}, found a user or a password: credentials come from the environment, never from an address",
                form()
            )));
        }
        let (bucket, prefix) = parts(text)
            .filter(|_| url.fragment().is_none())
            .ok_or_else(|| Error::invalid(form()))?;
        let mut parsed = Self {
            vendor,
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            endpoint: None,
            region: None,
            account: None,
            access: Access::default(),
        };
        for (name, value) in url.query_pairs() {
            parsed.set(&name, &value)?;
        }
        Ok(parsed)
    }

    /// Whatever is not known here may be a credential: its value is not repeated.
    fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let slot = match (name, self.vendor) {
            ("endpoint", _) => return self.set_endpoint(value),
            ("region", Vendor::S3) => &mut self.region,
            ("account", Vendor::Azure) => &mut self.account,
            _ => {
                let known = match self.vendor {
                    Vendor::S3 => "endpoint or region",
                    Vendor::Google => "endpoint",
                    Vendor::Azure => "endpoint or account",
                };
                let name: String = name.chars().take(40).collect();
                return Err(Error::invalid(format!(
                    "store address: expected the setting {known}, found {name:?}: credentials come from the \
                     environment, never from an address"
                )));
            }
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if value.is_empty() || !value.chars().all(plain) {
            return Err(Error::invalid(format!(
                "store address: expected {name} of letters, digits and '-'"
            )));
        }
        *slot = Some(value.to_owned());
        Ok(())
    }

    fn set_endpoint(&mut self, value: &str) -> Result<()> {
        let plain = |url: &Url| {
            matches!(url.scheme(), "http" | "https")
                && url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none()
                && !url.path().contains('&')
        };
        let endpoint = Url::parse(value).ok().filter(plain).ok_or_else(|| {
            Error::invalid(
                "store address: expected endpoint=https://host or http://host, with an optional port and path",
            )
        })?;
        self.endpoint = Some(endpoint);
        Ok(())
    }

    pub(super) fn with_access(self, access: &Access) -> Self {
        Self {
            access: access.clone(),
            ..self
        }
    }

    /// Bucket and prefix, for people.
    pub(crate) fn place(&self) -> String {
        let (scheme, bucket) = (self.vendor.scheme(), &self.bucket);
        match self.prefix.as_str() {
            "" => format!("{scheme}://{bucket}"),
            prefix => format!("{scheme}://{bucket}/{prefix}"),
        }
    }
}

/// Bucket and prefix as they are written: a parser of urls resolves `..`, and escapes mean other things to other stores.
fn parts(text: &str) -> Option<(&str, &str)> {
    let (_, rest) = text.split_once("://")?;
    let place = rest.split('?').next()?;
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    let plain = |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(is_plain);
    let is_prefix = prefix.is_empty() || prefix.split('/').all(plain);
    (plain(bucket) && is_prefix).then_some((bucket, prefix))
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'=')
}

impl fmt::Display for BucketUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place())?;
        let endpoint = self
            .endpoint
            .as_ref()
            .map(|url| url.as_str().trim_end_matches('/'));
        let settings = [
            ("endpoint", endpoint),
            ("region", self.region.as_deref()),
            ("account", self.account.as_deref()),
        ];
        let set = settings
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        for (count, (name, value)) in set.enumerate() {
            let mark = if count == 0 { '?' } else { '&' };
            write!(f, "{mark}{name}={value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::location::{Access, StoreUrl};

    #[test]
    fn addresses_of_buckets_are_shown_as_they_are_read() {
        for text in [
            "s3://bucket",
            "s3://bucket/a/b",
            "s3://bucket/a?endpoint=http://127.0.0.1:4566&region=eu-west-1",
            "gs://bucket/team=x",
            "az://container/a?account=shop",
        ] {
            assert_eq!(StoreUrl::parse(text).unwrap().to_string(), text);
        }
        let url = StoreUrl::parse("s3://bucket/a/?endpoint=https%3A%2F%2Fhost%2F").unwrap();
        assert_eq!(url.to_string(), "s3://bucket/a?endpoint=https://host");
    }

    #[test]
    fn an_address_with_a_credential_is_refused_and_not_repeated() {
        for text in [
            "s3://key:hidden@bucket/prefix",
            "s3://hidden@bucket",
            "s3://bucket?secret_access_key=hidden",
            "s3://bucket?endpoint=http://a:hidden@host",
            "s3://bucket?endpoint=http://host/?token=hidden",
            "az://container?sas=hidden",
            "s3://bu cket/hidden",
        ] {
            let error = StoreUrl::parse(text).unwrap_err();
            assert!(error.message().contains("expected"), "{text}: {error}");
            assert!(
                !format!("{error:?}").contains("hidden"),
                "{text}: {error:?}"
            );
        }
    }

    #[test]
    fn addresses_that_mean_nothing_are_refused() {
        for text in [
            "s3://",
            "s3:///prefix",
            "s3://bucket:80/x",
            "s3://bucket/x#y",
            "s3://bucket//x",
            "s3://bucket/%2e%2e/x",
            "s3://bucket?region=",
            "s3://bucket?region=a/b",
            "gs://bucket?region=x",
            "s3://bucket?endpoint=ftp://host",
            "https://bucket.s3.amazonaws.com",
        ] {
            let error = StoreUrl::parse(text).unwrap_err();
            assert!(error.message().contains("expected"), "{text}: {error}");
        }
    }

    #[test]
    fn no_credential_is_shown_with_an_address() {
        let access = Access::from_vars([("AWS_SECRET_ACCESS_KEY", "hidden")]);
        let url = StoreUrl::parse("s3://bucket").unwrap().with_access(&access);
        assert!(!format!("{url} {url:?}").contains("hidden"));
    }
}
