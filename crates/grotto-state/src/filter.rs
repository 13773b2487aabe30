//! Which types and fields a state keeps, where it does not keep all.
//!
//! Owns: the names that were asked for, and what must be kept with them. Never: drops a record or a value.
//!
//! **Invariant**: whatever a kept record refers to by a kept field is kept, so no reference leads to a record that was
//! left out.

use crate::error::StateError;
use grotto_error::Result;
use grotto_format::schema::{Schema, TypeId};
use std::fmt;

/// The types of which a state keeps the records, as a whole (`City`) or some of their fields (`City.name`, `City.area`).
///
/// Types that kept records refer to are kept with them. Fields that belong to a key are kept in any case: those of the
/// type's own primary key, and those by which keys of other types lead.
#[derive(Clone, Debug, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct TypeFilter {
    /// Rising, each once.
    names: Vec<String>,
}

impl fmt::Display for TypeFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names.join(", "))
    }
}

impl TypeFilter {
    /// Keeps these types and fields.
    pub fn of<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Self {
        let mut names: Vec<String> = names.into_iter().map(Into::into).collect();
        names.sort_unstable();
        names.dedup();
        Self { names }
    }

    /// What was asked for: `City`, or `City.name`.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Types and fields; no field for a whole type.
    fn parts(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.names.iter().map(|name| match name.split_once('.') {
            Some((ty, field)) => (ty, Some(field)),
            None => (name.as_str(), None),
        })
    }

    /// Refuses names that a schema does not have. A type or field may go with a version: this is for the moment at which
    /// somebody names them.
    ///
    /// # Errors
    /// `Invalid`, with the name and what there is.
    pub fn check(&self, schema: &Schema) -> Result<()> {
        let refused = |e: &dyn fmt::Display| StateError::Invalid(format!("types to keep: {e}"));
        for (name, field) in self.parts() {
            let ty = schema.get(schema.require(name).map_err(|e| refused(&e))?);
            let known = |field: &str| ty.fields().iter().any(|known| known.name == field);
            if let Some(field) = field.filter(|field| !known(field)) {
                let fields = ty.fields().iter().map(|field| field.name.as_str());
                let (kind, fields) = (ty.kind_name(), fields.collect::<Vec<_>>().join(", "));
                let expected = match fields.as_str() {
                    "" => "no field".to_owned(),
                    fields => format!("one of {fields}"),
                };
                return Err(refused(&format!(
                    "{kind} {name} has no field {field:?}, expected {expected}"
                ))
                .into());
            }
        }
        Ok(())
    }

    /// Whether some fields of a type were named, and not the whole.
    pub(crate) fn is_by_field(&self, type_name: &str) -> bool {
        let mut by_field = false;
        for (_, field) in self.parts().filter(|(ty, _)| *ty == type_name) {
            if field.is_none() {
                return false;
            }
            by_field = true;
        }
        by_field
    }

    /// What is left of a schema, with all its types.
    pub(crate) fn part(&self, schema: &Schema) -> Schema {
        schema.part(&|ty, field| {
            let named = || {
                let mut parts = self.parts();
                parts.any(|(name, named)| name == ty.name && named == Some(&field.name))
            };
            !self.is_by_field(&ty.name) || named()
        })
    }

    /// By type of a schema: whether its records are kept.
    #[must_use]
    pub fn kept_of(&self, schema: &Schema) -> Vec<bool> {
        self.kept(&self.part(schema))
    }

    /// By type of [`part`](Self::part): whether its records are kept.
    pub(crate) fn kept(&self, part: &Schema) -> Vec<bool> {
        let mut kept = vec![false; part.types().len()];
        let mut next: Vec<TypeId> = self
            .parts()
            .filter_map(|(name, _)| part.find(name))
            .collect();
        while let Some(id) = next.pop() {
            if let Some(known) = kept.get_mut(id.index()).filter(|known| !**known) {
                *known = true;
                next.extend(part.get(id).kind.references());
            }
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = "
        City @PrimaryKey(id) { long id; Country country; Names names; }
        Country @PrimaryKey(code) { string code; Region region; }
        Region { string name; }
        Names List<Name>;
        Name { string text; Name next; }
        River { string name; Region region; }";

    fn kept(names: &[&str]) -> Vec<String> {
        let filter = TypeFilter::of(names.iter().copied());
        let schema = filter.part(&Schema::parse(SCHEMA).unwrap());
        let kept = filter.kept(&schema);
        let types = schema.types().iter().zip(kept).filter(|(_, kept)| *kept);
        types.map(|(ty, _)| ty.name.clone()).collect()
    }

    #[test]
    fn a_type_is_kept_with_all_that_it_leads_to() {
        assert_eq!(
            kept(&["City"]),
            ["City", "Country", "Region", "Names", "Name"]
        );
        assert_eq!(kept(&["Country"]), ["Country", "Region"]);
        assert_eq!(kept(&["River", "Name"]), ["Region", "Name", "River"]);
        assert_eq!(kept(&["Nothing"]), [""; 0]);
        assert_eq!(kept(&[]), [""; 0]);
    }

    #[test]
    fn what_a_field_leads_to_is_kept_only_with_the_field() {
        assert_eq!(kept(&["City.id"]), ["City"]);
        assert_eq!(kept(&["City.country"]), ["City", "Country", "Region"]);
        assert_eq!(kept(&["City.country", "Country.code"]), ["City", "Country"]);
        // A type that is named as a whole is kept as a whole.
        let both = kept(&["City.country", "Country.code", "Country"]);
        assert_eq!(both, ["City", "Country", "Region"]);
        assert_eq!(kept(&["Name.next"]), ["Name"]);
    }

    #[test]
    fn a_name_that_the_schema_lacks_is_refused() {
        let schema = Schema::parse(SCHEMA).unwrap();
        TypeFilter::of(["City", "River"]).check(&schema).unwrap();
        let error = TypeFilter::of(["City", "Town"]).check(&schema).unwrap_err();
        assert!(error.to_string().contains("types to keep"), "{error}");
        assert!(error.to_string().contains("Town"), "{error}");
        TypeFilter::of(["City.country"]).check(&schema).unwrap();
        let refused = |name: &str| {
            TypeFilter::of([name])
                .check(&schema)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            refused("City.size"),
            r#"types to keep: object City has no field "size", expected one of id, country, names"#
        );
        assert_eq!(
            refused("Names.text"),
            r#"types to keep: list Names has no field "text", expected no field"#
        );
        assert!(refused("Town.size").contains("Town"));
    }

    #[test]
    fn the_order_of_names_means_nothing() {
        assert_eq!(TypeFilter::of(["b", "a", "b"]), TypeFilter::of(["a", "b"]));
        assert_eq!(TypeFilter::of(["b", "a"]).to_string(), "a, b");
    }
}
