//! The attributes of `eddy-sdk`, which re-exports and documents them. Here: the entry points. What they do to a struct
//! and an impl is in `agent`, to a function in `function`; what both read of a signature is in `handler`, names and
//! their rules are in `name`.

mod agent;
mod function;
mod handler;
mod name;

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::quote;
use syn::{Item, parse_macro_input};

/// See `eddy_sdk::agent`.
#[proc_macro_attribute]
pub fn agent(options: TokenStream, item: TokenStream) -> TokenStream {
    let options = Tokens::from(options);
    let item = parse_macro_input!(item as Item);
    match item {
        Item::Struct(item) => agent::of_struct(options, &item).into(),
        Item::Impl(item) => agent::of_impl(&options, item).into(),
        other => refuse(
            &other,
            "#[agent] goes on a unit struct (`#[agent] pub struct Counter;`) and on its impl",
        ),
    }
}

/// See `eddy_sdk::query`.
#[proc_macro_attribute]
pub fn query(_: TokenStream, item: TokenStream) -> TokenStream {
    // On a method of an agent it never gets here: `#[agent]` takes it off.
    let message = "#[query] goes on a `pub` method in an impl with #[agent] on it";
    let error = syn::Error::new(proc_macro2::Span::call_site(), message).into_compile_error();
    let item = Tokens::from(item);
    quote!(#error #item).into()
}

/// See `eddy_sdk::function`.
#[proc_macro_attribute]
pub fn function(options: TokenStream, item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as Item);
    match item {
        Item::Fn(item) => function::of_fn(options.into(), &item).into(),
        other => refuse(
            &other,
            "#[function] goes on a `fn`; an agent's methods need no attribute of their own",
        ),
    }
}

/// The error, and the item as it was, so that nothing else is reported because of it.
fn refuse(item: &Item, message: &str) -> TokenStream {
    let error = match item {
        Item::Enum(item) => syn::Error::new_spanned(item.enum_token, message),
        Item::Trait(item) => syn::Error::new_spanned(item.trait_token, message),
        Item::Fn(item) => syn::Error::new_spanned(item.sig.fn_token, message),
        item => syn::Error::new_spanned(item, message),
    };
    let error = error.into_compile_error();
    quote!(#error #item).into()
}
