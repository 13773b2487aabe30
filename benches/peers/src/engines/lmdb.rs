//! LMDB: integer keys, filled in order with `MDB_APPEND`, read within one transaction.
//!
//! Owns: its configuration. Nothing is synced while it is filled: it is a cache here.

use super::{Engine, Read, encode, part_of, sorted};
use anyhow::Result;
use grotto_bench::workload::Model;
use grotto_bench::workload::flat::Flat;
use lmdb::{
    Cursor, Database, DatabaseFlags, Environment, EnvironmentFlags, Error, Transaction, WriteFlags,
};
use std::path::Path;

/// Address space for the map, far more than any dataset here takes.
const MAP: usize = 16 << 30;

struct Lmdb {
    environment: Environment,
    database: Database,
}

pub(super) fn build(model: &Model<Flat>, folder: &Path) -> Result<Box<dyn Engine>> {
    let place = folder.join("lmdb");
    std::fs::create_dir_all(&place)?;
    let mut builder = Environment::new();
    builder.set_map_size(MAP).set_max_dbs(1);
    builder.set_flags(EnvironmentFlags::NO_SYNC | EnvironmentFlags::NO_META_SYNC);
    let environment = builder.open(&place)?;
    let database = environment.create_db(Some("flat"), DatabaseFlags::INTEGER_KEY)?;
    let mut transaction = environment.begin_rw_txn()?;
    for product in sorted(model) {
        let (key, value) = (product.id.cast_unsigned().to_ne_bytes(), encode(product));
        transaction.put(database, &key, &value, WriteFlags::APPEND)?;
    }
    transaction.commit()?;
    Ok(Box::new(Lmdb {
        environment,
        database,
    }))
}

impl Engine for Lmdb {
    fn read(&self, read: Read, keys: &[i64]) -> Result<Option<i64>> {
        let transaction = self.environment.begin_ro_txn()?;
        let mut sum = 0_i64;
        match read {
            Read::Many | Read::ManyText => return Ok(None),
            Read::Scan => {
                let mut cursor = transaction.open_ro_cursor(self.database)?;
                for entry in cursor.iter_start() {
                    sum = sum.wrapping_add(part_of(read, entry?.1));
                }
            }
            _ => {
                for key in keys {
                    match transaction.get(self.database, &key.cast_unsigned().to_ne_bytes()) {
                        Ok(bytes) => sum = sum.wrapping_add(part_of(read, bytes)),
                        Err(Error::NotFound) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
            }
        }
        Ok(Some(sum))
    }
}
