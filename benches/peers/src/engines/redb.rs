//! redb: integer keys, filled in one transaction in order, read within one transaction.
//!
//! Owns: its configuration. The cache holds the whole dataset.

use super::{Engine, Read, encode, part_of, sorted};
use anyhow::Result;
use grotto_bench::workload::Model;
use grotto_bench::workload::flat::Flat;
use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use std::path::Path;

const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("flat");

/// Bytes of redb's own cache.
const CACHE: usize = 4 << 30;

struct Redb(Database);

pub(super) fn build(model: &Model<Flat>, folder: &Path) -> Result<Box<dyn Engine>> {
    let database = Database::builder()
        .set_cache_size(CACHE)
        .create(folder.join("flat.redb"))?;
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::None)?;
    {
        let mut table = transaction.open_table(TABLE)?;
        for product in sorted(model) {
            table.insert(product.id.cast_unsigned(), encode(product).as_slice())?;
        }
    }
    transaction.commit()?;
    // Gives the pages of the filling transaction back.
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    transaction.commit()?;
    Ok(Box::new(Redb(database)))
}

impl Engine for Redb {
    fn read(&self, read: Read, keys: &[i64]) -> Result<Option<i64>> {
        let transaction = self.0.begin_read()?;
        let table = transaction.open_table(TABLE)?;
        let mut sum = 0_i64;
        match read {
            Read::Many | Read::ManyText => return Ok(None),
            Read::Scan => {
                for entry in table.iter()? {
                    sum = sum.wrapping_add(part_of(read, entry?.1.value()));
                }
            }
            _ => {
                for key in keys {
                    if let Some(found) = table.get(key.cast_unsigned())? {
                        sum = sum.wrapping_add(part_of(read, found.value()));
                    }
                }
            }
        }
        Ok(Some(sum))
    }
}
