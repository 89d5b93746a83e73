//! The state that a hook reads (runtime-spec 1.3, runtime.md, "State").

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Where in its life a container is (runtime-spec, runtime.md, "State"; `paused` is runc's).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Being made: `prestart`, `createRuntime` and `createContainer` hooks see it so.
    Creating,
    /// Made; its program waits for the start: `startContainer`.
    Created,
    /// Its program runs: `poststart`.
    Running,
    /// All its processes are frozen. No hook sees it so.
    Paused,
    /// Its program has ended: `poststop`.
    Stopped,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        })
    }
}

/// What a hook may know of the container; the same for all its hooks but for the status and the process number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookState {
    /// The version of the specification that the bundle complies with.
    pub oci_version: String,
    /// The container's id.
    pub id: String,
    /// The absolute path of the bundle, on the machine.
    pub bundle: String,
    /// The configuration's.
    pub annotations: BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Json<'a> {
    oci_version: &'a str,
    id: &'a str,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<i32>,
    bundle: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
}

impl HookState {
    /// The JSON text. `pid`: the number of the container's first process in the PID namespace in which the hook runs;
    /// none when there is no such process any more.
    pub fn json(&self, status: Status, pid: Option<i32>) -> String {
        let json = Json {
            oci_version: &self.oci_version,
            id: &self.id,
            status,
            pid,
            bundle: &self.bundle,
            annotations: &self.annotations,
        };
        // Strings and numbers in maps with string keys: nothing that JSON cannot say.
        serde_json::to_string(&json).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_members_are_those_of_the_specification() {
        let mut state = HookState {
            oci_version: "1.3.0".into(),
            id: "a\"b".into(),
            bundle: "/b".into(),
            annotations: BTreeMap::new(),
        };
        assert_eq!(
            state.json(Status::Stopped, None),
            r#"{"ociVersion":"1.3.0","id":"a\"b","status":"stopped","bundle":"/b"}"#
        );
        state.annotations.insert("k".into(), "v".into());
        assert_eq!(
            state.json(Status::Creating, Some(7)),
            r#"{"ociVersion":"1.3.0","id":"a\"b","status":"creating","pid":7,"bundle":"/b","annotations":{"k":"v"}}"#
        );
    }
}
