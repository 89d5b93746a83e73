//! The listener of a seccomp filter: its descriptor goes to the agent that the profile names (runtime-spec,
//! config-linux.md, "Seccomp", `listenerPath`).

use std::os::fd::{BorrowedFd, RawFd};
use std::path::Path;

use rustix::process::{Pid, PidfdGetfdFlags, pidfd_getfd};
use serde::Serialize;
use soute_sys::Called as _;

use super::failure::{Failure, Step};
use crate::hooks::{HookState, Status};
use crate::plan::Process;
use crate::socket;

const STEP: &str = "handing over the seccomp listener";

/// What the agent is told (runtime-spec, "The Container Process State").
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct State<'a> {
    oci_version: &'a str,
    fds: [&'a str; 1],
    pid: i32,
    metadata: &'a str,
    state: Box<serde_json::value::RawValue>,
}

/// Whose container the process is in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Container<'a> {
    pub(super) state: &'a HookState,
    pub(super) status: Status,
    /// Its first process.
    pub(super) first: Pid,
}

/// The descriptor's number in a message of the process.
pub(super) fn number(message: &[u8]) -> Result<RawFd, Failure> {
    match message {
        &[_, a, b, c, d] => Ok(RawFd::from_ne_bytes([a, b, c, d])),
        _ => Err(Failure::setup(STEP, "not the number of a descriptor")),
    }
}

/// Takes the descriptor `number` of `process`, which waits, and sends it on.
pub(super) fn hand_over(
    plan: &Process,
    container: Container<'_>,
    pid: Pid,
    process: BorrowedFd<'_>,
    number: RawFd,
) -> Result<(), Failure> {
    let listener = plan.seccomp.as_ref().and_then(|filter| filter.listener());
    let listener = listener.ok_or_else(|| Failure::setup(STEP, "the profile names no agent"))?;
    let descriptor = pidfd_getfd(process, number, PidfdGetfdFlags::empty())
        .called(|| format!("pidfd_getfd({number})"))
        .step(STEP)?;
    let json = |value| serde_json::value::RawValue::from_string(value);
    let first = container.first.as_raw_nonzero().get();
    let state = State {
        oci_version: &container.state.oci_version,
        fds: ["seccompFd"],
        pid: pid.as_raw_nonzero().get(),
        metadata: &listener.metadata,
        state: json(container.state.json(container.status, Some(first)))
            .map_err(|e| Failure::setup(STEP, e))?,
    };
    let text = serde_json::to_vec(&state).map_err(|e| Failure::setup(STEP, e))?;
    let agent = socket::connected(Path::new(&listener.path)).step(STEP)?;
    socket::send_descriptor(&agent, &text, &descriptor).step(STEP)
}
