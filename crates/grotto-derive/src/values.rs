//! Types that are stored as a value of another type: unit enums and newtypes.
//!
//! Owns: which of them are accepted, and their code. Never knows about records.

#[cfg(test)]
mod tests;

use crate::attributes::{OfStruct, OfVariant};
use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::{DataEnum, DeriveInput, Error, Expr, Fields, Ident, Path, Result, Type, parse_quote};

/// A variant of an enum.
struct Variant {
    name: Ident,
    /// What is stored for it.
    stored: Expr,
    other: bool,
}

/// The code for an enum without data.
pub(crate) fn expand_enum(input: &DeriveInput, data: &DataEnum) -> Result<TokenStream> {
    let attributes = OfStruct::read(&input.attrs)?;
    if attributes.key.is_some() || attributes.rename.is_some() {
        let message =
            "an enum is stored as a value: it has no key, and no type of its own to rename";
        return Err(Error::new_spanned(&input.ident, message));
    }
    let support = support(attributes.krate);
    let as_int = attributes.int.is_some();
    let variants = variants(data, as_int)?;
    let mut others = variants.iter().filter(|variant| variant.other);
    let (Some(other), None) = (others.next(), others.next()) else {
        let message = "expected one variant with #[grotto(other)]: it stands for what a dataset \
                       holds beside the variants, and for what it does not hold";
        return Err(Error::new_spanned(&input.ident, message));
    };
    Ok(enum_code(
        &input.ident,
        &support,
        &variants,
        &other.name,
        as_int,
    ))
}

fn support(krate: Option<Path>) -> Path {
    let krate = krate.unwrap_or_else(|| parse_quote!(::grotto));
    parse_quote!(#krate::derive_support)
}

fn variants(data: &DataEnum, as_int: bool) -> Result<Vec<Variant>> {
    let mut variants: Vec<Variant> = Vec::with_capacity(data.variants.len());
    for variant in &data.variants {
        if !matches!(variant.fields, Fields::Unit) {
            let message = "a variant with data has no place in a record: use a struct with an \
                           Option for each case";
            return Err(Error::new_spanned(variant, message));
        }
        let attributes = OfVariant::read(&variant.attrs)?;
        let name = variant.ident.clone();
        let stored: Expr = match (as_int, &variant.discriminant, attributes.rename) {
            (true, Some((_, value)), None) => value.clone(),
            (true, None, _) => {
                let message = "expected a number for each variant, as in Open = 1: what is stored \
                               must not depend on their order";
                return Err(Error::new_spanned(&name, message));
            }
            (true, Some(_), Some(rename)) => {
                let message = "stored as a number: expected no other name";
                return Err(Error::new_spanned(rename, message));
            }
            (false, _, Some(rename)) => parse_quote!(#rename),
            (false, _, None) => {
                let text = name.unraw().to_string();
                parse_quote!(#text)
            }
        };
        let text = |stored: &Expr| stored.to_token_stream().to_string();
        if let Some(first) = variants
            .iter()
            .find(|before| text(&before.stored) == text(&stored))
        {
            let message = format!("stored as {} is already", first.name);
            return Err(Error::new_spanned(&name, message));
        }
        variants.push(Variant {
            name,
            stored,
            other: attributes.other.is_some(),
        });
    }
    Ok(variants)
}

fn enum_code(
    name: &Ident,
    support: &Path,
    variants: &[Variant],
    other: &Ident,
    as_int: bool,
) -> TokenStream {
    let (inner, kind, write, borrow): (Type, Ident, Ident, TokenStream) = if as_int {
        (
            parse_quote!(i32),
            parse_quote!(Int),
            parse_quote!(int),
            quote!(),
        )
    } else {
        let text: Type = parse_quote!(::std::string::String);
        (
            text,
            parse_quote!(String),
            parse_quote!(text),
            quote!(&'static),
        )
    };
    let result: Type = if as_int {
        parse_quote!(i32)
    } else {
        parse_quote!(str)
    };
    let names = variants.iter().map(|variant| &variant.name);
    let stored = variants.iter().map(|variant| &variant.stored);
    let known = variants.iter().map(|Variant { name, stored, .. }| {
        quote! { if stored == #stored { return Self::#name; } }
    });
    let dedup = (!as_int).then(|| quote! { impl #support::Dedup for #name {} });
    quote! {
        const _: () = {
            fn stored_of(value: &#name) -> #borrow #result {
                match value { #(#name::#names => #stored,)* }
            }

            impl #support::Key for #name {
                fn fields(&self) -> usize { 1 }
                fn field(&self, _: usize) -> #support::KeyValue<'_> {
                    #support::KeyValue::#kind(stored_of(self))
                }
            }

            impl #support::FoundBy<#name> for #name {}
            #dedup

            impl #support::Element for #name {
                type Ref<'a> = Self;
                const SCALAR: ::core::option::Option<#support::FieldType> =
                    <#inner as #support::Element>::SCALAR;

                fn type_name() -> ::std::string::String {
                    <#inner as #support::Element>::type_name()
                }

                fn declare(out: &mut #support::Declarations) {
                    <#inner as #support::Element>::declare(out);
                }

                fn bind(
                    binder: &mut #support::Binder<'_>,
                    id: #support::TypeId,
                ) -> #support::StateResult<#support::NodeId> {
                    <#inner as #support::Element>::bind(binder, id)
                }

                #[inline]
                fn read(at: #support::Cursor<'_>, column: usize) -> Self {
                    if at.is_null(column) {
                        return Self::#other;
                    }
                    let stored = <#inner as #support::Element>::read(at, column);
                    #(#known)*
                    Self::#other
                }

                fn own(
                    at: #support::Cursor<'_>,
                    column: usize,
                    _: &mut #support::Owning,
                ) -> #support::StateResult<Self> {
                    ::core::result::Result::Ok(<Self as #support::Element>::read(at, column))
                }

                fn write_scalar(&self, out: &mut #support::Writer<'_>) {
                    out.#write(stored_of(self));
                }

                fn write_record(
                    &self,
                    _: #support::NodeId,
                    out: &mut #support::Writer<'_>,
                ) -> #support::StateResult<()> {
                    out.wrapped(self);
                    ::core::result::Result::Ok(())
                }
            }
        };
    }
}

/// The code for a struct around one value, which is stored and read as that value.
pub(crate) fn expand_newtype(input: &DeriveInput, inner: &Type) -> Result<TokenStream> {
    let attributes = OfStruct::read(&input.attrs)?;
    if attributes.key.is_some() || attributes.rename.is_some() || attributes.int.is_some() {
        let message =
            "a newtype is stored as the value in it: it has no key, and no type of its own";
        return Err(Error::new_spanned(&input.ident, message));
    }
    crate::types::check(inner)?;
    let name = &input.ident;
    let support = support(attributes.krate);
    let element = quote! { <#inner as #support::Element> };
    Ok(quote! {
        impl<K> #support::FoundBy<K> for #name where #inner: #support::FoundBy<K> {}
        impl #support::Dedup for #name where for<'all> #inner: #support::Dedup {}

        impl #support::Element for #name {
            type Ref<'a> = #element::Ref<'a>;
            const SCALAR: ::core::option::Option<#support::FieldType> = #element::SCALAR;
            const KEY_NODE: #support::KeyNode = #element::KEY_NODE;

            fn type_name() -> ::std::string::String {
                #element::type_name()
            }

            fn declare(out: &mut #support::Declarations) {
                #element::declare(out);
            }

            fn bind(
                binder: &mut #support::Binder<'_>,
                id: #support::TypeId,
            ) -> #support::StateResult<#support::NodeId> {
                #element::bind(binder, id)
            }

            #[inline]
            fn read(at: #support::Cursor<'_>, column: usize) -> Self::Ref<'_> {
                #element::read(at, column)
            }

            fn own(
                at: #support::Cursor<'_>,
                column: usize,
                owning: &mut #support::Owning,
            ) -> #support::StateResult<Self> {
                #element::own(at, column, owning).map(Self)
            }

            fn write_scalar(&self, out: &mut #support::Writer<'_>) {
                #element::write_scalar(&self.0, out);
            }

            fn write_record(
                &self,
                node: #support::NodeId,
                out: &mut #support::Writer<'_>,
            ) -> #support::StateResult<()> {
                #element::write_record(&self.0, node, out)
            }
        }
    })
}
