//! Reading a dataset whose types the program does not know: `cargo run -p grotto --example untyped`.

use grotto::{Field, Schema, State, testing};

const SCHEMA: &str = "
    Product @PrimaryKey(sku) { string sku; long cents; Vendor vendor; ListOfString tags; }
    Vendor { string name; }
    ListOfString List<String>;
    String { string value; }
";

const PRODUCTS: &str = r#"
    {"sku":"tea","cents":450,"vendor":{"name":"Chaya"},"tags":["hot","green"]}
    {"sku":"cup","cents":900,"vendor":null,"tags":[]}
"#;

/// All texts of a record, however deep.
fn texts(field: Field<'_>, found: &mut Vec<String>) {
    match field.unwrapped() {
        Field::String(text) => found.push(text.to_owned()),
        Field::Object(view) => view.fields().for_each(|(_, field)| texts(field, found)),
        Field::List(list) | Field::Set(list) => list.iter().for_each(|each| texts(each, found)),
        Field::Map(map) => map.iter().for_each(|(_, value)| texts(value, found)),
        _ => {}
    }
}

fn words(state: &State) -> Vec<String> {
    let mut found = Vec::new();
    for id in state
        .schema()
        .ids()
        .filter(|id| state.schema().get(*id).key().is_some())
    {
        state
            .scan(id)
            .for_each(|record| texts(record.view(), &mut found));
    }
    found
}

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let schema = Schema::parse(SCHEMA)?;
    let state = testing::state().schema(schema);
    let state = state.with_json("Product", PRODUCTS).build()?;
    assert_eq!(words(&state), ["tea", "Chaya", "hot", "green", "cup"]);

    let id = state.type_id("Product")?;
    let tea = state.find(id, "tea")?.ok_or("no tea")?.view();
    let Field::Object(tea) = tea else {
        return Err("a product has fields".into());
    };
    assert_eq!(tea.get("cents")?.as_long(), Some(450));
    // A mistake in a name or a key is told, not read as nothing.
    assert!(tea.get("price").is_err());
    assert!(state.find(id, 7_i64).is_err());
    Ok(())
}
