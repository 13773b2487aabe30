//! Tests of evolution: what may change, and what a refusal says.

use proptest::prelude::*;

use super::arbitrary::schemas;
use super::tests::parsed;
use super::*;

#[test]
fn types_and_fields_may_come_go_and_move() {
    let old =
        parsed("A @PrimaryKey(b) { int id; B b; int gone; } B { string value; } Old List<A>;");
    let new = parsed(
        "New Set<B>; B { string value; } A @PrimaryKey(b.value) { B b; long fresh; int id; }",
    );
    let evolution = evolve(&old, &new).unwrap();
    let expected = Evolution {
        unchanged: false,
        types: vec![
            TypeChange {
                old: None,
                fields: vec![],
            },
            TypeChange {
                old: Some(TypeId(1)),
                fields: vec![Some(0)],
            },
            TypeChange {
                old: Some(TypeId(0)),
                fields: vec![Some(1), None, Some(0)],
            },
        ],
        removed_types: vec![TypeId(2)],
        added_types: vec![TypeId(0)],
        removed_fields: vec!["A.gone".to_owned()],
    };
    assert_eq!(evolution, expected);
}

#[test]
fn an_incompatible_change_is_refused_with_what_to_do() {
    let base = "A @PrimaryKey(x) { long x; B b; } B { string value; } C { string value; } \
                L List<B>; S Set<B> @HashKey(value); M Map<B, C>;";
    let refused = |from: &str, to: &str, expected: &str| {
        let changed = base.replacen(from, to, 1);
        assert_ne!(changed, base);
        let error = evolve(&parsed(base), &parsed(&changed)).expect_err(expected);
        assert_eq!(error.to_string(), expected);
    };
    let field = "publish it under a new field name, or a new dataset";
    let ty = "publish it under a new type name, or a new dataset";
    refused(
        "long x",
        "int x",
        &format!("type A: field x changes from long to int; {field}"),
    );
    refused(
        "B b;",
        "C b;",
        &format!("type A: field b changes from B to C; {field}"),
    );
    refused(
        "(x)",
        "(x, b)",
        &format!("type A: primary key changes from (x) to (x, b.value); {ty}"),
    );
    refused(
        "@PrimaryKey(x)",
        "",
        &format!("type A: primary key changes from (x) to none; {ty}"),
    );
    refused(
        "L List",
        "L Set",
        &format!("type L: kind changes from list to set; {ty}"),
    );
    refused(
        "List<B>",
        "List<C>",
        &format!("type L: element type changes from B to C; {ty}"),
    );
    refused(
        " @HashKey(value)",
        "",
        &format!("type S: hash key changes from (value) to none; {ty}"),
    );
    refused(
        "Map<B, C>",
        "Map<C, C>",
        &format!("type M: key type changes from B to C; {ty}"),
    );
    refused(
        "Map<B, C>",
        "Map<B, B>",
        &format!("type M: value type changes from C to B; {ty}"),
    );
    refused(
        "C { string value; }",
        "C { int value; int y; }",
        &format!("type C: field value changes from string to int; {field}"),
    );
}

#[test]
fn every_incompatible_change_is_counted() {
    let error = evolve(
        &parsed("A { int a; int b; }"),
        &parsed("A { long a; long b; }"),
    )
    .unwrap_err();
    assert_eq!(error.reasons.len(), 2);
    assert!(error.to_string().ends_with("(and 1 more)"), "{error}");
}

proptest! {
    #[test]
    fn a_schema_evolves_into_itself_unchanged(schema in schemas()) {
        let evolution = evolve(&schema, &schema).unwrap();
        prop_assert!(evolution.unchanged && evolution.removed_fields.is_empty());
        for (id, change) in schema.ids().zip(&evolution.types) {
            prop_assert_eq!(change.old, Some(id));
            prop_assert!(change.fields.iter().enumerate().all(|(at, old)| *old == Some(at)));
        }
    }
}
