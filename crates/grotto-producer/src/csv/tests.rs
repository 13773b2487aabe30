//! What cells become.

use super::*;

const SCHEMA: &str =
    "Item @PrimaryKey(id) { long id; string name; double price; boolean sold; Tag tag; Tags tags; }
    Tag { string value; } Tags List<Tag>;";

fn read(text: &str) -> Result<String> {
    let schema = Schema::parse(SCHEMA).unwrap();
    let item = schema.find("Item").unwrap();
    let mut out = String::new();
    let mut reader = CsvText::new(text.as_bytes(), &schema, item)?;
    let read = reader.read_to_string(&mut out);
    read.map(|_| out).map_err(|e| Error::invalid(e.to_string()))
}

fn refusal(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

#[test]
fn cells_become_values_of_their_fields() {
    let text = "id,name,price,sold,tag\n1,\"a \"\"b\"\", c\",1.5,TRUE,new\n-2, d ,2e3,0,\n";
    let expected = "\n{\"id\":1,\"name\":\"a \\\"b\\\", c\",\"price\":1.5,\"sold\":true,\"tag\":\"new\"}\n\
                    {\"id\":-2,\"name\":\" d \",\"price\":2e3,\"sold\":false}\n";
    assert_eq!(read(text).unwrap(), expected);
}

#[test]
fn what_is_no_value_of_its_field_is_left_to_the_decoder_as_text() {
    let text = read("id,sold\n0x7,yes\n01,\n+1,2\nNaN,\ntrue,\n").unwrap();
    let expected = "\n{\"id\":\"0x7\",\"sold\":\"yes\"}\n{\"id\":\"01\"}\n{\"id\":\"+1\",\"sold\":\"2\"}\n\
                    {\"id\":\"NaN\"}\n{\"id\":\"true\"}\n";
    assert_eq!(text, expected);
}

#[test]
fn a_record_stands_on_the_line_on_which_it_begins() {
    let text = "id,name\n1,\"two\nlines\"\n\n\n2,b\n3,c";
    for end in ["\n", "\r\n", "\r"] {
        let text = text.replace('\n', end);
        let read = read(&text).unwrap();
        let lines: Vec<&str> = read.split('\n').collect();
        let expected = [
            "",
            "",
            "",
            "",
            "",
            r#"{"id":2,"name":"b"}"#,
            r#"{"id":3,"name":"c"}"#,
            "",
        ];
        assert!(lines[1].starts_with(r#"{"id":1,"name":"two"#), "{read}");
        assert_eq!((lines[0], &lines[2..]), ("", &expected[2..]), "{text:?}");
    }
}

#[test]
fn a_quote_that_is_never_closed_does_not_take_all_that_follows() {
    let text = "id\n".to_owned() + &"\"7,\n".repeat(100);
    let mut lines = Lined::new(text.as_bytes().chain(io::empty()), 50);
    let mut piece = [0; 10];
    // Rows that are asked for one by one have no bound together.
    for asked in (0..100).step_by(10) {
        lines.read_exact(&mut piece).unwrap();
        lines.line_from(asked);
    }
    let error = io::copy(&mut lines, &mut io::sink()).unwrap_err();
    assert!(RowError::is(&error), "{error}");
    let expected = "expected a row of at most 50 bytes, found no end of it";
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn an_error_of_the_source_itself_says_what_the_source_says() {
    struct Torn;
    impl Read for Torn {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::new(io::ErrorKind::InvalidData, "torn"))
        }
    }
    let mut rows = CsvText::untyped("id\n1\n".as_bytes().chain(Torn)).unwrap();
    let error = io::copy(&mut rows, &mut io::sink()).unwrap_err();
    assert!(
        !RowError::is(&error) && error.to_string() == "torn",
        "{error}"
    );
}

#[test]
fn semicolons_and_tabs_separate_too() {
    for text in ["id;name\n1;a,b\n", "id\tname\n1\ta,b\n"] {
        assert_eq!(read(text).unwrap(), "\n{\"id\":1,\"name\":\"a,b\"}\n");
    }
    assert_eq!(read("id\n7\n").unwrap(), "\n{\"id\":7}\n");
    // From a source that gives a byte at a time, as what is behind a decompressor may.
    let bytes = "id;name\n1;a,b\n".as_bytes().chunks(1);
    let drop_by_drop = bytes.fold(Box::new(io::empty()) as Box<dyn Read>, |before, byte| {
        Box::new(before.chain(byte))
    });
    let mut out = String::new();
    let mut rows = CsvText::untyped(drop_by_drop).unwrap();
    rows.read_to_string(&mut out).unwrap();
    assert_eq!(out, "\n{\"id\":1,\"name\":\"a,b\"}\n");
}

#[test]
fn a_bad_header_is_refused_by_name() {
    let expected =
        "line 1, column \"nmae\": expected a field of Item: id, name, price, sold, tag, tags";
    assert_eq!(refusal("id,nmae\n"), expected);
    let nested = refusal("id,tags\n");
    assert!(nested.contains("found a reference to Tags"), "{nested}");
    let twice = refusal("id,name,id\n");
    assert!(twice.contains("found \"id\" twice"), "{twice}");
    assert!(refusal("").contains("found none"));
    let expected = "line 1: expected a name for each column, found none for number 3";
    assert_eq!(refusal("id,name,\n1,a,\n"), expected);
}

#[test]
fn without_a_schema_empty_columns_and_long_rows_of_digits_are_kept() {
    let csv = "id,gone,n\n12345678901234567890,,1e400\n-7,,2.5e3\n";
    let mut text = String::new();
    let mut rows = CsvText::untyped(csv.as_bytes()).unwrap();
    rows.read_to_string(&mut text).unwrap();
    let expected = "\n{\"id\":\"12345678901234567890\",\"gone\":null,\"n\":\"1e400\"}\n\
                    {\"id\":-7,\"gone\":null,\"n\":2.5e3}\n";
    assert_eq!(text, expected);
}

#[test]
fn a_row_of_another_length_is_refused_by_its_line() {
    let expected = "line 3: expected 2 cells as in the first line, found 3";
    assert_eq!(refusal("id,name\n1,a\n2,b,c\n"), expected);
    assert_eq!(refusal("id,name\r\n1,a\r\n2,b,c\r\n"), expected);
}

#[test]
fn text_that_is_none_is_refused_by_its_line() {
    let schema = Schema::parse(SCHEMA).unwrap();
    let item = schema.find("Item").unwrap();
    let bytes: &[u8] = b"id,name\n1,a\n2,\xff\n";
    let mut out = Vec::new();
    let mut reader = CsvText::new(bytes, &schema, item).unwrap();
    let error = reader.read_to_end(&mut out).unwrap_err();
    assert_eq!(error.to_string(), "line 3: expected utf-8 text");
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

#[test]
fn lines_before_the_header_hold_nothing_and_are_counted() {
    let text = "\n\r\nid;name\n1;a\n";
    assert_eq!(read(text).unwrap(), "\n\n\n{\"id\":1,\"name\":\"a\"}\n");
    let expected = "line 3, column \"nmae\": expected a field of Item";
    assert!(refusal("\n\nid,nmae\n").starts_with(expected));
    assert!(refusal("\nid,id\n").starts_with("line 2: expected each column once"));
}

#[test]
fn a_lone_carriage_return_ends_a_line() {
    assert_eq!(
        read("id,name\r1,a\r2,b").unwrap(),
        "\n{\"id\":1,\"name\":\"a\"}\n{\"id\":2,\"name\":\"b\"}\n"
    );
    assert_eq!(
        refusal("id,name\r1,a\r2,b,c\r"),
        "line 3: expected 2 cells as in the first line, found 3"
    );
    // From a source that parts a carriage return from the line feed that follows.
    let bytes = "id,name\r\n1,a\r\n2,b,c\r\n".as_bytes().chunks(1);
    let drop_by_drop = bytes.fold(Box::new(io::empty()) as Box<dyn Read>, |before, byte| {
        Box::new(before.chain(byte))
    });
    let mut rows = CsvText::untyped(drop_by_drop).unwrap();
    let error = rows.read_to_string(&mut String::new()).unwrap_err();
    assert!(error.to_string().starts_with("line 3: "), "{error}");
}
