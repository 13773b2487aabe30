//! Servers of announcements that a daemon uses.
//!
//! Owns: one client for each, however many datasets are announced there, and what is said of them. Never: knows a
//! protocol, or lets a dataset wait.

use crate::config::PushSettings;
use grotto::Result;
use grotto::consumer::PushLink;
use grotto::engine::env::Env;
use grotto::push::{Channel, Push, PushOptions};
use parking_lot::Mutex;
use serde_json::{Value, json};

/// Clients of all servers, by what lets into them.
#[derive(Debug, Default)]
pub(crate) struct Pushes(Mutex<Vec<(PushSettings, Push)>>);

impl Pushes {
    /// The client and the channel of a dataset; `None` where it is not announced.
    ///
    /// # Errors
    /// `Invalid` when the password cannot be read or may not go there, or the dataset needs a channel with a name.
    pub(crate) fn open(
        &self,
        settings: &PushSettings,
        dataset: &str,
        env: &Env,
    ) -> Result<Option<(Push, Channel)>> {
        let Some(url) = settings.server()? else {
            return Ok(None);
        };
        let channel = settings.channel_of(dataset)?;
        let server = PushSettings {
            channel: None,
            ..settings.clone()
        };
        let mut opened = self.0.lock();
        let known = opened.iter().find(|(of, _)| *of == server);
        let push = match known {
            Some((_, push)) => push.clone(),
            None => {
                let push = Push::new(url, PushOptions::default(), env.clone())?;
                opened.push((server, push.clone()));
                push
            }
        };
        Ok(Some((push, channel)))
    }
}

/// How announcements are, for people: a note, as nothing depends on them.
pub(crate) fn note(link: &PushLink) -> Option<String> {
    match link {
        PushLink::Down(why) => Some(format!(
            "versions are not announced, only found by polling: {why}"
        )),
        _ => None,
    }
}

/// The same for programs.
pub(crate) fn told(link: &PushLink) -> Value {
    match link {
        PushLink::Up => json!({ "link": "up", "reason": null }),
        PushLink::Down(why) => json!({ "link": "down", "reason": why }),
        _ => json!({ "link": "opening", "reason": null }),
    }
}
