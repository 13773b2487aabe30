//! A server of announcements, as producers and consumers use it.
//!
//! Owns: what they share of it. Never: keeps them waiting for it.

use crate::channel::Channel;
use crate::hub::Hub;
use crate::link::Server;
use crate::options::PushOptions;
use crate::tell::{Outbox, PushAnnouncer};
use crate::url::PushUrl;
use crate::{Error, ErrorKind, Result};
use grotto_env::Env;
use grotto_store::{Announcements, announcements};
use parking_lot::Mutex;
use std::fmt;
use std::sync::{Arc, Weak};

/// A server of announcements. Cheap to clone; clones share a connection for all that listen, and one for all that
/// announce, each of which is there while somebody does.
#[derive(Clone)]
pub struct Push(Arc<Inner>);

struct Inner {
    server: Server,
    hub: Arc<Hub>,
    outbox: Mutex<Weak<Outbox>>,
}

impl fmt::Debug for Push {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Push({})", self.0.server.url)
    }
}

impl Push {
    /// A server. Nobody connects before somebody listens or may announce.
    ///
    /// # Errors
    /// `Invalid` when a password would go to another host without encryption, or there is no tokio runtime around
    /// the call.
    pub fn new(url: PushUrl, options: PushOptions, env: Env) -> Result<Self> {
        url.check()?;
        grotto_env::check_runtime().map_err(|e| Error::showing(ErrorKind::Invalid, e))?;
        Ok(Self(Arc::new(Inner {
            server: Server { url, options, env },
            hub: Arc::default(),
            outbox: Mutex::default(),
        })))
    }

    /// What is announced of a dataset on a channel, for a consumer. To be called within a tokio runtime.
    #[must_use]
    pub fn listen(&self, channel: &Channel, dataset: &str) -> Announcements {
        let (feed, heard) = announcements(dataset);
        self.0.hub.add(&self.0.server, channel, feed);
        heard
    }

    /// Announces versions of a dataset on a channel, for a producer. To be called within a tokio runtime.
    #[must_use]
    pub fn announcer(&self, channel: &Channel, dataset: &str) -> PushAnnouncer {
        let mut known = self.0.outbox.lock();
        let outbox = known.upgrade().unwrap_or_else(|| {
            let outbox = Outbox::start(self.0.server.clone());
            *known = Arc::downgrade(&outbox);
            outbox
        });
        outbox.announcer(channel, dataset)
    }
}
