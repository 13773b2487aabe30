//! Announcements of versions through a Redis or NATS server: publish/subscribe.
//!
//! Owns: the two protocols, as far as announcements need them, connections, and trying again. Never: knows what a
//! version is worth; whoever hears of one looks into the log. Never: keeps a producer or a consumer waiting.
//!
//! ```no_run
//! # async fn example() -> grotto_push::Result<()> {
//! use grotto_env::Env;
//! use grotto_push::{Channel, Push, PushOptions, PushUrl};
//!
//! let url = PushUrl::parse("redis://127.0.0.1:6379")?;
//! let push = Push::new(url, PushOptions::default(), Env::system())?;
//! let channel = Channel::of("cities")?;
//! let heard = push.listen(&channel, "cities"); // for a consumer
//! let announcer = push.announcer(&channel, "cities"); // for a producer
//! # Ok(())
//! # }
//! ```
//!
//! **Invariant**: what a server sends is untrusted: every line, text and list has a limit that is looked at before memory
//! is taken, and what is no answer ends the connection, never more.
//!
//! **Invariant**: of what waits to be announced only the newest version of a channel is kept.
#![forbid(unsafe_code)]

mod channel;
mod hub;
mod link;
mod login;
mod nats;
mod options;
mod push;
mod redis;
mod session;
mod tell;
mod tls;
mod url;
mod wire;

pub use channel::Channel;
pub use grotto_error::{Error, ErrorKind, Result};
pub use login::Access;
pub use options::PushOptions;
pub use push::Push;
pub use tell::PushAnnouncer;
pub use url::{Protocol, PushUrl};
