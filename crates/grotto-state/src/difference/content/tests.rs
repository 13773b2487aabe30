//! How much is held at a time.

use super::*;
use crate::difference::tests::state;

/// A set of sets, one of them large.
fn nested(inner: usize, outer: usize) -> String {
    let numbers = |count: usize| {
        let one = |at| format!(r#"{{"numbers":[{{"n":{at}}}]}}"#);
        (0..count).map(one).collect::<Vec<String>>().join(",")
    };
    let many: Vec<String> = (1000..1000 + inner)
        .map(|n| format!(r#"{{"n":{n}}}"#))
        .collect();
    let first = format!(r#"{{"numbers":[{}]}}"#, many.join(","));
    format!(r#"{{"boxes":[{first},{}]}}"#, numbers(outer - 1))
}

#[test]
fn what_a_set_gathers_is_taken_while_a_set_within_it_gathers() {
    let schema =
        "Shelf { Boxes boxes; } Boxes Set<Box>; Box { Numbers numbers; } Numbers Set<Number>;
        Number { int n; }";
    let (inner, outer) = (5000, 2000);
    let state = state(schema, 1, &[("Shelf", &nested(inner, outer))]);
    let shelf = state.schema().find("Shelf").unwrap();
    let mut contents = Contents::new(&state);
    contents.of(state.record(shelf, 0).unwrap()).unwrap();
    assert_eq!(contents.most_held, 8 * (inner + outer));
    assert_eq!(
        contents.room,
        MOST_BYTES - contents.written,
        "all is let go"
    );
}
