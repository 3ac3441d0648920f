//! Code frames: a line of source with the place in it marked.

use std::ops::Range;

/// Longest part of a line that is shown, in characters.
const MAX_WIDTH: usize = 120;

/// Line and column of a byte offset, both from 1; the column counts characters.
pub(crate) fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = before(text, offset);
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (line, before[start..].chars().count() + 1)
}

/// The text before `offset`, whatever the offset.
fn before(text: &str, offset: usize) -> &str {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The line of `span` and the one before it, with carets under the span's part of its line.
pub(crate) fn render(text: &str, span: Range<usize>) -> String {
    let (number, column) = line_and_column(text, span.start);
    let lines: Vec<&str> = text.lines().collect();
    let line = |number: usize| lines.get(number.wrapping_sub(1)).copied().unwrap_or("");
    let width = number.to_string().len();
    let mut out = format!("{:width$} |", "");
    if number > 1 && !line(number - 1).trim().is_empty() {
        out += &format!("\n{:>width$} | {}", number - 1, shown(line(number - 1), 0));
    }
    // A long line (minified code) is shown from shortly before the place.
    let skip = if column > MAX_WIDTH {
        column - MAX_WIDTH / 2
    } else {
        0
    };
    let marked = shown(line(number), skip);
    let length = before(text, span.end)
        .len()
        .saturating_sub(before(text, span.start).len());
    let left = column - 1 - skip;
    let carets = length.clamp(1, marked.chars().count().saturating_sub(left).max(1));
    let marks = "^".repeat(carets);
    out + &format!(
        "\n{number:>width$} | {marked}\n{:width$} | {:left$}{marks}",
        "", ""
    )
}

fn shown(line: &str, skip: usize) -> String {
    // A tab is one character wide here, so that the carets stand where they should.
    line.chars()
        .skip(skip)
        .take(MAX_WIDTH)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_place_is_marked() {
        let text = "one\ntwo three\n";
        assert_eq!(line_and_column(text, 8), (2, 5));
        let expected = "  |\n1 | one\n2 | two three\n  |     ^^^^^";
        assert_eq!(render(text, 8..13), expected);
    }

    proptest! {
        #[test]
        fn no_offset_breaks_it(text in "(\\PC|\n|\t){0,40}", a in 0usize..60, b in 0usize..60) {
            prop_assert!(render(&text, a..b).contains('^'));
        }
    }
}
