//! systemd as the maker of a container's cgroup (`--systemd-cgroup`).
//!
//! The container lives in a transient scope: a unit of processes that systemd did not start. Its limits are told to
//! systemd as well as to the kernel, or `systemctl daemon-reload` would write over them what it knows itself; what it
//! has no property for, and every hierarchy of v1 that it does not use, is the kernel's alone, as with any other cgroup.
//!
//! docs/decisions/0006-systemd-without-a-thread.md says how this is done by a process that must have one thread.

mod annotations;
mod bus;
mod holder;
mod message;
mod properties;
mod unit;

use std::path::Path;

use super::adopt::may_take_over;
use super::cgroup::{Cgroup, Node};
use super::{CgroupError, DeviceRule, Layout, Place, Resources, files};
use bus::Bus;
use properties::Property;

pub use holder::Holder;
pub use unit::Unit;

/// A scope that has been started, and nothing of the container in it yet.
#[derive(Debug)]
pub struct Scope {
    /// Its cgroup, with all limits set.
    pub cgroup: Cgroup,
    /// Where that is, for the state file.
    pub place: Place,
    /// Keeps the scope there, which ends when it has no process: to be dropped once the container's first one is in.
    pub holder: Holder,
}

impl Unit {
    /// Starts the scope, with its limits and device rules set, and the properties that the bundle's `annotations`
    /// name (`org.systemd.property.NAME`). This process must have one thread, as for
    /// [`soute_sys::process::clone3`]. On an error nothing of it is left.
    pub fn start<'a>(
        &self,
        layout: &Layout,
        resources: &Resources,
        device_rules: &[DeviceRule],
        annotations: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Scope, CgroupError> {
        let bus = self.connect();
        resources.check(layout)?;
        let mut bus = bus?;
        let mut properties = properties::of_scope(self);
        properties.extend(properties::of_resources(layout, resources)?);
        properties.extend(properties::of_devices(device_rules)?);
        let own = annotations::properties(annotations)?;
        let holder = Holder::new()?;
        properties.push((
            "PIDs",
            vec![holder.pid().as_raw_nonzero().get() as u32].into(),
        ));
        // The bundle's word is the last.
        let all = properties.iter().map(|(name, value)| (*name, value));
        let all = all.chain(own.iter().map(|(name, value)| (name.as_str(), value)));
        bus.start(self.name(), &all.collect::<Vec<_>>())?;
        match self.settle(layout, resources, device_rules, &holder) {
            Ok((cgroup, place)) => Ok(Scope {
                cgroup,
                place,
                holder,
            }),
            Err(error) => {
                drop(holder);
                Err(error.undone(bus.stop(self.name()).err().into_iter().collect()))
            }
        }
    }

    /// Finds the cgroup that systemd made, and does the rest to it.
    fn settle(
        &self,
        layout: &Layout,
        resources: &Resources,
        device_rules: &[DeviceRule],
        holder: &Holder,
    ) -> Result<(Cgroup, Place), CgroupError> {
        let path = self.path_of(layout, holder)?;
        let place = Place::absolute(&path)?;
        let ours = [holder.pid().as_raw_nonzero().get()];
        let judge = |node: &Node| may_take_over(node, &ours);
        // systemd's own device program stays beside ours: both say the same, and systemd would attach it again.
        let built = Cgroup::build(layout, &path, resources, device_rules, &judge, false);
        built.map(|(cgroup, _)| (cgroup, place))
    }

    /// Where systemd has put the holder: what it calls the root may be a container's cgroup.
    fn path_of(&self, layout: &Layout, holder: &Holder) -> Result<String, CgroupError> {
        let file = format!("/proc/{}/cgroup", holder.pid().as_raw_nonzero());
        let table = files::read(Path::new(&file))?;
        let managed = layout
            .hierarchies()
            .iter()
            .find(|h| h.has("name=systemd"))
            .or_else(|| layout.v2());
        let path = managed.and_then(|hierarchy| {
            let line = table.lines().find_map(|line| {
                let (_, line) = line.split_once(':')?;
                let (controllers, path) = line.split_once(':')?;
                let same = if hierarchy.v2 {
                    controllers.is_empty()
                } else {
                    hierarchy.has(controllers)
                };
                same.then_some(path)
            })?;
            line.strip_prefix(hierarchy.root.trim_end_matches('/'))
        });
        match path {
            Some(path) if path.ends_with(&format!("/{}", self.name())) => Ok(path.to_owned()),
            _ => Err(self.failed(format!(
                "started, but its first process is elsewhere ({})",
                path.unwrap_or("nowhere")
            ))),
        }
    }

    /// Changes the limits of the running scope, systemd's and the kernel's, or none; `cgroup` is the scope's.
    pub fn update(&self, cgroup: &Cgroup, change: &Resources) -> Result<(), CgroupError> {
        // The kernel says first what is impossible, and takes it back whole.
        let properties: Vec<Property> = properties::of_resources(&cgroup.layout, change)?;
        let old = cgroup.update(change)?;
        if properties.is_empty() {
            return Ok(());
        }
        let told = self
            .connect()
            .and_then(|mut systemd| systemd.set_properties(self.name(), &properties));
        told.map_err(|refused| old.restore(refused))
    }

    /// Stops the scope, and has systemd forget it. Its processes must have been killed: systemd would give them 90 s.
    /// One that is gone is no error. [`Cgroup::remove`] comes afterwards, for what systemd did not make.
    pub fn stop(&self) -> Result<(), CgroupError> {
        self.connect()?.stop(self.name())
    }

    fn connect(&self) -> Result<Bus, CgroupError> {
        if !rustix::process::geteuid().is_root() {
            return Err(CgroupError::NoSystemd {
                why: "a user's own systemd cannot be asked yet: run as root, or without --systemd-cgroup"
                    .to_owned(),
            });
        }
        // How sd_booted(3) tells.
        if !Path::new("/run/systemd/system").is_dir() {
            return Err(CgroupError::NoSystemd {
                why: "systemd is not the machine's init (there is no /run/systemd/system)"
                    .to_owned(),
            });
        }
        Bus::connect()
    }

    fn failed(&self, what: String) -> CgroupError {
        CgroupError::Systemd {
            unit: self.name().to_owned(),
            what,
        }
    }
}
