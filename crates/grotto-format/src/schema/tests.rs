//! Tests of the schema language.

use proptest::prelude::*;

use super::arbitrary::schemas;
use super::*;

const CITIES: &str = "\
City @PrimaryKey(geonameid) {
    long geonameid;
    String country;
    ListOfString names;
    MapOfCity twins;
}

String {
    string value;
}

ListOfString List<String>;

SetOfCity Set<City> @HashKey(geonameid);

MapOfCity Map<String, City> @HashKey(value);
";

pub(super) fn parsed(text: &str) -> Schema {
    Schema::parse(text).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    let error = Schema::parse(text).expect_err("a broken schema was accepted");
    assert_eq!(error.to_string(), format!("schema {expected}"));
}

#[test]
fn the_canonical_text_parses_and_prints_unchanged() {
    assert_eq!(parsed(CITIES).to_string(), CITIES);
}

#[test]
fn comments_and_blanks_do_not_matter() {
    let text = "// cities\nA/* key */@PrimaryKey ( b . value , c ){B b;/**/int c;}// end\nB{string value;}//";
    let schema = parsed(text);
    assert_eq!(
        schema,
        parsed("A @PrimaryKey(b.value, c) { B b; int c; } B { string value; }")
    );
    assert_eq!(schema.types().len(), 2);
}

#[test]
fn of_records_with_a_key_only_the_key_may_decide_about_another_key_or_an_order() {
    let good = [
        "A @PrimaryKey(k.a, b) { K k; int b; } K @PrimaryKey(a, n.v) { int a; N n; int c; } N { int v; int w; }",
        "A @PrimaryKey(k.n.v) { K k; } K @PrimaryKey(a, n.v) { int a; N n; int c; } N { int v; int w; }",
        "A @PrimaryKey(k) { K k; } K @PrimaryKey(a) { int a; }",
        "A @PrimaryKey(id, next.id) { int id; int more; A next; }",
        "S Set<K> @HashKey(b); M Map<K, K> @HashKey(a, b); K @PrimaryKey(a, b) { int a; int b; int c; }",
        "S Set<B> @HashKey(k.a, c); B { K k; int c; } K @PrimaryKey(a) { int a; int b; }",
    ];
    for text in good {
        parsed(text);
    }
    let rest = "expected of K only its primary key (a), found \"b\", which may change while the reference stays; \
                use the primary key, or have the value outside of K too";
    let bad = [
        (
            "A @PrimaryKey(c, k.b) { K k; int c; }",
            18,
            "A, key path k.b",
        ),
        (
            "A @PrimaryKey(n.k.b) { N n; } N { K k; }",
            15,
            "A, key path n.k.b",
        ),
        ("S Set<K> @HashKey(a, b);", 22, "S, key path b"),
        ("M Map<K, K> @HashKey(b);", 22, "M, key path b"),
        (
            "M Map<N, K> @HashKey(k.b); N { K k; }",
            22,
            "M, key path k.b",
        ),
    ];
    for (text, column, what) in bad {
        let text = format!("K @PrimaryKey(a) {{ int a; int b; }}\n{text}");
        refused(
            &text,
            &format!("line 2, column {column}: type {what}: {rest}"),
        );
    }
}

#[test]
fn a_key_through_a_record_of_its_own_type_may_only_use_that_ones_key() {
    refused(
        "A @PrimaryKey(b.a.b.x) {\n B b; } B { A a; int x; }",
        "line 1, column 15: type A, key path b.a.b.x: expected of A only its primary key (b.a.b.x), found \"b.x\", which may \
         change while the reference stays; use the primary key, or have the value outside of A too",
    );
}

#[test]
fn records_keep_their_ordinals_where_they_have_a_key_and_others_refer_to_them() {
    let text = "A @PrimaryKey(x) { int x; B b; } B { int y; } L List<C>; C @PrimaryKey(x) { int x; } \
                D @PrimaryKey(x) { int x; D next; }";
    assert_eq!(parsed(text).anchored(), [false, false, false, true, true]);
}

#[test]
fn key_paths_follow_references_and_a_wrapper_at_the_end() {
    let schema =
        parsed("A @PrimaryKey(b, c.d.value) { B b; C c; } B { string value; } C { int x; B d; }");
    let paths = &schema.types()[0].key().unwrap().paths;
    assert_eq!(
        (paths[0].steps.as_slice(), paths[0].leaf),
        (&[0, 0][..], FieldType::String)
    );
    assert_eq!(
        (paths[1].steps.as_slice(), paths[1].text.as_str()),
        (&[1, 1, 0][..], "c.d.value")
    );
}

#[test]
fn types_may_refer_to_themselves_and_to_later_ones() {
    let schema = parsed("A { A next; L children; } L List<A>;");
    assert_eq!(
        schema.types()[0].fields()[0].ty,
        FieldType::Reference(TypeId(0))
    );
    assert_eq!(
        schema.types()[0].fields()[1].ty,
        FieldType::Reference(TypeId(1))
    );
}

#[test]
fn words_out_of_place_are_named_with_line_and_column() {
    refused(
        "",
        "line 1, column 1: expected a type declaration, found end of text",
    );
    refused(
        "City {\n  long id\n}",
        "line 3, column 1: expected \";\", found \"}\"",
    );
    refused(
        "City { long }",
        "line 1, column 13: expected a field name, found \"}\"",
    );
    refused(
        "City { long id; ",
        "line 1, column 17: expected a field type or \"}\", found end of text",
    );
    refused(
        "City {} é",
        "line 1, column 9: expected a type name, found \"é\"",
    );
    refused(
        "9A {}",
        "line 1, column 1: expected a type name, found \"9\"",
    );
    refused(
        "/* é */ City (",
        "line 1, column 14: expected \"{\", \"@PrimaryKey\", \"List\", \"Set\" or \"Map\", found \"(\"",
    );
    refused(
        "A {} /* open",
        "line 1, column 6: expected \"*/\" after this comment, found end of text",
    );
    refused(
        "A @Key(b) {}",
        "line 1, column 4: expected \"PrimaryKey\", found \"Key\"",
    );
    refused(
        "A @PrimaryKey() {}",
        "line 1, column 15: expected a field path, found \")\"",
    );
    refused(
        "A {} S Set<A> @HashKey();",
        "line 1, column 24: expected a field path, found \")\"",
    );
    refused(
        "A {} S Set<A>",
        "line 1, column 14: expected \";\", found end of text",
    );
}

#[test]
fn lists_have_no_key() {
    refused(
        "L List<L> @HashKey(a);",
        "line 1, column 11: expected \";\", because a list has no key, found \"@\"",
    );
    refused(
        "L @PrimaryKey(a) List<L>;",
        "line 1, column 18: expected \"{\", because only object types have a primary key, found \"List\"",
    );
}

#[test]
fn names_are_declared_once_and_known() {
    refused(
        "A {}\nA List<A>;",
        "line 2, column 1: expected each type once, found a second A (the first is on line 1)",
    );
    refused(
        "A {\n int b;\n long b;\n}",
        "line 3, column 7: type A: expected each field once, found a second b (the first is on line 2)",
    );
    refused(
        "City {\n  Contry country;\n}\nCountry { string code; }",
        "line 2, column 3: type City, field country: expected a declared type, found \"Contry\" (did you mean Country?)",
    );
    refused(
        "L List<Xyz>;",
        "line 1, column 8: type L: expected a declared type, found \"Xyz\"",
    );
    refused(
        "L List<string>;",
        "line 1, column 8: type L: expected a declared type, found \"string\" (declare String { string value; } and use String)",
    );
    refused(
        "string { int a; }",
        "line 1, column 1: expected the name of a type, found the scalar type string",
    );
}

#[test]
fn key_paths_end_at_a_scalar() {
    let types = "A @PrimaryKey(KEY) { int id; B b; L l; A a; W w; } B { int x; int y; } L List<A>; W { W w; }";
    let refused = |path: &str, expected: &str| {
        let error = Schema::parse(&types.replace("KEY", path))
            .expect_err(path)
            .to_string();
        assert_eq!(
            error,
            format!("schema line 1, column 15: type A, key path {path}: {expected}")
        );
    };
    refused(
        "ib",
        "expected a field of A, found \"ib\" (did you mean id?)",
    );
    refused("b.z", "expected a field of B, found \"z\"");
    refused(
        "id.x",
        "expected a scalar field only at the end, not before x, found one of type int",
    );
    refused(
        "b",
        "expected a scalar field or a type of one field at the end, found object B of 2 fields",
    );
    refused(
        "l",
        "expected a scalar field or a type of one field at the end, found list L",
    );
    refused("l.x", "expected only object types on the way, found list L");
    refused("w", "expected at most 64 steps, found more");
    let long = Schema::parse(&types.replace("KEY", &format!("{}id", "a.".repeat(64)))).unwrap_err();
    assert!(
        long.message
            .ends_with("…: expected at most 64 steps, found more"),
        "{long}"
    );
}

#[test]
fn a_key_path_comes_once() {
    refused(
        "A @PrimaryKey(b, b.value) { B b; } B { int value; }",
        "line 1, column 18: type A: expected each key path once, found \"b.value\" again",
    );
}

#[test]
fn hash_keys_start_at_the_element_and_at_the_key() {
    let schema = parsed("A { int x; } B { int y; } S Set<A> @HashKey(x); M Map<B, A> @HashKey(y);");
    let TypeKind::Map { hash_key, .. } = &schema.types()[3].kind else {
        panic!("not a map")
    };
    assert_eq!(hash_key[0].steps, [0]);
    refused(
        "A { int x; } B { int y; } M Map<B, A> @HashKey(x);",
        "line 1, column 48: type M, key path x: expected a field of B, found \"x\"",
    );
}

#[test]
fn limits_hold() {
    let fields: String = (0..=1024).map(|at| format!("int f{at}; ")).collect();
    let error = Schema::parse(&format!("A {{ {fields} }}")).unwrap_err();
    assert_eq!(
        error.message,
        "type A: expected at most 1024 fields, found more"
    );
    let types: String = (0..=4096).map(|at| format!("T{at} {{}}\n")).collect();
    let error = Schema::parse(&types).unwrap_err();
    assert_eq!(
        (error.line, error.message.as_str()),
        (4097, "expected at most 4096 types, found more")
    );
    let error = Schema::parse(&" ".repeat((1 << 20) + 1)).unwrap_err();
    assert_eq!(
        error.message,
        "expected at most 1048576 bytes of text, found 1048577"
    );
    let paths = vec!["a"; 33].join(",");
    let error = Schema::parse(&format!("A @PrimaryKey({paths}) {{ int a; }}")).unwrap_err();
    assert_eq!(
        error.message,
        "expected at most 32 paths in a key, found \",\""
    );
    let long = "a".repeat(256);
    let error = Schema::parse(&format!("{long} {{}}")).unwrap_err();
    assert!(
        error
            .message
            .starts_with("expected the name of a type in 1 to 255 letters"),
        "{error}"
    );
}

/// Blobs hold the printed form, which readers refuse beyond the limit: a text must not become longer
/// than that by being printed.
#[test]
fn a_schema_is_refused_when_its_printed_form_is_too_long() {
    // Printing adds four spaces and a line end to each field, and little else.
    let field = |at: usize| format!("int f{at:05};");
    let ty = |at: usize| {
        let fields: String = (0..1000).map(field).collect();
        format!("T{at}{{{fields}}}")
    };
    let text = |types: usize| (0..types).map(ty).collect::<String>();
    let (fits, passes) = (text(64), text(70));
    assert!(passes.len() < MAX_TEXT);
    let printed = parsed(&fits).to_string();
    assert!(printed.len() < MAX_TEXT && Schema::parse(&printed).is_ok());
    let error = Schema::parse(&passes).unwrap_err().to_string();
    assert!(
        error.starts_with("schema: expected at most 1048576 bytes in printed form, found 11"),
        "{error}"
    );
}

/// What a schema of this printed length says of a limit.
#[test]
fn the_printed_form_may_be_as_long_as_the_limit_and_no_longer() {
    let schema = parsed("A { int x; }");
    let length = schema.to_string().len();
    assert!(schema.clone().within(length).is_ok());
    assert!(schema.within(length - 1).is_err());
}

#[test]
fn declarations_from_code_obey_the_same_rules_without_a_line() {
    let object = |name: &str, key: Option<Vec<Name>>| Declaration {
        name: name.into(),
        kind: DeclaredKind::Object {
            fields: vec![DeclaredField {
                name: "id".into(),
                ty: "long".into(),
            }],
            primary_key: key,
        },
    };
    let city = object("City", Some(vec!["id".into()]));
    let schema = Schema::from_declarations(&[city]).unwrap();
    assert_eq!(schema, parsed("City @PrimaryKey(id) { long id; }"));
    let refused = |declaration, expected: &str| {
        let error = Schema::from_declarations(&[declaration]).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    refused(
        object("City", Some(vec!["ie".into()])),
        "schema: type City, key path ie: expected a field of City, found \"ie\" (did you mean id?)",
    );
    refused(
        object("City", Some(Vec::new())),
        "schema: type City: expected 1 to 32 paths in the key, found 0",
    );
    refused(
        object("my city", None),
        "schema: expected the name of a type in 1 to 255 letters, digits, \"_\" or \"$\", found \"my city\"",
    );
}

proptest! {
    #[test]
    fn a_printed_schema_parses_to_an_equal_one(schema in schemas()) {
        let text = schema.to_string();
        let again = parsed(&text);
        prop_assert_eq!(&again, &schema);
        prop_assert_eq!(again.to_string(), text);
        prop_assert_eq!(again.hash(), schema.hash());
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC*", words in "([A-C]|[@{}<>();,. /*\n]|List|Set|Map|PrimaryKey|HashKey|int){0,40}") {
        let _ = Schema::parse(&text);
        let _ = Schema::parse(&words);
    }

    #[test]
    fn a_damaged_schema_gives_an_error_or_a_schema(at in 0..CITIES.len(), length in 0_usize..9, put in "[A-Za-z@{}<>();,.*/]{0,3}") {
        let mut text = CITIES.to_owned();
        text.replace_range(at..(at + length).min(CITIES.len()), &put);
        match Schema::parse(&text) {
            Ok(schema) => prop_assert_eq!(parsed(&schema.to_string()), schema),
            Err(error) => prop_assert!(error.line > 0 && error.message.contains("expected")),
        }
    }
}
