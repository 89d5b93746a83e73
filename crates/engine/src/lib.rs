//! Request → image → root file system → plan → runtime → monitor.
//!
//! An [`Engine`] is a set of folders ([`Places`]); there is no daemon. Every
//! command opens it, which first makes the state on disk and the kernel's one
//! ([`reconcile`]), does one thing, and ends.

mod changes;
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
mod limits;
mod lock;
pub mod log;
mod monitor;
mod monitors;
mod mount_points;
mod namespace_file;
mod networks;
mod operate;
mod places;
mod plan;
mod propagation;
mod reconcile;
mod record;
mod remove;
pub mod request;
mod sealed;
mod settings;
pub mod signals;
mod subids;
mod toolbox;
mod tree;
mod volumes;

pub use changes::{Change, ChangeKind, Changes};
pub use container::{Container, Status};
pub use error::{Error, short};
pub use exec::Exec;
pub use frame::{CHUNK, Connection, Frame, Received};
pub use launch::{Start, Started, exit_code};
pub use limits::Update;
pub use networks::{
    DEFAULT as DEFAULT_NETWORK, Driver, Inside, Located, Member, NetworkRecord, NewNetwork,
    NewRange, Noted, Range, Side, Vlan, Wire, is_same_network, network_of, own_network,
};
pub use places::Places;
pub use record::{LastRun, Record, Running};
pub use settings::{LogSettings, Settings};
pub use toolbox::Toolbox;

use reconcile::Troubles;
use soute_image::{Image, Store};
use soute_runtime::cgroups::Layout;
use soute_runtime::seccomp::KernelVersion;

/// The capabilities that a container's root has, or would have if it were started now.
pub fn capabilities(record: &Record) -> Result<soute_runtime::capabilities::CapSet, Error> {
    plan::capabilities(record, soute_runtime::capabilities::kernel_last_cap()?)
}

/// A container engine: its folders, its settings, and what it must know of the machine.
#[derive(Debug)]
pub struct Engine {
    places: Places,
    settings: Settings,
    layout: Layout,
    kernel: KernelVersion,
    last_capability: u8,
    store: Store,
    troubles: Troubles,
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
        let troubles = reconcile::reconcile(&places, &layout)?;
        let store = Store::open(&places.root)?;
        Ok(Self {
            store,
            kernel: KernelVersion::current()?,
            last_capability: soute_runtime::capabilities::kernel_last_cap()?,
            places,
            settings,
            layout,
            troubles,
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

    /// What could not be finished of what killed processes left, container by container. It is tried again by the next
    /// command, and is in nobody's way but of those that name the container.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        let describe =
            |(id, why): &(String, Error)| format!("cleaning up container {}: {why}", short(id));
        self.troubles.iter().map(describe)
    }

    fn is_in_trouble(&self, id: &str) -> bool {
        self.troubles.iter().any(|(troubled, _)| troubled == id)
    }

    fn image(&self, name: &str) -> Result<Image, Error> {
        Ok(self.store.resolve(name)?)
    }
}
