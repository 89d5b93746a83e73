//! A rule's expressions as a reader is shown them: in nft(8)'s language, as far as it is simple.
//!
//! The kernel's expressions fill registers and compare them; the words that they were written in are told back from what a
//! register holds at each comparison. What is not known here makes the whole rule unknown: half a rule is a wrong one.

#[cfg(test)]
mod tests;
mod value;

use soute_sys::netlink::{Attribute, Attributes};

use super::expr::{
    NFTA_DATA_VALUE, NFTA_DATA_VERDICT, NFTA_EXPR_DATA, NFTA_EXPR_NAME, NFTA_VERDICT_CHAIN,
    NFTA_VERDICT_CODE,
};
use super::types::Family;
use value::Kind;

/// More expressions than rules have.
const MOST: usize = 128;
/// Longest text in bytes: a rule is one line among others.
const LONGEST: usize = 400;

/// The text of a rule of a table of `family`, from the entries of `NFTA_RULE_EXPRESSIONS`.
pub(super) fn text(family: Family, expressions: Attributes<'_>) -> Option<String> {
    let mut reader = Reader {
        ipv4: match family {
            Family::IPV4 => Some(true),
            Family::IPV6 => Some(false),
            _ => None,
        },
        protocol: None,
        of_family: None,
        of_protocol: None,
        registers: Vec::new(),
        statements: Vec::new(),
    };
    for (count, expression) in expressions.enumerate() {
        let expression = expression.ok()?;
        if count == MOST {
            return None;
        }
        let name = find(&expression, NFTA_EXPR_NAME)?.text().ok()?;
        // An expression without arguments has no attribute for them.
        let empty = Attribute {
            kind: 0,
            value: &[],
        };
        let data = find(&expression, NFTA_EXPR_DATA).unwrap_or(empty);
        reader.read(&name, &data)?;
    }
    let words: Vec<String> = reader.statements.into_iter().flatten().collect();
    let text = words.join(" ");
    (text.len() <= LONGEST).then_some(text)
}

/// What a register holds.
#[derive(Debug, Clone)]
struct Held {
    /// The first of its words of 4 bytes.
    word: u32,
    /// How many.
    words: u32,
    /// `ip saddr`, or a value.
    text: String,
    kind: Kind,
    /// Bits of it that are looked at.
    mask: Option<Vec<u8>>,
    /// A constant.
    value: Option<Vec<u8>>,
}

struct Reader {
    /// The packet's family and protocol, where a rule or its table has said so, and by which statement: what follows from
    /// a later one (`tcp dport` from `meta l4proto tcp`) is not written.
    ipv4: Option<bool>,
    protocol: Option<u8>,
    of_family: Option<usize>,
    of_protocol: Option<usize>,
    registers: Vec<Held>,
    statements: Vec<Option<String>>,
}

impl Reader {
    fn read(&mut self, name: &str, data: &Attribute<'_>) -> Option<()> {
        match name {
            "meta" => self.meta(data),
            "payload" => self.payload(data),
            "ct" => self.ct(data),
            "fib" => self.fib(data),
            "immediate" => self.immediate(data),
            "bitwise" => self.bitwise(data),
            "cmp" => self.cmp(data),
            "range" => self.range(data),
            "lookup" => self.lookup(data),
            "nat" => self.nat(data),
            "masq" => self.say("masquerade"),
            "redir" => self.redirect(data),
            "reject" => self.reject(data),
            "log" => self.log(data),
            "limit" => self.limit(data),
            "counter" => self.say("counter"),
            "notrack" => self.say("notrack"),
            _ => None,
        }
    }

    fn say(&mut self, text: impl Into<String>) -> Option<()> {
        self.statements.push(Some(text.into()));
        Some(())
    }

    fn load(
        &mut self,
        register: u32,
        text: impl Into<String>,
        kind: Kind,
        length: u32,
    ) -> Option<()> {
        let word = word(register)?;
        let words = length.div_ceil(4).max(1);
        self.registers
            .retain(|held| held.word + held.words <= word || word + words <= held.word);
        self.registers.push(Held {
            word,
            words,
            text: text.into(),
            kind,
            mask: None,
            value: None,
        });
        Some(())
    }

    fn held(&mut self, register: u32) -> Option<&mut Held> {
        let word = word(register)?;
        self.registers.iter_mut().find(|held| held.word == word)
    }

    /// All that stands in registers from this one on, without a gap: the fields of a set's key.
    fn row(&self, register: u32) -> Option<Vec<&Held>> {
        let mut next = word(register)?;
        let mut row = Vec::new();
        while let Some(held) = self.registers.iter().find(|held| held.word == next) {
            next += held.words;
            row.push(held);
        }
        (!row.is_empty()).then_some(row)
    }

    fn meta(&mut self, data: &Attribute<'_>) -> Option<()> {
        let key = number(data, 2)?;
        let (name, kind, length) = value::meta(key)?;
        match (number(data, 1), number(data, 3)) {
            (Some(to), None) => self.load(to, name, kind, length),
            (None, Some(from)) => {
                let held = self.held(from)?;
                let value = kind.show(held.value.as_ref()?)?;
                self.say(format!("{name} set {value}"))
            }
            _ => None,
        }
    }

    fn payload(&mut self, data: &Attribute<'_>) -> Option<()> {
        let (to, base) = (number(data, 1)?, number(data, 2)?);
        let (offset, length) = (number(data, 3)?, number(data, 4)?);
        let (name, kind) = match base {
            1 => {
                let ipv4 = self.ipv4?;
                let found = value::network(ipv4, offset, length)?;
                self.follows(self.of_family);
                found
            }
            2 => {
                let found = value::transport(self.protocol, offset, length)?;
                if self.protocol.is_some() {
                    self.follows(self.of_protocol);
                }
                found
            }
            _ => return None,
        };
        self.load(to, name, kind, length)
    }

    /// What an earlier statement says follows from a later one.
    fn follows(&mut self, statement: Option<usize>) {
        if let Some(statement) = statement.and_then(|at| self.statements.get_mut(at)) {
            *statement = None;
        }
    }

    fn ct(&mut self, data: &Attribute<'_>) -> Option<()> {
        let direction = match find(data, 3) {
            Some(direction) => match direction.u8().ok()? {
                0 => "original ",
                _ => "reply ",
            },
            None => "",
        };
        let (name, kind, length) = value::ct(number(data, 2)?)?;
        match (number(data, 1), number(data, 4)) {
            (Some(to), None) => self.load(to, format!("ct {direction}{name}"), kind, length),
            (None, Some(from)) => {
                let held = self.held(from)?;
                let value = kind.show(held.value.as_ref()?)?;
                self.say(format!("ct {name} set {value}"))
            }
            _ => None,
        }
    }

    fn fib(&mut self, data: &Attribute<'_>) -> Option<()> {
        // NFT_FIB_RESULT_ADDRTYPE is 3; NFTA_FIB_F_SADDR 1, NFTA_FIB_F_DADDR 2.
        let side = match (number(data, 2)?, number(data, 3)?) {
            (3, 1) => "saddr",
            (3, 2) => "daddr",
            _ => return None,
        };
        self.load(
            number(data, 1)?,
            format!("fib {side} type"),
            Kind::RouteType,
            4,
        )
    }

    fn immediate(&mut self, data: &Attribute<'_>) -> Option<()> {
        let to = number(data, 1)?;
        let held = find(data, 2)?;
        if let Some(verdict) = find(&held, NFTA_DATA_VERDICT) {
            return self.verdict(&verdict);
        }
        let bytes = find(&held, NFTA_DATA_VALUE)?.value.to_vec();
        self.load(to, "", Kind::Number, bytes.len() as u32)?;
        self.held(to)?.value = Some(bytes);
        Some(())
    }

    fn verdict(&mut self, verdict: &Attribute<'_>) -> Option<()> {
        let code = find(verdict, NFTA_VERDICT_CODE)?.exactly().ok()?;
        let chain = || find(verdict, NFTA_VERDICT_CHAIN)?.text().ok();
        self.say(match i32::from_be_bytes(code) {
            0 => "drop".to_owned(),
            1 => "accept".to_owned(),
            -1 => "continue".to_owned(),
            -3 => format!("jump {}", chain()?),
            -4 => format!("goto {}", chain()?),
            -5 => "return".to_owned(),
            _ => return None,
        })
    }

    fn bitwise(&mut self, data: &Attribute<'_>) -> Option<()> {
        // NFT_BITWISE_MASK_XOR, within one register.
        let (from, to) = (number(data, 1)?, number(data, 2)?);
        if from != to || number(data, 6).unwrap_or(0) != 0 {
            return None;
        }
        let (mask, xor) = (bytes(data, 4)?, bytes(data, 5)?);
        let held = self.held(from)?;
        if xor.iter().any(|byte| *byte != 0) || held.mask.is_some() {
            return None;
        }
        held.mask = Some(mask);
        Some(())
    }

    fn cmp(&mut self, data: &Attribute<'_>) -> Option<()> {
        let operator = number(data, 2)?;
        let bytes = bytes(data, 3)?;
        let held = self.held(number(data, 1)?)?.clone();
        let at = self.statements.len();
        if operator == 0 && held.mask.is_none() {
            match (held.kind, bytes.as_slice()) {
                (Kind::NfProto, [family @ (2 | 10)]) => {
                    (self.ipv4, self.of_family) = (Some(*family == 2), Some(at));
                }
                (Kind::Protocol, [protocol]) => {
                    (self.protocol, self.of_protocol) = (Some(*protocol), Some(at));
                }
                _ => {}
            }
        }
        let sign = match operator {
            0 => "",
            1 => "!= ",
            2 => "< ",
            3 => "<= ",
            4 => "> ",
            5 => ">= ",
            _ => return None,
        };
        let text = match &held.mask {
            None => format!("{sign}{}", held.kind.show(&bytes)?),
            // Some of several bits: written without the comparison.
            Some(mask) if operator == 1 && bytes.iter().all(|byte| *byte == 0) => {
                held.kind.show_bits(mask)?
            }
            Some(mask) => format!("{sign}{}", held.kind.show_masked(mask, &bytes)?),
        };
        self.say(format!("{} {text}", held.text))
    }

    fn range(&mut self, data: &Attribute<'_>) -> Option<()> {
        let sign = match number(data, 2)? {
            0 => "",
            1 => "!= ",
            _ => return None,
        };
        let (first, last) = (bytes(data, 3)?, bytes(data, 4)?);
        let held = self.held(number(data, 1)?)?.clone();
        let (first, last) = (held.kind.show(&first)?, held.kind.show(&last)?);
        self.say(format!("{} {sign}{first}-{last}", held.text))
    }

    fn lookup(&mut self, data: &Attribute<'_>) -> Option<()> {
        let set = find(data, 1)?.text().ok()?;
        // Sets that were written within a rule; what is in them is not asked for here.
        let set = match set.strip_prefix("__").is_some() {
            true => "{ … }".to_owned(),
            false => format!("@{set}"),
        };
        let row = self.row(number(data, 2)?)?;
        if row.iter().any(|held| held.mask.is_some()) {
            return None;
        }
        let key: Vec<&str> = row.iter().map(|held| held.text.as_str()).collect();
        let key = key.join(" . ");
        match number(data, 3) {
            None => {
                let not = if number(data, 5).unwrap_or(0) & 1 != 0 {
                    "!= "
                } else {
                    ""
                };
                self.say(format!("{key} {not}{set}"))
            }
            Some(0) => self.say(format!("{key} vmap {set}")),
            // As many registers as it likes: of what is translated, an address and a port perhaps.
            Some(to) => self.load(to, format!("{key} map {set}"), Kind::Number, 4),
        }
    }

    fn nat(&mut self, data: &Attribute<'_>) -> Option<()> {
        let word = match number(data, 1)? {
            0 => "snat",
            1 => "dnat",
            _ => return None,
        };
        let family = match number(data, 2)? {
            2 => "ip",
            10 => "ip6",
            _ => return None,
        };
        let address = match number(data, 3) {
            Some(register) => Some(self.held(register)?.clone()),
            None => None,
        };
        let port = match number(data, 5) {
            Some(register) => self.held(register).cloned(),
            None => None,
        };
        let to = match address.as_ref().map(|held| (&held.value, &held.text)) {
            Some((Some(bytes), _)) if family == "ip" => Kind::Address4.show(bytes)?,
            Some((Some(bytes), _)) => Kind::Address6.show(bytes)?,
            Some((None, text)) => text.clone(),
            None => String::new(),
        };
        let port = match port.and_then(|held| held.value) {
            Some(bytes) => format!(":{}", Kind::Port.show(&bytes)?),
            None => String::new(),
        };
        self.say(format!("{word} {family} to {to}{port}"))
    }

    fn redirect(&mut self, data: &Attribute<'_>) -> Option<()> {
        let port = match number(data, 1) {
            Some(register) => self.held(register)?.value.clone(),
            None => None,
        };
        match port {
            Some(bytes) => self.say(format!("redirect to :{}", Kind::Port.show(&bytes)?)),
            None => self.say("redirect"),
        }
    }

    fn reject(&mut self, data: &Attribute<'_>) -> Option<()> {
        self.say(match number(data, 1)? {
            1 => "reject with tcp reset",
            _ => "reject",
        })
    }

    fn log(&mut self, data: &Attribute<'_>) -> Option<()> {
        match find(data, 2) {
            Some(prefix) => self.say(format!("log prefix {:?}", prefix.text().ok()?)),
            None => self.say("log"),
        }
    }

    fn limit(&mut self, data: &Attribute<'_>) -> Option<()> {
        let (rate, unit) = (find(data, 1)?.be64().ok()?, find(data, 2)?.be64().ok()?);
        let unit = match unit {
            1 => "second",
            60 => "minute",
            3600 => "hour",
            86400 => "day",
            _ => return None,
        };
        // NFT_LIMIT_PKTS; NFT_LIMIT_F_INV
        if number(data, 4).unwrap_or(0) != 0 {
            return None;
        }
        let over = if number(data, 5).unwrap_or(0) & 1 != 0 {
            "over "
        } else {
            ""
        };
        self.say(format!("limit rate {over}{rate}/{unit}"))
    }
}

/// The first word of a register: `NFT_REG_1` to `NFT_REG_4` of 16 bytes, or `NFT_REG32_00` and on.
pub(super) fn word(register: u32) -> Option<u32> {
    match register {
        1..=4 => Some((register - 1) * 4),
        8..=23 => Some(register - 8),
        _ => None,
    }
}

pub(super) fn find<'b>(of: &Attribute<'b>, kind: u16) -> Option<Attribute<'b>> {
    of.nested().find(kind).ok()?
}

pub(super) fn number(of: &Attribute<'_>, kind: u16) -> Option<u32> {
    find(of, kind)?.be32().ok()
}

pub(super) fn bytes(of: &Attribute<'_>, kind: u16) -> Option<Vec<u8>> {
    let data = find(of, kind)?;
    Some(find(&data, NFTA_DATA_VALUE)?.value.to_vec())
}
