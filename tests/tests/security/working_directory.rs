//! The working directory is one of the container's own.

use soute_tests::output;

use crate::attack::{Attack, with_descriptors};

/// CVE-2024-21626: `--workdir /proc/self/fd/N`, where N is a folder of the machine, starts the program outside of its
/// root. The defence is `NO_MAGICLINKS` in the runtime's mounts/root.rs (and, should a way round it be found, the look
/// at getcwd in process/directory.rs).
#[test]
fn no_descriptor_is_a_working_directory() {
    let attack = Attack::new();
    attack.start("box", &[], &["sh", "-c", "echo up; exec sleep 1000"], "up");
    for n in 3..20 {
        for folder in [
            format!("/proc/self/fd/{n}"),
            format!("/proc/self/fd/{n}/../.."),
            format!("/dev/fd/{n}"),
        ] {
            let run = attack.words(&["--rm", "--workdir", &folder], &["pwd"]);
            let exec = ["exec", "--workdir", &folder, "box", "pwd"].map(str::to_owned);
            for words in [&run[..], &exec] {
                let command = attack.world.command(words);
                let outcome = output(&mut with_descriptors(&command, &attack.outside));
                outcome.fails(125, &["the working directory"]);
            }
        }
    }
}

/// The same by a link in the image, which the image's own WORKDIR would name.
#[test]
fn links_lead_to_folders_of_the_container() {
    let attack = Attack::new();
    for target in [
        "/proc/self/fd/3",
        "/proc/self/cwd",
        "/proc/1/root",
        "/proc/self/root/..",
    ] {
        attack.link("work", target);
        attack
            .run(&["--workdir", "/work"], &["pwd"])
            .fails(125, &["the working directory /work", "(os error 40)"]);
    }
    for target in [attack.outside.clone(), attack.up_to_outside()] {
        attack.link("work", &target);
        let outcome = attack.run(&["--workdir", "/work"], &["sh", "-c", "ls; echo x > made"]);
        outcome.success().shows_not("secret");
    }
    attack.assert_outside_untouched();
}
