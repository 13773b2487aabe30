//! The stages of NDJSON input when one of them fails badly.

use super::*;
use grotto_store::ErrorKind;

/// Runs the stages over more chunks than there are places; decoding one of them panics.
fn panics_at(panicking: u64) -> Error {
    let text = format!("{}\n", "x".repeat(1_023)).repeat(16 * CHUNK / 1_024);
    let source = Source {
        name: "lines",
        reader: Box::new(std::io::Cursor::new(text)),
        progress: None,
    };
    let decode = |text: &Text, _: &mut FlatBuilder| {
        assert_ne!(text.number, panicking, "this chunk panics");
        Ok(Vec::new())
    };
    run_stages(source, 2, &decode, &mut |_, _| Ok(())).unwrap_err()
}

#[test]
fn a_decoder_that_panics_is_an_error_and_nobody_waits_for_its_lines() {
    for chunk in [0, 3, 15] {
        let error = panics_at(chunk);
        assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
        assert!(error.message().contains("on panicked"), "{error}");
    }
}
