//! Looking at versions of the past.
//!
//! Owns: which are opened, and that they are what they were. Never: changes what the reader serves.

use grotto_consumer::Error;

use super::Reader;
use crate::check::check_served;

impl Reader {
    /// A look at an older version needs that version and no newer one.
    pub(super) async fn look_back(&mut self) {
        let intact = self.stage.sim.ledger.lock().intact();
        let Some(version) = intact.get(self.dice.below(intact.len() as u64) as usize) else {
            return;
        };
        let types = self.types.filter(|_| self.dice.chance(500));
        if let Err(error) = self.read(*version, types).await {
            self.note("look back", &error.to_string());
        }
    }

    /// Opens one version, or some types of it, and compares it.
    pub(crate) async fn read(&mut self, version: u64, types: Option<&[&str]>) -> Result<(), Error> {
        let name = format!("r{}.old", self.number);
        let (client, builder) = self.builder_of(&name, types);
        let opened = builder.open_at(version).await;
        client.die();
        let consumer = opened.inspect_err(|error| self.judge(error))?;
        let state = consumer.state();
        if state.version() != version {
            let found = state.version();
            self.violation(&format!("opened version {version}, got {found}"));
        }
        check_served(&self.stage.sim, &self.name(), &state);
        Ok(())
    }
}
