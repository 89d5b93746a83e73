//! A line as tokens: the words of it that are others in each run, and all the rest.

use std::net::IpAddr;

/// What kind of word may be another one in another run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A decimal number of four digits or more: a pid, an inode, a user id.
    Number,
    /// The number of an interface: `141:` or `@if141`.
    Index,
    /// The first twelve digits of an id, which are its short form.
    ShortId,
    /// The other 52 of an id.
    RestOfId,
    /// An IP or Ethernet address.
    Address,
    /// The machine's end of a pair.
    Veth,
}

impl Class {
    /// Whether `real` may be what a run has where the page has a word of this class.
    fn fits(self, real: &str) -> bool {
        match self {
            Self::Number | Self::Index => is_decimal(real),
            Self::ShortId => is_hex(real, 12),
            Self::RestOfId => is_hex(real, 52),
            Self::Address => is_address(real),
            Self::Veth => is_veth(real),
        }
    }
}

/// A part of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token<'a> {
    /// However much of it.
    Space(&'a str),
    /// `…`
    Anything,
    Varies(Class, &'a str),
    Literal(&'a str),
}

impl<'a> Token<'a> {
    /// As it was written.
    pub fn text(self) -> &'a str {
        match self {
            Self::Space(text) | Self::Varies(_, text) | Self::Literal(text) => text,
            Self::Anything => "…",
        }
    }

    /// Whether it may stand where a page has a word of `class`.
    pub fn fits(self, class: Class) -> bool {
        class.fits(self.text())
    }
}

/// All of a line, in order.
pub fn tokens(line: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let length = if first.is_whitespace() {
            let length = run(rest, char::is_whitespace);
            found.push(Token::Space(&rest[..length]));
            length
        } else if first.is_ascii_alphanumeric() || first == ':' {
            let length = run(rest, |c| c.is_ascii_alphanumeric() || ":.".contains(c));
            let after_at = found.last() == Some(&Token::Literal("@"));
            compound(&rest[..length], after_at, &mut found);
            length
        } else {
            let length = first.len_utf8();
            found.push(match first {
                '…' => Token::Anything,
                _ => Token::Literal(&rest[..length]),
            });
            length
        };
        rest = &rest[length..];
    }
    found
}

/// Letters, digits, colons and dots: an address, perhaps with a port, or several words.
fn compound<'a>(text: &'a str, after_at: bool, found: &mut Vec<Token<'a>>) {
    let address = (0..=text.len()).rev().find(|&end| {
        // Up to the end, up to what a sentence puts there, or up to the port, before which tcpdump has a dot.
        let tail = text[end..].trim_end_matches([':', '.']);
        let port = tail.strip_prefix([':', '.']).is_some_and(is_decimal);
        (tail.is_empty() || port) && is_address(&text[..end])
    });
    if let Some(end) = address {
        found.push(Token::Varies(Class::Address, &text[..end]));
        return words(&text[end..], found);
    }
    if let Some(number) = text.strip_suffix(':').filter(|text| is_decimal(text)) {
        found.push(Token::Varies(Class::Index, number));
        return found.push(Token::Literal(":"));
    }
    if let Some(number) = text
        .strip_prefix("if")
        .filter(|text| after_at && is_decimal(text))
    {
        found.push(Token::Literal("if"));
        return found.push(Token::Varies(Class::Index, number));
    }
    words(text, found);
}

fn words<'a>(text: &'a str, found: &mut Vec<Token<'a>>) {
    let mut rest = text;
    while !rest.is_empty() {
        let length = run(rest, |c| c.is_ascii_alphanumeric()).max(1);
        let word = &rest[..length];
        match word {
            _ if is_hex(word, 12) => found.push(Token::Varies(Class::ShortId, word)),
            _ if is_hex(word, 64) => {
                found.push(Token::Varies(Class::ShortId, &word[..12]));
                found.push(Token::Varies(Class::RestOfId, &word[12..]));
            }
            _ if is_veth(word) => found.push(Token::Varies(Class::Veth, word)),
            _ if word.len() >= 4 && is_decimal(word) => {
                found.push(Token::Varies(Class::Number, word));
            }
            _ => found.push(Token::Literal(word)),
        }
        rest = &rest[length..];
    }
}

/// How many bytes at the beginning are of characters that `belongs` takes.
fn run(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

fn is_decimal(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_address(text: &str) -> bool {
    let mac = || text.split(':').count() == 6 && text.split(':').all(|part| is_hex(part, 2));
    text.parse::<IpAddr>().is_ok() || mac()
}

fn is_veth(text: &str) -> bool {
    text.strip_prefix("veth")
        .is_some_and(|rest| is_hex(rest, rest.len().max(8)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of a line that may be others.
    fn varying(line: &str) -> Vec<(Class, &str)> {
        let all = tokens(line);
        let text: String = all.iter().map(|token| token.text()).collect();
        assert_eq!(text, line);
        all.into_iter()
            .filter_map(|token| match token {
                Token::Varies(class, text) => Some((class, text)),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn what_varies_is_told_from_what_does_not() {
        use Class::*;
        for (line, expected) in [
            ("pid 4613, 812 of 3.11.2", &[(Number, "4613")][..]),
            ("net:[4026532841]", &[(Number, "4026532841")]),
            ("0-65535 = 231072", &[(Number, "65535"), (Number, "231072")]),
            (
                "141: veth0466923540@if2  veth ═══ 2: eth0",
                &[
                    (Index, "141"),
                    (Veth, "veth0466923540"),
                    (Index, "2"),
                    (Index, "2"),
                ],
            ),
            ("466923540591 deadbeef", &[(ShortId, "466923540591")]),
            (
                "http://10.121.0.2:8000/ 10.121.0.1.",
                &[
                    (Address, "10.121.0.2"),
                    (Number, "8000"),
                    (Address, "10.121.0.1"),
                ],
            ),
            (
                "fe80::1/64 mac 46:69:23:54:05:00 [::1]:80",
                &[
                    (Address, "fe80::1"),
                    (Address, "46:69:23:54:05:00"),
                    (Address, "::1"),
                ],
            ),
            (
                "10.121.0.2.80 > 10.121.0.1.58518: ack",
                &[
                    (Address, "10.121.0.2"),
                    (Address, "10.121.0.1"),
                    (Number, "58518"),
                ],
            ),
            ("veth pair, if3, 12:34", &[]),
        ] {
            assert_eq!(varying(line), expected, "{line}");
        }
        let id = "466923540591c08612d31ba573991780135677d6148c1ff0f7966fde7e33526e";
        assert_eq!(varying(id), [(ShortId, &id[..12]), (RestOfId, &id[12..])]);
    }
}
