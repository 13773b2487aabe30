//! What lets a process into a bucket: credentials and settings, under the names of the vendors' variables.
//!
//! Owns: picking them from variables, and keeping their values out of sight. Never: reads the environment, or shows a
//! value.

use std::collections::BTreeMap;
use std::fmt;

use super::Vendor;

/// Credentials and settings of buckets, as variables named like those of the vendors' own tools:
/// `AWS_ACCESS_KEY_ID`, `AWS_REGION`, `AWS_ENDPOINT_URL`, `GOOGLE_APPLICATION_CREDENTIALS`,
/// `AZURE_STORAGE_ACCOUNT_NAME` and so on. Without any, what the host offers is used: the role of an instance or of a
/// container, a managed identity.
///
/// ```
/// use grotto_store::{Access, StoreUrl};
///
/// let access = Access::from_vars(std::env::vars());
/// let url = StoreUrl::parse("s3://shop/prices")?.with_access(&access);
/// # Ok::<_, grotto_store::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Access(BTreeMap<String, String>);

impl Access {
    /// Those of the variables that concern buckets; an empty one is as if it were not set.
    pub fn from_vars<K: Into<String>, V: Into<String>>(
        vars: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let vars = vars
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()));
        let ours = |name: &str| {
            Vendor::ALL
                .iter()
                .any(|vendor| name.starts_with(vendor.prefix()))
        };
        Self(
            vars.filter(|(name, value)| ours(name) && !value.is_empty())
                .collect(),
        )
    }

    /// The variables of a vendor, by name.
    pub(crate) fn of(&self, vendor: Vendor) -> impl Iterator<Item = (&str, &str)> {
        let ours = self
            .0
            .iter()
            .filter(move |(name, _)| name.starts_with(vendor.prefix()));
        ours.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

/// Names only: values may be secrets.
impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_variables_of_vendors_are_kept_and_no_value_is_shown() {
        let access = Access::from_vars([
            ("AWS_SECRET_ACCESS_KEY", "hidden"),
            ("AWS_REGION", ""),
            ("AZURE_STORAGE_ACCOUNT_KEY", "hidden"),
            ("GOOGLE_SERVICE_ACCOUNT", "/hidden"),
            ("HOME", "/root"),
        ]);
        let shown = format!("{access:?}");
        assert_eq!(
            shown,
            r#"{"AWS_SECRET_ACCESS_KEY", "AZURE_STORAGE_ACCOUNT_KEY", "GOOGLE_SERVICE_ACCOUNT"}"#
        );
        let aws: Vec<_> = access.of(Vendor::S3).collect();
        assert_eq!(aws, [("AWS_SECRET_ACCESS_KEY", "hidden")]);
    }
}
