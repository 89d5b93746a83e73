//! What a container has mounted: what every container has, and what was asked for.

use soute_runtime::cgroups::Layout;
use soute_runtime::mounts::cgroup::hierarchies;
use soute_runtime::plan::{Attributes, Idmap, Mount, MountSource, Propagation};
use soute_sys::mount::{NODEV, NOEXEC, NOSUID, PRIVATE, RDONLY, SHARED, SLAVE};

use crate::error::Error;
use crate::places::Places;
use crate::record::Record;
use crate::request::{MountKind, MountRequest, Share};

/// A devpts instance of its own (runtime-spec's default).
const DEVPTS: &[(&str, &str)] = &[
    ("newinstance", ""),
    ("ptmxmode", "0666"),
    ("mode", "0620"),
    ("gid", "5"),
];

/// `--shm-size` where none is given, as Docker's.
const SHM_SIZE: u64 = 64 << 20;

/// All mounts below the root, in the order in which they are placed.
pub(super) fn mounts(
    places: &Places,
    record: &Record,
    layout: &Layout,
    etc_files: Vec<(&'static str, MountSource)>,
) -> Result<Vec<Mount>, Error> {
    let request = &record.request;
    let kernel_read_only = if request.privileged { 0 } else { RDONLY };
    let fixed = NOSUID | NOEXEC | NODEV;
    let dev = MountSource::Dev {
        options: pairs(&[("mode", "0755"), ("size", "65536k")]),
    };
    let mut mounts = vec![
        mount("/proc", filesystem("proc", &[]), fixed),
        mount("/dev", dev, NOSUID | NOEXEC),
        mount("/dev/pts", filesystem("devpts", DEVPTS), NOSUID | NOEXEC),
        mount("/dev/mqueue", filesystem("mqueue", &[]), fixed),
        mount("/sys", filesystem("sysfs", &[]), fixed | kernel_read_only),
    ];
    if !request.no_shm {
        mounts.push(shm(record));
    }
    let hierarchies = hierarchies(layout);
    if !hierarchies.is_empty() {
        mounts.push(mount(
            "/sys/fs/cgroup",
            MountSource::Cgroup { hierarchies },
            fixed | kernel_read_only,
        ));
    }
    let file_read_only = if request.read_only { RDONLY } else { 0 };
    for (target, source) in etc_files {
        mounts.push(mount(target, source, fixed | file_read_only));
    }
    // A mount below another one comes after it, in whatever order they were asked for.
    let mut wanted: Vec<&MountRequest> = request.mounts.iter().collect();
    wanted.sort_by_key(|m| depth(&m.target));
    for request in wanted {
        let mount = user_mount(places, record, request)?;
        // One's own /etc/hosts, /dev/shm and so on takes the place of ours; /dev is only covered, since it holds files.
        mounts.retain(|m| m.target != mount.target || matches!(m.source, MountSource::Dev { .. }));
        mounts.push(mount);
    }
    Ok(mounts)
}

/// /sys shows the network that is joined: the container, whose user namespace does not own that, cannot mount it.
pub(super) fn show_joined_network(mounts: &mut [Mount]) {
    for mount in mounts {
        if matches!(&mount.source, MountSource::Filesystem { kind, .. } if kind == "sysfs") {
            mount.source = MountSource::JoinedSysfs;
        }
    }
}

fn mount(target: &str, source: MountSource, attributes: u64) -> Mount {
    Mount {
        target: target.to_owned(),
        source,
        attributes: Attributes::set(attributes),
        all: Attributes::default(),
        propagation: Propagation::default(),
    }
}

fn filesystem(kind: &str, options: &[(&str, &str)]) -> MountSource {
    MountSource::Filesystem {
        kind: kind.to_owned(),
        options: pairs(options),
        copy_up: false,
    }
}

fn pairs(options: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
    options.iter().map(owned).collect()
}

fn depth(path: &str) -> usize {
    path.split('/').filter(|p| !p.is_empty()).count()
}

fn shm(record: &Record) -> Mount {
    let request = &record.request;
    if request.ipc == Share::Host {
        let machine = MountSource::Bind {
            path: "/dev/shm".into(),
            recursive: false,
            idmap: Idmap::None,
        };
        return mount("/dev/shm", machine, NOSUID | NOEXEC | NODEV);
    }
    if let Share::Container(_) = &request.ipc {
        return mount(
            "/dev/shm",
            MountSource::Neighbours {
                path: "/dev/shm".to_owned(),
            },
            NOSUID | NOEXEC | NODEV,
        );
    }
    let size = request.shm_size.unwrap_or(SHM_SIZE);
    let size = size.to_string();
    mount(
        "/dev/shm",
        filesystem("tmpfs", &[("mode", "1777"), ("size", &size)]),
        NOSUID | NOEXEC | NODEV,
    )
}

fn user_mount(places: &Places, record: &Record, request: &MountRequest) -> Result<Mount, Error> {
    let read_only = if request.read_only { RDONLY } else { 0 };
    let target = request.target.clone();
    Ok(match &request.source {
        MountKind::Bind {
            path,
            recursive,
            propagation,
            idmap,
            ..
        } => Mount {
            target,
            source: MountSource::Bind {
                path: path.clone(),
                recursive: *recursive,
                idmap: match idmap {
                    true => Idmap::Container {
                        recursive: *recursive,
                    },
                    false => Idmap::None,
                },
            },
            // nodev: a bind brings files, not devices; --device brings those.
            attributes: Attributes::default(),
            all: Attributes::set(read_only | NODEV),
            propagation: Propagation {
                kind: propagation_flag(propagation.as_deref())?,
                recursive: *recursive,
            },
        },
        MountKind::Volume { .. } => {
            let name = record
                .volumes
                .iter()
                .find(|(at, _)| *at == request.target)
                .map(|(_, name)| name)
                .ok_or_else(|| {
                    Error::Impossible(format!("the volume at {} was never made", request.target))
                })?;
            Mount {
                target,
                source: MountSource::Bind {
                    path: crate::volumes::data(places, name),
                    recursive: false,
                    // Volumes keep ids as the container names them: each container that uses one maps them anew.
                    idmap: Idmap::Container { recursive: false },
                },
                attributes: Attributes::set(read_only | NODEV),
                all: Attributes::default(),
                propagation: Propagation::default(),
            }
        }
        MountKind::Tmpfs {
            size,
            mode,
            exec,
            suid,
            dev,
            inodes,
            uid,
            gid,
        } => {
            let mut options = vec![("mode".to_owned(), format!("{:o}", mode.unwrap_or(0o1777)))];
            for (key, value) in [("size", *size), ("nr_inodes", *inodes)] {
                options.extend(value.map(|v| (key.to_owned(), v.to_string())));
            }
            for (key, value) in [("uid", uid), ("gid", gid)] {
                options.extend(value.map(|v| (key.to_owned(), v.to_string())));
            }
            let mut attributes = read_only;
            for (allowed, flag) in [(*exec, NOEXEC), (*suid, NOSUID), (*dev, NODEV)] {
                if !allowed {
                    attributes |= flag;
                }
            }
            Mount {
                target,
                source: MountSource::Filesystem {
                    kind: "tmpfs".to_owned(),
                    options,
                    copy_up: false,
                },
                attributes: Attributes::set(attributes),
                all: Attributes::default(),
                propagation: Propagation::default(),
            }
        }
    })
}

fn propagation_flag(name: Option<&str>) -> Result<u64, Error> {
    Ok(match name {
        None | Some("private" | "rprivate") => PRIVATE,
        Some("slave" | "rslave") => SLAVE,
        Some("shared" | "rshared") => SHARED,
        Some(other) => {
            return Err(Error::Impossible(format!(
                "mount propagation {other}: there are private, slave, shared and rprivate, rslave, rshared"
            )));
        }
    })
}
