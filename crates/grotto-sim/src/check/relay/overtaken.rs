//! Whether what a host acknowledged comes after what others published since.
//!
//! Owns: that only. Never: knows which log a submission is in, but by which pipelines of its host had one.

use super::{Given, Relay};

impl Relay {
    /// What a pipeline took in that had led is not published by a later one of its host if another host has led since.
    pub(super) fn check_overtaken(&self, version: u64, token: i64) -> Result<(), String> {
        let epoch = self.log.get(&version).map_or(0, |entry| entry.epoch);
        let given = self.given.get(token as usize - 1);
        let (Some(given), Some((_, pipeline))) = (given, self.reigns.get(&epoch)) else {
            return Ok(());
        };
        let own = self.reigns.range(..epoch).rev();
        // A log that had nothing yet begins again as another one, of which no version knows that it led.
        let had_log = |by: u64| {
            let earlier = |other: &Given| other.host == given.host && other.pipeline <= by;
            self.given.iter().any(|g| g.acknowledged && earlier(g))
        };
        let mut own = own.filter(|(_, (host, by))| {
            *host == given.host && *by <= given.pipeline && (*by == given.pipeline || had_log(*by))
        });
        let (Some((led, _)), false) = (own.next(), given.pipeline == *pipeline) else {
            return Ok(());
        };
        let mut since = self.reigns.range(led + 1..epoch);
        match since.find(|(_, (host, _))| *host != given.host) {
            Some((other, (host, _))) => Err(format!(
                "version {version} of epoch {epoch} has submission {token}, given under epoch {led}, and host {host} \
                 led with epoch {other} since"
            )),
            None => Ok(()),
        }
    }
}
