//! Containers of any engine, recognised by their cgroups and by the program that looks after them.
//!
//! What a process is called is its own to choose: of a program that looks after a container its word is taken only if it is
//! root's or the caller's own, and in no PID namespace below. A cgroup's name is chosen by whoever may make one there, so that
//! what is recognised is a name to show, and no proof.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use crate::proc::{Look, Proc, ProcessFolder};
use crate::text::lossy;
use crate::{Error, Kind};

/// Who makes containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Maker {
    /// soute
    Soute,
    /// Docker
    Docker,
    /// containerd, by itself or under Kubernetes.
    Containerd,
    /// Podman
    Podman,
    /// CRI-O
    CriO,
    /// LXC, and what is made of it (Incus, LXD, Proxmox).
    Lxc,
    /// systemd-nspawn
    Nspawn,
    /// Somebody: the cgroup has a container's id for its name.
    Unknown,
}

impl fmt::Display for Maker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Soute => "soute",
            Self::Docker => "docker",
            Self::Containerd => "containerd",
            Self::Podman => "podman",
            Self::CriO => "cri-o",
            Self::Lxc => "lxc",
            Self::Nspawn => "nspawn",
            Self::Unknown => "container",
        })
    }
}

/// A container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Container {
    /// Whose it is.
    pub engine: Maker,
    /// The id that it has there; of LXC and systemd-nspawn, the name.
    pub id: String,
    /// Its name, if that could be found.
    pub name: Option<String>,
}

impl fmt::Display for Container {
    /// `docker web`, and by its id what has no name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.engine, self.short_name())
    }
}

/// How far up a process is looked for that looks after a container.
const ANCESTORS: usize = 32;
/// No sane file of Docker's is larger.
const LARGEST: u64 = 1 << 20;

/// Names of Docker's containers by their ids, each asked for once.
#[derive(Debug, Default)]
pub(crate) struct Names {
    known: RefCell<HashMap<String, Option<String>>>,
    daemons: OnceCell<Vec<(ProcessFolder, PathBuf)>>,
}

/// The container that a process is in, the innermost one.
pub(crate) fn of_process(
    proc: &Proc,
    folder: &ProcessFolder,
    names: &Names,
) -> Result<Option<Container>, Error> {
    let by_cgroup = match folder.read("cgroup")? {
        Look::Seen(text) => by_cgroup(&text),
        Look::Gone | Look::Hidden => None,
    };
    let kept = match &by_cgroup {
        // These have no names, or tell them by their cgroup.
        Some((Maker::Soute | Maker::Lxc, _)) => None,
        _ => kept(proc, folder)?,
    };
    // What else registers itself as a machine (virtual ones do) is no container.
    let by_cgroup = by_cgroup.filter(|(engine, _)| {
        *engine != Maker::Nspawn
            || kept
                .as_ref()
                .is_some_and(|kept| kept.engine == Maker::Nspawn)
    });
    Ok(match (by_cgroup, kept) {
        (Some((_, id)), Some(kept)) if kept.id == id => Some(named(proc, kept, names)?),
        // What looks after an outer container is an ancestor, too.
        (Some((engine, id)), _) => Some(named(
            proc,
            Container {
                name: matches!(engine, Maker::Lxc | Maker::Nspawn).then(|| id.clone()),
                engine,
                id,
            },
            names,
        )?),
        (None, kept) => kept,
    })
}

impl Container {
    /// Its name; of one that has none the beginning of its id.
    pub fn short_name(&self) -> &str {
        let short = self.id.get(..12).filter(|_| is_id(&self.id));
        self.name.as_deref().or(short).unwrap_or(&self.id)
    }

    /// The containers of all engines that have processes which are not about to end, each with the first of these.
    ///
    /// # Errors
    /// /proc cannot be read.
    pub fn all() -> Result<Vec<(u32, Self)>, Error> {
        all(&Proc::open()?)
    }

    /// Those among `all` that are called `word`, or have an id that is or begins so.
    pub fn called(mut all: Vec<(u32, Self)>, word: &str) -> Vec<(u32, Self)> {
        let by_name = |container: &Self| container.name.as_deref() == Some(word);
        if all.iter().any(|(_, container)| by_name(container)) {
            all.retain(|(_, container)| by_name(container));
        } else {
            let is_beginning = |id: &str| is_id(id) && !word.is_empty() && id.starts_with(word);
            all.retain(|(_, container)| container.id == word || is_beginning(&container.id));
        }
        all
    }
}

/// See [`Container::all`].
fn all(proc: &Proc) -> Result<Vec<(u32, Container)>, Error> {
    let names = Names::default();
    let mut found: BTreeMap<Container, Vec<Member>> = BTreeMap::new();
    for pid in proc.pids()? {
        let Look::Seen(folder) = proc.process(pid)? else {
            continue;
        };
        if let Some(container) = of_process(proc, &folder, &names)?
            && let Look::Seen(stat) = folder.stat()?
            // What has ended, waited for or not, has left most of its namespaces.
            && !stat.exiting
        {
            found.entry(container).or_default().push(Member {
                start_time: stat.start_time,
                pid,
                parent: stat.parent,
            });
        }
    }
    let all = found.into_iter();
    Ok(all
        .filter_map(|(container, members)| Some((first(&members)?, container)))
        .collect())
}

/// A process of a container, in the order of age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Member {
    /// In clock ticks after boot.
    start_time: u64,
    pid: u32,
    parent: u32,
}

/// The oldest of those that came from outside: whatever is executed in a container comes from there too, later, and perhaps
/// with a lower number.
fn first(members: &[Member]) -> Option<u32> {
    let pids: HashSet<u32> = members.iter().map(|member| member.pid).collect();
    let from_outside = members.iter().filter(|one| !pids.contains(&one.parent));
    let first = from_outside.min().or(members.iter().min());
    first.map(|member| member.pid)
}

fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// From /proc/PID/cgroup: the last part of a path that is a container's.
fn by_cgroup(text: &[u8]) -> Option<(Maker, String)> {
    let text = String::from_utf8_lossy(text);
    let paths = text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let mut found = paths.filter_map(|path| {
        let parts: Vec<&str> = path.split('/').collect();
        (1..parts.len()).rev().find_map(|at| part(&parts, at))
    });
    found.next()
}

fn part(parts: &[&str], at: usize) -> Option<(Maker, String)> {
    let (parent, own) = (parts[at - 1], parts[at]);
    if let Some(name) = own.strip_prefix("lxc.payload.") {
        return Some((Maker::Lxc, name.to_owned()));
    }
    if parent == "lxc" && !own.is_empty() {
        return Some((Maker::Lxc, own.to_owned()));
    }
    let machine = own.strip_prefix("machine-");
    let machine = machine.and_then(|rest| rest.strip_suffix(".scope"));
    let service = own.strip_prefix("systemd-nspawn@");
    let service = service.and_then(|rest| rest.strip_suffix(".service"));
    if let Some(name) = machine.or(service) {
        // systemd-escape(1) leaves but one kind of letter that a machine's name may have.
        return Some((Maker::Nspawn, name.replace("\\x2d", "-")));
    }
    let own = own.strip_suffix(".scope").unwrap_or(own);
    for (prefix, maker) in [
        ("docker-", Maker::Docker),
        ("libpod-", Maker::Podman),
        ("libpod-payload-", Maker::Podman),
        ("crio-", Maker::CriO),
        ("cri-containerd-", Maker::Containerd),
        ("nerdctl-", Maker::Containerd),
        ("soute-", Maker::Soute),
    ] {
        if let Some(id) = own.strip_prefix(prefix).filter(|id| is_id(id)) {
            return Some((maker, id.to_owned()));
        }
    }
    if !is_id(own) {
        return None;
    }
    let in_kubernetes = || parts.iter().any(|part| part.starts_with("kubepods"));
    let maker = match parent {
        "docker" => Maker::Docker,
        "soute" | "soute.slice" => Maker::Soute,
        parent if parent.starts_with("pod") && in_kubernetes() => Maker::Containerd,
        _ => Maker::Unknown,
    };
    Some((maker, own.to_owned()))
}

/// The nearest ancestor that looks after a container, and says after which.
fn kept(proc: &Proc, folder: &ProcessFolder) -> Result<Option<Container>, Error> {
    let Look::Seen(stat) = folder.stat()? else {
        return Ok(None);
    };
    let mut parent = stat.parent;
    for _ in 0..ANCESTORS {
        if parent <= 1 {
            break;
        }
        let Look::Seen(keeper) = proc.process(parent)? else {
            break;
        };
        let Look::Seen(stat) = keeper.stat()? else {
            break;
        };
        // It has helpers, too, which are in no container.
        let mounts = Kind::Mnt.name();
        if looks_after(&stat.comm)
            && folder.namespace(mounts)?.seen() != keeper.namespace(mounts)?.seen()
            && is_to_be_believed(&keeper)?
            && let Look::Seen(words) = keeper.command_line()?
            && let Some(kept) = by_words(&words)
        {
            return Ok(Some(kept));
        }
        parent = stat.parent;
    }
    Ok(None)
}

/// By the name that the kernel keeps, 15 bytes of it.
fn looks_after(comm: &[u8]) -> bool {
    comm == b"conmon" || comm.starts_with(b"containerd-shim") || comm == b"systemd-nspawn"
}

fn is_to_be_believed(folder: &ProcessFolder) -> Result<bool, Error> {
    let own = rustix::process::geteuid().as_raw();
    Ok(match folder.status()? {
        // In a PID namespace below, it is a container's own.
        Look::Seen(status) => [0, own].contains(&status.uid.real) && status.pids.len() == 1,
        Look::Gone | Look::Hidden => false,
    })
}

/// What one of the flags is given on a command line: by the next word, or after an equals sign.
fn value_of<'w>(words: &'w [String], flags: &[&str]) -> Option<&'w str> {
    words.iter().enumerate().find_map(|(at, word)| {
        if flags.contains(&word.as_str()) {
            return words.get(at + 1).map(String::as_str);
        }
        let (flag, value) = word.split_once('=')?;
        flags.contains(&flag).then_some(value)
    })
}

/// From the command line of conmon(8), a containerd-shim or systemd-nspawn(1).
fn by_words(words: &[Vec<u8>]) -> Option<Container> {
    let words: Vec<String> = words.iter().map(|word| lossy(word)).collect();
    let after = |flags: &[&str]| value_of(&words, flags).map(str::to_owned);
    let program = words.first()?.rsplit('/').next()?;
    if program == "conmon" {
        let of = |engine: &str| words.iter().any(|word| word.contains(engine));
        return Some(Container {
            engine: match of("crio") && !of("podman") {
                true => Maker::CriO,
                false => Maker::Podman,
            },
            id: after(&["-c", "--cid"])?,
            name: after(&["-n", "--name"]),
        });
    }
    if program.starts_with("containerd-shim") {
        return Some(Container {
            engine: match after(&["-namespace"])?.as_str() {
                "moby" => Maker::Docker,
                _ => Maker::Containerd,
            },
            id: after(&["-id"])?,
            name: None,
        });
    }
    let name = after(&["-M", "--machine"])?;
    Some(Container {
        engine: Maker::Nspawn,
        id: name.clone(),
        name: Some(name),
    })
}

/// With the name that Docker's daemon keeps of it.
fn named(proc: &Proc, mut container: Container, names: &Names) -> Result<Container, Error> {
    if container.engine == Maker::Docker && container.name.is_none() && is_id(&container.id) {
        let known = names.known.borrow().get(&container.id).cloned();
        container.name = match known {
            Some(known) => known,
            None => {
                let name = docker_name(proc, &container.id, names)?;
                names
                    .known
                    .borrow_mut()
                    .insert(container.id.clone(), name.clone());
                name
            }
        };
    }
    Ok(container)
}

#[derive(Deserialize)]
struct DockersFile {
    #[serde(rename = "Name")]
    name: String,
}

fn docker_name(proc: &Proc, id: &str, names: &Names) -> Result<Option<String>, Error> {
    if names.daemons.get().is_none() {
        // Set by nobody else meanwhile: there is one thread.
        let _ = names.daemons.set(daemons(proc)?);
    }
    let daemons = names.daemons.get().map_or(&[][..], Vec::as_slice);
    Ok(daemons.iter().find_map(|(daemon, root)| {
        let file = root.join("containers").join(id).join("config.v2.json");
        name_in(daemon, &file)
    }))
}

/// Docker's daemons, and where each keeps what it knows, as its own root has it.
fn daemons(proc: &Proc) -> Result<Vec<(ProcessFolder, PathBuf)>, Error> {
    let mut daemons = Vec::new();
    for pid in proc.pids()? {
        let Look::Seen(folder) = proc.process(pid)? else {
            continue;
        };
        let is_daemon = matches!(folder.stat()?, Look::Seen(stat) if stat.comm == b"dockerd");
        if !is_daemon || !is_to_be_believed(&folder)? {
            continue;
        }
        let words = folder.command_line()?.seen().unwrap_or_default();
        let words: Vec<String> = words.iter().map(|word| lossy(word)).collect();
        let root = value_of(&words, &["--data-root", "-g"]);
        daemons.push((folder, PathBuf::from(root.unwrap_or("/var/lib/docker"))));
    }
    Ok(daemons)
}

/// Nothing where it cannot be read, or is something else: a name is an extra.
fn name_in(daemon: &ProcessFolder, path: &Path) -> Option<String> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = daemon.open_in_root(path, flags).ok()?;
    let file = std::fs::File::from(file);
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(file, LARGEST), &mut text).ok()?;
    let known: DockersFile = serde_json::from_slice(&text).ok()?;
    Some(known.name.trim_start_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn cgroups_tell_whose_a_container_is() {
        for (path, engine, id) in [
            ("/docker/ID", Maker::Docker, ID),
            ("/system.slice/docker-ID.scope", Maker::Docker, ID),
            ("/system.slice/docker-ID.scope/init", Maker::Docker, ID),
            (
                "/machine.slice/libpod-ID.scope/container",
                Maker::Podman,
                ID,
            ),
            ("/libpod_parent/libpod-ID", Maker::Podman, ID),
            (
                "/kubepods.slice/kubepods-pod1.slice/crio-ID.scope",
                Maker::CriO,
                ID,
            ),
            (
                "/kubepods.slice/kubepods-pod1.slice/cri-containerd-ID.scope",
                Maker::Containerd,
                ID,
            ),
            ("/kubepods/burstable/pod1/ID", Maker::Containerd, ID),
            ("/soute/ID", Maker::Soute, ID),
            ("/own/ID", Maker::Unknown, ID),
            // One in another: the innermost.
            ("/docker/ID/soute/ID", Maker::Soute, ID),
            ("/lxc.payload.web/system.slice", Maker::Lxc, "web"),
            ("/lxc/web", Maker::Lxc, "web"),
            (
                "/machine.slice/machine-my\\x2dbox.scope/payload",
                Maker::Nspawn,
                "my-box",
            ),
            (
                "/machine.slice/systemd-nspawn@box.service/payload",
                Maker::Nspawn,
                "box",
            ),
        ] {
            let text = format!("3:memory:{}\n0::/\n", path.replace("ID", ID));
            let expected = Some((engine, id.to_owned()));
            assert_eq!(by_cgroup(text.as_bytes()), expected, "{path}");
        }
        for path in [
            "/",
            "/user.slice/user-0.slice",
            "/system.slice/docker.service",
            "/machine.slice/libpod-conmon-ID.scope",
            "/docker/short",
        ] {
            let text = format!("0::{}\n", path.replace("ID", ID));
            assert_eq!(by_cgroup(text.as_bytes()), None, "{path}");
        }
    }

    #[test]
    fn command_lines_tell_what_is_looked_after() {
        let kept = |line: &str| {
            let words: Vec<Vec<u8>> = line.split(' ').map(|word| word.into()).collect();
            by_words(&words).map(|kept| (kept.engine, kept.id, kept.name))
        };
        let of = |engine, id: &str, name: Option<&str>| {
            Some((engine, id.to_owned(), name.map(str::to_owned)))
        };
        assert_eq!(
            kept(
                "/usr/bin/conmon --api-version 1 -c 12ab -u 12ab -n web --exit-command /usr/bin/podman"
            ),
            of(Maker::Podman, "12ab", Some("web"))
        );
        assert_eq!(
            kept("/usr/bin/conmon -b /run/crio -c 12ab -n k8s_web"),
            of(Maker::CriO, "12ab", Some("k8s_web"))
        );
        assert_eq!(
            kept("/usr/bin/containerd-shim-runc-v2 -namespace moby -id 12ab -address /run/x"),
            of(Maker::Docker, "12ab", None)
        );
        assert_eq!(
            kept("/usr/bin/containerd-shim-runc-v2 -namespace default -id web -address /run/x"),
            of(Maker::Containerd, "web", None)
        );
        assert_eq!(
            kept("systemd-nspawn --machine=box -b"),
            of(Maker::Nspawn, "box", Some("box"))
        );
        assert_eq!(kept("/usr/bin/conmon --version"), None);
        assert_eq!(kept("conmon -c"), None);
    }

    #[test]
    fn the_first_process_is_the_oldest_from_outside() {
        let member = |pid, parent, start_time| Member {
            start_time,
            pid,
            parent,
        };
        // Its child, and what was executed there when the numbers began anew.
        let members = [member(7, 30, 500), member(40, 30, 100), member(41, 40, 100)];
        assert_eq!(first(&members), Some(40));
        // Started within one tick.
        assert_eq!(first(&[member(9, 3, 1), member(8, 3, 1)]), Some(8));
        assert_eq!(first(&[]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = by_cgroup(&bytes);
            let _ = by_words(&[bytes]);
        }
    }
}
