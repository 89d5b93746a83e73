//! The caller's keys.

use std::process::Command;

use soute_tests::output;

use crate::attack::{Attack, USER_NAMESPACES};

/// Whoever possesses a session keyring may read its keys, in whatever user namespace; the default filter forbids keyctl,
/// but may be off. The defence is `new_session_keyring` in the runtime's process/privileges.rs.
#[test]
fn the_callers_keyring_stays_behind() {
    let attack = Attack::new();
    let keyring = attack.program("keyring", include_str!("programs/keyring.c"));
    let caller = |command: &Command| {
        let mut with_key = Command::new(&keyring);
        with_key
            .arg("give")
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            with_key.env(name, value.unwrap());
        }
        output(&mut with_key)
    };
    // It is the caller's, indeed.
    let mut take = Command::new(&keyring);
    caller(take.arg("take")).success().prints("key: SECRET");
    for userns in USER_NAMESPACES {
        let flags = ["--userns", userns, "--security-opt", "seccomp=unconfined"];
        let run = attack.words(&[&["--rm"], &flags[..]].concat(), &["keyring", "take"]);
        caller(&attack.world.command(run))
            .success()
            .shows("no key:");
        attack.start(
            "box",
            &flags,
            &["sh", "-c", "echo up; exec sleep 1000"],
            "up",
        );
        let exec = attack.world.command(["exec", "box", "keyring", "take"]);
        caller(&exec).success().shows("no key:");
        attack.world.soute(["rm", "-f", "box"]).success();
        // With the filter, not even that can be asked.
        attack
            .run(&["--userns", userns], &["keyring", "take"])
            .success()
            .shows("no key: Operation not permitted");
    }
}
