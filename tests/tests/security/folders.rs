//! The engine's folders are root's alone.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use soute_tests::output;

use crate::attack::Attack;

/// CVE-2021-41091: a container leaves a setuid program of root's in a volume, where a user of the machine executes it.
/// The defence is the mode 0700 in the engine's places.rs and volumes.rs.
#[test]
fn users_of_the_machine_get_nowhere() {
    let attack = Attack::new();
    attack.program("identity", include_str!("programs/identity.c"));
    // The world's own folder would hide what is looked at.
    let world = attack.root.parent().unwrap();
    std::fs::set_permissions(world, PermissionsExt::from_mode(0o755)).unwrap();
    let script = "cp /bin/identity /volume/suid; chmod 4755 /volume/suid; chmod 777 /volume; \
        cp /bin/identity /suid; chmod 4755 /suid; echo up; exec sleep 1000";
    let flags = ["--userns", "host", "-v", "volume:/volume"];
    attack.start("box", &flags, &["sh", "-c", script], "up");
    let as_user = |program: &Path| {
        let mut user = Command::new("setpriv");
        user.args(["--reuid=4242", "--regid=4242", "--clear-groups"]);
        // By a shell: setpriv itself keeps its capabilities until it executes something.
        output(user.args(["sh", "-c", "\"$0\""]).arg(program))
    };
    // It would work where it can be reached.
    let reachable = attack.world.path("suid");
    std::fs::copy(attack.root.join("bin/identity"), &reachable).unwrap();
    std::fs::set_permissions(&reachable, PermissionsExt::from_mode(0o4755)).unwrap();
    as_user(&reachable)
        .success()
        .prints("real 4242 effective 0");
    let id = attack.world.inspect("box")["Id"]
        .as_str()
        .unwrap()
        .to_owned();
    for program in [
        attack.world.root().join("volumes/volume/_data/suid"),
        attack
            .world
            .root()
            .join("containers")
            .join(&id)
            .join("upper/suid"),
    ] {
        assert!(program.is_file(), "{}", program.display());
        as_user(&program).fails(126, &["Permission denied"]);
    }
    for folder in [attack.world.root(), attack.world.run()] {
        for folder in std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_dir())
            .chain([folder.clone()])
        {
            let mode = std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o700, "{}", folder.display());
        }
    }
}

/// Folders whose parents are missing get their mode, too.
#[test]
fn the_mode_does_not_depend_on_the_parents() {
    let attack = Attack::new();
    let root = attack.world.path("far/away/root");
    let mut command = Command::new(attack.world.command(["version"]).get_program());
    command
        .arg("--root")
        .arg(&root)
        .arg("--run")
        .arg(attack.world.run());
    output(command.arg("ps")).success();
    let mode = std::fs::metadata(&root).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o700);
}
