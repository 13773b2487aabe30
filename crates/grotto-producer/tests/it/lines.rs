//! NDJSON with lines of unusual length.

use crate::kit::{TroubledStore, names};
use grotto_producer::{Mode, NdjsonInput};

#[tokio::test]
async fn long_lines_keep_their_number_and_content() {
    let producer = TroubledStore::new().producer(0).await;
    let long = "x".repeat(3 << 20);
    let good = format!(
        "{{\"id\":1,\"name\":\"{long}\"}}\n\n{{\"id\":2}}\r\n{{\"id\":3,\"name\":\"{long}\"}}"
    );
    let input = |text: String| NdjsonInput {
        type_name: "City".into(),
        source_name: "cities.ndjson".into(),
        reader: Box::new(std::io::Cursor::new(text)),
        mode: Mode::Full,
        progress: None,
    };
    producer
        .publish_ndjson(input(good.clone()))
        .await
        .unwrap()
        .unwrap();
    let lengths: Vec<_> = names(&producer.state())
        .iter()
        .map(|(id, name)| (*id, name.len()))
        .collect();
    assert_eq!(lengths, [(1, 3 << 20), (2, 0), (3, 3 << 20)]);
    let error = producer
        .publish_ndjson(input(good + "\n{\"id\":2}\n"))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("cities.ndjson line 3 and cities.ndjson line 5"),
        "{error}"
    );
}
