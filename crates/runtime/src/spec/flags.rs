//! Flags of a scheduler, two of which `oci-spec` 0.10 knows under other names than the specification
//! (`SCHED_FLAG_RESET_ON_FORK`, `SCHED_FLAG_DL_OVERRUN`): a document that has them it cannot read at all.

use std::borrow::Cow;

use oci_spec::runtime::LinuxSchedulerFlag as Flag;
use serde_json::Value;

use crate::process::attributes::SchedFlag;

/// The text of a `config.json`, or of a process file, such that `oci-spec` can read it: with its names of those flags,
/// and none of them where the document has one of these instead. Text that is no JSON is left to be refused there.
pub fn readable(text: &[u8]) -> Cow<'_, [u8]> {
    // What nearly no document has; the others are not read twice.
    const SCHEDULER: &[u8] = b"\"scheduler\"";
    if !text
        .windows(SCHEDULER.len())
        .any(|window| window == SCHEDULER)
    {
        return Cow::Borrowed(text);
    }
    let Ok(mut document) = serde_json::from_slice::<Value>(text) else {
        return Cow::Borrowed(text);
    };
    for at in ["/scheduler/flags", "/process/scheduler/flags"] {
        let Some(Value::Array(flags)) = document.pointer_mut(at) else {
            continue;
        };
        for flag in flags {
            let name = match flag.as_str() {
                Some("SCHED_FLAG_RESET_ON_FORK") => word(Flag::SchedResetOnFork),
                Some("SCHED_FLAG_DL_OVERRUN") => word(Flag::SchedFlagDLOverrun),
                Some(name) if !name.starts_with("SCHED_FLAG_") || name.contains("_D_L_") => {
                    Value::String(format!("{name} (no flag of the specification)"))
                }
                _ => continue,
            };
            *flag = name;
        }
    }
    serde_json::to_vec(&document).map_or(Cow::Borrowed(text), Cow::Owned)
}

fn word(flag: Flag) -> Value {
    serde_json::to_value(flag).unwrap_or_default()
}

/// The same flag, as this house names it.
pub(super) fn known(flag: Flag) -> SchedFlag {
    match flag {
        Flag::SchedResetOnFork => SchedFlag::ResetOnFork,
        Flag::SchedFlagReclaim => SchedFlag::Reclaim,
        Flag::SchedFlagDLOverrun => SchedFlag::DlOverrun,
        Flag::SchedFlagKeepPolicy => SchedFlag::KeepPolicy,
        Flag::SchedFlagKeepParams => SchedFlag::KeepParams,
        Flag::SchedFlagUtilClampMin => SchedFlag::UtilClampMin,
        Flag::SchedFlagUtilClampMax => SchedFlag::UtilClampMax,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::runtime::Process;

    fn process(flags: &str) -> String {
        format!(
            r#"{{"cwd": "/", "args": ["SCHED_FLAG_RESET_ON_FORK"], "user": {{"uid": 0, "gid": 0}},
                "scheduler": {{"policy": "SCHED_OTHER", "flags": [{flags}]}}}}"#
        )
    }

    fn read(text: &str) -> Result<Process, serde_json::Error> {
        serde_json::from_slice(&readable(text.as_bytes()))
    }

    #[test]
    fn all_flags_of_the_specification_are_read() {
        let names = [
            "RESET_ON_FORK",
            "RECLAIM",
            "DL_OVERRUN",
            "KEEP_POLICY",
            "KEEP_PARAMS",
            "UTIL_CLAMP_MIN",
            "UTIL_CLAMP_MAX",
        ]
        .map(|name| format!("SCHED_FLAG_{name}"));
        let text = process(&names.clone().map(|name| format!("{name:?}")).join(","));
        assert!(
            serde_json::from_str::<Process>(&text).is_err(),
            "`readable` is no longer needed"
        );
        let process = read(&text).unwrap();
        let flags = process.scheduler().as_ref().unwrap().flags().clone();
        let flags: Vec<SchedFlag> = flags.unwrap().into_iter().map(known).collect();
        let wanted = names.map(|name| name.parse::<SchedFlag>().unwrap());
        assert_eq!(flags, wanted);
        // Where they are no flags they stay what they are.
        let args = process.args().as_ref().unwrap();
        assert_eq!(args, &["SCHED_FLAG_RESET_ON_FORK"]);
    }

    #[test]
    fn what_the_specification_does_not_know_is_refused() {
        for flag in [
            "SCHED_RESET_ON_FORK",
            "SCHED_FLAG_D_L_OVERRUN",
            "SCHED_FLAG_ALL",
            "",
        ] {
            read(&process(&format!("{flag:?}"))).unwrap_err();
        }
    }

    #[test]
    fn other_documents_are_left_as_they_are() {
        for text in [&b"{}"[..], b"\"scheduler\" is no JSON"] {
            assert!(matches!(readable(text), Cow::Borrowed(_)));
        }
        let config = br#"{"process":{"scheduler":{"flags":["SCHED_FLAG_RESET_ON_FORK"]}}}"#;
        let text = readable(config);
        assert!(!text.windows(5).any(|w| w == b"_FLAG"));
    }
}
