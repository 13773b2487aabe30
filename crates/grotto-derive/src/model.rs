//! The struct that is derived for.
//!
//! Owns: what shapes are accepted, and all names. Never generates code.

#[cfg(test)]
mod tests;

use crate::attributes::{KeyPath, OfField, OfStruct};
use crate::types;
use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::{Data, DeriveInput, Error, Fields, Ident, Path, Result, Type, Visibility, parse_quote};

/// A struct, understood.
pub(crate) struct Model {
    pub(crate) name: Ident,
    pub(crate) visibility: Visibility,
    /// Name of the type in the schema.
    pub(crate) type_name: String,
    /// Paths of the primary key, in the names of the schema, and where each stands.
    pub(crate) key: Vec<(String, Span)>,
    pub(crate) krate: Path,
    pub(crate) fields: Vec<Field>,
    /// Fields that are not stored.
    pub(crate) skipped: Vec<Ident>,
}

/// A field, understood.
pub(crate) struct Field {
    pub(crate) name: Ident,
    pub(crate) visibility: Visibility,
    /// Its name in the schema.
    pub(crate) field_name: String,
    pub(crate) ty: Type,
    /// What is stored for it: its own type, unless a module converts.
    pub(crate) stored: Type,
    pub(crate) with: Option<With>,
    pub(crate) kind: Kind,
}

/// How a field is converted.
pub(crate) struct With {
    pub(crate) module: Path,
    /// Whether the field is an `Option` of what the module converts.
    pub(crate) optional: bool,
}

/// How a field is declared.
pub(crate) enum Kind {
    Plain,
    Dedup,
    Hashed(Vec<String>),
}

impl Model {
    pub(crate) fn read(input: &DeriveInput) -> Result<Self> {
        let attributes = OfStruct::read(&input.attrs)?;
        if attributes.int.is_some() {
            return Err(Error::new_spanned(&input.ident, "int is for enums"));
        }
        let (fields, skipped) = fields(input)?;
        let key = attributes
            .key
            .as_deref()
            .map_or(Ok(Vec::new()), |paths| key(paths, &fields))?;
        let name = input.ident.clone();
        Ok(Self {
            visibility: input.vis.clone(),
            type_name: attributes
                .rename
                .map_or_else(|| name.unraw().to_string(), |name| name.value()),
            krate: attributes.krate.unwrap_or_else(|| parse_quote!(::grotto)),
            name,
            key,
            fields,
            skipped,
        })
    }
}

fn fields(input: &DeriveInput) -> Result<(Vec<Field>, Vec<Ident>)> {
    if !input.generics.params.is_empty() {
        let message = "a record type has no type parameters and no lifetimes: it owns its data";
        return Err(Error::new_spanned(&input.generics, message));
    }
    let Data::Struct(data) = &input.data else {
        return Err(Error::new_spanned(
            &input.ident,
            "expected a struct or an enum, found a union",
        ));
    };
    let Fields::Named(named) = &data.fields else {
        return Err(Error::new_spanned(
            &input.ident,
            "expected a struct with named fields, or one around a single value",
        ));
    };
    let mut fields: Vec<Field> = Vec::with_capacity(named.named.len());
    let mut skipped = Vec::new();
    let mut errors: Option<Error> = None;
    for field in &named.named {
        let read = self::field(field).and_then(|read| unique(read, &fields));
        match read {
            Ok(Some(field)) => fields.push(field),
            Ok(None) => skipped.extend(field.ident.clone()),
            // All of them at once, so that one compilation shows them.
            Err(error) => match &mut errors {
                Some(errors) => errors.combine(error),
                None => errors = Some(error),
            },
        }
    }
    errors.map_or(Ok((fields, skipped)), Err)
}

fn unique(field: Option<Field>, before: &[Field]) -> Result<Option<Field>> {
    let Some(field) = field else { return Ok(None) };
    match before
        .iter()
        .find(|other| other.field_name == field.field_name)
    {
        Some(_) => {
            let message = format!("a second field named {} in the schema", field.field_name);
            Err(Error::new_spanned(&field.name, message))
        }
        None => Ok(Some(field)),
    }
}

/// A field; `None` for one that is not stored.
fn field(field: &syn::Field) -> Result<Option<Field>> {
    let attributes = OfField::read(&field.attrs)?;
    if attributes.skip.is_some() {
        return Ok(None);
    }
    if attributes.with.is_none() {
        types::check(&field.ty)?;
    }
    let with = attributes.with.map(|module| With {
        module,
        optional: types::is_option(&field.ty),
    });
    let stored = match &with {
        Some(With {
            module,
            optional: true,
        }) => parse_quote!(::core::option::Option<#module::Stored>),
        Some(With { module, .. }) => parse_quote!(#module::Stored),
        None => field.ty.clone(),
    };
    let Some(name) = field.ident.clone() else {
        return Err(Error::new_spanned(field, "expected a named field"));
    };
    let kind = match (attributes.dedup, attributes.hash_key) {
        (Some(_), _) => Kind::Dedup,
        (None, Some(paths)) => Kind::Hashed(paths.iter().map(dotted).collect()),
        (None, None) => Kind::Plain,
    };
    Ok(Some(Field {
        stored,
        with,
        field_name: attributes
            .rename
            .map_or_else(|| name.unraw().to_string(), |name| name.value()),
        visibility: field.vis.clone(),
        ty: field.ty.clone(),
        name,
        kind,
    }))
}

fn dotted(path: &KeyPath) -> String {
    let names: Vec<String> = path
        .names
        .iter()
        .map(|name| name.unraw().to_string())
        .collect();
    names.join(".")
}

/// Most fields of a key: lookups take a tuple of them.
const MAX_KEY: usize = 8;

/// Key paths begin with a field of this struct, whose name in the schema may be another one.
fn key(paths: &[KeyPath], fields: &[Field]) -> Result<Vec<(String, Span)>> {
    if let Some(beyond) = paths.get(MAX_KEY).and_then(|path| path.names.first()) {
        let message = format!("a key has at most {MAX_KEY} fields");
        return Err(Error::new_spanned(beyond, message));
    }
    let path = |path: &KeyPath| {
        let Some((first, rest)) = path.names.split_first() else {
            return Ok((String::new(), Span::call_site()));
        };
        let Some(field) = fields.iter().find(|field| field.name == *first) else {
            let names: Vec<String> = fields.iter().map(|field| field.name.to_string()).collect();
            let message = format!(
                "expected a field of this struct, one of {}",
                names.join(", ")
            );
            return Err(Error::new_spanned(first, message));
        };
        let mut text = field.field_name.clone();
        for name in rest {
            text.push('.');
            text.push_str(&name.unraw().to_string());
        }
        let last = rest.last().unwrap_or(first);
        Ok((text, last.span()))
    };
    paths.iter().map(path).collect()
}
