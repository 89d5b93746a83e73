//! From words to an expression.

use std::net::IpAddr;

use super::{Carried, End, Expr, Filter, InvalidFilter, Network, Test};
use crate::{Protocol, Subnet};

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

/// What stands before a value, and holds for values that follow without words of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Qualifiers {
    protocol: Option<Named>,
    end: End,
    kind: Option<Kind>,
}

/// A protocol by its word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    Ether,
    Network(Network),
    Carried(Carried),
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Host,
    Net,
    Port,
    PortRange,
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

/// A decimal number. (`parse` takes a sign.)
fn digits<T: std::str::FromStr>(word: &str) -> Option<T> {
    word.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| word.parse().ok())
        .flatten()
}

impl Qualifiers {
    /// Whether its words go together.
    fn sound(self) -> Result<(), &'static str> {
        let ports = matches!(self.kind, Some(Kind::Port | Kind::PortRange));
        match self.protocol {
            Some(Named::Ether) if !matches!(self.kind, None | Some(Kind::Host)) => {
                Err("'ether' has hosts alone")
            }
            Some(Named::Network(_)) if ports => Err("ports are of tcp, udp and sctp"),
            Some(Named::Carried(Carried::Icmp | Carried::Icmp6)) => {
                Err("it has no hosts, nets or ports of its own: join conditions by 'and'")
            }
            Some(Named::Carried(_)) if !ports => {
                Err("it has ports alone: join a host or net by 'and'")
            }
            _ => Ok(()),
        }
    }

    fn wanted(self) -> &'static str {
        match (self.protocol, self.kind) {
            (Some(Named::Ether), _) => "an Ethernet address",
            (_, None | Some(Kind::Host)) => "an IPv4 or IPv6 address (names are not looked up)",
            (_, Some(Kind::Net)) => "a net such as 10.1.0.0/16 or fd00::/8",
            (_, Some(Kind::Port)) => "a port from 0 to 65535 (names are not looked up)",
            (_, Some(Kind::PortRange)) => "two ports such as 8000-8080",
        }
    }

    fn test(self, word: &str) -> Result<Test, String> {
        let bad = || format!("{} is wanted", self.wanted());
        match (self.protocol, self.kind) {
            (Some(Named::Ether), _) => Ok(Test::Ether(self.end, ether(word).ok_or_else(bad)?)),
            (protocol, Some(Kind::Port | Kind::PortRange)) => {
                let (first, last) = match (self.kind, word.split_once('-')) {
                    (Some(Kind::PortRange), Some((first, last))) => (first, last),
                    (Some(Kind::PortRange), None) => return Err(bad()),
                    _ => (word, word),
                };
                let port = |text| digits::<u16>(text).ok_or_else(bad);
                let (first, last) = (port(first)?, port(last)?);
                if first > last {
                    return Err("its last port comes before its first".to_owned());
                }
                let protocol = match protocol {
                    Some(Named::Carried(Carried::Ports(protocol))) => Some(protocol),
                    _ => None,
                };
                Ok(Test::Port(protocol, self.end, first, last))
            }
            (protocol, kind) => {
                let subnet = match word.parse::<IpAddr>() {
                    Ok(address) => Subnet::of(address, if address.is_ipv4() { 32 } else { 128 }),
                    Err(_) if kind == Some(Kind::Host) || !word.contains('/') => None,
                    Err(_) => Some(word.parse::<Subnet>().map_err(|e| e.to_string())?),
                };
                let subnet = subnet.ok_or_else(bad)?;
                let network = match protocol {
                    Some(Named::Network(network)) => Some(network),
                    _ => None,
                };
                match (network, subnet.is_ipv4()) {
                    (Some(Network::Ipv6), true) => Err("ip6 has no IPv4 addresses".to_owned()),
                    (Some(Network::Ipv4 | Network::Arp | Network::Rarp), false) => {
                        Err("only ip6 has IPv6 addresses".to_owned())
                    }
                    _ => Ok(Test::Address(network, self.end, subnet)),
                }
            }
        }
    }
}

/// Six numbers of one or two hexadecimal digits between colons (or hyphens): any, those of groups too.
fn ether(word: &str) -> Option<[u8; 6]> {
    let mut bytes = [0; 6];
    let mut numbers = word.split([':', '-']);
    for byte in &mut bytes {
        let number = numbers.next()?;
        let sound =
            (1..=2).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_hexdigit());
        *byte = u8::from_str_radix(number, 16).ok().filter(|_| sound)?;
    }
    numbers.next().is_none().then_some(bytes)
}
