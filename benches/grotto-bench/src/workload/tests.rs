//! The check values, and that what is written reads back as it was generated.

use super::catalog::Catalog;
use super::flat::Flat;
use super::{Change, Model, Workload};
use grotto_format::flat::FlatBuilder;
use grotto_format::schema::Schema;
use grotto_state::{EncodeOptions, Mode, WriteState};
use std::sync::Arc;

fn check<W: Workload>(n: u64, initial: u64, changed: u64) {
    let mut model = Model::<W>::new(n);
    assert_eq!(model.digest(), initial, "{} of {n}", W::NAME);
    for _ in 0..3 {
        model.step(1000);
    }
    assert_eq!(
        model.digest(),
        changed,
        "{} of {n} after three steps",
        W::NAME
    );
}

#[test]
fn flat_of_ten_thousand_has_its_check_values() {
    check::<Flat>(10_000, 0x41e0_8209_ef83_775c, 0x67b4_47cf_efa6_c71c);
}

#[test]
fn flat_of_a_hundred_thousand_has_its_check_values() {
    check::<Flat>(100_000, 0x5c95_63bd_3bd4_5105, 0x9ce7_2c84_cd7b_aee1);
}

#[test]
fn catalog_of_ten_thousand_has_its_check_values() {
    check::<Catalog>(10_000, 0xd289_834c_a699_dbd3, 0xa28b_ae8a_18d4_d502);
}

#[test]
fn catalog_of_a_hundred_thousand_has_its_check_values() {
    check::<Catalog>(100_000, 0x99db_5296_32c1_eeb4, 0xfc8e_7184_afdf_2e89);
}

fn reads_back<W: Workload>() {
    let mut model = Model::<W>::new(1_000);
    let schema = Arc::new(Schema::parse(W::SCHEMA).unwrap());
    let id = schema.find(<W::Typed as grotto::RecordType>::TYPE).unwrap();
    let mut write = WriteState::new(Arc::new(crate::engine::empty()));
    let options = |version| EncodeOptions {
        dataset: "d".into(),
        version,
        level: None,
        threads: 1,
    };
    let mut flat = FlatBuilder::new();
    let mut cycle = write.begin(&schema, Mode::Full).unwrap();
    for (position, record) in model.records().iter().enumerate() {
        flat.clear();
        model.workload().write(record, &mut flat);
        cycle.add(id, flat.bytes(), position as u64).unwrap();
    }
    write.advance(cycle.finish(&options(1)).unwrap().unwrap());
    let mut cycle = write.begin(&schema, Mode::Incremental).unwrap();
    for change in model.step(100) {
        match change {
            Change::Delete(key) => drop(cycle.delete(id, key, 0).unwrap()),
            Change::Put(position) => {
                flat.clear();
                model
                    .workload()
                    .write(&model.records()[position], &mut flat);
                cycle.upsert(id, flat.bytes(), 0).unwrap();
            }
        }
    }
    write.advance(cycle.finish(&options(2)).unwrap().unwrap());
    let state = write.state();
    let typed = state.typed::<W::Typed>().unwrap();
    let digest = typed.iter().map(W::digest_read).fold(0, u64::wrapping_add);
    assert_eq!((typed.len(), digest), (1_000, model.digest()));
    assert!(
        model
            .keys(500)
            .iter()
            .all(|key| typed.get(*key).unwrap().is_some())
    );
    assert!(
        model
            .misses(500)
            .iter()
            .all(|key| typed.get(*key).unwrap().is_none())
    );
}

#[test]
fn flat_records_read_back_as_they_were_generated() {
    reads_back::<Flat>();
}

#[test]
fn catalog_records_read_back_as_they_were_generated() {
    reads_back::<Catalog>();
}
