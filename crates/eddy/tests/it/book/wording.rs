//! Whether the words of an error on a page are ones that the binary can print: they are compared with the string
//! literals of the crates' sources, with what `format!` puts in left open.

use super::page::root;
use proc_macro2::{TokenStream, TokenTree};
use regex::Regex;
use std::path::Path;
use std::sync::OnceLock;

/// Letters that a literal needs beside its arguments: `{what}: {why}` could be anything.
const LETTERS: usize = 6;

/// What others say, within a text of ours.
const OF_OTHERS: &[&str] = &[
    // serde_json
    "expected `,` or `}` at line 1 column 9",
    "expected value at line 1 column 1",
    // oxc
    "Expected `}` but found `EOF`",
    // the system
    "Connection refused (os error 111)",
    "Input/output error (os error 5)",
    "No space left on device (os error 28)",
    // pip
    "exit status: 1 ...",
];

/// Whether a text of an error document can come from the sources.
pub(super) fn is_made(text: &str) -> bool {
    // Below the first line are places and frames of the user's own code.
    let text = text.lines().next().unwrap_or_default();
    text == "..." || made(text, 4)
}

fn made(text: &str, depth: usize) -> bool {
    if OF_OTHERS.contains(&text) || literals().iter().any(|literal| literal.makes(text, depth)) {
        return true;
    }
    if depth == 0 {
        return false;
    }
    // Two texts beside each other, such as a suggestion and a hint; or an error within another.
    let ends = text.match_indices(['.', '?', ':']);
    let splits =
        ends.filter_map(|(at, end)| Some((&text[..at], end, text[at + 1..].strip_prefix(' ')?)));
    splits.into_iter().any(|(left, end, right)| {
        let first = match end {
            ":" => is_code(left) || made(left, depth - 1),
            _ => made(&format!("{left}{end}"), depth - 1),
        };
        first && made(right, depth - 1)
    })
}

fn is_code(text: &str) -> bool {
    let mut codes = eddy_types::ErrorCode::ALL.iter();
    codes.any(|code| code.as_str() == text)
}

/// A string literal of the sources.
struct Literal {
    /// What stands between its arguments.
    parts: Vec<String>,
    /// Whether each argument is written as Rust writes it, with quotes: `{name:?}`.
    quoted: Vec<bool>,
    /// Letters in the parts.
    letters: usize,
}

impl Literal {
    fn of(text: &str, open: &Regex) -> Self {
        let (mut parts, mut quoted) = (Vec::new(), Vec::new());
        let (mut part, mut at) = (String::new(), 0);
        for found in open.find_iter(text) {
            part.push_str(&text[at..found.start()]);
            match found.as_str() {
                "{{" => part.push('{'),
                "}}" => part.push('}'),
                argument => {
                    parts.push(std::mem::take(&mut part));
                    quoted.push(argument.ends_with("?}"));
                }
            }
            at = found.end();
        }
        part.push_str(&text[at..]);
        parts.push(part);
        let letters = parts.iter().flat_map(|part| part.chars());
        let letters = letters.filter(|c| c.is_alphabetic()).count();
        Self {
            parts,
            quoted,
            letters,
        }
    }

    fn makes(&self, text: &str, depth: usize) -> bool {
        if let [whole] = &self.parts[..] {
            return whole == text;
        }
        let rest = text.strip_prefix(self.parts[0].as_str());
        self.letters >= LETTERS && rest.is_some_and(|rest| self.rest_makes(rest, 0, depth))
    }

    /// Whether the argument of this number, and all that follows it, can be `text`.
    fn rest_makes(&self, text: &str, number: usize, depth: usize) -> bool {
        let part = self.parts[number + 1].as_str();
        let is_last = number + 2 == self.parts.len();
        let mut ends = text.match_indices(part).map(|(at, _)| at);
        let fits = |at: usize| {
            let (argument, after) = (&text[..at], &text[at + part.len()..]);
            let follows = match is_last {
                true => after.is_empty(),
                false => self.rest_makes(after, number + 1, depth),
            };
            follows
                && match self.quoted[number] {
                    true => !argument.starts_with(char::is_lowercase),
                    false => is_argument(argument, depth),
                }
        };
        match part.is_empty() && is_last {
            true => fits(text.len()),
            false => ends.any(fits),
        }
    }
}

/// Names, numbers and addresses fill a gap, sentences only when they are made themselves.
fn is_argument(text: &str, depth: usize) -> bool {
    let plain = text.strip_prefix(": ").unwrap_or(text);
    plain.split_whitespace().count() <= 2
        || plain
            .split(", ")
            .all(|one| one.starts_with('`') && one.ends_with(')'))
        || depth > 0 && made(plain, depth - 1)
}

/// All of the crates, without their tests.
fn literals() -> &'static [Literal] {
    static LITERALS: OnceLock<Vec<Literal>> = OnceLock::new();
    LITERALS.get_or_init(|| {
        let mut texts = Vec::new();
        let crates = std::fs::read_dir(root().join("crates")).expect("the crates");
        for one in crates {
            let one = one.expect("an entry").path();
            // The simulator prints no errors of Eddy.
            if !one.ends_with("eddy-sim") {
                read(&one.join("src"), &mut texts);
            }
        }
        texts.sort();
        texts.dedup();
        let open = Regex::new(r"\{\{|\}\}|\{[a-zA-Z_0-9.]*(:[^{}]*)?\}").expect("a pattern");
        texts.iter().map(|text| Literal::of(text, &open)).collect()
    })
}

fn read(folder: &Path, texts: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read(&path, texts);
        } else if path.extension().is_some_and(|ext| ext == "rs") && !path.ends_with("tests.rs") {
            let source = std::fs::read_to_string(&path).expect("UTF-8");
            let tokens = source.parse().expect("it is Rust");
            gather(tokens, texts);
        }
    }
}

/// The string literals of some code, without comments and tests.
fn gather(tokens: TokenStream, texts: &mut Vec<String>) {
    let mut tokens = tokens.into_iter().peekable();
    let mut of_tests = false;
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(mark) if mark.as_char() == '#' => {
                let attribute = tokens.next_if(|next| matches!(next, TokenTree::Group(_)));
                let attribute = attribute.map(|group| group.to_string()).unwrap_or_default();
                let plain = attribute.replace(' ', "");
                of_tests |= plain == "[cfg(test)]";
                if plain.starts_with("[error(") {
                    gather(attribute.parse().expect("tokens"), texts);
                }
            }
            TokenTree::Punct(mark) if mark.as_char() == ';' => of_tests = false,
            TokenTree::Group(group) => {
                let body = group.delimiter() == proc_macro2::Delimiter::Brace;
                if !of_tests {
                    gather(group.stream(), texts);
                }
                of_tests &= !body;
            }
            TokenTree::Literal(literal) => {
                if let syn::Lit::Str(text) = syn::Lit::new(literal) {
                    texts.push(text.value());
                }
            }
            TokenTree::Punct(_) | TokenTree::Ident(_) => {}
        }
    }
}

#[test]
fn only_what_the_sources_say_is_made() {
    for text in [
        "there is no function \"gret\"",
        "Did you mean `greet`? `eddy ls` shows what is deployed.",
        "the app \"shop\" could not be loaded: secret-missing: app `shop` needs secrets that this node does not have: `A` (for `B`)",
        "store-failed: reading the store failed: Input/output error (os error 5)",
        "Try again in a moment, or on another node.",
    ] {
        assert!(is_made(text), "{text}");
    }
    for text in [
        "there is no function gret",
        "Did you mean `greet`? `eddy ls` lists all functions.",
        "the app \"shop\" could not be loaded: secret-missing: there is nothing of that kind anywhere",
        "reading the store failed: because of something that nobody says",
        // Only this test says so.
        "an error that only a test knows",
        // Only a comment says so.
        "Whether the words of an error on a page are ones that the binary can print",
        "anything: at all",
    ] {
        assert!(!is_made(text), "{text}");
    }
}
