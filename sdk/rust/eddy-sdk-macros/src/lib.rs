//! The attributes of `eddy-sdk`; it re-exports and documents them. Here: the entry points. What they do to a struct
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

/// On a unit struct: makes it an agent type, named like the struct in snake case, or by `#[agent(name = "...")]`.
/// On its impl: makes the `pub` methods the agent's methods.
///
/// A method takes `ctx: &AgentContext` and at most one argument, is `async` or not, and returns a `Result`. Methods
/// that are not `pub` are your own helpers.
///
/// ```
/// use eddy_sdk::prelude::*;
///
/// #[agent(name = "shopping_cart")]
/// pub struct Cart;
///
/// #[agent]
/// impl Cart {
///     pub async fn add(ctx: &AgentContext, sku: String) -> Result<u32> {
///         let count = Self::count(ctx, &sku)? + 1;
///         ctx.state.set(&sku, count)?;
///         Ok(count)
///     }
///
///     fn count(ctx: &AgentContext, sku: &str) -> Result<u32> {
///         Ok(ctx.state.get(sku)?.unwrap_or(0))
///     }
/// }
///
/// // Elsewhere, by its type: to call it, and to send to it.
/// async fn two(ctx: &FunctionContext) -> Result<u32> {
///     ctx.sender::<Cart>("bob").add("apple".to_owned())?;
///     ctx.agent::<Cart>("alice").add("apple".to_owned()).await
/// }
/// ```
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

/// On a method of an agent: it only reads. It needs no commit, and a write in it is the error `write-in-query`.
///
/// ```
/// use eddy_sdk::prelude::*;
///
/// #[agent]
/// pub struct Counter;
///
/// #[agent]
/// impl Counter {
///     #[query]
///     pub fn value(ctx: &AgentContext) -> Result<i64> {
///         Ok(ctx.state.get("n")?.unwrap_or(0))
///     }
/// }
/// ```
#[proc_macro_attribute]
pub fn query(_: TokenStream, item: TokenStream) -> TokenStream {
    // On a method of an agent it never gets here: `#[agent]` takes it off.
    let message = "#[query] goes on a `pub` method in an impl with #[agent] on it";
    let error = syn::Error::new(proc_macro2::Span::call_site(), message).into_compile_error();
    let item = Tokens::from(item);
    quote!(#error #item).into()
}

/// On a `fn`: makes it a function of the app, named like it, or by `#[function(name = "...")]`.
///
/// It takes `ctx: &FunctionContext` and at most one argument, is `async` or not, and returns a `Result`.
///
/// ```
/// use eddy_sdk::prelude::*;
///
/// #[function]
/// pub async fn greet(ctx: &FunctionContext, name: String) -> Result<String> {
///     ctx.log.info(format_args!("greeting {name}"));
///     Ok(format!("Hello, {name}!"))
/// }
///
/// // Elsewhere, by its type, which has the function's name:
/// async fn twice(ctx: &FunctionContext) -> Result<String> {
///     ctx.function::<greet>("Ada".to_owned()).await
/// }
/// ```
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
