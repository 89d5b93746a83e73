//! The commands, one file each.

mod attach;
mod capture;
mod cidfile;
mod completion;
mod create;
mod debug;
mod diff;
mod drawing;
mod each;
mod enter;
mod exec;
mod images;
mod import;
mod info;
mod inspect;
mod kill;
mod load;
mod logs;
mod man;
mod namespaces;
mod network;
mod ns;
mod open;
mod ps;
mod pull;
mod rm;
mod rmi;
mod run;
mod runtime;
mod session;
mod start;
mod stats;
mod stop;
mod tag;
mod top;
mod update;
mod version;
mod wait;

use crate::cli::Entry;
use open::{open, open_in_a_hurry};

/// All commands, in the order in which help lists them.
pub const TABLE: &[Entry] = &[
    Entry::new::<run::Run>("run", "Make a container from an image and run it"),
    Entry::new::<create::Create>("create", "Make a container from an image"),
    Entry::new::<start::Start>("start", "Run containers that were made or have ended"),
    Entry::new::<stop::Stop>("stop", "Ask containers to end, then kill them"),
    Entry::new::<stop::Restart>("restart", "Stop containers and start them again"),
    Entry::new::<kill::Kill>("kill", "Send a signal to containers"),
    Entry::new::<wait::Wait>(
        "wait",
        "Wait until containers end, and print their exit codes",
    ),
    Entry::new::<update::Update>("update", "Change containers while they run"),
    Entry::new::<rm::Rm>("rm", "Remove containers"),
    Entry::new::<ps::Ps>("ps", "List containers"),
    Entry::new::<logs::Logs>("logs", "Print what a container has written"),
    Entry::new::<exec::Exec>("exec", "Run a further program in a container"),
    Entry::new::<enter::Enter>(
        "enter",
        "Run a program of the machine's in namespaces of a container or process",
    ),
    Entry::new::<debug::Debug>(
        "debug",
        "Run a shell with tools in a container that has none",
    ),
    Entry::new::<attach::Attach>("attach", "Take part in a container's input and output"),
    Entry::new::<top::Top>("top", "List the processes of a container"),
    Entry::new::<stats::Stats>("stats", "Show what containers use, again and again"),
    Entry::new::<inspect::Inspect>(
        "inspect",
        "Print all that is known of containers and images",
    ),
    Entry::new::<diff::Diff>(
        "diff",
        "List what a container has changed of its root file system",
    ),
    Entry::new::<images::Images>("images", "List images"),
    Entry::new::<import::Import>("import", "Make an image from a tar of a root file system"),
    Entry::new::<pull::Pull>("pull", "Get an image from a registry"),
    Entry::new::<load::Load>("load", "Load images from an archive"),
    Entry::new::<tag::Tag>("tag", "Give an image another name"),
    Entry::new::<rmi::Rmi>("rmi", "Remove images"),
    Entry::group(
        "network",
        "Make, list and remove networks, and show the wires",
        network::TABLE,
    ),
    Entry::new::<capture::Capture>(
        "capture",
        "Show or keep the packets that cross a container's interfaces",
    ),
    Entry::group(
        "ns",
        "Show namespaces: of the machine, of a process, of a container",
        namespaces::TABLE,
    ),
    Entry::new::<runtime::Runtime>("runtime", "Be an OCI runtime, with runc's command line"),
    Entry::new::<info::Info>("info", "Print what there is, and what the machine offers"),
    Entry::new::<version::Version>("version", "Print soute's version and the kernel's"),
    Entry::new::<completion::Completion>("completion", "Print the completion script of a shell")
        .hidden(),
    Entry::new::<man::Man>("man", "Write the manual pages into a folder").hidden(),
];
