//! Filters are run against an interpreter, a second opinion, libseccomp and the kernel.

mod default_profile;
mod interpreter;
mod kernel;
mod libseccomp;
mod profiles;
mod reference;

use soute_sys::seccomp::SockFilter;

use super::arch::{ARM_OWN_FIRST, Arch, Machine, X32_BIT};
use super::profile::Profile;
use super::resolve::{Here, Resolved};
use super::{SeccompError, compile};
use crate::capabilities::CapSet;
use crate::seccomp::KernelVersion;
use interpreter::Data;

const MACHINES: [Machine; 2] = [Machine::X86_64, Machine::Aarch64];
const KERNEL: KernelVersion = KernelVersion::new(6, 1);

fn here(machine: Machine, caps: CapSet) -> Here {
    Here {
        machine,
        caps,
        kernel: KERNEL,
    }
}

fn program(profile: &Profile, here: Here) -> Result<Vec<SockFilter>, SeccompError> {
    let resolved = Resolved::new(profile, here)?;
    let program = compile::compile(&resolved.numbered().sections()).ok_or(SeccompError::TooLong)?;
    interpreter::check(&program);
    Ok(program)
}

fn parse(json: &str) -> Result<Profile, serde_json::Error> {
    serde_json::from_str(json)
}

/// Values at which a comparison of 64 bits with one of these could go wrong.
fn values_around(constants: &[u64]) -> Vec<u64> {
    let mut values = vec![0, 1, u64::MAX, u64::from(u32::MAX), 1 << 32, 1 << 63];
    for &c in constants {
        values.extend([
            c,
            c.wrapping_sub(1),
            c.wrapping_add(1),
            c ^ (1 << 32),
            c ^ (1 << 63),
            c.wrapping_add(1 << 32),
            c.wrapping_sub(1 << 32),
            c << 32,
            c >> 32,
            !c,
        ]);
        // One bit of a mask at a time.
        values.extend((0..64).map(|bit| c & (1 << bit)));
    }
    values.sort_unstable();
    values.dedup();
    values
}

/// Every number that is a call of this machine's, those between, and the ends of all regions, by every architecture.
fn all_numbers(machine: Machine) -> impl Iterator<Item = (u32, u32)> {
    let tables = (0..700).chain(X32_BIT..X32_BIT + 700);
    let far = [
        ARM_OWN_FIRST - 1,
        0x7ff_ffff,
        X32_BIT - 1,
        X32_BIT * 2 - 1,
        X32_BIT * 2,
        u32::MAX - 1,
        u32::MAX,
    ];
    let numbers: Vec<u32> = tables
        .chain(ARM_OWN_FIRST..ARM_OWN_FIRST + 10)
        .chain(far)
        .collect();
    let mut audits: Vec<u32> = machine.arches().iter().map(|arch| arch.audit()).collect();
    audits.dedup();
    // RISC-V, and none.
    audits.extend([0xc000_00f3, 0]);
    audits
        .into_iter()
        .flat_map(move |audit| numbers.clone().into_iter().map(move |n| (audit, n)))
}

fn data(audit: u32, number: u32, args: [u64; 6]) -> Data {
    Data {
        number,
        audit,
        args,
    }
}

/// The architecture of a call, if it is one of this machine's.
fn arch_of(machine: Machine, data: &Data) -> Option<Arch> {
    let is_x32 = data.audit == Arch::X86_64.audit() && data.number >= X32_BIT;
    machine
        .arches()
        .iter()
        .copied()
        .find(|arch| arch.audit() == data.audit && is_x32 == (*arch == Arch::X32))
}
