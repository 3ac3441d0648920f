//! `#[function]` on a `fn`.

use crate::handler::{Handler, Of};
use crate::name;
use proc_macro2::TokenStream;
use quote::quote;
use syn::{ItemFn, Result};

/// A function stays as it is; beside it comes a type of the same name, which stands for it in `export!`.
pub(crate) fn of_fn(options: TokenStream, item: &ItemFn) -> TokenStream {
    let (made, error) = match function(options, item) {
        Ok(made) => (made, None),
        Err(error) => (TokenStream::new(), Some(error.into_compile_error())),
    };
    quote!(#item #made #error)
}

fn function(options: TokenStream, item: &ItemFn) -> Result<TokenStream> {
    let handler = Handler::read(&item.sig, Of::Function)?;
    let (ident, vis) = (&item.sig.ident, &item.vis);
    let name = name::given_or(options, ident, str::to_owned)?;
    let run = handler.runner(&quote!(#ident), Of::Function);
    let output = handler.output();
    let argument = match &handler.argument {
        Some(argument) => quote!(#argument),
        None => quote!(()),
    };
    let docs = item.attrs.iter().filter(|a| a.path().is_ident("doc"));
    Ok(quote! {
        #(#docs)*
        #[allow(non_camel_case_types)]
        #vis enum #ident {}

        impl ::eddy_sdk::Function for #ident {
            const NAME: &'static str = #name;
            type Argument = #argument;
            type Output = #output;
        }

        impl ::eddy_sdk::__private::Export for #ident {
            const ITEM: ::eddy_sdk::__private::Item = ::eddy_sdk::__private::Item::Function {
                name: #name,
                run: #run,
            };
        }
    })
}
