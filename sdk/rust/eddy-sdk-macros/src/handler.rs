//! What is read of a handler's signature, the same for methods and functions, and the messages for what is wrong
//! with one.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{Error, FnArg, Ident, Result, ReturnType, Signature, Type};

/// What a handler is of.
#[derive(Clone, Copy)]
pub(crate) enum Of {
    Agent,
    Function,
}

impl Of {
    fn context(self) -> &'static str {
        match self {
            Self::Agent => "AgentContext",
            Self::Function => "FunctionContext",
        }
    }

    fn what(self) -> &'static str {
        match self {
            Self::Agent => "a method of an agent",
            Self::Function => "a function",
        }
    }
}

/// A handler's signature, checked.
pub(crate) struct Handler {
    pub(crate) ident: Ident,
    is_async: bool,
    /// What it takes besides its context.
    pub(crate) argument: Option<Type>,
    /// The whole return type.
    pub(crate) returns: Type,
}

impl Handler {
    pub(crate) fn read(signature: &Signature, of: Of) -> Result<Self> {
        check_form(signature, of)?;
        let mut inputs = signature.inputs.iter();
        check_context(inputs.next(), signature, of)?;
        let argument = inputs.next().map(argument).transpose()?;
        if let Some(more) = inputs.next() {
            return Err(Error::new_spanned(
                more,
                format!(
                    "{} takes one argument besides its context: put several values into a struct that derives \
                     `Deserialize` (a message carries one JSON value)",
                    of.what()
                ),
            ));
        }
        let ReturnType::Type(_, returns) = &signature.output else {
            return Err(Error::new_spanned(
                &signature.ident,
                format!(
                    "{} returns a Result: `-> Result<()>` when there is nothing to say",
                    of.what()
                ),
            ));
        };
        Ok(Self {
            ident: signature.ident.clone(),
            is_async: signature.asyncness.is_some(),
            argument,
            returns: (**returns).clone(),
        })
    }

    /// Code of a `fn` pointer that reads the argument, runs `path` and writes its result.
    pub(crate) fn runner(&self, path: &TokenStream, of: Of) -> TokenStream {
        let context = Ident::new(of.context(), proc_macro2::Span::mixed_site());
        let read = self.argument.as_ref().map(|argument| {
            // The place of the argument's type is where an error about it belongs.
            quote_spanned!(argument.span()=> ::eddy_sdk::__private::argument::<#argument>(json)?)
        });
        let called = match self.is_async {
            true => quote!(#path(ctx, #read).await),
            false => quote!(#path(ctx, #read)),
        };
        let returns = &self.returns;
        let reply = quote_spanned!(returns.span()=> ::eddy_sdk::__private::reply(result));
        quote! {{
            fn run<'a>(ctx: &'a ::eddy_sdk::#context, json: &'a [u8]) -> ::eddy_sdk::__private::Handling<'a> {
                ::std::boxed::Box::pin(async move {
                    let _ = json;
                    let result: #returns = #called;
                    #reply
                })
            }
            run
        }}
    }

    /// The type inside of the `Result` that it returns.
    pub(crate) fn output(&self) -> TokenStream {
        let returns = &self.returns;
        quote!(<#returns as ::eddy_sdk::__private::Returned>::Output)
    }
}

fn check_form(signature: &Signature, of: Of) -> Result<()> {
    let what = of.what();
    if !signature.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &signature.generics,
            format!(
                "{what} cannot be generic: messages come from outside, so their types must be known"
            ),
        ));
    }
    if let Some(token) = &signature.constness {
        return Err(Error::new_spanned(token, format!("{what} cannot be const")));
    }
    Ok(())
}

fn check_context(first: Option<&FnArg>, signature: &Signature, of: Of) -> Result<()> {
    let (what, context) = (of.what(), of.context());
    match first {
        None => Err(Error::new_spanned(
            &signature.ident,
            format!("{what} takes its context first: add `ctx: &{context}`"),
        )),
        Some(FnArg::Receiver(receiver)) => Err(Error::new_spanned(
            receiver,
            format!(
                "{what} takes `ctx: &{context}` and no `self`: what an agent knows is in `ctx.state`, not in the struct"
            ),
        )),
        Some(FnArg::Typed(typed)) if matches!(&*typed.ty, Type::Reference(to) if to.mutability.is_none()) => {
            Ok(())
        }
        Some(FnArg::Typed(typed)) => Err(Error::new_spanned(
            &typed.ty,
            format!(
                "{what} takes its context first, as `ctx: &{context}`; the argument comes second"
            ),
        )),
    }
}

fn argument(input: &FnArg) -> Result<Type> {
    match input {
        FnArg::Typed(typed) => match &*typed.ty {
            Type::Reference(to) => Err(Error::new_spanned(
                to,
                "an argument is made of the message that came in, so it is owned: `String` for `&str`, `Vec<T>` for `&[T]`",
            )),
            owned => Ok(owned.clone()),
        },
        FnArg::Receiver(receiver) => {
            Err(Error::new_spanned(receiver, "`self` cannot be an argument"))
        }
    }
}
