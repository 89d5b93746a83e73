//! Which devices the processes of a cgroup may use.
//!
//! The rules are a list where the last match decides, for each of read, write
//! and mknod on its own; before the first rule everything is denied. The list
//! is worked out to a table here, from which come v2's eBPF program and the
//! exceptions of v1's `devices` controller. (v1 would take the list itself, but
//! it applies a denial only to an exception of the very same numbers, silently.)

use std::collections::BTreeMap;
use std::fmt;

use soute_sys::bpf::{self, Insn, Reg};

use super::{CgroupError, DeviceRule};

/// read, write, mknod as the kernel's `BPF_DEVCG_ACC_*` count them.
const MKNOD: u8 = 1;
const READ: u8 = 2;
const WRITE: u8 = 4;
const ALL: u8 = MKNOD | READ | WRITE;

/// Bits of a minor number in the kernel's dev_t; 12 are left for the major one.
const MINOR_BITS: u32 = 20;

/// Keeps the program's jumps within their 16 bits.
const MAX_PATTERNS: usize = 2000;

/// Docker's list less the machine's console: `/dev/console` inside is a
/// pseudoterminal, while 5:1 would be the machine's own. Nodes may be made for
/// any device (an image's archive may hold some), which opens none of them.
pub fn default_device_rules() -> Vec<DeviceRule> {
    let rule = |kind, major, minor, access: &str| DeviceRule {
        allow: true,
        kind,
        major,
        minor,
        access: access.to_owned(),
    };
    vec![
        rule('c', None, None, "m"),
        rule('b', None, None, "m"),
        rule('c', Some(1), Some(3), "rwm"), // null
        rule('c', Some(1), Some(5), "rwm"), // zero
        rule('c', Some(1), Some(7), "rwm"), // full
        rule('c', Some(1), Some(8), "rwm"), // random
        rule('c', Some(1), Some(9), "rwm"), // urandom
        rule('c', Some(5), Some(0), "rwm"), // tty
        rule('c', Some(5), Some(2), "rwm"), // ptmx
        rule('c', Some(136), None, "rwm"),  // pts
    ]
}

/// The two kinds of device node, as `BPF_DEVCG_DEV_*` count them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Block = 1,
    Char = 2,
}

/// A device, all minors of a major number, or a whole kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Pattern {
    kind: Kind,
    major: Option<u32>,
    minor: Option<u32>,
}

impl Pattern {
    /// The next wider pattern.
    fn wider(self) -> Option<Self> {
        match (self.major, self.minor) {
            (Some(_), Some(_)) => Some(Self {
                minor: None,
                ..self
            }),
            (Some(_), None) => Some(Self {
                major: None,
                ..self
            }),
            _ => None,
        }
    }
}

/// As the `devices` controller writes it: `c 1:*`.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |n: Option<u32>| n.map_or_else(|| "*".to_owned(), |n| n.to_string());
        let kind = match self.kind {
            Kind::Block => 'b',
            Kind::Char => 'c',
        };
        write!(f, "{kind} {}:{}", number(self.major), number(self.minor))
    }
}

/// A rule that passed its checks. `kind` None: both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rule {
    allow: bool,
    kind: Option<Kind>,
    major: Option<u32>,
    minor: Option<u32>,
    access: u8,
}

impl Rule {
    fn check(rule: &DeviceRule) -> Result<Self, CgroupError> {
        let bad = |why| {
            let number = |n: Option<u32>| n.map_or_else(|| "*".to_owned(), |n| n.to_string());
            let (major, minor) = (number(rule.major), number(rule.minor));
            let verb = if rule.allow { "allow" } else { "deny" };
            CgroupError::Device {
                rule: format!("{verb} {} {major}:{minor} {}", rule.kind, rule.access),
                why,
            }
        };
        let kind = match rule.kind {
            'a' => None,
            'b' => Some(Kind::Block),
            // OCI's `u` is a character device, unbuffered.
            'c' | 'u' => Some(Kind::Char),
            _ => return Err(bad("the type is none of a, b, c and u")),
        };
        let mut access = 0;
        for letter in rule.access.chars() {
            access |= match letter {
                'm' => MKNOD,
                'r' => READ,
                'w' => WRITE,
                _ => return Err(bad("the access is not made of r, w and m")),
            };
        }
        if access == 0 {
            return Err(bad("it names no access"));
        }
        if rule.major.is_none() && rule.minor.is_some() {
            return Err(bad("it names a minor number of any major one"));
        }
        // 12 and 20 bits: MAJOR() and MINOR() of the kernel's dev_t.
        if rule.major.is_some_and(|m| m >= 1 << 12)
            || rule.minor.is_some_and(|m| m >= 1 << MINOR_BITS)
        {
            return Err(bad("no device has such a number"));
        }
        Ok(Self {
            allow: rule.allow,
            kind,
            major: rule.major,
            minor: rule.minor,
            access,
        })
    }

    fn covers(&self, p: Pattern) -> bool {
        self.kind.is_none_or(|k| k == p.kind)
            && (self.major.is_none() || self.major == p.major)
            && (self.minor.is_none() || self.minor == p.minor)
    }
}

/// The accesses allowed per pattern. A device's most specific pattern has the answer for it.
struct Table(BTreeMap<Pattern, u8>);

impl Table {
    /// Works the rules out. Every rule that matches a device covers each of the
    /// device's patterns that occurs in a rule, so the last match among those decides.
    fn new(rules: &[DeviceRule]) -> Result<Self, CgroupError> {
        let rules = rules
            .iter()
            .map(Rule::check)
            .collect::<Result<Vec<_>, _>>()?;
        let mut table = BTreeMap::new();
        for kind in [Kind::Block, Kind::Char] {
            let whole = Pattern {
                kind,
                major: None,
                minor: None,
            };
            let named = rules.iter().map(|r| Pattern {
                kind,
                major: r.major,
                minor: r.minor,
            });
            for pattern in std::iter::once(whole).chain(named) {
                table.entry(pattern).or_insert_with(|| {
                    [MKNOD, READ, WRITE]
                        .into_iter()
                        .filter(|bit| {
                            let last = rules
                                .iter()
                                .rfind(|r| r.access & bit != 0 && r.covers(pattern));
                            last.is_some_and(|r| r.allow)
                        })
                        .fold(0, |all, bit| all | bit)
                });
            }
        }
        let mut table = Self(table);
        // What a wider pattern says anyway need not be said.
        let needless: Vec<Pattern> = table
            .0
            .iter()
            .filter(|&(&p, &access)| table.around(p) == Some(access))
            .map(|(&p, _)| p)
            .collect();
        table.0.retain(|p, _| !needless.contains(p));
        if table.0.len() > MAX_PATTERNS {
            return Err(CgroupError::Device {
                rule: format!("{} rules", rules.len()),
                why: "there are too many different ones",
            });
        }
        Ok(table)
    }

    /// What the next wider pattern of the table says.
    fn around(&self, pattern: Pattern) -> Option<u8> {
        let mut wider = pattern.wider();
        while let Some(p) = wider {
            if let Some(&access) = self.0.get(&p) {
                return Some(access);
            }
            wider = p.wider();
        }
        None
    }
}

/// The rules for a fresh v1 cgroup: files with their texts, in order.
///
/// v1 keeps a default and exceptions to it, and there a wider exception holds
/// for all devices within. An exception from an exception is refused.
pub(super) fn v1(rules: &[DeviceRule]) -> Result<Vec<(&'static str, String)>, CgroupError> {
    let table = Table::new(rules)?;
    let whole = |kind| {
        let all = Pattern {
            kind,
            major: None,
            minor: None,
        };
        table.0.get(&all).copied().unwrap_or(0)
    };
    let allow_all = whole(Kind::Block) == ALL && whole(Kind::Char) == ALL;
    let (default, except) = if allow_all {
        ("devices.allow", "devices.deny")
    } else {
        ("devices.deny", "devices.allow")
    };
    // Exceptions are what differs from the default.
    let excepted = |access: u8| if allow_all { ALL & !access } else { access };
    let mut writes = vec![(default, "a".to_owned())];
    for (&pattern, &access) in &table.0 {
        let excepted_here = excepted(access);
        if excepted(
            table
                .around(pattern)
                .unwrap_or(if allow_all { ALL } else { 0 }),
        ) & !excepted_here
            != 0
        {
            return Err(CgroupError::Device {
                rule: pattern.to_string(),
                why: "it is an exception from a wider rule, which cgroup v1 cannot keep",
            });
        }
        if excepted_here != 0 {
            writes.push((except, format!("{pattern} {}", letters(excepted_here))));
        }
    }
    Ok(writes)
}

/// What rules allow, where a list can say it.
#[derive(Debug)]
pub(super) enum Allowed {
    /// Everything, or everything but some.
    AllBut,
    /// These alone.
    These(Vec<AllowedDevice>),
}

/// Of [`Allowed`]. `major` and `minor` None: all.
#[derive(Debug)]
pub(super) struct AllowedDevice {
    pub block: bool,
    pub major: Option<u32>,
    pub minor: Option<u32>,
    /// A subset of `rwm`.
    pub access: String,
}

/// The rules as a list of what is allowed. What a device may by its own entry, it may by a wider one too: an exception
/// from a wider rule is left out, as the list cannot say it, and the kernel's own rules beside it do.
pub(super) fn allowed(rules: &[DeviceRule]) -> Result<Allowed, CgroupError> {
    let table = Table::new(rules)?;
    let whole = |p: &Pattern| p.major.is_none();
    let all = table.0.iter().filter(|(p, _)| whole(p));
    if all.filter(|&(_, &access)| access == ALL).count() == 2 {
        return Ok(Allowed::AllBut);
    }
    let some = table.0.iter().filter(|&(_, &access)| access != 0);
    let list = some.map(|(pattern, &access)| AllowedDevice {
        block: pattern.kind == Kind::Block,
        major: pattern.major,
        minor: pattern.minor,
        access: letters(access),
    });
    Ok(Allowed::These(list.collect()))
}

fn letters(access: u8) -> String {
    [(READ, 'r'), (WRITE, 'w'), (MKNOD, 'm')]
        .iter()
        .filter(|(bit, _)| access & bit != 0)
        .map(|(_, letter)| letter)
        .collect()
}

/// The rules as a program of type `BPF_PROG_TYPE_CGROUP_DEVICE`.
///
/// One comparison per pattern, the most specific first, and the answer right
/// behind it. So the verifier sees each instruction about once: it takes the
/// default rules in 0.17 ms, of which any program costs 0.11, where one that goes
/// through the rules keeping score cost 0.37.
pub(super) fn v2(rules: &[DeviceRule]) -> Result<Vec<Insn>, CgroupError> {
    const CONTEXT: Reg = Reg::R1;
    const KIND: Reg = Reg::R2;
    const ACCESS: Reg = Reg::R3;
    const MAJOR: Reg = Reg::R4;
    const NUMBER: Reg = Reg::R5;
    const SCRATCH: Reg = Reg::R6;

    let answer = |access: u8| match access {
        ALL => vec![bpf::mov32_imm(Reg::R0, 1), bpf::exit()],
        0 => vec![bpf::mov32_imm(Reg::R0, 0), bpf::exit()],
        some => vec![
            bpf::and32_imm(ACCESS, i32::from(ALL & !some)),
            bpf::mov32_imm(Reg::R0, 1),
            bpf::jump32_eq_imm(ACCESS, 0, 1),
            bpf::mov32_imm(Reg::R0, 0),
            bpf::exit(),
        ],
    };
    let table = Table::new(rules)?;
    let section = |kind: Kind| {
        let mut code = Vec::new();
        // Narrow before wide: None sorts first.
        for (pattern, &access) in table.0.iter().rev().filter(|(p, _)| p.kind == kind) {
            let answer = answer(access);
            match (pattern.major, pattern.minor) {
                (Some(major), Some(minor)) => {
                    let number = major << MINOR_BITS | minor;
                    code.push(bpf::jump32_ne_imm(
                        NUMBER,
                        number as i32,
                        answer.len() as i16,
                    ));
                }
                (Some(major), None) => {
                    code.push(bpf::jump32_ne_imm(MAJOR, major as i32, answer.len() as i16));
                }
                // The last one, as it is the widest.
                (None, _) => {}
            }
            code.extend(answer);
        }
        code
    };
    // struct bpf_cgroup_dev_ctx: access_type (access << 16 | kind), major, minor; 32 bits each.
    let mut program = vec![
        bpf::load32(KIND, CONTEXT, 0),
        bpf::mov32(ACCESS, KIND),
        bpf::and32_imm(KIND, 0xffff),
        bpf::rsh32_imm(ACCESS, 16),
        bpf::load32(MAJOR, CONTEXT, 4),
        bpf::load32(SCRATCH, CONTEXT, 8),
        bpf::mov32(NUMBER, MAJOR),
        bpf::lsh32_imm(NUMBER, MINOR_BITS as i32),
        bpf::or32(NUMBER, SCRATCH),
    ];
    let characters = section(Kind::Char);
    program.push(bpf::jump32_ne_imm(
        KIND,
        Kind::Char as i32,
        characters.len() as i16,
    ));
    program.extend(characters);
    program.extend(section(Kind::Block));
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device and what is asked of it.
    #[derive(Debug, Clone, Copy)]
    struct Request {
        kind: Kind,
        major: u32,
        minor: u32,
        access: u8,
    }

    /// What the rules mean: for each access the last rule that names it.
    fn meaning(rules: &[DeviceRule], request: Request) -> bool {
        let rules: Vec<Rule> = rules.iter().map(|r| Rule::check(r).unwrap()).collect();
        [MKNOD, READ, WRITE]
            .iter()
            .filter(|&&bit| request.access & bit != 0)
            .all(|bit| {
                rules
                    .iter()
                    .rfind(|r| {
                        r.access & bit != 0
                            && r.kind.is_none_or(|k| k == request.kind)
                            && r.major.is_none_or(|m| m == request.major)
                            && r.minor.is_none_or(|m| m == request.minor)
                    })
                    .is_some_and(|r| r.allow)
            })
    }

    /// What the kernel makes of v1's texts (security/device_cgroup.c).
    fn by_v1(writes: &[(&str, String)], request: Request) -> bool {
        let allow_all = writes[0].0 == "devices.allow";
        let mut matching = writes[1..].iter().filter_map(|(_, text)| {
            let mut words = text.split([' ', ':']);
            let mut next = || words.next().unwrap();
            let same = |text: &str, n: u32| text == "*" || text == n.to_string();
            let kind = if request.kind == Kind::Char { "c" } else { "b" };
            let fits = next() == kind && same(next(), request.major) && same(next(), request.minor);
            let access = next().bytes().fold(0, |bits, letter| match letter {
                b'r' => bits | READ,
                b'w' => bits | WRITE,
                _ => bits | MKNOD,
            });
            fits.then_some(access)
        });
        if allow_all {
            !matching.any(|access: u8| access & request.access != 0)
        } else {
            matching.any(|access: u8| request.access & !access == 0)
        }
    }

    /// Runs the program as the kernel would.
    fn by_v2(program: &[Insn], request: Request) -> bool {
        let context = [
            u32::from(request.access) << 16 | request.kind as u32,
            request.major,
            request.minor,
        ];
        let mut regs = [0u32; 7];
        let mut at = 0;
        for _ in 0..program.len() {
            let insn = program[at];
            at += 1;
            let imm = insn.imm as u32;
            let dst = &mut regs[usize::from(insn.regs & 0xf)];
            match insn.code {
                0x61 => *dst = context[insn.off as usize / 4],
                0xb4 => *dst = imm,
                0x54 => *dst &= imm,
                0x74 => *dst >>= imm,
                0x64 => *dst <<= imm,
                0x16 if *dst == imm => at += insn.off as usize,
                0x56 if *dst != imm => at += insn.off as usize,
                0x16 | 0x56 => {}
                0xbc => regs[usize::from(insn.regs & 0xf)] = regs[usize::from(insn.regs >> 4)],
                0x4c => regs[usize::from(insn.regs & 0xf)] |= regs[usize::from(insn.regs >> 4)],
                0x95 => return regs[0] != 0,
                code => panic!("instruction {code:#x}"),
            }
        }
        panic!("the program does not end");
    }

    #[test]
    fn both_versions_do_what_the_rules_mean() {
        // A fixed sequence: the same lists in every run.
        let mut seed = 1u64;
        let mut pick = |n: usize| {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (seed >> 33) as usize % n
        };
        let (mut exact, mut refused) = (0, 0);
        for _ in 0..3000 {
            let rules: Vec<DeviceRule> = (0..pick(6) + 1)
                .map(|_| {
                    let major = [None, Some(1), Some(2)][pick(3)];
                    DeviceRule {
                        allow: pick(2) == 0,
                        kind: ['a', 'b', 'c'][pick(3)],
                        major,
                        minor: major.and([None, Some(3)][pick(2)]),
                        access: ["r", "w", "m", "rw", "rwm", "rwm"][pick(6)].to_owned(),
                    }
                })
                .collect();
            let program = v2(&rules).unwrap();
            let writes = v1(&rules);
            match &writes {
                Ok(_) => exact += 1,
                Err(_) => refused += 1,
            }
            for kind in [Kind::Block, Kind::Char] {
                for major in 1..=3 {
                    for minor in 3..=4 {
                        for access in 1..=ALL {
                            let request = Request {
                                kind,
                                major,
                                minor,
                                access,
                            };
                            let expected = meaning(&rules, request);
                            assert_eq!(by_v2(&program, request), expected, "{rules:?} {request:?}");
                            if let Ok(writes) = &writes {
                                assert_eq!(
                                    by_v1(writes, request),
                                    expected,
                                    "{rules:?} {writes:?} {request:?}"
                                );
                            }
                        }
                    }
                }
            }
        }
        assert!(exact > 1000 && refused > 100, "{exact} {refused}");
    }

    #[test]
    fn the_defaults_on_v1() {
        let writes = v1(&default_device_rules()).unwrap();
        let texts: Vec<&str> = writes.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(writes[0], ("devices.deny", "a".to_owned()));
        assert_eq!(texts[1..4], ["b *:* m", "c *:* m", "c 1:3 rwm"]);
        assert_eq!((texts.len(), texts.last()), (11, Some(&"c 136:* rwm")));
    }

    #[test]
    fn malformed_rules_are_refused() {
        let rule = |kind, major, minor, access: &str| DeviceRule {
            allow: true,
            kind,
            major,
            minor,
            access: access.to_owned(),
        };
        for bad in [
            rule('x', None, None, "r"),
            rule('c', None, None, ""),
            rule('c', None, None, "rx"),
            rule('c', None, Some(1), "r"),
            rule('c', Some(4096), None, "r"),
            rule('c', Some(1), Some(1 << 20), "r"),
        ] {
            assert!(v1(std::slice::from_ref(&bad)).is_err(), "{bad:?}");
            assert!(v2(std::slice::from_ref(&bad)).is_err(), "{bad:?}");
        }
    }
}
