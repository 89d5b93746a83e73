//! `state`

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use soute_runtime::containers::{Container, Status};

use super::{Context, Operation};
use crate::output::print;

/// Print the state of a container.
#[derive(Debug, Args)]
pub struct State {
    /// Name of the container
    #[arg(value_name = "ID")]
    id: String,
}

/// The members that runtime-spec has (runtime.md, "State"), and those that runc adds.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Json<'a> {
    oci_version: &'a str,
    id: &'a str,
    pid: i32,
    status: Status,
    bundle: &'a std::path::Path,
    rootfs: &'a std::path::Path,
    created: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
    owner: String,
}

impl<'a> Json<'a> {
    /// Of one container.
    pub fn of(container: &'a Container, owner: String) -> Self {
        let state = &container.state;
        Self {
            oci_version: soute_runtime::spec::VERSION,
            id: &state.id,
            pid: container.pid.unwrap_or(0),
            status: container.status,
            bundle: &state.bundle,
            rootfs: &state.rootfs,
            created: &state.created,
            annotations: &state.annotations,
            owner,
        }
    }
}

impl Operation for State {
    const USAGE: &'static str = "ID";

    fn run(self, context: &Context) -> Result<ExitCode> {
        let container = context.containers.container(&self.id)?;
        let json = Json::of(&container, String::new());
        print(&(serde_json::to_string_pretty(&json)? + "\n"))?;
        Ok(ExitCode::SUCCESS)
    }
}
