//! Looking up a type that a caller names and that has to be there.
//!
//! Owns: what is said of a type that is not in a schema. Never: looks for similar names; all are listed.

use super::{Schema, TypeId};
use std::fmt;

/// Names that are listed; a schema may have thousands.
const MOST_NAMES: usize = 32;

/// A name that no type of a schema has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoSuchType {
    name: String,
    /// The first names that the schema has.
    known: Vec<String>,
    /// How many more it has.
    more: usize,
}

impl Schema {
    /// The position of a type by name.
    ///
    /// # Errors
    /// When the schema has no type of this name; the error lists those it has.
    pub fn require(&self, name: &str) -> Result<TypeId, NoSuchType> {
        self.find(name).ok_or_else(|| {
            let names = self.types().iter().map(|ty| ty.name.clone());
            NoSuchType {
                name: name.to_owned(),
                known: names.take(MOST_NAMES).collect(),
                more: self.types().len().saturating_sub(MOST_NAMES),
            }
        })
    }
}

impl fmt::Display for NoSuchType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, known) = (&self.name, self.known.join(", "));
        write!(f, "type {name} is not in the schema")?;
        match (self.known.len(), self.more) {
            (0, _) => write!(f, ", which has no types yet"),
            (1, _) => write!(f, ": expected {known}"),
            (_, 0) => write!(f, ": expected one of {known}"),
            (_, more) => write!(f, ": expected one of {known} and {more} more"),
        }
    }
}

impl std::error::Error for NoSuchType {}

impl From<NoSuchType> for grotto_error::Error {
    fn from(error: NoSuchType) -> Self {
        Self::showing(grotto_error::ErrorKind::Invalid, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(schema: &str, expected: &str) {
        let schema = match schema {
            "" => Schema::default(),
            text => Schema::parse(text).unwrap(),
        };
        let error = schema.require("City").unwrap_err();
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_type_that_is_missing_is_named_with_those_that_are_there() {
        check("", "type City is not in the schema, which has no types yet");
        check("A { int i; }", "type City is not in the schema: expected A");
        check(
            "A { int i; } cITY { int i; }",
            "type City is not in the schema: expected one of A, cITY",
        );
    }

    #[test]
    fn a_few_of_many_types_are_named() {
        let types = |count: usize| -> String {
            let one = |at| format!("T{at} {{ int i; }}\n");
            (0..count).map(one).collect()
        };
        let names = |count: usize| -> String {
            let names: Vec<String> = (0..count).map(|at| format!("T{at}")).collect();
            format!(
                "type City is not in the schema: expected one of {}",
                names.join(", ")
            )
        };
        check(&types(MOST_NAMES), &names(MOST_NAMES));
        check(&types(MOST_NAMES + 2), &(names(MOST_NAMES) + " and 2 more"));
    }

    #[test]
    fn a_type_that_is_there_is_found() {
        let schema = Schema::parse("A { int i; } B { int i; }").unwrap();
        assert_eq!(schema.require("B"), Ok(TypeId(1)));
    }
}
