//! The kernel's side of a filter: what it checks, and how it runs it (seccomp_check_filter, bpf_check_classic).

use soute_sys::seccomp::{
    AND, JUMP, JUMP_EQ, JUMP_GE, JUMP_GT, LOAD, MAX_INSTRUCTIONS, RETURN, SockFilter,
};

/// `struct seccomp_data`, without the instruction pointer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Data {
    pub number: u32,
    pub audit: u32,
    pub args: [u64; 6],
}

/// JSET, which libseccomp's programs have.
const JUMP_SET: u16 = 0x45;

impl Data {
    fn word(&self, offset: u32) -> u32 {
        let arg = || self.args[(offset as usize - 16) / 8];
        match offset {
            0 => self.number,
            4 => self.audit,
            16.. if offset.is_multiple_of(8) => arg() as u32,
            16.. => (arg() >> 32) as u32,
            _ => panic!("offset {offset}"),
        }
    }
}

/// Panics where the kernel would refuse the program.
pub fn check(program: &[SockFilter]) {
    assert!((1..=MAX_INSTRUCTIONS).contains(&program.len()));
    for (at, i) in program.iter().enumerate() {
        let lands = |over: u32| assert!(at + 1 + (over as usize) < program.len(), "jump at {at}");
        match i.code {
            LOAD => assert!(i.k.is_multiple_of(4) && i.k < 64, "load at {at}"),
            AND | RETURN => {}
            JUMP => lands(i.k),
            JUMP_EQ | JUMP_GT | JUMP_GE | JUMP_SET => {
                lands(i.jt.into());
                lands(i.jf.into());
            }
            code => panic!("code {code:#x} at {at}"),
        }
    }
    assert_eq!(program.last().unwrap().code, RETURN);
}

/// The answer, and how many instructions it took.
pub fn run(program: &[SockFilter], data: &Data) -> (u32, usize) {
    let (mut a, mut at, mut steps) = (0, 0, 0);
    loop {
        let i = program[at];
        at += 1;
        steps += 1;
        let mut branch = |holds: bool| at += usize::from(if holds { i.jt } else { i.jf });
        match i.code {
            LOAD => a = data.word(i.k),
            AND => a &= i.k,
            JUMP => at += i.k as usize,
            JUMP_EQ => branch(a == i.k),
            JUMP_GT => branch(a > i.k),
            JUMP_GE => branch(a >= i.k),
            JUMP_SET => branch(a & i.k != 0),
            RETURN => return (i.k, steps),
            code => panic!("code {code:#x}"),
        }
    }
}
