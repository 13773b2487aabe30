//! Types that lose all their records and get new ones.

use crate::engine::{Chain, dump};
use grotto_format::blob::Blob;
use grotto_format::schema::Schema;
use grotto_state::HeapSeal;
use std::sync::Arc;

#[test]
fn a_consumer_of_every_delta_follows_a_restarted_producer_that_fills_an_empty_type_anew() {
    let schema = Arc::new(
        Schema::parse("A @PrimaryKey(id) { long id; string text; } B { int x; }").unwrap(),
    );
    let mut chain = Chain::new();
    let small: Vec<_> = (0..3000)
        .map(|id| ("A", format!(r#"{{"id":{id}}}"#)))
        .collect();
    chain.full(&schema, &small).unwrap();
    chain.full(&schema, &[("B", r#"{"x":1}"#.into())]).unwrap();
    chain.restart();
    // Several chunks of blocks of another size than those of the first records.
    let text = "x".repeat(40_000);
    let large: Vec<_> = (0..1700)
        .map(|id| ("A", format!(r#"{{"id":{id},"text":"{text}"}}"#)))
        .collect();
    chain.full(&schema, &large).unwrap();
    let chunks = Blob::parse(chain.deltas[2].clone().into()).unwrap();
    let chunks = chunks
        .header
        .sections
        .iter()
        .filter(|section| section.chunk > 0)
        .count();
    assert!(chunks > 0, "expected more than one chunk");
    let mut state = crate::engine::empty();
    for delta in &chain.deltas {
        state = state
            .apply(
                &Blob::parse(delta.clone().into()).unwrap(),
                &mut HeapSeal::default(),
            )
            .unwrap()
            .0;
    }
    assert!(dump(&state) == dump(chain.write.state()));
    chain.verify();
}
