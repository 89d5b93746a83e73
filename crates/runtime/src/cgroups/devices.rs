//! Which devices the processes of a cgroup may use.
//!
//! The rules are a list where the last match decides, for each of read, write
//! and mknod on its own; before the first rule everything is denied. v2 runs
//! the list as an eBPF program. v1's `devices` controller holds a set of
//! exceptions instead and applies a denial only to the very exception that it
//! names, so the list is worked out here, and what a set cannot say is refused.

use std::fmt;

use soute_sys::bpf::{self, Insn, Reg};

use super::{CgroupError, DeviceRule};

/// read, write, mknod as the kernel's `BPF_DEVCG_ACC_*` count them.
const MKNOD: u8 = 1;
const READ: u8 = 2;
const WRITE: u8 = 4;
const ALL: u8 = MKNOD | READ | WRITE;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Block = 1,
    Char = 2,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Block => "b",
            Self::Char => "c",
        })
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
        let bad = |why| CgroupError::Device {
            rule: spell(rule),
            why,
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
        if rule.major.is_some_and(|m| m >= 1 << 12) || rule.minor.is_some_and(|m| m >= 1 << 20) {
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
}

/// As the `devices` controller and `--device-cgroup-rule` write it.
fn spell(rule: &DeviceRule) -> String {
    let number = |n: Option<u32>| n.map_or_else(|| "*".to_owned(), |n| n.to_string());
    let verb = if rule.allow { "allow" } else { "deny" };
    format!(
        "{verb} {} {}:{} {}",
        rule.kind,
        number(rule.major),
        number(rule.minor),
        rule.access
    )
}

/// One exception to v1's default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Exception {
    kind: Kind,
    major: Option<u32>,
    minor: Option<u32>,
    access: u8,
}

impl Exception {
    fn covers(&self, other: &Self) -> bool {
        let wide = |a: Option<u32>, b: Option<u32>| a.is_none() || a == b;
        self.kind == other.kind && wide(self.major, other.major) && wide(self.minor, other.minor)
    }

    fn meets(&self, other: &Self) -> bool {
        let common = |a: Option<u32>, b: Option<u32>| a.is_none() || b.is_none() || a == b;
        self.kind == other.kind
            && common(self.major, other.major)
            && common(self.minor, other.minor)
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |n: Option<u32>| n.map_or_else(|| "*".to_owned(), |n| n.to_string());
        write!(
            f,
            "{} {}:{} ",
            self.kind,
            number(self.major),
            number(self.minor)
        )?;
        for (bit, letter) in [(READ, "r"), (WRITE, "w"), (MKNOD, "m")] {
            if self.access & bit != 0 {
                f.write_str(letter)?;
            }
        }
        Ok(())
    }
}

/// Works the list out for a fresh v1 cgroup: files with their texts, in order.
pub(super) fn v1(rules: &[DeviceRule]) -> Result<Vec<(&'static str, String)>, CgroupError> {
    let mut allow_all = false;
    let mut exceptions: Vec<Exception> = Vec::new();
    for given in rules {
        let rule = Rule::check(given)?;
        if rule.kind.is_none() && rule.major.is_none() && rule.access == ALL {
            allow_all = rule.allow;
            exceptions.clear();
            continue;
        }
        let kinds = match rule.kind {
            Some(kind) => &[kind][..],
            None => &[Kind::Block, Kind::Char],
        };
        for &kind in kinds {
            let change = Exception {
                kind,
                major: rule.major,
                minor: rule.minor,
                access: rule.access,
            };
            if rule.allow == allow_all {
                take_back(&mut exceptions, change, given)?;
            } else {
                add(&mut exceptions, change);
            }
        }
    }
    let (default, except) = if allow_all {
        ("devices.allow", "devices.deny")
    } else {
        ("devices.deny", "devices.allow")
    };
    let mut writes = vec![(default, "a".to_owned())];
    writes.extend(exceptions.iter().map(|e| (except, e.to_string())));
    Ok(writes)
}

/// The kernel lets one exception alone answer for a whole access (reading and
/// writing at once), so an exception holds what wider ones around it hold.
fn add(exceptions: &mut Vec<Exception>, mut new: Exception) {
    for e in exceptions.iter_mut() {
        if new.covers(e) {
            e.access |= new.access;
        } else if e.covers(&new) {
            new.access |= e.access;
        }
    }
    if !exceptions.iter().any(|e| e.covers(&new) && new.covers(e)) {
        exceptions.push(new);
    }
}

/// Takes `back` out of the exceptions; a hole in a wider exception cannot be written down.
fn take_back(
    exceptions: &mut Vec<Exception>,
    back: Exception,
    given: &DeviceRule,
) -> Result<(), CgroupError> {
    for e in exceptions
        .iter_mut()
        .filter(|e| e.meets(&back) && e.access & back.access != 0)
    {
        if !back.covers(e) {
            return Err(CgroupError::Device {
                rule: spell(given),
                why: "it takes back a part of a wider rule before it, which cgroup v1 cannot do",
            });
        }
        e.access &= !back.access;
    }
    exceptions.retain(|e| e.access != 0);
    Ok(())
}

/// The list as a program of type `BPF_PROG_TYPE_CGROUP_DEVICE`.
///
/// It goes through the rules from last to first and keeps the accesses that no
/// rule has decided yet: an allowing rule strikes its own out, and when none
/// is left the answer is yes; a denying rule that meets one left answers no,
/// as does the end of the list.
pub(super) fn v2(rules: &[DeviceRule]) -> Result<Vec<Insn>, CgroupError> {
    const CONTEXT: Reg = Reg::R1;
    const KIND: Reg = Reg::R2;
    const LEFT: Reg = Reg::R3;
    const MAJOR: Reg = Reg::R4;
    const MINOR: Reg = Reg::R5;
    const SCRATCH: Reg = Reg::R6;
    let answer = |yes: bool| [bpf::mov32_imm(Reg::R0, i32::from(yes)), bpf::exit()];

    // struct bpf_cgroup_dev_ctx: access_type (access << 16 | kind), major, minor; 32 bits each.
    let mut program = vec![
        bpf::load32(KIND, CONTEXT, 0),
        bpf::mov32(LEFT, KIND),
        bpf::and32_imm(KIND, 0xffff),
        bpf::rsh32_imm(LEFT, 16),
        bpf::load32(MAJOR, CONTEXT, 4),
        bpf::load32(MINOR, CONTEXT, 8),
    ];
    for rule in rules.iter().rev() {
        let rule = Rule::check(rule)?;
        let access = i32::from(rule.access);
        // What happens when device and numbers match.
        let mut body = Vec::with_capacity(6);
        if rule.allow {
            body.push(bpf::and32_imm(LEFT, !access));
            body.push(bpf::jump32_ne_imm(LEFT, 0, 2));
            body.extend(answer(true));
        } else {
            body.push(bpf::mov32(SCRATCH, LEFT));
            body.push(bpf::and32_imm(SCRATCH, access));
            body.push(bpf::jump32_eq_imm(SCRATCH, 0, 2));
            body.extend(answer(false));
        }
        let tests: Vec<(Reg, u32)> = [
            (KIND, rule.kind.map(|k| k as u32)),
            (MAJOR, rule.major),
            (MINOR, rule.minor),
        ]
        .into_iter()
        .filter_map(|(reg, value)| Some((reg, value?)))
        .collect();
        for (done, &(reg, value)) in tests.iter().enumerate() {
            // Over the tests that are left and the body. At most 7.
            let over = (tests.len() - done - 1 + body.len()) as i16;
            program.push(bpf::jump32_ne_imm(reg, value as i32, over));
        }
        program.extend(body);
    }
    program.extend(answer(false));
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
            let fits = next() == request.kind.to_string()
                && same(next(), request.major)
                && same(next(), request.minor);
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
                0x16 if *dst == imm => at += insn.off as usize,
                0x56 if *dst != imm => at += insn.off as usize,
                0x16 | 0x56 => {}
                0xbc => regs[usize::from(insn.regs & 0xf)] = regs[usize::from(insn.regs >> 4)],
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
        assert_eq!(texts[1..4], ["c *:* m", "b *:* m", "c 1:3 rwm"]);
        assert_eq!(texts.last(), Some(&"c 136:* rwm"));
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
