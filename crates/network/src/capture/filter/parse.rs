//! From words to an expression.

use std::net::IpAddr;

use super::qualifiers::{Kind, Named, Qualifiers, digits};
use super::{Carried, End, Expr, Filter, InvalidFilter, Network, Test};
use crate::Protocol;

/// Parentheses and negations in each other, at most: whoever reads them is recursive.
const DEEPEST: u32 = 64;
/// Words, at most: a chain of `or` is as deep as it is long.
const MOST_WORDS: usize = 2000;

/// A word and where it begins, in bytes.
#[derive(Debug, Clone, Copy)]
struct Word<'a> {
    text: &'a str,
    at: usize,
}

impl Filter {
    /// Reads `text`.
    ///
    /// # Errors
    /// A word that cannot stand where it does, or that nobody knows here: names of machines and services (they would
    /// have to be asked for), and what pcap-filter(7) has beyond the common.
    pub fn parse(text: &str) -> Result<Self, InvalidFilter> {
        let words = words(text);
        let mut parser = Parser {
            text,
            words: &words,
            next: 0,
            last: None,
        };
        if words.len() > MOST_WORDS {
            return Err(parser.bad_at(MOST_WORDS, "there are too many words"));
        }
        let expr = parser.expr(0)?;
        match parser.peek() {
            None => Ok(Self(expr)),
            Some(")") => Err(parser.bad("no parenthesis is open here")),
            Some(_) => Err(parser.bad("'and' or 'or' is wanted before it")),
        }
    }
}

/// Words between blanks; parentheses and `!` need none around them.
fn words(text: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut begun: Option<usize> = None;
    let mut chars = text.char_indices().peekable();
    let word = |at: usize, end: usize| Word {
        text: text.get(at..end).unwrap_or_default(),
        at,
    };
    while let Some((at, c)) = chars.next() {
        let twice = matches!(c, '&' | '|') && chars.peek().is_some_and(|(_, next)| *next == c);
        if !(c.is_whitespace() || matches!(c, '(' | ')' | '!') || twice) {
            begun.get_or_insert(at);
            continue;
        }
        words.extend(begun.take().map(|begun| word(begun, at)));
        if twice {
            chars.next();
        }
        if !c.is_whitespace() {
            words.push(word(at, at + if twice { 2 } else { 1 }));
        }
    }
    words.extend(begun.map(|begun| word(begun, text.len())));
    words
}

struct Parser<'a> {
    text: &'a str,
    words: &'a [Word<'a>],
    next: usize,
    last: Option<Qualifiers>,
}

impl<'a> Parser<'a> {
    fn at(&self, offset: usize) -> Option<&'a str> {
        self.words.get(self.next + offset).map(|word| word.text)
    }

    fn peek(&self) -> Option<&'a str> {
        self.at(0)
    }

    fn take(&mut self, wanted: &[&str]) -> bool {
        let found = self.peek().is_some_and(|word| wanted.contains(&word));
        self.next += usize::from(found);
        found
    }

    /// An error about the next word.
    fn bad(&self, why: impl Into<String>) -> InvalidFilter {
        self.bad_at(self.next, why)
    }

    fn bad_at(&self, number: usize, why: impl Into<String>) -> InvalidFilter {
        let end = self.text.len();
        let (at, word) = match self.words.get(number) {
            Some(word) => (word.at, word.text),
            None => (end, ""),
        };
        let part = |from: usize, to: usize| self.text.get(from..to).unwrap_or_default().to_owned();
        InvalidFilter {
            before: part(0, at),
            word: word.to_owned(),
            after: part(at + word.len(), end),
            why: why.into(),
        }
    }

    /// `TERM {and|or TERM}`, from left to right.
    fn expr(&mut self, depth: u32) -> Result<Expr, InvalidFilter> {
        let mut expr = self.term(depth)?;
        loop {
            let join = if self.take(&["and", "&&"]) {
                Expr::Both
            } else if self.take(&["or", "||"]) {
                Expr::Either
            } else {
                return Ok(expr);
            };
            expr = join(Box::new(expr), Box::new(self.term(depth)?));
        }
    }

    fn deeper(&self, depth: u32) -> Result<u32, InvalidFilter> {
        match depth < DEEPEST {
            true => Ok(depth + 1),
            false => Err(self.bad("there is too much inside each other")),
        }
    }

    fn term(&mut self, depth: u32) -> Result<Expr, InvalidFilter> {
        let inside = self.deeper(depth)?;
        if self.take(&["not", "!"]) {
            return Ok(Expr::Not(Box::new(self.term(inside)?)));
        }
        if self.take(&["("]) {
            let expr = self.expr(inside)?;
            return self.closed(expr);
        }
        self.primitive(inside)
    }

    fn closed(&mut self, expr: Expr) -> Result<Expr, InvalidFilter> {
        match self.take(&[")"]) {
            true => Ok(expr),
            false => Err(self.bad("')' is wanted")),
        }
    }

    fn primitive(&mut self, depth: u32) -> Result<Expr, InvalidFilter> {
        let begun = self.next;
        if self.take(&["less"]) {
            return Ok(Expr::Is(Test::Less(self.number("a number of bytes")?)));
        }
        if self.take(&["greater"]) {
            return Ok(Expr::Is(Test::Greater(self.number("a number of bytes")?)));
        }
        if self.take(&["vlan"]) {
            let given = self
                .peek()
                .is_some_and(|word| word.starts_with(|c: char| c.is_ascii_digit()));
            let tag = match given {
                true => Some(self.number("a VLAN from 0 to 4095")?),
                false => None,
            };
            if tag.is_some_and(|tag: u16| tag > 4095) {
                self.next -= 1;
                return Err(self.bad("a VLAN from 0 to 4095 is wanted"));
            }
            return Ok(Expr::Is(Test::Vlan(tag)));
        }
        let protocol = self.protocol();
        let end = self.end();
        let kind = self.kind();
        let qualifiers = Qualifiers {
            protocol,
            end: end.unwrap_or(End::Any),
            kind,
        };
        match (protocol, end, kind) {
            // A protocol alone is a whole question.
            (Some(protocol), None, None) => {
                self.last = None;
                match protocol {
                    Named::Network(network) => Ok(Expr::Is(Test::Network(network))),
                    Named::Carried(carried) => Ok(Expr::Is(Test::Carried(carried))),
                    Named::Ether => {
                        Err(self.bad("'host' and an Ethernet address are wanted after 'ether'"))
                    }
                }
            }
            (None, None, None) => self.bare(),
            _ => {
                qualifiers.sound().map_err(|why| self.bad_at(begun, why))?;
                self.last = Some(qualifiers);
                self.values(qualifiers, depth)
            }
        }
    }

    fn protocol(&mut self) -> Option<Named> {
        let named = match self.peek()? {
            "ether" => Named::Ether,
            "ip" => Named::Network(Network::Ipv4),
            "ip6" => Named::Network(Network::Ipv6),
            "arp" => Named::Network(Network::Arp),
            "rarp" => Named::Network(Network::Rarp),
            "icmp" => Named::Carried(Carried::Icmp),
            "icmp6" => Named::Carried(Carried::Icmp6),
            "tcp" => Named::Carried(Carried::Ports(Protocol::Tcp)),
            "udp" => Named::Carried(Carried::Ports(Protocol::Udp)),
            "sctp" => Named::Carried(Carried::Ports(Protocol::Sctp)),
            _ => return None,
        };
        self.next += 1;
        Some(named)
    }

    /// `src`, `dst`, `src or dst`, `dst and src` and so on.
    fn end(&mut self) -> Option<End> {
        let (first, other) = match self.peek()? {
            "src" => (End::Source, "dst"),
            "dst" => (End::Destination, "src"),
            _ => return None,
        };
        self.next += 1;
        if self.at(1) == Some(other) {
            let both = match self.peek() {
                Some("or" | "||") => End::Any,
                Some("and" | "&&") => End::Both,
                _ => return Some(first),
            };
            self.next += 2;
            return Some(both);
        }
        Some(first)
    }

    fn kind(&mut self) -> Option<Kind> {
        let kind = match self.peek()? {
            "host" => Kind::Host,
            "net" => Kind::Net,
            "port" => Kind::Port,
            "portrange" => Kind::PortRange,
            _ => return None,
        };
        self.next += 1;
        Some(kind)
    }

    /// A value without words before it: those before it hold still.
    fn bare(&mut self) -> Result<Expr, InvalidFilter> {
        let Some(word) = self.peek() else {
            return Err(self.bad("a condition is wanted at the end"));
        };
        let value =
            word.starts_with(|c: char| c.is_ascii_digit()) || word.parse::<IpAddr>().is_ok();
        match (value, self.last) {
            (true, Some(qualifiers)) => self.value(qualifiers),
            (true, None) => Err(self.bad("what is it? 'host', 'net' or 'port' is wanted before it")),
            (false, _) => Err(self.bad(
                "not understood here; there are host, net, port, portrange after src or dst or nothing, ip, ip6, arp, rarp, \
                 tcp, udp, sctp, icmp, icmp6, ether host, less, greater, vlan, and, or, not and parentheses",
            )),
        }
    }

    /// A value, or some in parentheses.
    fn values(&mut self, qualifiers: Qualifiers, depth: u32) -> Result<Expr, InvalidFilter> {
        if !self.take(&["("]) {
            return self.value(qualifiers);
        }
        let inside = self.deeper(depth)?;
        let mut expr = self.negated(qualifiers, inside)?;
        loop {
            let join = if self.take(&["and", "&&"]) {
                Expr::Both
            } else if self.take(&["or", "||"]) {
                Expr::Either
            } else {
                return self.closed(expr);
            };
            expr = join(Box::new(expr), Box::new(self.negated(qualifiers, inside)?));
        }
    }

    fn negated(&mut self, qualifiers: Qualifiers, depth: u32) -> Result<Expr, InvalidFilter> {
        let inside = self.deeper(depth)?;
        match self.take(&["not", "!"]) {
            true => Ok(Expr::Not(Box::new(self.negated(qualifiers, inside)?))),
            false => self.values(qualifiers, inside),
        }
    }

    fn value(&mut self, qualifiers: Qualifiers) -> Result<Expr, InvalidFilter> {
        let Some(word) = self.peek() else {
            return Err(self.bad(format!("{} is wanted at the end", qualifiers.wanted())));
        };
        let test = qualifiers.test(word).map_err(|why| self.bad(why))?;
        self.next += 1;
        Ok(Expr::Is(test))
    }

    fn number<T: std::str::FromStr>(&mut self, what: &str) -> Result<T, InvalidFilter> {
        let number = self.peek().and_then(digits);
        let number = number.ok_or_else(|| self.bad(format!("{what} is wanted")))?;
        self.next += 1;
        Ok(number)
    }
}
