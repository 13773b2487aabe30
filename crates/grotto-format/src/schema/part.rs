//! A schema with fewer fields: what a reader sees that keeps some of them only.
//!
//! Owns: which fields stay for the sake of keys, and key paths by the positions that are left. Never: moves or drops a
//! type, so positions of types mean the same in both.

use super::{
    Field, FieldPath, FieldType, KeySpec, ObjectSchema, Schema, TypeId, TypeKind, TypeSchema,
};

/// By type and field: its position among those that are left.
type Places = Vec<Vec<Option<u16>>>;

impl Schema {
    /// The same types at the same positions, without the fields that `keeps` refuses. Fields that a primary key or a hash
    /// key leads through stay in any case.
    #[must_use]
    pub fn part(&self, keeps: &dyn Fn(&TypeSchema, &Field) -> bool) -> Self {
        let used = self.used_by_keys();
        let places: Places = self
            .types
            .iter()
            .zip(&used)
            .map(|(ty, used)| {
                let mut next = 0..;
                let fields = ty.fields().iter().zip(used);
                fields
                    .map(|(field, used)| (*used || keeps(ty, field)).then(|| next.next()).flatten())
                    .collect()
            })
            .collect();
        let types = self.ids().zip(&self.types).map(|(id, ty)| TypeSchema {
            name: ty.name.clone(),
            kind: self.part_of(id, &ty.kind, &places),
        });
        Self {
            types: types.collect(),
            by_name: self.by_name.clone(),
            ..Self::default()
        }
    }

    fn part_of(&self, id: TypeId, kind: &TypeKind, places: &Places) -> TypeKind {
        let moved = |start: TypeId, paths: &[FieldPath]| {
            paths
                .iter()
                .map(|path| self.moved(start, path, places))
                .collect()
        };
        match kind {
            TypeKind::Object(object) => {
                let is_left = |at: usize| {
                    places
                        .get(id.index())
                        .and_then(|places| places.get(at))
                        .is_some_and(Option::is_some)
                };
                let (mut fields, mut left_out) = (Vec::new(), object.left_out.clone());
                for (at, field) in object.fields.iter().enumerate() {
                    match is_left(at) {
                        true => fields.push(field.clone()),
                        false => left_out.push(field.name.clone()),
                    }
                }
                let key = object.primary_key.as_ref();
                let primary_key = key.map(|key| KeySpec {
                    paths: moved(id, &key.paths),
                });
                TypeKind::Object(ObjectSchema {
                    fields,
                    primary_key,
                    left_out,
                })
            }
            TypeKind::List { element } => TypeKind::List { element: *element },
            TypeKind::Set { element, hash_key } => TypeKind::Set {
                element: *element,
                hash_key: moved(*element, hash_key),
            },
            TypeKind::Map {
                key,
                value,
                hash_key,
            } => TypeKind::Map {
                key: *key,
                value: *value,
                hash_key: moved(*key, hash_key),
            },
        }
    }

    /// A path by the positions that are left. All its fields are.
    fn moved(&self, start: TypeId, path: &FieldPath, places: &Places) -> FieldPath {
        let mut steps = Vec::with_capacity(path.steps.len());
        self.walk(start, path, &mut |ty, step| {
            let place = places.get(ty.index()).and_then(|places| places.get(step));
            steps.extend(place.copied().flatten());
        });
        FieldPath {
            text: path.text.clone(),
            steps,
            leaf: path.leaf,
        }
    }

    /// By type and field: whether a key leads through it.
    fn used_by_keys(&self) -> Vec<Vec<bool>> {
        let mut used: Vec<Vec<bool>> = self
            .types
            .iter()
            .map(|ty| vec![false; ty.fields().len()])
            .collect();
        for (id, ty) in self.ids().zip(&self.types) {
            let (start, paths) = match &ty.kind {
                TypeKind::Object(object) => (
                    id,
                    object
                        .primary_key
                        .as_ref()
                        .map_or(&[][..], |key| &key.paths),
                ),
                TypeKind::Set { element, hash_key } => (*element, hash_key.as_slice()),
                TypeKind::Map { key, hash_key, .. } => (*key, hash_key.as_slice()),
                TypeKind::List { .. } => continue,
            };
            for path in paths {
                self.walk(start, path, &mut |ty, step| {
                    if let Some(used) = used.get_mut(ty.index()).and_then(|used| used.get_mut(step))
                    {
                        *used = true;
                    }
                });
            }
        }
        used
    }

    /// Calls `visit` with each type and field that a path leads through.
    fn walk(&self, start: TypeId, path: &FieldPath, visit: &mut dyn FnMut(TypeId, usize)) {
        let mut at = start;
        for step in &path.steps {
            let step = usize::from(*step);
            visit(at, step);
            if let Some(FieldType::Reference(to)) =
                self.get(at).fields().get(step).map(|field| field.ty)
            {
                at = to;
            }
        }
    }
}

impl TypeSchema {
    /// Whether a field of this name was left out of a [part](Schema::part).
    #[must_use]
    pub fn leaves_out(&self, name: &str) -> bool {
        self.object()
            .is_some_and(|object| object.left_out.iter().any(|left_out| left_out == name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = "
        Town { string note; string name; long size; }
        City @PrimaryKey(town.name, id) { bytes flag; Town town; long id; Streets streets; double area; }
        Streets Set<Street> @HashKey(name, town.name);
        Street { long length; string name; Town town; string surface; }";

    fn part(keep: &[&str]) -> Schema {
        let schema = Schema::parse(SCHEMA).unwrap();
        schema.part(&|ty, field| keep.contains(&&*format!("{}.{}", ty.name, field.name)))
    }

    #[test]
    fn keys_keep_their_fields_and_lead_to_them() {
        let part = part(&["City.area", "Street.surface"]);
        let expected = "
            Town { string name; }
            City @PrimaryKey(town.name, id) { Town town; long id; double area; }
            Streets Set<Street> @HashKey(name, town.name);
            Street { string name; Town town; string surface; }";
        let expected = Schema::parse(expected).unwrap();
        assert_eq!(part.to_string(), expected.to_string());
        for id in part.ids() {
            let (found, expected) = (part.get(id), expected.get(id));
            assert_eq!(found.fields(), expected.fields());
            assert_eq!(found.key(), expected.key());
        }
        assert_eq!(part.get(TypeId(2)), expected.get(TypeId(2)));
        let city = part.get(TypeId(1));
        assert!(city.leaves_out("flag") && !city.leaves_out("area") && !city.leaves_out("other"));
    }

    #[test]
    fn a_record_with_one_field_left_is_no_plain_value() {
        let part = part(&[]);
        let town = part.find("Town").unwrap();
        assert_eq!(part.get(town).fields().len(), 1);
        assert_eq!(part.get(town).wrapped(), None);
        let error = part
            .field_path(part.find("City").unwrap(), "area")
            .unwrap_err();
        assert_eq!(error.to_string(), "field City.area is left out here");
    }

    #[test]
    fn a_part_of_everything_is_the_schema() {
        let schema = Schema::parse(SCHEMA).unwrap();
        let part = schema.part(&|_, _| true);
        assert_eq!(part, schema);
        assert_eq!(part.hash(), schema.hash());
    }
}
