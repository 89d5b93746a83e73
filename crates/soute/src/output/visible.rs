//! Text from hostile sources, made harmless to a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

/// `text` with every control character spelled out (`\n`, `\u{1b}`): an escape
/// sequence in a container's name or command could else rewrite the screen, or
/// answer on the reader's behalf. Characters that reverse the direction of
/// text are spelled out too.
pub fn visible(text: &str) -> Cow<'_, str> {
    escape(text, is_dangerous)
}

/// As [`visible`], but lines stay lines and tabs stay tabs.
pub fn visible_text(text: &str) -> Cow<'_, str> {
    escape(text, |c| is_dangerous(c) && c != '\n' && c != '\t')
}

/// JSON with the same characters written in its own way (`\u009b`), so that it means what it meant.
pub fn visible_json(json: &str) -> Cow<'_, str> {
    // Below U+0020 there are only the line ends and blanks between its parts: in strings they are written so already.
    let dangerous = |c: char| is_dangerous(c) && c >= ' ';
    if !json.contains(dangerous) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len() + 8);
    for c in json.chars() {
        match dangerous(c) {
            true => _ = write!(escaped, "\\u{:04x}", u32::from(c)),
            false => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

fn is_dangerous(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escape(text: &str, dangerous: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&dangerous) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match dangerous(c) {
            true => _ = write!(escaped, "{}", c.escape_default()),
            false => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_spelled_out() {
        for (text, shown) in [
            ("plain é 漢", "plain é 漢"),
            ("\x1b[2J", "\\u{1b}[2J"),
            ("a\nb\tc", "a\\nb\\tc"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("\u{202e}txt.exe", "\\u{202e}txt.exe"),
            ("\x7f", "\\u{7f}"),
        ] {
            assert_eq!(visible(text), shown);
        }
        assert_eq!(visible_text("a\n\tb\r\x1b"), "a\n\tb\\r\\u{1b}");
    }

    #[test]
    fn json_stays_json() {
        let value = serde_json::json!({"a\u{9b}31m": "\x7f\x1b\u{202e}\u{2069} é\n"});
        let json = serde_json::to_string_pretty(&value).unwrap();
        let shown = visible_json(&json);
        assert!(shown.contains("\\u009b31m") && shown.contains("\\u007f\\u001b\\u202e\\u2069 é"));
        assert_eq!(visible_text(&shown), shown);
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&shown).unwrap(),
            value
        );
    }
}
