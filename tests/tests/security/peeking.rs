//! A process that enters shows nothing before it is the program.

use soute_tests::output;

use crate::attack::Attack;

/// CVE-2016-9962: between its entry and execve, a process has the engine's memory: the caller's environment, for one.
/// With as many folders in the PATH as fit, the last moment of it, when it has no more rights than the attacker, is
/// long. The defence is `NotDumpable` in the runtime's process/privileges.rs (with a user namespace, the kernel's own:
/// setns and setresuid make a process that changes its user not dumpable).
#[test]
fn the_callers_environment_stays_behind() {
    let attack = Attack::new();
    attack.program("peek", include_str!("programs/peek.c"));
    let path: String = (0..4000).map(|n| format!("/none/{n:05}:")).collect();
    // Given SYS_PTRACE, the root of a user namespace may look into whatever in there is dumpable, whosever it is. (The
    // machine's root may look into everything: with `host` that capability is no attack.)
    for (userns, capability) in [("auto", "CHOWN"), ("auto", "SYS_PTRACE"), ("host", "CHOWN")] {
        let flags = ["--userns", userns, "--cap-add", capability];
        attack.start("attacker", &flags, &["peek", "CALLERS_SECRET"], "waiting");
        for _ in 0..10 {
            let path = format!("PATH={path}/bin");
            let mut exec = attack
                .world
                .command(["exec", "-e", &path, "attacker", "true"]);
            output(exec.env("CALLERS_SECRET", "1")).success();
            let share = ["--rm", "--pid", "container:attacker", "-e", &path];
            let mut run = attack.world.command(attack.words(&share, &["true"]));
            output(run.env("CALLERS_SECRET", "1")).success();
        }
        // It does see what it may.
        let mut exec = attack.world.command([
            "exec",
            "-e",
            "NOT_CALLERS_SECRET=1",
            "attacker",
            "sleep",
            "1",
        ]);
        output(&mut exec).success();
        let said = attack.wait_for("attacker", "SEEN NOT_CALLERS_SECRET");
        assert!(!said.contains("SEEN CALLERS_SECRET"), "{said}");
        attack.world.soute(["rm", "-f", "attacker"]).success();
    }
}
