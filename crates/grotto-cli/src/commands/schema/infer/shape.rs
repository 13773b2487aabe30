//! What the values of an input have in common.
//!
//! Owns: one shape per field, grown value by value, and the refusal of values that have nothing in common. Never:
//! names a type.

use super::value::Json;
use grotto::engine::format::flat::MAX_DEPTH;
use std::collections::HashMap;

/// Objects with more fields than this are maps written as objects.
const MOST_FIELDS: usize = 1_000;

/// What is known of the values at one place.
#[derive(Debug, Default)]
pub(super) struct Shape {
    pub(super) kind: Kind,
    /// Values seen, nulls not counted.
    pub(super) values: u64,
    /// Line of the value that decided the kind.
    decided: u64,
    /// Which object of its place had the value seen last, from 1.
    object: u64,
    /// Line of the first whole number that a double would round; 0 if there is none.
    pub(super) unexact: u64,
}

/// Whether a double holds a whole number as it is.
fn is_exact(value: i64) -> bool {
    i128::from(value as f64 as i64) == i128::from(value) && value != i64::MAX
}

#[derive(Debug, Default)]
pub(super) enum Kind {
    /// Only nulls so far.
    #[default]
    Unknown,
    Boolean,
    Whole,
    Real,
    Text,
    List(Box<Shape>),
    Object(Fields),
}

/// Fields in the order in which they first came.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) all: Vec<(String, Shape)>,
    positions: HashMap<String, usize>,
    /// Objects seen.
    objects: u64,
}

/// How values are taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// The line that they are on.
    pub(super) line: u64,
    /// Numbers and booleans beside text are text: cells of a table do not say what they are.
    pub(super) untyped: bool,
    /// How many records it is inside of.
    pub(super) depth: usize,
}

impl Rules {
    /// Those of what is inside of a value.
    fn inside(self) -> Result<Self, String> {
        if self.depth == MAX_DEPTH {
            return Err(format!(
                ": expected at most {MAX_DEPTH} records inside each other, found more"
            ));
        }
        let depth = self.depth + 1;
        Ok(Self { depth, ..self })
    }
}

impl Kind {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Unknown => "null",
            Self::Boolean => "a boolean",
            Self::Whole => "a whole number",
            Self::Real => "a number",
            Self::Text => "text",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }

    fn of(value: &Json) -> Self {
        match value {
            Json::Null => Self::Unknown,
            Json::Boolean(_) => Self::Boolean,
            Json::Whole(_) => Self::Whole,
            Json::Real(_) => Self::Real,
            Json::Text(_) => Self::Text,
            Json::List(_) => Self::List(Box::default()),
            Json::Object(_) => Self::Object(Fields::default()),
        }
    }

    fn is_scalar(&self) -> bool {
        !matches!(self, Self::List(_) | Self::Object(_))
    }
}

impl Shape {
    /// Takes one more value in. `Err` says at which path below this one what was expected and found.
    pub(super) fn take(&mut self, value: &Json, rules: Rules) -> Result<(), String> {
        if matches!(value, Json::Null) {
            return Ok(());
        }
        self.values += 1;
        self.unite(Kind::of(value), rules)?;
        if let Json::Whole(whole) = value
            && self.unexact == 0
            && !is_exact(*whole)
        {
            self.unexact = rules.line;
        }
        match (&mut self.kind, value) {
            (Kind::List(element), Json::List(values)) => values
                .iter()
                .try_for_each(|value| element.take_element(value, rules.inside()?))
                .map_err(|why| format!("[]{why}")),
            (Kind::Object(fields), Json::Object(values)) => {
                fields.objects += 1;
                values
                    .iter()
                    .try_for_each(|(name, value)| fields.take(name, value, rules))
            }
            _ => Ok(()),
        }
    }

    fn take_element(&mut self, value: &Json, rules: Rules) -> Result<(), String> {
        match value {
            Json::Null => Err(": expected a value, found null".to_owned()),
            value => self.take(value, rules),
        }
    }

    /// The kind that holds what was seen and what comes.
    fn unite(&mut self, found: Kind, rules: Rules) -> Result<(), String> {
        let united = match (&self.kind, found) {
            (Kind::Unknown, found) => found,
            (Kind::Whole, Kind::Real) => Kind::Real,
            (Kind::Boolean, Kind::Boolean)
            | (Kind::Whole, Kind::Whole)
            | (Kind::Real, Kind::Whole | Kind::Real)
            | (Kind::Text, Kind::Text)
            | (Kind::List(_), Kind::List(_))
            | (Kind::Object(_), Kind::Object(_)) => return Ok(()),
            (known, found) if rules.untyped && known.is_scalar() && found.is_scalar() => Kind::Text,
            (known, found) => {
                let (known, found) = (known.name(), found.name());
                let decided = self.decided;
                return Err(format!(
                    ": expected {known} as on line {decided}, found {found}"
                ));
            }
        };
        (self.kind, self.decided) = (united, rules.line);
        Ok(())
    }
}

impl Fields {
    fn take(&mut self, name: &str, value: &Json, rules: Rules) -> Result<(), String> {
        let at = match self.positions.get(name) {
            Some(at) => *at,
            None if self.all.len() == MOST_FIELDS => {
                return Err(format!(
                    ": expected at most {MOST_FIELDS} fields; an object of keys and values is a map, which \
                     only a person can tell from a record: write its type as `MapOf… Map<String, …>`"
                ));
            }
            None => {
                self.all.push((name.to_owned(), Shape::default()));
                self.positions.insert(name.to_owned(), self.all.len() - 1);
                self.all.len() - 1
            }
        };
        let rules = match value {
            Json::List(_) | Json::Object(_) => rules.inside(),
            _ => Ok(rules),
        };
        let field = &mut self.all[at].1;
        let taken = match std::mem::replace(&mut field.object, self.objects) == self.objects {
            true => Err(": expected one value, found the field a second time".to_owned()),
            false => rules.and_then(|rules| field.take(value, rules)),
        };
        taken.map_err(|why| format!(".{name}{why}"))
    }
}
