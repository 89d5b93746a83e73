//! Programs with the set-user-id bit.

use std::os::unix::fs::PermissionsExt;

use crate::attack::Attack;

/// A setuid program of the machine's root, in a folder that a container has bound: it makes nobody root. The defence is
/// the user namespace, in which its owner is nobody.
#[test]
fn the_machines_root_is_not_lent() {
    let attack = Attack::new();
    let program = attack.program("identity", include_str!("programs/identity.c"));
    let folder = attack.world.path("source");
    std::fs::create_dir(&folder).unwrap();
    let copy = folder.join("identity");
    std::fs::copy(&program, &copy).unwrap();
    std::fs::set_permissions(&copy, PermissionsExt::from_mode(0o4755)).unwrap();
    let bind = format!("{}:/source", folder.display());
    attack
        .run(&["--user", "1000", "-v", &bind], &["/source/identity"])
        .success()
        .prints("real 1000 effective 1000");
}

/// One of the image's own gives the container's root, unless that was forbidden. The defence is
/// `set_no_new_privs` in the runtime's process/privileges.rs.
#[test]
fn no_new_privileges_holds_in_run_and_exec() {
    let attack = Attack::new();
    let program = attack.program("identity", include_str!("programs/identity.c"));
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o4755)).unwrap();
    let user = ["--user", "1000"];
    let forbidden = ["--user", "1000", "--security-opt", "no-new-privileges"];
    let sleep = ["sh", "-c", "echo up; exec sleep 1000"];
    for (flags, effective) in [(&user[..], 0), (&forbidden, 1000)] {
        let expected = format!("real 1000 effective {effective}");
        attack.run(flags, &["identity"]).success().prints(&expected);
        attack.start("box", flags, &sleep, "up");
        let exec = attack.world.soute(["exec", "box", "identity"]);
        exec.success().prints(&expected);
        attack.world.soute(["rm", "-f", "box"]).success();
    }
}
