//! Where a state is kept on this host, and who may read it there.
//!
//! Owns: the options of state directories. Never: opens one.

use crate::failure::{Failure, Outcome};
use grotto::consumer::ConsumerBuilder;
use grotto_service::config::{Settings, folder_mode, group_number};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Where a state is kept.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct PlaceArgs {
    /// Keep the state in this folder, mapped, for the next command and for other processes
    #[arg(long, value_name = "FOLDER", env = "GROTTO_STATE_DIR", hide_env = true)]
    pub(crate) state_dir: Option<PathBuf>,
    /// Mode of the folder, such as 755, so that others can read the state there [default: 700]
    #[arg(long, value_name = "MODE", value_parser = folder_mode)]
    pub(crate) state_mode: Option<u32>,
    /// Group that may read the state in the folder, by name or number; its mode is 750 then
    #[arg(long, value_name = "GROUP")]
    pub(crate) state_group: Option<String>,
}

/// What the options come to.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) dir: PathBuf,
    mode: Option<u32>,
    group: Option<u32>,
    /// Types that are kept; all if there are none.
    types: BTreeSet<String>,
    /// Channel that is followed instead of the newest version.
    channel: Option<String>,
}

impl PlaceArgs {
    /// Puts options and configuration together; options win. `None` for a state on the heap.
    pub(crate) fn resolve(&self, settings: &Settings) -> Outcome<Option<Place>> {
        let group = self.state_group.clone().or_else(|| settings.state_group());
        let Some(dir) = self.state_dir.clone().or_else(|| settings.state_dir()) else {
            if self.state_mode.is_some() || self.state_group.is_some() {
                let message = "--state-mode and --state-group: expected --state-dir as well";
                return Err(Failure::invalid(message));
            }
            return Ok(None);
        };
        Ok(Some(Place {
            dir,
            mode: self.state_mode.or_else(|| settings.state_mode()),
            group: group.as_deref().map(group_number).transpose()?,
            types: settings.types(),
            channel: settings.channel(),
        }))
    }
}

impl Place {
    /// Has a consumer keep its state here.
    pub(crate) fn set(&self, mut builder: ConsumerBuilder) -> ConsumerBuilder {
        builder = builder.state_dir(&self.dir);
        if let Some(channel) = &self.channel {
            builder = builder.channel(channel);
        }
        if !self.types.is_empty() {
            builder = builder.types(self.types.iter().cloned());
        }
        if let Some(mode) = self.mode {
            builder = builder.state_mode(mode);
        }
        match self.group {
            Some(group) => builder.state_group(group),
            None => builder,
        }
    }
}

/// Who this is, for those who read logs: the host and the number of the process.
pub(crate) fn host_and_process() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() {
        "unknown host"
    } else {
        host.trim()
    };
    format!("{host}:{}", std::process::id())
}

/// Such as `ada@host:4711`.
pub(crate) fn user_and_host() -> String {
    let user = std::env::var("USER").unwrap_or_default();
    match user.as_str() {
        "" => host_and_process(),
        user => format!("{user}@{}", host_and_process()),
    }
}
