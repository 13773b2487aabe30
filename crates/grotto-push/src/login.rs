//! What lets this process into a server of announcements.
//!
//! Owns: picking it from variables, and keeping it out of sight. Never: reads the environment, or shows a secret.

use crate::url::Protocol;
use std::collections::BTreeMap;
use std::fmt;

/// Names of the variables that count.
const NAMES: [&str; 4] = [
    "REDISCLI_AUTH",
    "NATS_USER",
    "NATS_PASSWORD",
    "GROTTO_PUSH_ALLOW_PLAIN",
];

/// Credentials, as variables named like those of the servers' own tools: `REDISCLI_AUTH`, and `NATS_USER` with
/// `NATS_PASSWORD`, or `NATS_PASSWORD` alone for a token. `GROTTO_PUSH_ALLOW_PLAIN=true` lets them go to another host
/// without encryption.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Access(BTreeMap<String, String>);

impl Access {
    /// Those of the variables that count; an empty one is as if it were not set.
    pub fn from_vars<K: Into<String>, V: Into<String>>(
        vars: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let vars = vars
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()));
        let ours = |name: &str| NAMES.contains(&name);
        Self(
            vars.filter(|(name, value)| ours(name) && !value.is_empty())
                .collect(),
        )
    }

    /// What lets into a server of this kind.
    pub(crate) fn login(&self, protocol: Protocol) -> Login {
        let of = |name: &str| self.0.get(name).cloned();
        match protocol {
            Protocol::Redis => Login {
                user: None,
                password: of("REDISCLI_AUTH"),
            },
            Protocol::Nats => Login {
                user: of("NATS_USER"),
                password: of("NATS_PASSWORD"),
            },
        }
    }

    pub(crate) fn allows_plain(&self) -> bool {
        self.0.get("GROTTO_PUSH_ALLOW_PLAIN").map(String::as_str) == Some("true")
    }
}

/// Names only: values are secrets.
impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A user and a password, or either.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
}

impl Login {
    /// Whether there is a secret in it.
    pub(crate) fn is_secret(&self) -> bool {
        self.password.is_some()
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = if self.is_secret() { "…" } else { "none" };
        write!(f, "Login({:?}, {secret})", self.user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_those_of_the_server_and_are_not_shown() {
        let access = Access::from_vars([
            ("REDISCLI_AUTH", "hidden"),
            ("NATS_USER", "reader"),
            ("NATS_PASSWORD", "hidden"),
            ("HOME", "hidden"),
        ]);
        let (redis, nats) = (access.login(Protocol::Redis), access.login(Protocol::Nats));
        assert_eq!(
            (redis.user.as_deref(), redis.password.as_deref()),
            (None, Some("hidden"))
        );
        assert_eq!(
            (nats.user.as_deref(), nats.password.as_deref()),
            (Some("reader"), Some("hidden"))
        );
        for shown in [
            format!("{access:?}"),
            format!("{redis:?}"),
            format!("{nats:?}"),
        ] {
            assert!(!shown.contains("hidden"), "{shown}");
        }
    }
}
