//! `ps`

use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use super::list::ListFormat;
use super::{Context, Operation};
use crate::output::{print, print_foreign};

/// List the processes of a container.
#[derive(Debug, Args)]
pub struct Ps {
    /// How the list is written
    #[arg(short, long, value_enum, default_value = "table")]
    format: ListFormat,

    /// Name of the container
    #[arg(value_name = "ID")]
    id: String,

    /// Options of ps(1) for the table
    #[arg(
        value_name = "PS OPTION",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    options: Vec<String>,
}

impl Operation for Ps {
    const USAGE: &'static str = "[OPTIONS] ID [PS OPTION...]";

    fn run(self, context: &Context) -> Result<ExitCode> {
        let pids = context.containers.processes(&self.id)?;
        let pids: Vec<i32> = pids.iter().map(|pid| pid.as_raw_nonzero().get()).collect();
        if self.format == ListFormat::Json {
            print(&(serde_json::to_string(&pids)? + "\n"))?;
            return Ok(ExitCode::SUCCESS);
        }
        // One word with several options in it is what callers give.
        let mut options: Vec<&str> = self
            .options
            .iter()
            .flat_map(|o| o.split_whitespace())
            .collect();
        if options.is_empty() {
            options = vec!["-ef"];
        }
        let output = Command::new("ps")
            .args(&options)
            .output()
            .context("the table is ps(1)'s, which cannot be run; --format json needs none")?;
        if !output.status.success() {
            bail!("ps: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        print_foreign(&rows(&String::from_utf8_lossy(&output.stdout), &pids)?)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The heading, and the lines of these processes.
fn rows(table: &str, pids: &[i32]) -> Result<String> {
    let heading = table.lines().next().unwrap_or_default();
    let column = heading.split_whitespace().position(|word| word == "PID");
    let Some(column) = column else {
        bail!("with these options ps prints no column PID");
    };
    let wanted = |line: &&str| {
        let number = line.split_whitespace().nth(column);
        number.is_some_and(|word| word.parse().is_ok_and(|pid: i32| pids.contains(&pid)))
    };
    let lines = table.lines().skip(1).filter(wanted);
    Ok(std::iter::once(heading)
        .chain(lines)
        .map(|line| line.to_owned() + "\n")
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_containers_lines() {
        let table = "UID  PID CMD\n0    1 init\n0   12 sleep 1\n0  121 sh\n";
        assert_eq!(
            rows(table, &[12]).unwrap(),
            "UID  PID CMD\n0   12 sleep 1\n"
        );
        rows("CMD\ninit\n", &[1]).unwrap_err();
    }
}
