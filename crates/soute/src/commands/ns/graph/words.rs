//! What both drawings say, fit for a terminal.

use soute_lens::view::{Graph, Whose, World, WorldNamespace, WorldProcess};
use soute_lens::wiring::Interface;
use soute_lens::{Kind, Maker};

use super::super::super::drawing::interface;
use crate::output::visible;

/// Names of others that are told before the rest are counted.
const OTHERS: usize = 2;

/// What a world is called.
pub fn title(world: &World) -> String {
    match (world.pid, &world.container) {
        (Some(_), None) if !world.machine => program(&world.command),
        _ => visible(&world.name).into_owned(),
    }
}

/// What it is, and how many are in it.
pub fn subtitle(world: &World) -> String {
    let mut words = Vec::new();
    match &world.container {
        Some(container) => {
            let id = container.id.get(..12).unwrap_or(&container.id);
            words.push(match container.engine {
                Maker::Unknown => "container".to_owned(),
                engine => format!("{engine} container"),
            });
            if id != world.name {
                words.push(visible(id).into_owned());
            }
        }
        None if world.machine && world.name == "here" => {
            words.push("the machine as seen from here".to_owned());
        }
        None if world.machine => words.push("the machine itself".to_owned()),
        None if world.pid.is_none() => words.push(visible(&world.command).into_owned()),
        None => words.push("no container".to_owned()),
    }
    words.push(match world.nprocs {
        0 if world.machine => "its processes are hidden".to_owned(),
        0 => "nobody in it".to_owned(),
        1 => "1 process".to_owned(),
        n => format!("{n} processes"),
    });
    words.join(" · ")
}

/// `net 4026532300`, and with whom it is shared.
pub fn namespace(own: &WorldNamespace) -> String {
    format!("{} {}{}", own.kind, own.ns, with(own))
}

/// The user namespace that a world is in, and who its root is here.
pub fn user(world: &World, own: &WorldNamespace) -> String {
    let root = world.root_uid.map(|uid| format!(" (root is {uid} here)"));
    format!(
        "{} {}{}{}",
        own.kind,
        own.ns,
        root.unwrap_or_default(),
        with(own)
    )
}

fn with(own: &WorldNamespace) -> String {
    match own.whose {
        Whose::Shared => format!(" with {}", others(own)),
        _ => String::new(),
    }
}

/// What a process runs, without the folder of the program.
pub fn command(process: &WorldProcess) -> String {
    program(&process.command)
}

fn program(command: &str) -> String {
    let (program, rest) = match command.split_once(' ') {
        Some((program, rest)) => (program, Some(rest)),
        None => (command, None),
    };
    let name = match program.rsplit('/').next() {
        // A kernel thread's name is no path, whatever is in it.
        Some(name) if !name.is_empty() && !program.starts_with('[') => name,
        _ => program,
    };
    let text = rest.map_or_else(|| name.to_owned(), |rest| format!("{name} {rest}"));
    visible(&text).into_owned()
}

/// `web, db and 2 more`
pub fn others(own: &WorldNamespace) -> String {
    let names: Vec<_> = own
        .with
        .iter()
        .take(OTHERS)
        .map(|other| visible(&other.name))
        .collect();
    let more = own.with.len() + own.with_left_out - names.len();
    match more {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

/// All that is known of a namespace in one line, for whoever points at it.
pub fn hint(graph: &Graph, own: &WorldNamespace) -> String {
    let whose = match own.whose {
        Whose::Own => "own".to_owned(),
        Whose::Machine => "the machine's".to_owned(),
        Whose::Outer => format!("that of {}, around it", others(own)),
        Whose::Shared => format!("shared with {}", others(own)),
    };
    let relation = if own.kind == Kind::User {
        "in"
    } else {
        "owned by"
    };
    let owner = own
        .ons
        .map(|ons| format!(", {relation} {}", owner(graph, ons)));
    format!(
        "{} namespace {}: {whose}{}",
        own.kind,
        own.ns,
        owner.unwrap_or_default()
    )
}

/// A user namespace that owns others: `user namespace 4026531837, machine's`.
pub fn owner(graph: &Graph, ons: u64) -> String {
    let is = |world: &&World| world.namespace(Kind::User).is_some_and(|own| own.ns == ons);
    match graph.worlds.iter().find(is) {
        Some(world) => format!("user namespace {ons}, {}'s", visible(&world.name)),
        None => format!("user namespace {ons}"),
    }
}

/// The numbers of a process from the second level down, as `17/1`; of one that has none, nothing.
pub fn inside_pids(process: &WorldProcess) -> String {
    let inside = process.pids.iter().skip(1);
    let inside: Vec<String> = inside.map(ToString::to_string).collect();
    inside.join("/")
}

/// What is said below a world's processes.
pub fn more_processes(world: &World) -> Option<String> {
    let more = world.nprocs - world.processes.len();
    (more > 0).then(|| match world.processes.is_empty() {
        true => format!("… {more} processes"),
        false => format!("… and {more} more"),
    })
}

/// What is said below a world's interfaces.
pub fn more_interfaces(world: &World) -> Option<String> {
    let more = world.interfaces_left_out;
    (more > 0).then(|| format!("… and {more} more: soute network map"))
}

/// What is said of worlds in one that there is no room for.
pub fn more_worlds(world: &World) -> Option<String> {
    let in_it = if world.machine { "" } else { " in it" };
    match world.worlds_left_out {
        0 => None,
        1 => Some(format!("… and 1 more world{in_it}, shown if it is named")),
        more => Some(format!(
            "… and {more} more worlds{in_it}, shown if they are named"
        )),
    }
}

/// What is said of namespaces that nobody is in.
pub fn idle(graph: &Graph) -> Option<String> {
    match graph.idle_namespaces {
        0 => None,
        1 => Some("1 namespace has no process: soute ns ls".to_owned()),
        more => Some(format!("{more} namespaces have no process: soute ns ls")),
    }
}

/// The other end of a wire, in words: `2: eth0@if142 in web`. None: it is tied to nothing, or in its own namespace.
pub fn far_end(graph: &Graph, ns: u64, link: &Interface) -> Option<String> {
    let tie = link.tie.as_ref().filter(|tie| tie.ns != Some(ns))?;
    let found = tie.ns.and_then(|there| graph.interface(there, tie.index));
    Some(match (found, tie.ns) {
        (Some((world, end)), _) => {
            format!("{} in {}", interface::name(end), visible(&world.name))
        }
        (None, Some(there)) => format!("{} in net {there}", tie.index),
        (None, None) => format!("{} in a namespace that was not found", tie.index),
    })
}
