//! `soute info`.

use std::fmt;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use soute_engine::request::UserNamespace;
use soute_engine::{Engine, Places, Status};
use soute_runtime::cgroups::Layout;

use crate::args::outside::SecurityModule;
use crate::args::{Machine, Outside as _};
use crate::cli::CommandLine;
use crate::output::{Template, decimal_size, print};

/// The engine, and what of the machine matters to it.
#[derive(Debug, Args)]
pub struct Info {
    /// Go template, or json
    #[arg(short, long, value_name = "TEMPLATE")]
    format: Option<Template>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Facts {
    containers: usize,
    containers_running: usize,
    containers_stopped: usize,
    images: usize,
    server_version: &'static str,
    root_dir: String,
    run_dir: String,
    settings: String,
    user_namespace: String,
    publish_open: bool,
    rules_hook: String,
    log_max_size: u64,
    log_max_files: u32,
    cgroups: String,
    security_modules: Vec<&'static str>,
    kernel_version: String,
    architecture: &'static str,
    #[serde(rename = "NCPU")]
    cpus: u64,
    mem_total: u64,
    name: String,
}

impl CommandLine for Info {
    const USAGE: &'static str = "[OPTIONS]";

    fn run(self, places: &Places) -> Result<ExitCode> {
        let engine = super::open(places)?;
        let facts = facts(&engine)?;
        print(&match &self.format {
            Some(template) => template.line(&facts)?,
            None => facts.to_string(),
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Bytes (sysinfo(2)).
pub fn memory_of_the_machine() -> u64 {
    let machine = rustix::system::sysinfo();
    (machine.totalram as u64).saturating_mul(machine.mem_unit.into())
}

fn facts(engine: &Engine) -> Result<Facts> {
    let containers = engine.containers()?;
    let running = containers
        .iter()
        .filter(|container| matches!(container.status, Status::Running(_)));
    let running = running.count();
    let (places, settings) = (engine.places(), engine.settings());
    let names = rustix::system::uname();
    let modules = [
        ("apparmor", SecurityModule::AppArmor),
        ("selinux", SecurityModule::SeLinux),
    ];
    Ok(Facts {
        containers: containers.len(),
        containers_running: running,
        containers_stopped: containers.len() - running,
        images: engine.images().list()?.len(),
        server_version: env!("CARGO_PKG_VERSION"),
        root_dir: places.root.display().to_string(),
        run_dir: places.run.display().to_string(),
        settings: places.config.display().to_string(),
        user_namespace: match &settings.userns {
            None | Some(UserNamespace::Auto) => "auto".to_owned(),
            Some(UserNamespace::Host) => "host".to_owned(),
            Some(UserNamespace::Remap { user, group }) => {
                format!("remap:{user}:{}", group.as_ref().unwrap_or(user))
            }
        },
        publish_open: settings.publish_open,
        rules_hook: match &settings.rules_hook {
            Some(hook) => hook.path.clone(),
            None => String::new(),
        },
        log_max_size: settings.log.max_size,
        log_max_files: settings.log.max_files,
        cgroups: Layout::discover()?.kind().to_string(),
        security_modules: modules
            .into_iter()
            .filter(|(_, module)| Machine.security_module(*module))
            .map(|(name, _)| name)
            .collect(),
        kernel_version: names.release().to_string_lossy().into_owned(),
        architecture: std::env::consts::ARCH,
        cpus: Machine.cpus(),
        mem_total: memory_of_the_machine(),
        name: names.nodename().to_string_lossy().into_owned(),
    })
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Containers:       {}", self.containers)?;
        writeln!(f, "  Running:        {}", self.containers_running)?;
        writeln!(f, "  Stopped:        {}", self.containers_stopped)?;
        writeln!(f, "Images:           {}", self.images)?;
        writeln!(f, "Version:          {}", self.server_version)?;
        writeln!(f, "Root Dir:         {}", self.root_dir)?;
        writeln!(f, "Run Dir:          {}", self.run_dir)?;
        writeln!(f, "Settings:         {}", self.settings)?;
        writeln!(f, "User Namespace:   {}", self.user_namespace)?;
        let publish_open = if self.publish_open { "yes" } else { "no" };
        writeln!(f, "Publish Open:     {publish_open}")?;
        let hook = match self.rules_hook.as_str() {
            "" => "none",
            path => path,
        };
        writeln!(f, "Rules Hook:       {hook}")?;
        let size = decimal_size(self.log_max_size);
        writeln!(
            f,
            "Logs:             {} files of {size}",
            self.log_max_files
        )?;
        writeln!(f, "Cgroups:          {}", self.cgroups)?;
        let modules = match self.security_modules.is_empty() {
            true => "none".to_owned(),
            false => self.security_modules.join(", "),
        };
        writeln!(f, "Security Modules: {modules}")?;
        writeln!(f, "Kernel Version:   {}", self.kernel_version)?;
        writeln!(f, "Architecture:     {}", self.architecture)?;
        writeln!(f, "CPUs:             {}", self.cpus)?;
        writeln!(f, "Total Memory:     {}", decimal_size(self.mem_total))?;
        writeln!(f, "Name:             {}", self.name)
    }
}
