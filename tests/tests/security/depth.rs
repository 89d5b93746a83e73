//! Folders deeper than anything that is to remove them.

use std::process::Command;

use soute_tests::output;

use crate::attack::Attack;

/// A container makes folders more than a thousand deep, in its root and in a volume. Removing it would need a descriptor for
/// each, and until it is removed every command that cleans up would fail. The defence is the engine's tree.rs.
#[test]
fn any_container_can_be_removed() {
    let attack = Attack::new();
    attack.program("deep", include_str!("programs/deep.c"));
    let few_descriptors = |words: Vec<String>| {
        let command = attack.world.command(words);
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -n 1024; exec \"$@\"", "sh"]);
        shell.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            shell.env(name, value.unwrap());
        }
        output(&mut shell)
    };
    let deep = ["sh", "-c", "deep / && deep /volume && echo made"];
    let words = attack.words(&["--name", "box", "-v", "/volume"], &deep);
    few_descriptors(words).success().prints("made");
    let remove = ["rm", "--volumes", "box"].map(str::to_owned);
    few_descriptors(remove.to_vec()).success();
    let words = attack.words(&["--rm", "-v", "/volume"], &deep);
    few_descriptors(words).success().prints("made");
    // It may take its time: a disk that is told of each free block (mount option discard) has a thousand of them.
    let containers = attack.world.root().join("containers");
    soute_tests::wait_until("the container's files are gone", || {
        std::fs::read_dir(&containers).unwrap().count() == 0
    });
    let list = ["ps", "--all", "--quiet"].map(str::to_owned);
    few_descriptors(list.to_vec()).success().prints("");
    let volumes = attack.world.root().join("volumes");
    assert_eq!(std::fs::read_dir(volumes).unwrap().count(), 0);
}
