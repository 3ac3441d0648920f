//! Names of agent types, functions and methods: where they come from, and which are allowed. The rules are the
//! node's; checked here they are compile errors.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::ext::IdentExt as _;
use syn::parse::{Parse, ParseStream};
use syn::{Error, Ident, LitStr, Result, Token};

/// The longest name that a node takes.
const MAX_BYTES: usize = 64;

/// What stands in the brackets of `#[agent(...)]` and `#[function(...)]`.
struct Options {
    name: Option<LitStr>,
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if input.is_empty() {
            return Ok(Self { name: None });
        }
        let wanted = "the only option is a name: (name = \"...\")";
        let key: Ident = input
            .call(Ident::parse_any)
            .map_err(|e| Error::new(e.span(), wanted))?;
        if key != "name" {
            return Err(Error::new(key.span(), wanted));
        }
        input.parse::<Token![=]>()?;
        let name = input.parse()?;
        let _: Option<Token![,]> = input.parse()?;
        match input.is_empty() {
            true => Ok(Self { name: Some(name) }),
            false => Err(input.error(wanted)),
        }
    }
}

/// The name in the brackets, else the one made of `ident`.
pub(crate) fn given_or(
    options: TokenStream,
    ident: &Ident,
    make: fn(&str) -> String,
) -> Result<String> {
    match syn::parse2::<Options>(options)?.name {
        Some(name) => checked(name.value(), &name),
        None => checked(make(&ident.unraw().to_string()), ident),
    }
}

/// The name of a method or function as it is written.
pub(crate) fn plain(ident: &Ident) -> Result<String> {
    checked(ident.unraw().to_string(), ident)
}

fn checked(name: String, at: &impl ToTokens) -> Result<String> {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let begins = |c: char| c.is_ascii_alphabetic() || c == '_';
    if name.starts_with(begins) && name.chars().all(good) && name.len() <= MAX_BYTES {
        return Ok(name);
    }
    Err(Error::new_spanned(
        at,
        format!(
            "{name:?} is not a name on Eddy: letters (a-z), digits, `_` and `-`, not a digit first, at most {MAX_BYTES}"
        ),
    ))
}

/// `ShoppingCart` as `shopping_cart`, `HTTPServer2` as `http_server2`.
pub(crate) fn snake_case(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut snake = String::with_capacity(name.len() + 4);
    for (i, &c) in chars.iter().enumerate() {
        let before = i.checked_sub(1).map(|i| chars[i]);
        let next_is_lower = chars.get(i + 1).is_some_and(|c| c.is_lowercase());
        let word_begins = before.is_some_and(|before| {
            before.is_lowercase()
                || before.is_ascii_digit()
                || before.is_uppercase() && next_is_lower
        });
        if c.is_uppercase() && word_begins {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::snake_case;

    #[test]
    fn words_are_told_apart_as_people_do() {
        for (name, snake) in [
            ("Counter", "counter"),
            ("ShoppingCart", "shopping_cart"),
            ("HTTPServer2", "http_server2"),
            ("V2Cart", "v2_cart"),
            ("already_snake", "already_snake"),
        ] {
            assert_eq!(snake_case(name), snake);
        }
    }
}
