//! NDJSON with lines of unusual length.

use crate::kit::{SCHEMA, TroubledStore, names};
use grotto_format::Schema;
use grotto_producer::{Error, Mode, NdjsonInput, Producer};

fn input(text: String) -> NdjsonInput {
    NdjsonInput {
        type_name: "City".into(),
        source_name: "cities.ndjson".into(),
        reader: Box::new(std::io::Cursor::new(text)),
        converted: false,
        progress: None,
    }
}

async fn busy_producer() -> Producer {
    let schema = Schema::parse(SCHEMA).unwrap();
    let builder = Producer::builder("cities", TroubledStore::new().store()).schema(schema);
    builder.threads(3).open().await.unwrap()
}

#[tokio::test]
async fn long_lines_keep_their_number_and_content() {
    let producer = TroubledStore::new().producer(0).await;
    let long = "x".repeat(3 << 20);
    let good = format!(
        "{{\"id\":1,\"name\":\"{long}\"}}\n\n{{\"id\":2}}\r\n{{\"id\":3,\"name\":\"{long}\"}}"
    );
    producer
        .publish_ndjson(Mode::Full, [input(good.clone())])
        .await
        .unwrap()
        .unwrap();
    let lengths: Vec<_> = names(&producer.state())
        .iter()
        .map(|(id, name)| (*id, name.len()))
        .collect();
    assert_eq!(lengths, [(1, 3 << 20), (2, 0), (3, 3 << 20)]);
    let error = producer
        .publish_ndjson(Mode::Full, [input(good + "\n{\"id\":2}\n")])
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("cities.ndjson line 3 and cities.ndjson line 5"),
        "{error}"
    );
}

/// Lines of a kilobyte, so that few records are many chunks of text.
fn padded(ids: impl Iterator<Item = i64>) -> String {
    let padding = " ".repeat(1000);
    ids.map(|id| format!("{{\"id\":{id},{padding}\"name\":\"n\"}}\n"))
        .collect()
}

#[tokio::test]
async fn the_first_wrong_line_is_told_also_when_a_later_one_cannot_be_read() {
    let producer = busy_producer().await;
    // Line 3 has the key of line 2. So few records are taken in only when the cycle ends, and the
    // text stops being JSON before.
    let text = padded([1, 2, 2].into_iter().chain(4..900)) + "{\n";
    let error = producer
        .publish_ndjson(Mode::Full, [input(text)])
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("cities.ndjson line 2 and cities.ndjson line 3"),
        "{error}"
    );
}

#[tokio::test]
async fn a_record_that_is_wrong_goes_before_the_error_of_the_caller() {
    let producer = busy_producer().await;
    for (second, expected) in [(1, "duplicate key"), (2, "no more of this")] {
        let outcome = producer.run_cycle(move |cycle| {
            for id in [1, second] {
                cycle.add_json("City", &format!("{{\"id\":{id},\"name\":\"{id}\"}}"), 1)?;
            }
            Err(Error::invalid("no more of this").into())
        });
        let error = outcome.await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    // Told by a call long after that of the record, and hidden by the caller.
    let outcome = producer.run_cycle(|cycle| {
        for id in [0].into_iter().chain(0..200_000) {
            let text = format!("{{\"id\":{id},\"name\":\"n\"}}");
            cycle
                .add_json("City", &text, 1)
                .map_err(|_| "no more of this")?;
        }
        Err("no more of this".into())
    });
    let error = outcome.await.unwrap_err().to_string();
    assert!(error.contains("duplicate key"), "{error}");
}
