//! The `#[grotto(…)]` attributes.
//!
//! Owns: their syntax. Never knows what they apply to.

use syn::meta::ParseNestedMeta;
use syn::punctuated::Punctuated;
use syn::{Attribute, Error, Ident, LitStr, Path, Result, Token, parenthesized};

/// A path of a key: field names with a dot between them.
pub(crate) struct KeyPath {
    pub(crate) names: Vec<Ident>,
}

/// Attributes of the struct.
#[derive(Default)]
pub(crate) struct OfStruct {
    pub(crate) rename: Option<LitStr>,
    pub(crate) key: Option<Vec<KeyPath>>,
    pub(crate) krate: Option<Path>,
    /// Of an enum: stored as a number.
    pub(crate) int: Option<()>,
}

/// Attributes of a variant of an enum.
#[derive(Default)]
pub(crate) struct OfVariant {
    pub(crate) rename: Option<LitStr>,
    pub(crate) other: Option<()>,
}

/// Attributes of a field.
#[derive(Default)]
pub(crate) struct OfField {
    pub(crate) rename: Option<LitStr>,
    pub(crate) dedup: Option<Path>,
    pub(crate) hash_key: Option<Vec<KeyPath>>,
    pub(crate) skip: Option<()>,
    /// The module that converts the field to what is stored and back.
    pub(crate) with: Option<Path>,
}

impl OfVariant {
    pub(crate) fn read(attributes: &[Attribute]) -> Result<Self> {
        let mut found = Self::default();
        each(attributes, |meta| {
            if meta.path.is_ident("rename") {
                set(&meta, &mut found.rename, |meta| meta.value()?.parse())
            } else if meta.path.is_ident("other") {
                set(&meta, &mut found.other, |_| Ok(()))
            } else {
                Err(meta.error("expected other or rename = \"..\""))
            }
        })?;
        Ok(found)
    }
}

impl OfStruct {
    pub(crate) fn read(attributes: &[Attribute]) -> Result<Self> {
        let mut found = Self::default();
        each(attributes, |meta| {
            if meta.path.is_ident("rename") {
                set(&meta, &mut found.rename, name)
            } else if meta.path.is_ident("key") {
                set(&meta, &mut found.key, paths)
            } else if meta.path.is_ident("crate") {
                set(&meta, &mut found.krate, |meta| {
                    meta.value()?.parse::<LitStr>()?.parse()
                })
            } else if meta.path.is_ident("int") {
                set(&meta, &mut found.int, |_| Ok(()))
            } else {
                Err(meta.error("expected key(..), rename = \"..\", int or crate = \"..\""))
            }
        })?;
        Ok(found)
    }
}

impl OfField {
    pub(crate) fn read(attributes: &[Attribute]) -> Result<Self> {
        let mut found = Self::default();
        each(attributes, |meta| {
            if meta.path.is_ident("rename") {
                set(&meta, &mut found.rename, name)
            } else if meta.path.is_ident("dedup") {
                set(&meta, &mut found.dedup, |meta| Ok(meta.path.clone()))
            } else if meta.path.is_ident("hash_key") {
                set(&meta, &mut found.hash_key, paths)
            } else if meta.path.is_ident("skip") {
                set(&meta, &mut found.skip, |_| Ok(()))
            } else if meta.path.is_ident("with") {
                set(&meta, &mut found.with, |meta| {
                    meta.value()?.parse::<LitStr>()?.parse()
                })
            } else {
                let expected =
                    "expected dedup, hash_key(..), skip, with = \"..\" or rename = \"..\"";
                Err(meta.error(expected))
            }
        })?;
        if let (Some(dedup), Some(_)) = (&found.dedup, &found.hash_key) {
            let message =
                "dedup is for text and bytes, hash_key for sets and maps: expected one of them";
            return Err(Error::new_spanned(dedup, message));
        }
        Ok(found)
    }
}

fn each(
    attributes: &[Attribute],
    mut read: impl FnMut(ParseNestedMeta<'_>) -> Result<()>,
) -> Result<()> {
    let ours = attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("grotto"));
    ours.into_iter()
        .try_for_each(|attribute| attribute.parse_nested_meta(&mut read))
}

fn set<T>(
    meta: &ParseNestedMeta<'_>,
    slot: &mut Option<T>,
    read: impl FnOnce(&ParseNestedMeta<'_>) -> Result<T>,
) -> Result<()> {
    if slot.is_some() {
        return Err(meta.error("expected once, found again"));
    }
    *slot = Some(read(meta)?);
    Ok(())
}

/// A name that the schema accepts.
fn name(meta: &ParseNestedMeta<'_>) -> Result<LitStr> {
    let literal: LitStr = meta.value()?.parse()?;
    let text = literal.value();
    let fine = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
    let starts = text.chars().next().is_some_and(|c| !c.is_ascii_digit());
    if starts && text.chars().all(fine) && text.len() <= 255 {
        return Ok(literal);
    }
    Err(Error::new(
        literal.span(),
        "expected a name of letters, digits, _ or $, not starting with a digit",
    ))
}

fn paths(meta: &ParseNestedMeta<'_>) -> Result<Vec<KeyPath>> {
    let inside;
    parenthesized!(inside in meta.input);
    let separated = |input: syn::parse::ParseStream<'_>| {
        let names = Punctuated::<Ident, Token![.]>::parse_separated_nonempty(input)?;
        Ok(KeyPath {
            names: names.into_iter().collect(),
        })
    };
    let paths = inside.parse_terminated(separated, Token![,])?;
    if paths.is_empty() {
        return Err(meta
            .error("expected at least one path of fields, such as (id) or (country.code, name)"));
    }
    Ok(paths.into_iter().collect())
}
