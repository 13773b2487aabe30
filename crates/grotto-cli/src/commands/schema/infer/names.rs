//! The types of a shape, with names.
//!
//! Owns: declaring one type per object, list and scalar of a list. Never: two types of one name.

use super::shape::{Fields, Kind, Shape};
use grotto::schema::MAX_NAME;
use std::collections::{BTreeMap, BTreeSet};

/// Names of types that hold one scalar, as those of lists do.
const SCALARS: [&str; 4] = ["Boolean", "Long", "Double", "String"];

/// The types declared so far: name and what follows it in the schema language.
#[derive(Debug, Default)]
pub(super) struct Types {
    order: Vec<String>,
    bodies: BTreeMap<String, String>,
    /// Names of types whose fields are still being looked at, too.
    taken: BTreeSet<String>,
    /// What a person should know of the result.
    pub(super) notes: Vec<String>,
}

impl Types {
    /// The schema as text: the first type is that of the records.
    pub(super) fn text(&self) -> String {
        let body = |name: &String| format!("{name}{}\n", self.bodies[name]);
        self.order.iter().rev().map(body).collect()
    }

    /// Declares the type of the records; its name may have had to give way to that of a scalar.
    ///
    /// # Errors
    /// Says which name of a field no schema can have.
    pub(super) fn records(
        &mut self,
        name: &str,
        key: Option<&str>,
        fields: &Fields,
    ) -> Result<String, String> {
        let name = self.take_name(name, name);
        self.object(&name, key, fields, &name)?;
        Ok(name)
    }

    /// Declares the type of an object under a name that was taken for it.
    fn object(
        &mut self,
        name: &str,
        key: Option<&str>,
        fields: &Fields,
        path: &str,
    ) -> Result<(), String> {
        let mut body = key.map_or_else(String::new, |key| format!(" @PrimaryKey({key})"));
        body.push_str(" {\n");
        for (field, shape) in &fields.all {
            let path = format!("{path}.{field}");
            if !is_name(field) {
                return Err(format!(
                    "field {}: expected a name of letters, digits and _, at most {MAX_NAME} of them, as schemas have \
                     them: rename it in the input, such as to {}",
                    shortened(&path),
                    name_like(field)
                ));
            }
            let ty = self.field(name, field, shape, &path)?;
            body.push_str(&format!("    {ty} {field};\n"));
        }
        body.push('}');
        self.add(name, body);
        Ok(())
    }

    /// The type of a field, as it is written before its name.
    fn field(
        &mut self,
        parent: &str,
        field: &str,
        shape: &Shape,
        path: &str,
    ) -> Result<String, String> {
        Ok(match &shape.kind {
            Kind::Unknown => {
                self.notes
                    .push(format!("{path} is null in all records: taken for text"));
                "string".to_owned()
            }
            Kind::Boolean => "boolean".to_owned(),
            Kind::Whole => "long".to_owned(),
            Kind::Real => {
                self.note_rounding(shape, path);
                "double".to_owned()
            }
            Kind::Text => "string".to_owned(),
            Kind::List(_) | Kind::Object(_) => self.reference(parent, field, shape, path)?,
        })
    }

    /// The type of a record that is referred to: of an object, of a list, or of a scalar within one.
    fn reference(
        &mut self,
        parent: &str,
        field: &str,
        shape: &Shape,
        path: &str,
    ) -> Result<String, String> {
        match &shape.kind {
            Kind::Object(fields) if fields.all.is_empty() => Err(format!(
                "field {path}: expected objects with fields, found only empty ones: leave it out of the input"
            )),
            Kind::Object(fields) => {
                let name = self.take_name(parent, &type_name(field));
                self.object(&name, None, fields, path)?;
                Ok(name)
            }
            Kind::List(element) => {
                if matches!(element.kind, Kind::Unknown) {
                    self.notes.push(format!(
                        "{path} is empty in all records: taken for a list of text"
                    ));
                }
                let element =
                    self.reference(parent, &singular(field), element, &format!("{path}[]"))?;
                let name = format!("ListOf{element}");
                Ok(self.declare(&name, parent, format!(" List<{element}>;")))
            }
            Kind::Boolean => Ok(self.wrapper("Boolean", "boolean")),
            Kind::Whole => Ok(self.wrapper("Long", "long")),
            Kind::Real => {
                self.note_rounding(shape, path);
                Ok(self.wrapper("Double", "double"))
            }
            Kind::Text | Kind::Unknown => Ok(self.wrapper("String", "string")),
        }
    }

    fn note_rounding(&mut self, shape: &Shape, path: &str) {
        if shape.unexact > 0 {
            let line = shape.unexact;
            self.notes.push(format!(
                "{path} has fractions, and on line {line} a whole number that a double rounds: text would keep it"
            ));
        }
    }

    fn wrapper(&mut self, name: &str, scalar: &str) -> String {
        self.declare(name, name, format!(" {{\n    {scalar} value;\n}}"))
    }

    /// A name that is not taken, with that of the parent before it if need be, and takes it; one that gets too long
    /// ends with a number. Names of scalars stay free.
    fn take_name(&mut self, parent: &str, name: &str) -> String {
        let mut free = name.to_owned();
        let mut number = 1;
        while self.taken.contains(&free)
            || SCALARS.contains(&free.as_str())
            || free.len() > MAX_NAME
        {
            free = format!("{parent}{free}");
            if free.len() > MAX_NAME {
                number += 1;
                let number = number.to_string();
                let most = name.len().min(MAX_NAME - number.len());
                free = format!("{}{number}", &name[..most]);
            }
        }
        self.taken.insert(free.clone());
        free
    }

    /// Declares a list or a scalar, unless there is the same already.
    fn declare(&mut self, name: &str, parent: &str, body: String) -> String {
        if self.bodies.get(name) == Some(&body) {
            return name.to_owned();
        }
        let name = match SCALARS.contains(&name) {
            true => name.to_owned(),
            false => self.take_name(parent, name),
        };
        self.add(&name, body);
        name
    }

    fn add(&mut self, name: &str, body: String) {
        self.bodies.insert(name.to_owned(), body);
        self.order.push(name.to_owned());
    }
}

/// Whether a schema may have a field of this name.
pub(super) fn is_name(text: &str) -> bool {
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    begins && text.len() <= MAX_NAME && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A name that a schema may have, as near to another one as can be.
fn name_like(text: &str) -> String {
    let good = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let name: String = text.chars().map(good).take(MAX_NAME - 1).collect();
    match is_name(&name) {
        true => name,
        false => format!("_{name}"),
    }
}

/// The path of a field whose name may be of any length, as a message shows it.
fn shortened(path: &str) -> String {
    match path.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &path[..end]),
        None => path.to_owned(),
    }
}

/// The name of a type for a field or a file: `home_address` is `HomeAddress`.
pub(super) fn type_name(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let capital = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next().map(|c| c.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    };
    let name: String = words.map(capital).collect();
    match name.chars().next() {
        Some(first) if !first.is_ascii_digit() => name,
        _ => format!("Record{name}"),
    }
}

/// The English singular of a plural, as far as a rule goes.
pub(super) fn singular(text: &str) -> String {
    let ends = |end: &str| text.strip_suffix(end).filter(|stem| stem.len() > 1);
    if let Some(stem) = ends("ies") {
        return format!("{stem}y");
    }
    for end in ["sses", "xes", "ches", "shes"] {
        if ends(end).is_some() {
            return text[..text.len() - 2].to_owned();
        }
    }
    match ends("s") {
        Some(stem) if !stem.ends_with(['s', 'u', 'i']) => stem.to_owned(),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_no_schema_has_becomes_one_like_it() {
        for (text, expected) in [
            ("$schema", "_schema"),
            ("first name", "first_name"),
            ("2nd", "_2nd"),
            ("größe", "gr__e"),
            ("", "_"),
        ] {
            assert_eq!(name_like(text), expected, "{text}");
        }
        for text in ["1".repeat(MAX_NAME), "ab".repeat(MAX_NAME)] {
            assert!(is_name(&name_like(&text)), "{text}");
        }
    }

    #[test]
    fn a_file_or_field_gives_a_type_its_name() {
        for (text, expected) in [
            ("cities", "City"),
            ("home_address", "HomeAddress"),
            ("boxes", "Box"),
            ("news", "New"),
            ("status", "Status"),
            ("glass", "Glass"),
            ("2023-07", "Record202307"),
            ("übung", "Bung"),
            ("", "Record"),
        ] {
            assert_eq!(type_name(&singular(text)), expected, "{text}");
        }
    }
}
