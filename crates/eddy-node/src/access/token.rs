//! Tokens as text. `eddy_ID_SECRET`: the id finds the entry and is no secret; of the secret, 256
//! random bits, only its SHA-256 is kept. A slow hash would add nothing to that many bits.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use eddy_types::{Digest, EddyError};
use std::fmt;
use subtle::ConstantTimeEq as _;

const PREFIX: &str = "eddy_";
const ID_BYTES: usize = 6;
const SECRET_BYTES: usize = 32;

/// A token on its way to who asked for it. Shown once.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenText(String);

impl TokenText {
    /// The text to send as `Authorization: Bearer TEXT`.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenText")
    }
}

/// Draws a token: its id, the digest of its secret, and its text.
pub(super) fn draw() -> Result<(String, Digest, TokenText), EddyError> {
    let mut bytes = [0; ID_BYTES + SECRET_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| {
        EddyError::internal(format!("the system gives no random bytes: {error}"))
    })?;
    let (id, secret) = bytes.split_at(ID_BYTES);
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let secret = URL_SAFE_NO_PAD.encode(secret);
    let digest = Digest::of(secret.as_bytes());
    let text = TokenText(format!("{PREFIX}{id}_{secret}"));
    Ok((id, digest, text))
}

/// The id and the secret of a token's text. Nothing for what is none.
pub(super) fn parts(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix(PREFIX)?.split_once('_')
}

/// Whether `secret` is the one behind `digest`, in a time that does not depend on either.
pub(super) fn is_secret_of(digest: &Digest, secret: &str) -> bool {
    let given = Digest::of(secret.as_bytes());
    given.as_bytes().ct_eq(digest.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_text_and_by_nothing_else() {
        let (id, digest, text) = draw().expect("random bytes");
        let (found, secret) = parts(text.reveal()).expect("it has parts");
        assert_eq!(found, id);
        assert!(is_secret_of(&digest, secret));
        let mut other = secret.to_owned();
        other.replace_range(0..1, if secret.starts_with('A') { "B" } else { "A" });
        assert!(!is_secret_of(&digest, &other));
        assert!(!is_secret_of(&digest, ""));
        assert!(!format!("{text:?}").contains(secret));
        for none in ["", "eddy_", "eddy_0011", "Eddy_a_b", "a_b"] {
            assert_eq!(parts(none), None, "{none:?}");
        }
    }
}
