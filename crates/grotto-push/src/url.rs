//! Addresses of servers of announcements.
//!
//! Owns: their form, and what goes with one to let a process in. Never: takes a credential from an address, or shows
//! one.

use crate::login::{Access, Login};
use crate::{Error, Result};
use std::fmt;
use std::net::IpAddr;
use url::{Host, Url};

/// What a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Redis, and what is compatible.
    Redis,
    /// NATS.
    Nats,
}

/// Where a server of announcements is, and what lets this process in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushUrl {
    protocol: Protocol,
    pub(crate) tls: bool,
    /// As it is resolved and, with TLS, as its certificate names it.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Number of a Redis database.
    pub(crate) database: Option<u32>,
    pub(crate) login: Login,
    allows_plain: bool,
}

impl PushUrl {
    /// Reads `redis://host`, `rediss://host` (with TLS), either with a port (6379 unless given) and the number of a
    /// database behind a slash, `nats://host` or `tls://host` (NATS with TLS), with a port (4222 unless given).
    ///
    /// # Errors
    /// `Invalid` when it is none of these. The message never repeats what may be a credential.
    pub fn parse(text: &str) -> Result<Self> {
        let form = "push address: expected redis://host, rediss://host, nats://host or tls://host, with an optional \
                    port";
        // What the parser complains about may be part of a credential.
        let url = Url::parse(text).map_err(|_| Error::invalid(form))?;
        let (protocol, tls) = match url.scheme() {
            "redis" => (Protocol::Redis, false),
            "rediss" => (Protocol::Redis, true),
            "nats" => (Protocol::Nats, false),
            "tls" => (Protocol::Nats, true),
            _ => return Err(Error::invalid(form)),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::invalid(
                "push address: found a user or a password: credentials come from the environment or a file, never \
                 from an address",
            ));
        }
        let host = match url.host() {
            Some(Host::Domain(name)) if !name.is_empty() => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            _ => return Err(Error::invalid(form)),
        };
        if url.query().is_some() || url.fragment().is_some() {
            return Err(Error::invalid(format!("{form} and nothing behind it")));
        }
        let database = database(protocol, url.path())?;
        let default = match protocol {
            Protocol::Redis => 6379,
            Protocol::Nats => 4222,
        };
        Ok(Self {
            protocol,
            tls,
            host,
            port: url.port().unwrap_or(default),
            database,
            login: Login::default(),
            allows_plain: false,
        })
    }

    /// The same server with what variables say of credentials.
    #[must_use]
    pub fn with_access(mut self, access: &Access) -> Self {
        self.login = access.login(self.protocol);
        self.allows_plain = access.allows_plain();
        self
    }

    /// The same server for a user. Of NATS, a password without a user is a token.
    #[must_use]
    pub fn with_user(mut self, user: impl Into<String>) -> Self {
        self.login.user = Some(user.into());
        self
    }

    /// The same server with a password.
    #[must_use]
    pub fn with_password(mut self, password: impl Into<String>) -> Self {
        self.login.password = Some(password.into());
        self
    }

    /// What the server speaks.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Refuses to send a password to another host where everybody on the way reads it.
    ///
    /// # Errors
    /// `Invalid`, with what to do.
    pub fn check(&self) -> Result<()> {
        let is_here = self.host == "localhost"
            || self
                .host
                .parse()
                .is_ok_and(|address: IpAddr| address.is_loopback());
        if self.tls || is_here || self.allows_plain || !self.login.is_secret() {
            return Ok(());
        }
        let safe = match self.protocol {
            Protocol::Redis => "rediss://",
            Protocol::Nats => "tls://",
        };
        Err(Error::invalid(format!(
            "push address {self}: expected {safe} for another host, as a password goes there, or \
             GROTTO_PUSH_ALLOW_PLAIN=true where nobody listens on the way"
        )))
    }
}

fn database(protocol: Protocol, path: &str) -> Result<Option<u32>> {
    match (path.strip_prefix('/').unwrap_or(path), protocol) {
        ("", _) => Ok(None),
        (number, Protocol::Redis)
            if number.len() <= 9 && number.bytes().all(|b| b.is_ascii_digit()) =>
        {
            Ok(number.parse().ok())
        }
        (_, Protocol::Redis) => Err(Error::invalid(
            "push address: expected the number of a database behind the host, or nothing",
        )),
        (_, Protocol::Nats) => Err(Error::invalid(
            "push address: expected nothing behind the host",
        )),
    }
}

/// As it was written, but for a port that goes without saying.
impl fmt::Display for PushUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match (self.protocol, self.tls) {
            (Protocol::Redis, false) => "redis",
            (Protocol::Redis, true) => "rediss",
            (Protocol::Nats, false) => "nats",
            (Protocol::Nats, true) => "tls",
        };
        match self.host.contains(':') {
            true => write!(f, "{scheme}://[{}]:{}", self.host, self.port)?,
            false => write!(f, "{scheme}://{}:{}", self.host, self.port)?,
        }
        match self.database {
            Some(database) => write!(f, "/{database}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown() {
        for (text, shown) in [
            ("redis://host", "redis://host:6379"),
            ("redis://host/", "redis://host:6379"),
            ("rediss://host:7000/3", "rediss://host:7000/3"),
            ("nats://127.0.0.1", "nats://127.0.0.1:4222"),
            ("tls://[::1]:1", "tls://[::1]:1"),
        ] {
            let url = PushUrl::parse(text).unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(PushUrl::parse(shown).unwrap(), url);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_it() {
        for text in [
            "",
            "hidden",
            "http://hidden",
            "redis://",
            "redis://user:hidden@host",
            "nats://hidden@host",
            "redis://host/hidden",
            "nats://host/hidden",
            "redis://host?password=hidden",
            "redis://host#hidden",
            "redis://host:hidden",
        ] {
            let error = PushUrl::parse(text).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Invalid);
            assert!(!error.to_string().contains("hidden"), "{text}: {error}");
        }
    }

    #[test]
    fn a_password_goes_to_another_host_only_where_nobody_can_read_it() {
        let with = |text: &str| PushUrl::parse(text).unwrap().with_password("hidden");
        for text in [
            "redis://127.0.0.1",
            "redis://[::1]",
            "nats://localhost",
            "tls://host",
            "rediss://host",
        ] {
            assert!(with(text).check().is_ok(), "{text}");
        }
        for text in ["redis://host", "nats://10.0.0.1"] {
            let error = with(text).check().unwrap_err();
            assert!(
                error.message().contains("GROTTO_PUSH_ALLOW_PLAIN"),
                "{error}"
            );
            assert!(!error.to_string().contains("hidden"), "{error}");
            assert!(
                PushUrl::parse(text).unwrap().check().is_ok(),
                "without a password"
            );
            let access = Access::from_vars([("GROTTO_PUSH_ALLOW_PLAIN", "true")]);
            let allowed = PushUrl::parse(text)
                .unwrap()
                .with_access(&access)
                .with_password("hidden");
            assert!(allowed.check().is_ok(), "{text}");
        }
        assert!(!format!("{:?}", with("redis://host")).contains("hidden"));
    }
}
