//! `#[agent]` on a struct and on an impl.

use crate::handler::{Handler, Of};
use crate::name;
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::spanned::Spanned as _;
use syn::{
    Attribute, Error, Fields, Ident, ImplItem, ImplItemFn, ItemImpl, ItemStruct, Result, Type,
    Visibility,
};

/// A unit struct becomes an agent type.
pub(crate) fn of_struct(options: TokenStream, item: &ItemStruct) -> TokenStream {
    let (made, error) = match agent_type(options, item) {
        Ok(made) => (made, None),
        Err(error) => (TokenStream::new(), Some(error.into_compile_error())),
    };
    quote!(#item #made #error)
}

fn agent_type(options: TokenStream, item: &ItemStruct) -> Result<TokenStream> {
    if !item.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &item.generics,
            "an agent type cannot be generic: it is found by its name",
        ));
    }
    if !matches!(item.fields, Fields::Unit) {
        return Err(Error::new_spanned(
            &item.fields,
            "an agent type has no fields, because its instance comes and goes: keep what it knows in `ctx.state`",
        ));
    }
    let ident = &item.ident;
    let name = name::given_or(options, ident, name::snake_case)?;
    Ok(quote! {
        impl ::eddy_sdk::AgentType for #ident {
            const NAME: &'static str = #name;
        }
    })
}

/// A method of the agent.
struct Method {
    name: String,
    query: bool,
    docs: Vec<Attribute>,
    handler: Handler,
}

/// The `pub` methods of an impl become the agent's.
pub(crate) fn of_impl(options: &TokenStream, mut item: ItemImpl) -> TokenStream {
    let (made, error) = match methods(options, &mut item) {
        Ok(made) => (made, None),
        Err(error) => (TokenStream::new(), Some(error.into_compile_error())),
    };
    quote!(#item #made #error)
}

fn methods(options: &TokenStream, item: &mut ItemImpl) -> Result<TokenStream> {
    // Taken off before anything can fail, so that no error follows from them.
    let queries: Vec<bool> = item.items.iter_mut().map(take_query).collect();
    if !options.is_empty() {
        return Err(Error::new_spanned(
            options,
            "options belong to the struct: `#[agent(name = \"...\")] pub struct Counter;`",
        ));
    }
    if let Some((of, _)) = &item.trait_ {
        return Err(Error::new_spanned(
            of,
            "#[agent] goes on an impl of the struct itself, not of a trait",
        ));
    }
    if !item.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &item.generics,
            "the impl of an agent type cannot be generic",
        ));
    }
    let ident = type_name(&item.self_ty)?;
    let (mut found, mut errors) = (Vec::new(), None::<Error>);
    for (inner, query) in item.items.iter().zip(queries) {
        let ImplItem::Fn(method) = inner else {
            continue;
        };
        match read(method, query) {
            Ok(method) => found.extend(method),
            Err(error) => match &mut errors {
                Some(errors) => errors.combine(error),
                None => errors = Some(error),
            },
        }
    }
    match errors {
        Some(errors) => Err(errors),
        None if found.is_empty() => Err(Error::new(
            item.self_ty.span(),
            "this agent has no methods: make those that others may call `pub`",
        )),
        None => generate(&ident, &found),
    }
}

/// Takes `#[query]` off a method; says whether it was there.
fn take_query(item: &mut ImplItem) -> bool {
    let ImplItem::Fn(method) = item else {
        return false;
    };
    let is_query = |attribute: &Attribute| {
        let last = attribute.path().segments.last();
        last.is_some_and(|last| last.ident == "query")
    };
    let before = method.attrs.len();
    method.attrs.retain(|attribute| !is_query(attribute));
    method.attrs.len() != before
}

fn type_name(ty: &Type) -> Result<Ident> {
    let last = match ty {
        Type::Path(path) if path.qself.is_none() => path.path.get_ident(),
        _ => None,
    };
    last.cloned().ok_or_else(|| {
        let message = "#[agent] goes on an impl of a struct by its plain name: `impl Counter`";
        Error::new_spanned(ty, message)
    })
}

/// A method, unless it is one of the user's own helpers.
fn read(method: &ImplItemFn, query: bool) -> Result<Option<Method>> {
    match (&method.vis, query) {
        (Visibility::Public(_), _) => {}
        (_, false) => return Ok(None),
        (_, true) => {
            return Err(Error::new_spanned(
                &method.sig.ident,
                "a query is `pub`: methods that are not are your own helpers, and nobody can call them",
            ));
        }
    }
    let name = name::plain(&method.sig.ident)?;
    let docs = method.attrs.iter().filter(|a| a.path().is_ident("doc"));
    Ok(Some(Method {
        name,
        query,
        docs: docs.cloned().collect(),
        handler: Handler::read(&method.sig, Of::Agent)?,
    }))
}

fn generate(ident: &Ident, methods: &[Method]) -> Result<TokenStream> {
    for (i, method) in methods.iter().enumerate() {
        if methods[..i].iter().any(|other| other.name == method.name) {
            let message = format!("there are two methods of the name {:?}", method.name);
            return Err(Error::new_spanned(&method.handler.ident, message));
        }
    }
    let entries = methods.iter().map(|method| {
        let (name, query) = (&method.name, method.query);
        let path = &method.handler.ident;
        let run = method.handler.runner(&quote!(#ident::#path), Of::Agent);
        quote!(::eddy_sdk::__private::Method { name: #name, query: #query, run: #run })
    });
    let clients = clients(ident, methods);
    Ok(quote! {
        const _: () = {
            impl ::eddy_sdk::__private::Export for #ident {
                const ITEM: ::eddy_sdk::__private::Item = ::eddy_sdk::__private::Item::Agent {
                    name: <#ident as ::eddy_sdk::AgentType>::NAME,
                    methods: &[#(#entries),*],
                };
            }
            #clients
        };
    })
}

/// What calls and sends by the methods' own names. Their types are reached through `Callable` only, so that they
/// take no name of the user's.
fn clients(ident: &Ident, methods: &[Method]) -> TokenStream {
    let (client, sender) = (
        format_ident!("{ident}Client"),
        format_ident!("{ident}Sender"),
    );
    let calls = methods.iter().map(|method| {
        let output = method.handler.output();
        let returns = quote!(::eddy_sdk::Call<#output>);
        let bound = quote!(for<'trivial> #output: ::eddy_sdk::__private::DeserializeOwned,);
        method.forward(&quote!(call), &returns, &bound)
    });
    let sends = methods.iter().map(|method| {
        let returns = quote!(::eddy_sdk::Result<()>);
        method.forward(&quote!(send), &returns, &TokenStream::new())
    });
    let (calls, sends) = (quote!(#(#calls)*), quote!(#(#sends)*));
    let structs = [(&client, calls), (&sender, sends)].map(|(name, methods)| {
        quote! {
            /// The methods of an agent, for others.
            #[derive(Clone, Debug)]
            pub struct #name(::eddy_sdk::__private::Handle);

            impl ::core::convert::From<::eddy_sdk::__private::Handle> for #name {
                fn from(handle: ::eddy_sdk::__private::Handle) -> Self {
                    Self(handle)
                }
            }

            impl #name {
                #methods
            }
        }
    });
    quote! {
        #(#structs)*

        impl ::eddy_sdk::Callable for #ident {
            type Client = #client;
            type Sender = #sender;
        }
    }
}

impl Method {
    /// The method of a client, which hands over to `how` of its handle.
    fn forward(
        &self,
        how: &TokenStream,
        returns: &TokenStream,
        bound: &TokenStream,
    ) -> TokenStream {
        let (ident, name, docs) = (&self.handler.ident, &self.name, &self.docs);
        let argument = self.handler.argument.iter();
        // A bound without `for` would be checked here, where nobody may want to call the method.
        let takes = argument.clone().map(|ty| quote!(argument: #ty));
        let given = match self.handler.argument {
            Some(_) => quote!(&argument),
            None => quote!(&()),
        };
        quote! {
            #(#docs)*
            #[track_caller]
            pub fn #ident(&self, #(#takes)*) -> #returns
            where
                #(for<'trivial> #argument: ::eddy_sdk::__private::Serialize,)*
                #bound
            {
                self.0.#how(#name, #given)
            }
        }
    }
}
