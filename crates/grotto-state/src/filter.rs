//! Which types a state keeps, where it does not keep all.
//!
//! Owns: the names that were asked for, and what must be kept with them. Never: drops a record.
//!
//! **Invariant**: whatever a kept record refers to is kept, so no reference leads to a record that was left out.

use crate::error::StateError;
use grotto_error::Result;
use grotto_format::schema::{Schema, TypeId};
use std::fmt;

/// The types of which a state keeps the records. Types that their records refer to are kept with them.
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
    /// Keeps these types.
    pub fn of<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Self {
        let mut names: Vec<String> = names.into_iter().map(Into::into).collect();
        names.sort_unstable();
        names.dedup();
        Self { names }
    }

    /// Names of the types that were asked for.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Refuses names that a schema does not have. A type may go with a version: this is for the moment at which somebody
    /// names them.
    ///
    /// # Errors
    /// `Invalid`, with the name and the types that there are.
    pub fn check(&self, schema: &Schema) -> Result<()> {
        for name in &self.names {
            let known = schema.require(name);
            known.map_err(|e| StateError::Invalid(format!("types to keep: {e}")))?;
        }
        Ok(())
    }

    /// By type of a schema: whether its records are kept.
    pub fn kept(&self, schema: &Schema) -> Vec<bool> {
        let mut kept = vec![false; schema.types().len()];
        let mut next: Vec<TypeId> = self
            .names
            .iter()
            .filter_map(|name| schema.find(name))
            .collect();
        while let Some(id) = next.pop() {
            if let Some(known) = kept.get_mut(id.index()).filter(|known| !**known) {
                *known = true;
                next.extend(schema.get(id).kind.references());
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
        let schema = Schema::parse(SCHEMA).unwrap();
        let kept = TypeFilter::of(names.iter().copied()).kept(&schema);
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
    fn a_name_that_the_schema_lacks_is_refused() {
        let schema = Schema::parse(SCHEMA).unwrap();
        TypeFilter::of(["City", "River"]).check(&schema).unwrap();
        let error = TypeFilter::of(["City", "Town"]).check(&schema).unwrap_err();
        assert!(error.to_string().contains("types to keep"), "{error}");
        assert!(error.to_string().contains("Town"), "{error}");
    }

    #[test]
    fn the_order_of_names_means_nothing() {
        assert_eq!(TypeFilter::of(["b", "a", "b"]), TypeFilter::of(["a", "b"]));
        assert_eq!(TypeFilter::of(["b", "a"]).to_string(), "a, b");
    }
}
