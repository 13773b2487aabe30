//! Types that are known not to work, caught with advice.
//!
//! Owns: the advice. Never decides that a type does work: the traits do.

use syn::{Error, GenericArgument, PathArguments, Result, Type};

/// Refuses a type, or a part of it, that no record can hold.
pub(crate) fn check(ty: &Type) -> Result<()> {
    match ty {
        Type::Path(path) => {
            let Some(last) = path.path.segments.last() else {
                return Ok(());
            };
            let name = last.ident.to_string();
            // Bytes are the one use of `u8`.
            if name == "Vec" && is_bytes(&last.arguments) {
                return Ok(());
            }
            if path.path.get_ident().is_some()
                && let Some(advice) = advice(&name)
            {
                return Err(Error::new_spanned(ty, advice));
            }
            inner(&last.arguments, name == "Option")
        }
        Type::Reference(_) => {
            let advice =
                "a record owns its data: use String instead of &str, Vec<u8> instead of &[u8]";
            Err(Error::new_spanned(ty, advice))
        }
        Type::Tuple(_) => Err(Error::new_spanned(
            ty,
            "use a struct with #[derive(Record)] instead of a tuple",
        )),
        Type::Array(_) | Type::Slice(_) => {
            Err(Error::new_spanned(ty, "use Vec<T> instead of an array"))
        }
        Type::Ptr(_)
        | Type::BareFn(_)
        | Type::TraitObject(_)
        | Type::ImplTrait(_)
        | Type::Never(_) => Err(Error::new_spanned(ty, "records hold values only")),
        _ => Ok(()),
    }
}

fn inner(arguments: &PathArguments, in_option: bool) -> Result<()> {
    let PathArguments::AngleBracketed(arguments) = arguments else {
        return Ok(());
    };
    for argument in &arguments.args {
        let GenericArgument::Type(ty) = argument else {
            continue;
        };
        if named(ty) == Some("Option".to_owned()) {
            let advice = if in_option {
                "null has one level: remove one Option"
            } else {
                "elements, keys and values cannot be null"
            };
            return Err(Error::new_spanned(ty, advice));
        }
        check(ty)?;
    }
    Ok(())
}

/// Whether a type is written as an `Option`.
pub(crate) fn is_option(ty: &Type) -> bool {
    named(ty).is_some_and(|name| name == "Option")
}

fn named(ty: &Type) -> Option<String> {
    match ty {
        Type::Path(path) => path
            .path
            .segments
            .last()
            .map(|segment| segment.ident.to_string()),
        _ => None,
    }
}

fn is_bytes(arguments: &PathArguments) -> bool {
    let PathArguments::AngleBracketed(arguments) = arguments else {
        return false;
    };
    match arguments.args.first() {
        Some(GenericArgument::Type(ty)) => named(ty).is_some_and(|name| name == "u8"),
        _ => false,
    }
}

fn advice(name: &str) -> Option<&'static str> {
    Some(match name {
        "u8" | "u16" | "i8" | "i16" => "the schema has int and long: use i32",
        "u32" => "the schema has no unsigned numbers: use i64",
        "u64" | "usize" | "isize" | "u128" | "i128" => {
            "the widest number of the schema is long: use i64"
        }
        "char" | "str" => "use String",
        _ => return None,
    })
}
