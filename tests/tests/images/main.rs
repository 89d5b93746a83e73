//! Images by the command line: where they come from, what they become in a
//! container, what is refused, what is left.

mod config;
mod digests;
mod files;
mod hostile;
mod many;
mod memory;
mod names;
mod platforms;
mod progress;
mod registry;
mod trust;

use soute_tests::World;

/// The names of all that the store has, but for empty folders and its lock.
fn stored(world: &World) -> Vec<String> {
    let mut found = Vec::new();
    for part in ["layers", "blobs/sha256", "images"] {
        let folder = world.root().join(part);
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        found.extend(names.map(|name| format!("{part}/{name}")));
    }
    found.retain(|name| !matches!(name.as_str(), "images/.lock" | "images/references"));
    found.sort();
    found
}
