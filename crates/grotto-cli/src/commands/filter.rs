//! `--where FIELD=VALUE`, and the other comparisons.
//!
//! Owns: finding the field, and comparing. Never: reads a record it was not
//! given.

use crate::failure::{Failure, Outcome};
use crate::records::{Part, part};
use grotto::engine::format::json::WrittenValue;
use grotto::engine::state::Record;
use grotto::schema::{FieldType, Schema, TypeId};
use regex::bytes::Regex;
use std::cmp::Ordering;

/// Records whose value of one field compares in one way.
#[derive(Debug)]
pub(crate) struct Filter {
    steps: Vec<u16>,
    leaf: FieldType,
    test: Test,
}

/// What a value must be.
#[derive(Debug)]
enum Test {
    Compares(Comparison, WrittenValue),
    Matches(Regex),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

/// Each comparison as it is written; longer ones first.
const COMPARISONS: [(&str, Comparison); 7] = [
    ("!=", Comparison::NotEqual),
    ("<=", Comparison::AtMost),
    (">=", Comparison::AtLeast),
    ("==", Comparison::Equal),
    ("=", Comparison::Equal),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
];

/// What is expected, in messages.
const EXPECTED: &str = "a field, one of = != < <= > >= ~, and a value";

impl Comparison {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::AtMost => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::AtLeast => order.is_ge(),
        }
    }
}

impl Filter {
    /// Reads `field=value`, `reference.field>value`, `field!=null` or `field~pattern`.
    pub(crate) fn parse(schema: &Schema, type_id: TypeId, text: &str) -> Outcome<Self> {
        let refused = || Failure::invalid(format!("--where {text:?}: expected {EXPECTED}"));
        let at = text.find(['=', '!', '<', '>', '~']).ok_or_else(refused)?;
        let (path, rest) = text.split_at(at);
        let path = path.trim();
        let (steps, leaf) = resolve(schema, type_id, path)?;
        let test = match rest.strip_prefix('~') {
            Some(pattern) => matching(path, leaf, pattern.trim_start())?,
            None => {
                let known = |(sign, comparison): &(&str, Comparison)| {
                    rest.strip_prefix(sign).map(|value| (*comparison, value))
                };
                let (comparison, value) = COMPARISONS.iter().find_map(known).ok_or_else(refused)?;
                compared(path, leaf, comparison, value.trim())?
            }
        };
        Ok(Self { steps, leaf, test })
    }

    /// Whether a record has such a value. Null is less or greater than nothing, and matches nothing.
    pub(crate) fn matches(&self, record: &Record<'_>) -> bool {
        let found = match part(record, &self.steps, self.leaf) {
            Part::Real(value) => Part::Real(unsigned_zero(value)),
            other => other,
        };
        match (&self.test, found) {
            (Test::Matches(pattern), Part::Text(text)) => pattern.is_match(text),
            (Test::Matches(_), _) => false,
            (Test::Compares(comparison, wanted), found) => {
                let wanted = match wanted {
                    WrittenValue::Null => Part::Null,
                    WrittenValue::Whole(word) => Part::Whole(*word),
                    WrittenValue::Real(value) => Part::Real(*value),
                    WrittenValue::Text(text) => Part::Text(text.as_bytes()),
                };
                let equality = matches!(comparison, Comparison::Equal | Comparison::NotEqual);
                (equality || found != Part::Null) && comparison.holds(found.cmp(&wanted))
            }
        }
    }
}

fn matching(path: &str, leaf: FieldType, pattern: &str) -> Outcome<Test> {
    if leaf != FieldType::String {
        let leaf = leaf.keyword();
        let message = format!("--where {path}: expected a field of text for ~, found {leaf}");
        return Err(Failure::invalid(message));
    }
    let pattern = Regex::new(pattern).map_err(|error| {
        let text = error.to_string();
        let why = text.lines().last().unwrap_or_default();
        let why = why.trim_start_matches("error: ");
        Failure::invalid(format!(
            "--where {path}: expected a regular expression: {why}"
        ))
    })?;
    Ok(Test::Matches(pattern))
}

fn compared(path: &str, leaf: FieldType, comparison: Comparison, value: &str) -> Outcome<Test> {
    let wanted = WrittenValue::parse(leaf, value).ok_or_else(|| {
        let expected = leaf.keyword();
        Failure::invalid(format!(
            "--where {path}: expected {expected}, found {value:?}"
        ))
    })?;
    let equality = matches!(comparison, Comparison::Equal | Comparison::NotEqual);
    if wanted == WrittenValue::Null && !equality {
        let message = format!("--where {path}: null compares with = and != only");
        return Err(Failure::invalid(message));
    }
    Ok(Test::Compares(comparison, wanted))
}

/// The fields a path leads through. A reference at its end to a type of one plain field is followed.
fn resolve(schema: &Schema, start: TypeId, path: &str) -> Outcome<(Vec<u16>, FieldType)> {
    let found = schema.field_path(start, path);
    let found = found.map_err(|e| Failure::invalid(format!("--where {path}: {e}")))?;
    Ok((found.steps, found.leaf))
}

/// The order of floats tells the two zeros apart, which no person does.
fn unsigned_zero(value: f64) -> f64 {
    value + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str =
        "City @PrimaryKey(id) { long id; Country country; String name; ListOfString tags; }
        Country { string code; int rank; } ListOfString List<String>; String { string value; }";

    fn wanted_by(filter: Filter) -> (Vec<u16>, WrittenValue) {
        match filter.test {
            Test::Compares(Comparison::Equal, wanted) => (filter.steps, wanted),
            other => panic!("{other:?}"),
        }
    }

    fn filter(text: &str) -> Outcome<Filter> {
        let schema = Schema::parse(SCHEMA).unwrap();
        Filter::parse(&schema, TypeId(0), text)
    }

    fn check_refused(text: &str, expected: &str) {
        assert_eq!(filter(text).unwrap_err().message(), expected);
    }

    #[test]
    fn paths_lead_through_references_and_into_wrappers() {
        let nested = wanted_by(filter("country.rank=7").unwrap());
        assert_eq!(nested, (vec![1, 1], WrittenValue::Whole(7)));
        let wrapped = wanted_by(filter("name=a=b").unwrap());
        assert_eq!(wrapped, (vec![2, 0], WrittenValue::Text("a=b".into())));
    }

    #[test]
    fn quotes_tell_the_text_null_from_null() {
        let null = wanted_by(filter("name=null").unwrap());
        assert_eq!(null.1, WrittenValue::Null);
        let text = wanted_by(filter("name=\"null\"").unwrap());
        assert_eq!(text.1, WrittenValue::Text("null".into()));
        let blanks = wanted_by(filter("name=\" a\"").unwrap());
        assert_eq!(blanks.1, WrittenValue::Text(" a".into()));
    }

    #[test]
    fn blanks_around_the_sign_and_two_equals_signs_are_nothing_of_the_value() {
        for text in ["name = a", "name==a", "name == a "] {
            let wanted = wanted_by(filter(text).unwrap());
            assert_eq!(
                wanted,
                (vec![2, 0], WrittenValue::Text("a".into())),
                "{text}"
            );
        }
        let rank = wanted_by(filter("country.rank = 7").unwrap());
        assert_eq!(rank.1, WrittenValue::Whole(7));
        match filter("name ~ ^San ").unwrap().test {
            Test::Matches(pattern) => assert_eq!(pattern.as_str(), "^San "),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn fields_and_values_that_do_not_fit_are_refused() {
        check_refused(
            "id",
            "--where \"id\": expected a field, one of = != < <= > >= ~, and a value",
        );
        check_refused("id>null", "--where id: null compares with = and != only");
        check_refused(
            "id~1",
            "--where id: expected a field of text for ~, found long",
        );
        check_refused(
            "name~(",
            "--where name: expected a regular expression: unclosed group",
        );
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
            "--where tags: expected a plain value, found list ListOfString",
        );
        check_refused(
            "country=x",
            "--where country: expected a plain value, found object Country: name one of its fields, such as \
             country.code",
        );
        check_refused("id.x=1", "--where id.x: id is long and has no fields");
        check_refused(
            "tags.x=1",
            "--where tags.x: list ListOfString has no field \"x\", expected no field",
        );
    }
}
