//! From positions in the JavaScript that runs to positions in what the user wrote.

use eddy_types::limits::MAX_SOURCE_MAP_BYTES;
use oxc_sourcemap::{SourceMap, Token};
use std::collections::BTreeMap;

/// The source maps of a bundle, by module name. Building one from nothing is free.
#[derive(Default)]
pub struct SourceMaps(BTreeMap<String, SourceMap<'static>>);

impl SourceMaps {
    /// Maps (version 3, JSON) by module name. One that cannot be read, or for which
    /// [`MAX_SOURCE_MAP_BYTES`] leave no room, is left out: its frames then keep the positions they have.
    pub fn new(maps: impl IntoIterator<Item = (String, String)>) -> Self {
        // Read, they take several times as much, for as long as the app is there.
        let mut room = MAX_SOURCE_MAP_BYTES;
        let parse = |(name, json): (String, String)| {
            let left = room.checked_sub(json.len())?;
            room = left;
            let map = SourceMap::from_json_string(&json).ok()?.into_owned();
            Some((name, map))
        };
        Self(maps.into_iter().filter_map(parse).collect())
    }

    /// Rewrites every `module:line:column` (and `module:line`) of a known module to its original
    /// position, and leaves all other text as it is.
    #[must_use]
    pub fn remap_stack(&self, stack: &str) -> String {
        if self.0.is_empty() {
            return stack.to_owned();
        }
        stack
            .split_inclusive('\n')
            .map(|line| self.remap_line(line))
            .collect()
    }

    fn remap_line(&self, line: &str) -> String {
        let mut out = String::with_capacity(line.len());
        let mut rest = line;
        while let Some(colon) = rest.find(':') {
            let (before, after) = rest.split_at(colon);
            out.push_str(before);
            let position = self.map_before(&out).zip(Position::parse(after));
            let Some((map, (position, length))) = position else {
                out.push(':');
                rest = &after[1..];
                continue;
            };
            out.push_str(&position.remap(map).text());
            rest = &after[length..];
        }
        out + rest
    }

    /// The map of the module whose name ends `text`, the longest name that fits.
    fn map_before(&self, text: &str) -> Option<&SourceMap<'static>> {
        let fits = |name: &str| {
            text.strip_suffix(name).is_some_and(|before| {
                before.is_empty() || before.ends_with(|c: char| c.is_whitespace() || c == '(')
            })
        };
        let fitting = self.0.iter().filter(|(name, _)| fits(name));
        fitting
            .max_by_key(|(name, _)| name.len())
            .map(|(_, map)| map)
    }
}

impl std::fmt::Debug for SourceMaps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

/// A position as stack traces write it: both numbers count from 1.
struct Position {
    line: u32,
    column: Option<u32>,
}

impl Position {
    /// Reads `:12:5` or `:12` at the start of `text`; with the bytes it took.
    fn parse(text: &str) -> Option<(Self, usize)> {
        let (line, mut length) = number_after_colon(text)?;
        let column = number_after_colon(&text[length..]);
        length += column.map_or(0, |(_, length)| length);
        Some((
            Self {
                line,
                column: column.map(|(column, _)| column),
            },
            length,
        ))
    }

    /// The original position, or this one where the map says nothing of the line.
    fn remap(self, map: &SourceMap<'_>) -> Self {
        let at = (
            self.line.saturating_sub(1),
            self.column.unwrap_or(1).saturating_sub(1),
        );
        match nearest(map, at) {
            Some(token) => Self {
                line: token.get_src_line() + 1,
                column: self.column.map(|_| token.get_src_col() + 1),
            },
            None => self,
        }
    }

    fn text(&self) -> String {
        let column = self
            .column
            .map(|column| format!(":{column}"))
            .unwrap_or_default();
        format!(":{}{column}", self.line)
    }
}

fn number_after_colon(text: &str) -> Option<(u32, usize)> {
    let digits = text.strip_prefix(':')?;
    let length = digits
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(digits.len());
    Some((digits[..length].parse().ok()?, length + 1))
}

/// The last token at or before the position on its line, else the first token of the line.
fn nearest(map: &SourceMap<'_>, at: (u32, u32)) -> Option<Token> {
    let count = u32::try_from(map.get_tokens().len()).ok()?;
    let place = |index| {
        map.get_token(index)
            .map(|token| (token.get_dst_line(), token.get_dst_col()))
    };
    // Tokens are in the order of the generated code.
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if place(middle)? <= at {
            low = middle + 1
        } else {
            high = middle
        }
    }
    let on_line = |index| {
        map.get_token(index)
            .filter(|token| token.get_dst_line() == at.0)
    };
    low.checked_sub(1)
        .and_then(on_line)
        .or_else(|| on_line(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Generated line 1 column 1 is source 3:5; generated line 2 column 3 is source 7:1.
    const MAP: &str = r#"{"version":3,"sources":["a.ts"],"names":[],"mappings":"AAEI;EAIJ"}"#;

    fn maps() -> SourceMaps {
        SourceMaps::new([("a.ts".to_owned(), MAP.to_owned())])
    }

    #[test]
    fn frames_of_known_modules_are_rewritten() {
        let stack = "    at f (a.ts:1:9)\n    at <anonymous> (a.ts:2)\n    at a.ts:2:1\n";
        let expected = "    at f (a.ts:3:5)\n    at <anonymous> (a.ts:7)\n    at a.ts:7:1\n";
        assert_eq!(maps().remap_stack(stack), expected);
    }

    #[test]
    fn maps_beyond_the_limit_are_left_out() {
        let padding = " ".repeat(MAX_SOURCE_MAP_BYTES);
        let large = ("large.ts".to_owned(), format!("{MAP}{padding}"));
        let maps = SourceMaps::new([large, ("a.ts".to_owned(), MAP.to_owned())]);
        assert_eq!(maps.remap_stack("at large.ts:1:9"), "at large.ts:1:9");
        assert_eq!(maps.remap_stack("at a.ts:1:9"), "at a.ts:3:5");
    }

    #[test]
    fn everything_else_stays() {
        for text in [
            "Error: at 12:30 nothing happened",
            "    at g (b.ts:1:1)",
            "    at g (lib/a.ts:1:1)",
            "    at g (a.ts:99:1)",
            "    at g (a.ts:)",
            "http://a.ts/x:1:1",
            "a.ts:99999999999999999999:1",
            "",
        ] {
            assert_eq!(maps().remap_stack(text), text);
        }
    }

    #[test]
    fn a_broken_map_is_left_out() {
        let maps = SourceMaps::new([("a.ts".to_owned(), "{".to_owned())]);
        assert_eq!(maps.remap_stack("at a.ts:1:1"), "at a.ts:1:1");
    }
}
