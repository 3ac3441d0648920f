//! What somebody may have meant who gave a name that is not there. Who may be told names is not decided here.

/// How alike two words must be to be suggested, from 0 to 1.
const ALIKE: f64 = 0.75;

/// Words that are looked at: an answer to a typing error must not cost more than one to the right name.
const MAX_COMPARED: usize = 256;

/// The most similar of the words, if any is similar enough; of two that are, the one that sorts first.
/// Looks at the first 256 words.
pub fn most_similar<'w>(given: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let words = words.into_iter().take(MAX_COMPARED);
    let scored = words.map(|word| (strsim::jaro_winkler(given, word), word));
    let alike = scored.filter(|(score, _)| *score >= ALIKE);
    let best = alike.max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(a.1)));
    best.map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_alike_is_suggested_and_always_the_same() {
        let words = ["increment", "value", "values"];
        assert_eq!(most_similar("incremnt", words), Some("increment"));
        assert_eq!(most_similar("valeu", words), Some("value"));
        assert_eq!(most_similar("delete", words), None);
        assert_eq!(most_similar("greet", []), None);
        for words in [["ab1", "ab2"], ["ab2", "ab1"]] {
            assert_eq!(most_similar("ab", words), Some("ab1"));
        }
    }

    #[test]
    fn so_many_words_are_looked_at_and_no_more() {
        let mut words = vec!["zzz"; MAX_COMPARED];
        words.push("greet");
        assert_eq!(most_similar("gret", words.iter().copied()), None);
        words.remove(0);
        assert_eq!(most_similar("gret", words), Some("greet"));
    }
}
