//! `--where FIELD=VALUE`.
//!
//! Owns: finding the field and reading the value by its type. Never: reads a record it was not
//! given.

use crate::failure::{Failure, Outcome};
use crate::records::{Part, part};
use grotto::engine::state::Record;
use grotto::schema::{FieldType, Schema, TypeId};

/// Records with one value in one field.
#[derive(Debug)]
pub(crate) struct Filter {
    steps: Vec<u16>,
    leaf: FieldType,
    wanted: Wanted,
}

#[derive(Debug, PartialEq)]
enum Wanted {
    Null,
    Whole(i64),
    Real(f64),
    Text(String),
}

impl Filter {
    /// Reads `field=value`, `reference.field=value` or `field=null`.
    pub(crate) fn parse(schema: &Schema, type_id: TypeId, text: &str) -> Outcome<Self> {
        let Some((path, value)) = text.split_once('=') else {
            return Err(Failure::invalid(format!(
                "--where {text:?}: expected FIELD=VALUE"
            )));
        };
        let (steps, leaf) = resolve(schema, type_id, path.trim())?;
        let wanted = wanted(leaf, value).ok_or_else(|| {
            let expected = leaf.keyword();
            Failure::invalid(format!(
                "--where {path}: expected {expected}, found {value:?}"
            ))
        })?;
        Ok(Self {
            steps,
            leaf,
            wanted,
        })
    }

    /// Whether a record has the value.
    pub(crate) fn matches(&self, record: &Record<'_>) -> bool {
        let wanted = match &self.wanted {
            Wanted::Null => Part::Null,
            Wanted::Whole(word) => Part::Whole(*word),
            Wanted::Real(value) => Part::Real(*value),
            Wanted::Text(text) => Part::Text(text.as_bytes()),
        };
        part(record, &self.steps, self.leaf) == wanted
    }
}

/// The fields a path leads through. A reference at its end to a type of one plain field is followed.
fn resolve(schema: &Schema, start: TypeId, path: &str) -> Outcome<(Vec<u16>, FieldType)> {
    let (mut steps, mut at) = (Vec::new(), start);
    let mut names = path.split('.').peekable();
    while let Some(name) = names.next() {
        let ty = schema.get(at);
        let Some(position) = ty.object().and_then(|object| object.position(name)) else {
            let fields: Vec<&str> = ty
                .fields()
                .iter()
                .map(|field| field.name.as_str())
                .collect();
            let expected = if fields.is_empty() {
                "no field".into()
            } else {
                format!("one of {}", fields.join(", "))
            };
            return Err(Failure::invalid(format!(
                "--where {path}: {} {} has no field {name:?}, expected {expected}",
                ty.kind_name(),
                ty.name
            )));
        };
        steps.push(position as u16);
        match (ty.fields()[position].ty, names.peek()) {
            (FieldType::Reference(to), Some(_)) => at = to,
            (FieldType::Reference(to), None) => {
                let Some(leaf) = schema.get(to).wrapped() else {
                    let name = &schema.get(to).name;
                    return Err(Failure::invalid(format!(
                        "--where {path}: expected a plain value, found type {name}"
                    )));
                };
                steps.push(0);
                return Ok((steps, leaf));
            }
            (leaf, None) => return Ok((steps, leaf)),
            (leaf, Some(_)) => {
                let (name, leaf) = (name, leaf.keyword());
                return Err(Failure::invalid(format!(
                    "--where {path}: {name} is {leaf} and has no fields"
                )));
            }
        }
    }
    Err(Failure::invalid(
        "--where: expected FIELD=VALUE, found no field",
    ))
}

fn wanted(leaf: FieldType, value: &str) -> Option<Wanted> {
    if value == "null" {
        return Some(Wanted::Null);
    }
    Some(match leaf {
        FieldType::Int => Wanted::Whole(i64::from(value.parse::<i32>().ok()?)),
        FieldType::Long => Wanted::Whole(value.parse().ok()?),
        FieldType::Boolean => Wanted::Whole(i64::from(value.parse::<bool>().ok()?)),
        FieldType::Float => Wanted::Real(f64::from(value.parse::<f32>().ok()?)),
        FieldType::Double => Wanted::Real(value.parse().ok()?),
        FieldType::String => Wanted::Text(unquoted(value)),
        FieldType::Bytes | FieldType::Reference(_) => return None,
    })
}

/// Quotes tell the text "null" from null, and keep blanks.
fn unquoted(value: &str) -> String {
    match serde_json::from_str::<String>(value) {
        Ok(text) => text,
        Err(_) => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str =
        "City @PrimaryKey(id) { long id; Country country; String name; ListOfString tags; }
        Country { string code; int rank; } ListOfString List<String>; String { string value; }";

    fn filter(text: &str) -> Outcome<Filter> {
        let schema = Schema::parse(SCHEMA).unwrap();
        Filter::parse(&schema, TypeId(0), text)
    }

    fn check_refused(text: &str, expected: &str) {
        assert_eq!(filter(text).unwrap_err().message(), expected);
    }

    #[test]
    fn paths_lead_through_references_and_into_wrappers() {
        let nested = filter("country.rank=7").unwrap();
        assert_eq!(
            (nested.steps, nested.wanted),
            (vec![1, 1], Wanted::Whole(7))
        );
        let wrapped = filter("name=a=b").unwrap();
        assert_eq!(
            (wrapped.steps, wrapped.wanted),
            (vec![2, 0], Wanted::Text("a=b".into()))
        );
    }

    #[test]
    fn quotes_tell_the_text_null_from_null() {
        assert_eq!(filter("name=null").unwrap().wanted, Wanted::Null);
        assert_eq!(
            filter("name=\"null\"").unwrap().wanted,
            Wanted::Text("null".into())
        );
    }

    #[test]
    fn fields_and_values_that_do_not_fit_are_refused() {
        check_refused("id", "--where \"id\": expected FIELD=VALUE");
        check_refused("id=x", "--where id: expected long, found \"x\"");
        check_refused(
            "country.rank=3000000000",
            "--where country.rank: expected int, found \"3000000000\"",
        );
        check_refused(
            "nme=x",
            "--where nme: object City has no field \"nme\", expected one of id, country, name, tags",
        );
        check_refused(
            "tags=x",
            "--where tags: expected a plain value, found type ListOfString",
        );
        check_refused("id.x=1", "--where id.x: id is long and has no fields");
        check_refused(
            "tags.x=1",
            "--where tags.x: list ListOfString has no field \"x\", expected no field",
        );
    }
}
