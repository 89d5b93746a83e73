//! Docker.

use std::path::Path;
use std::process::Command;

use soute_tests::{Docker, World, output};

/// The folders of a container's cgroups, in all hierarchies.
#[track_caller]
fn cgroups(id: &str) -> Vec<String> {
    let name = format!("*{id}*");
    // Those of other tests go meanwhile, of which find(1) complains.
    let find = ["/sys/fs/cgroup", "-type", "d", "-name", &name];
    let found = output(Command::new("find").args(find));
    let mut cgroups: Vec<_> = found.stdout.lines().map(str::to_owned).collect();
    cgroups.sort();
    cgroups
}

fn lives(pid: u32) -> bool {
    pid != 0 && Path::new(&format!("/proc/{pid}")).exists()
}

/// A container of Docker's that must be as it was.
struct Theirs<'a> {
    docker: &'a Docker,
    id: String,
    pid: u32,
    cgroups: Vec<String>,
}

impl<'a> Theirs<'a> {
    #[track_caller]
    fn of(docker: &'a Docker, id: String) -> Self {
        let (pid, cgroups) = (docker.pid(&id), cgroups(&id));
        assert!(lives(pid) && !cgroups.is_empty(), "{id}: {cgroups:?}");
        Self {
            docker,
            id,
            pid,
            cgroups,
        }
    }

    #[track_caller]
    fn assert_untouched(&self) {
        assert_eq!(self.docker.pid(&self.id), self.pid);
        assert_eq!(cgroups(&self.id), self.cgroups);
        let exec = ["exec", &self.id, "echo", "works"];
        self.docker.docker(&exec).prints("works");
    }
}

/// A container of soute's that must be as it was.
struct Ours<'a> {
    world: &'a World,
    id: String,
    pid: u32,
    cgroups: Vec<String>,
}

impl<'a> Ours<'a> {
    #[track_caller]
    fn of(world: &'a World, id: String) -> Self {
        let (pid, cgroups) = (world.pid(&id), cgroups(&id));
        assert!(lives(pid) && !cgroups.is_empty(), "{id}: {cgroups:?}");
        Self {
            world,
            id,
            pid,
            cgroups,
        }
    }

    #[track_caller]
    fn assert_untouched(&self) {
        assert_eq!(self.world.pid(&self.id), self.pid);
        assert_eq!(cgroups(&self.id), self.cgroups);
        let exec = ["exec", &self.id, "echo", "works"];
        self.world.soute(exec).prints("works");
    }
}

#[track_caller]
fn ours(world: &World, name: &str) -> String {
    world.detached(["--name", name, "busybox", "sleep", "1000"])
}

#[test]
fn each_engine_sees_its_own_containers_alone() {
    let world = World::new();
    let docker = Docker::start(&world);
    // Names are each engine's own.
    let (theirs, own) = (docker.detached(&["--name", "web"]), ours(&world, "web"));
    let ps = ["ps", "-aq", "--no-trunc"];
    docker.docker(&ps).prints(&theirs);
    world.soute(ps).prints(&own);
    world.soute(["inspect", &theirs]).code(1);
    assert_ne!(docker.docker(&["inspect", &own]).code, 0);
    assert_ne!(docker.pid("web"), world.pid("web"));
    for image in [docker.docker(&["images"]), world.soute(["images"])] {
        assert_eq!(image.text().matches("busybox").count(), 1, "{image}");
    }
    // Whoever made it, the kernel's view is of all.
    let namespaces = world.soute(["ns", "ls", "--json", "pid"]);
    let shown = world.soute(["ns", "show", "--json", &theirs]).json();
    let seen = [&shown["found_in"]["engine"], &shown["found_in"]["name"]];
    assert_eq!(seen, ["docker", "web"], "{shown}");
    namespaces.success().shows(&own);
    for pid in [docker.pid("web"), world.pid("web")] {
        let link = std::fs::read_link(format!("/proc/{pid}/ns/pid")).unwrap();
        let link = link.display().to_string();
        let inode = link.trim_matches(|c: char| !c.is_ascii_digit());
        namespaces.success().shows(inode);
    }
}

#[test]
fn what_one_does_to_its_own_the_others_do_not_notice() {
    let world = World::new();
    let docker = Docker::start(&world);
    let theirs = Theirs::of(&docker, docker.detached(&[]));
    ours(&world, "mine");
    for words in [
        &["stop", "-t", "0", "mine"][..],
        &["start", "mine"],
        &["restart", "-t", "0", "mine"],
        &["kill", "mine"],
        &["rm", "mine"],
        &["run", "--rm", "--memory", "64m", "busybox", "true"],
    ] {
        world.soute(words).success();
        theirs.assert_untouched();
    }

    let own = Ours::of(&world, ours(&world, "kept"));
    docker.detached(&["--name", "mine"]);
    let run = ["run", "--rm", "--network", "none", "--memory", "64m"];
    for words in [
        &["stop", "-t", "0", "mine"][..],
        &["start", "mine"],
        &["restart", "-t", "0", "mine"],
        &["kill", "mine"],
        &["rm", "mine"],
        &[&run[..], &["busybox", "true"]].concat(),
    ] {
        docker.docker(words).success();
        own.assert_untouched();
    }
    theirs.assert_untouched();
    // The last of the one's takes nothing of the other's along.
    world.soute(["rm", "-f", "kept"]).success();
    theirs.assert_untouched();
    docker.docker(&["rm", "-f", &theirs.id]).success();
    assert_eq!(cgroups(&theirs.id), [""; 0]);
    assert_eq!(cgroups(&own.id), [""; 0]);
}

#[test]
fn many_of_both_at_once() {
    let world = World::new();
    let docker = Docker::start(&world);
    std::thread::scope(|scope| {
        let ours: Vec<_> = (0..8)
            .map(|number| {
                let script = format!("echo {number}; exit {number}");
                world.start(["run", "--rm", "busybox", "sh", "-c", &script])
            })
            .collect();
        for number in 0..4 {
            let docker = &docker;
            scope.spawn(move || {
                let script = format!("echo {number}; exit {number}");
                let run = ["run", "--rm", "--network", "none", "busybox"];
                docker
                    .docker(&[&run[..], &["sh", "-c", &script]].concat())
                    .code(number)
                    .prints(&number.to_string());
            });
        }
        for (number, run) in ours.into_iter().enumerate() {
            let code = number.try_into().expect("a small number");
            run.outcome().code(code).prints(&number.to_string());
        }
    });
}

/// Docker's daemon ends, and its containers with it; soute has none that could.
#[test]
fn the_daemons_end_is_not_our_containers() {
    let world = World::new();
    let mut docker = Docker::start(&world);
    let theirs = docker.detached(&[]);
    let their_pid = docker.pid(&theirs);
    let own = Ours::of(&world, ours(&world, "kept"));
    docker.stop();
    assert!(!lives(their_pid));
    own.assert_untouched();
    world.soute(["stop", "-t", "0", "kept"]).success();
    world.soute(["start", "kept"]).success();
    world
        .soute(["exec", "kept", "echo", "works"])
        .prints("works");
    world.soute(["rm", "-f", "kept"]).success();
}
