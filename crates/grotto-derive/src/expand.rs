//! The generated code.
//!
//! Owns: its text. Every path in it is absolute, so that nothing in the user's scope changes its
//! meaning.

use crate::model::{Field, Kind, Model, With};
use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Ident, Path};

/// The accessor and the trait implementations.
pub(crate) fn expand(model: &Model) -> TokenStream {
    let accessor = accessor(model);
    let element = element(model);
    let record_type = record_type(model);
    quote! { #accessor #element #record_type }
}

fn accessor(model: &Model) -> TokenStream {
    let (krate, visibility) = (&model.krate, &model.visibility);
    let owner = &model.name;
    let name = format_ident!("{}Ref", model.name.unraw());
    let doc = format!("A [`{}`] of a state, read in place.", model.name);
    let methods = model.fields.iter().enumerate().map(|(position, field)| {
        let (name, visibility, ty) = (&field.name, &field.visibility, &field.ty);
        let doc = format!("Field `{}` of the record.", field.field_name);
        let (given, read) = match &field.with {
            Some(with) => (
                quote! { #ty },
                with.read(quote!(self.0), field, krate, position),
            ),
            None => (
                quote! { <#ty as #krate::derive_support::Value>::Ref<'a> },
                quote! { #krate::derive_support::Cursor::read::<#ty>(self.0, #position) },
            ),
        };
        quote_spanned! {ty.span()=>
            #[doc = #doc]
            #[inline]
            #visibility fn #name(&self) -> #given {
                #read
            }
        }
    });
    quote! {
        #[doc = #doc]
        #[derive(Clone, Copy)]
        #visibility struct #name<'a>(#krate::derive_support::Cursor<'a>);

        #[allow(dead_code)]
        impl<'a> #name<'a> {
            #(#methods)*
        }

        impl ::core::fmt::Debug for #name<'_> {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                ::core::fmt::Debug::fmt(&self.0, f)
            }
        }

        impl<'a> #krate::derive_support::RecordRef<'a> for #name<'a> {
            type Owned = #owner;

            fn cursor(&self) -> #krate::derive_support::Cursor<'a> {
                self.0
            }
        }
    }
}

impl With {
    /// Reads the field at a cursor, and converts it.
    fn read(
        &self,
        cursor: TokenStream,
        field: &Field,
        krate: &Path,
        position: usize,
    ) -> TokenStream {
        let (module, stored) = (&self.module, &field.stored);
        let convert = quote_spanned! {module.span()=> #module::from_stored };
        let read = quote! { #krate::derive_support::Cursor::read::<#stored>(#cursor, #position) };
        if self.optional {
            quote_spanned! {module.span()=> #read.map(#convert) }
        } else {
            quote_spanned! {module.span()=> #convert(#read) }
        }
    }

    /// What is stored for a field.
    fn stored(&self, name: &Ident) -> TokenStream {
        let module = &self.module;
        if self.optional {
            quote_spanned! {module.span()=> &self.#name.as_ref().map(#module::to_stored) }
        } else {
            quote_spanned! {module.span()=> &#module::to_stored(&self.#name) }
        }
    }
}

fn declared(krate: &syn::Path, field: &Field) -> TokenStream {
    let (name, ty) = (&field.field_name, &field.stored);
    let call = quote! { #krate::derive_support::DeclaredFields };
    match &field.kind {
        Kind::Plain => quote_spanned! {ty.span()=> #call::field::<#ty>(fields, #name); },
        Kind::Dedup => quote_spanned! {ty.span()=> #call::dedup::<#ty>(fields, #name); },
        Kind::Hashed(paths) => {
            quote_spanned! {ty.span()=> #call::hashed::<#ty>(fields, #name, &[#(#paths),*]); }
        }
    }
}

fn element(model: &Model) -> TokenStream {
    let (krate, name, type_name) = (&model.krate, &model.name, &model.type_name);
    let key = model.key.iter().map(|(path, _)| path);
    let accessor = format_ident!("{}Ref", name.unraw());
    let support = quote! { #krate::derive_support };
    let declared = model.fields.iter().map(|field| declared(krate, field));
    let nodes = model.fields.iter().map(|field| {
        let (ty, field_name) = (&field.stored, &field.field_name);
        quote_spanned! {ty.span()=> (#field_name, #support::key_node::<#ty>()) }
    });
    let bound = model.fields.iter().map(|field| {
        let (ty, name) = (&field.stored, &field.field_name);
        quote_spanned! {ty.span()=> #support::Fields::field::<#ty>(fields, #name)?; }
    });
    let owned = model.fields.iter().enumerate().map(|(position, field)| {
        let (ty, name) = (&field.ty, &field.name);
        match &field.with {
            Some(with) => {
                let read = with.read(quote!(at), field, krate, position);
                quote_spanned! {ty.span()=> #name: #read, }
            }
            None => {
                quote_spanned! {ty.span()=> #name: #support::Cursor::own::<#ty>(at, #position, owning)?, }
            }
        }
    });
    let skipped = model.skipped.iter().map(|name| {
        quote_spanned! {name.span()=> #name: ::core::default::Default::default(), }
    });
    let written = model.fields.iter().map(|field| {
        let (ty, name) = (&field.stored, &field.name);
        let value = match &field.with {
            Some(with) => with.stored(name),
            None => quote! { &self.#name },
        };
        quote_spanned! {ty.span()=> #support::ObjectWriter::field::<#ty>(fields, #value)?; }
    });
    quote! {
        impl #support::Element for #name {
            type Ref<'a> = #accessor<'a>;
            const KEY_NODE: #support::KeyNode = #support::KeyNode::Object(&[#(#nodes),*]);

            fn type_name() -> ::std::string::String {
                ::std::string::String::from(#type_name)
            }

            fn declare(out: &mut #support::Declarations) {
                out.object::<Self>(&[#(#key),*], |fields| { let _ = &fields; #(#declared)* });
            }

            fn bind(
                binder: &mut #support::Binder<'_>,
                id: #support::TypeId,
            ) -> #support::StateResult<#support::NodeId> {
                binder.object::<Self>(id, |fields| {
                    let _ = &fields;
                    #(#bound)*
                    ::core::result::Result::Ok(())
                })
            }

            #[inline]
            fn read(at: #support::Cursor<'_>, _: usize) -> #accessor<'_> {
                #accessor(at)
            }

            fn own(
                at: #support::Cursor<'_>,
                _: usize,
                owning: &mut #support::Owning,
            ) -> #support::StateResult<Self> {
                owning.nested(|owning| {
                    let _ = (&at, &owning);
                    ::core::result::Result::Ok(Self { #(#owned)* #(#skipped)* })
                })
            }

            fn write_record(
                &self,
                node: #support::NodeId,
                out: &mut #support::Writer<'_>,
            ) -> #support::StateResult<()> {
                out.object(node, |fields| {
                    let _ = &fields;
                    #(#written)*
                    ::core::result::Result::Ok(())
                })
            }
        }
    }
}

fn record_type(model: &Model) -> TokenStream {
    let (krate, name, type_name) = (&model.krate, &model.name, &model.type_name);
    let support = quote! { #krate::derive_support };
    let key = key(model);
    let found = quote! { #support::FoundBy };
    let paths = model.key.iter().map(|(path, _)| path);
    quote! {
        impl #support::RecordType for #name {
            const TYPE: &'static str = #type_name;
            const KEY: &'static [&'static str] = &[#(#paths),*];
            type Key<'k> = #key;

            fn bindings() -> &'static #support::Bindings {
                static BINDINGS: #support::Bindings = #support::Bindings::new();
                &BINDINGS
            }
        }

        impl<K: #support::Key> #found<K> for #name {}
    }
}

/// The type of keys: where each path leads is for the compiler to find out, as it may be through other
/// structs.
fn key(model: &Model) -> TokenStream {
    let (krate, name) = (&model.krate, &model.name);
    let support = quote! { #krate::derive_support };
    let fields: Vec<TokenStream> = model
        .key
        .iter()
        .map(|(path, span)| {
            let steps = path.split('.');
            let kind = quote_spanned! {*span=>
                <#name as #support::Element>::KEY_NODE.kind(&[#(#steps),*])
            };
            quote! { <#support::KeyOf<{ #kind }> as #support::KeyKind>::Key<'k> }
        })
        .collect();
    match fields.as_slice() {
        [] => quote! { #support::NoKey },
        [only] => only.clone(),
        several => quote! { (#(#several),*) },
    }
}
