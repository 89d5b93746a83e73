//! Request → image → root file system → plan → runtime → monitor.
//!
//! An [`Engine`] is a set of folders ([`Places`]); there is no daemon. Every
//! command opens it, which first makes the state on disk and the kernel's one
//! ([`reconcile`]), does one thing, and ends.

mod container;
mod copy;
mod create;
mod devices;
mod error;
mod etc_files;
mod exec;
mod frame;
mod ids;
mod launch;
mod lock;
pub mod log;
mod monitor;
mod operate;
mod places;
mod plan;
mod proc_stat;
mod reconcile;
mod record;
mod remove;
pub mod request;
mod sealed;
mod settings;
pub mod signals;
mod subids;
mod tree;
mod volumes;

pub use container::{Container, Status};
pub use error::{Error, short};
pub use exec::Exec;
pub use frame::{CHUNK, Connection, Frame, Received};
pub use launch::{Start, Started, exit_code};
pub use places::Places;
pub use record::{LastRun, Record, Running};
pub use settings::{LogSettings, Settings};

use soute_image::{Image, Store};
use soute_runtime::cgroups::Layout;
use soute_runtime::seccomp::KernelVersion;

/// A container engine: its folders, its settings, and what it must know of the machine.
#[derive(Debug)]
pub struct Engine {
    places: Places,
    settings: Settings,
    layout: Layout,
    kernel: KernelVersion,
    last_capability: u8,
    store: Store,
}

impl Engine {
    /// Opens the engine: makes its folders, reads its settings, and finishes what killed processes left half-done.
    pub fn open(places: Places) -> Result<Self, Error> {
        if !rustix::process::geteuid().is_root() {
            return Err(Error::NotRoot(
                "without root there is no range of ids, no cgroup and no overlay for it to use; rootless mode (an own \
                 range in /etc/subuid, a delegated cgroup) is not built yet",
            ));
        }
        let settings = Settings::read(&places.config)?;
        places.make()?;
        let layout = Layout::discover()?;
        reconcile::reconcile(&places, &layout)?;
        let store = Store::open(&places.root)?;
        store.sweep_unfinished()?;
        Ok(Self {
            store,
            kernel: KernelVersion::current()?,
            last_capability: soute_runtime::capabilities::kernel_last_cap()?,
            places,
            settings,
            layout,
        })
    }

    /// The engine's images.
    pub fn images(&self) -> &Store {
        &self.store
    }

    /// Its folders.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// Its settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    fn image(&self, name: &str) -> Result<Image, Error> {
        Ok(self.store.resolve(name)?)
    }
}
