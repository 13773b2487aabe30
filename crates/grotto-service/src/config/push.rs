//! Section `push`: through which server versions are announced.
//!
//! Owns: its keys, and what lets a process into the server. Never: connects, or shows a password.

use super::section::section;
use super::token::read_password;
use super::value;
use grotto::Result;
use grotto::push::{Access, Channel, PushUrl};
use std::path::{Path, PathBuf};

section! {
    /// Section `push`.
    PushSettings {
        /// Redis or NATS server; versions are found by polling alone unless set.
        url: Option<PushUrl> = None, "value::push_url";
        /// Channel or subject; `grotto.` and the name of the dataset unless set.
        channel: Option<Channel> = None, "value::push_channel";
        /// User of the server.
        user: Option<String> = None, "value::name";
        /// File with the password in its first line, for its owner alone.
        password_file: Option<PathBuf> = None, "value::some_path";
    }
}

impl PushSettings {
    /// The same with what variables say of credentials, and paths from a folder on.
    pub(super) fn complete(&mut self, access: &Access, folder: &Path) {
        self.url = self.url.take().map(|url| url.with_access(access));
        if let Some(path) = &mut self.password_file {
            *path = folder.join(&*path);
        }
    }

    /// The server with all that lets this process in; `None` where versions are not announced.
    ///
    /// # Errors
    /// `Invalid` when the file of the password cannot be read or is not for its owner alone, or the password would go to
    /// another host without encryption.
    pub fn server(&self) -> Result<Option<PushUrl>> {
        let Some(mut url) = self.url.clone() else {
            return Ok(None);
        };
        if let Some(user) = &self.user {
            url = url.with_user(user);
        }
        if let Some(path) = &self.password_file {
            url = url.with_password(read_password(path)?);
        }
        url.check()?;
        Ok(Some(url))
    }

    /// The channel of a dataset.
    ///
    /// # Errors
    /// `Invalid` when the name of the dataset makes none, so that one has to be named.
    pub fn channel_of(&self, dataset: &str) -> Result<Channel> {
        match &self.channel {
            Some(channel) => Ok(channel.clone()),
            None => Channel::of(dataset),
        }
    }
}
