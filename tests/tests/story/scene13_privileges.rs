//! The exact capability and seccomp sets: what `inspect` says is what the kernel does.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;
use soute_tests::{Running, World, output, wait_until};
use syscalls::Sysno;

use super::show;

fn names(list: &Value) -> BTreeSet<String> {
    list.as_array()
        .unwrap_or_else(|| panic!("no list: {list}"))
        .iter()
        .map(|name| name.as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn capabilities() {
    let world = World::debian();
    for flags in [
        &[][..],
        &["--cap-add", "NET_ADMIN", "--cap-drop", "MKNOD"],
        &["--cap-drop", "ALL"],
        &["--cap-add", "ALL"],
        &["-u", "1000"],
        // No more than soute itself has.
        &["--userns", "host", "--cap-add", "ALL"],
        &["--privileged"],
    ] {
        let id = world.detached([flags, &["debian", "sleep", "1000"]].concat());
        let told = names(&world.inspect(&id)["Isolation"]["Capabilities"]);
        // The one is what was resolved from the flags, the other what the kernel says of the process.
        let kernel = show(&world, &id)["capabilities"].clone();
        assert_eq!(told, names(&kernel["bounding"]), "{flags:?}");
        let effective = if flags.contains(&"-u") {
            BTreeSet::new()
        } else {
            told
        };
        assert_eq!(effective, names(&kernel["effective"]), "{flags:?}");
        assert_eq!(effective, names(&kernel["permitted"]), "{flags:?}");
        assert!(
            names(&kernel["inheritable"]).is_empty() && names(&kernel["ambient"]).is_empty(),
            "{flags:?}"
        );
    }
}

/// Makes each call whose number is given, with arguments that no call can do anything with, and prints its errno.
const TRY: &str = "
use Errno;
foreach my $number (@ARGV) {
    my $result = syscall($number, -1, -1, -1, -1, -1, -1);
    print \"$number \", ($result == -1 ? $! + 0 : 0), \"\\n\";
}";

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

/// Every call that `inspect` says is refused is made, and refused so. (Those that are allowed are not: they would do
/// something.)
#[test]
fn system_calls() {
    let world = World::debian();
    let id = world.detached(["debian", "sleep", "1000"]);
    let seccomp = world.inspect(&id)["Isolation"]["Seccomp"].clone();
    assert!(
        seccomp["default"].as_str().unwrap().contains("EPERM"),
        "{}",
        seccomp["default"]
    );
    let mut expected: BTreeMap<String, u32> = BTreeMap::new();
    let mut conditional = names(&Value::from(
        seccomp["by_arguments"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>(),
    ));
    conditional.extend(names(&seccomp["calls"]["allow"]));
    let missing = names(&seccomp["calls"]["ENOSYS"]);
    for call in Sysno::iter() {
        let name = call.name();
        // The kernel lets these two past every filter: they are its own trampolines (seccomp.c, "uprobe").
        if ["uprobe", "uretprobe"].contains(&name) {
            continue;
        }
        if !conditional.contains(name) {
            let errno = if missing.contains(name) {
                ENOSYS
            } else {
                EPERM
            };
            expected.insert(call.id().to_string(), errno);
        }
    }
    assert!(expected.len() > 30, "{expected:?}");
    // Beyond all that has a name.
    expected.insert("1000".to_owned(), ENOSYS);

    let words: Vec<&str> = ["exec", &id, "perl", "-e", TRY]
        .into_iter()
        .chain(expected.keys().map(String::as_str))
        .collect();
    let tried = world.soute(&words);
    let tried: BTreeMap<String, u32> = tried
        .text()
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(number, errno)| (number.to_owned(), errno.parse().unwrap()))
        .collect();
    for (number, errno) in &expected {
        let name = number.parse().ok().and_then(Sysno::new);
        assert_eq!(tried.get(number), Some(errno), "{number} ({name:?})");
    }
    // The same for the first process's own children, and nothing of it without a filter.
    let words: Vec<&str> = [
        "run",
        "--rm",
        "--security-opt",
        "seccomp=unconfined",
        "debian",
        "perl",
        "-e",
        TRY,
        "1000",
    ]
    .to_vec();
    world.soute(&words).prints("1000 38");
}

#[test]
fn the_kernel_confirms_filter_and_new_privileges() {
    let world = World::debian();
    for (flags, mode, filters, no_new) in [
        (&[][..], "filter", 1, false),
        (&["--security-opt", "no-new-privileges"], "filter", 1, true),
        (
            &["--security-opt", "seccomp=unconfined"],
            "disabled",
            0,
            false,
        ),
    ] {
        let id = world.detached([flags, &["debian", "sleep", "1000"]].concat());
        let shown = show(&world, &id);
        assert_eq!(shown["no_new_privileges"], no_new, "{flags:?}");
        assert_eq!(shown["seccomp_filters"], filters, "{flags:?}");
        if mode == "filter" {
            assert_eq!(shown["seccomp"], mode, "{flags:?}");
        } else {
            assert_ne!(shown["seccomp"], "filter", "{flags:?}");
        }
        assert_eq!(world.inspect(&id)["Isolation"]["NoNewPrivileges"], no_new);
    }
}

/// What a process could do in other namespaces, by the kernel's rules: and the kernel does as they say.
#[test]
fn capabilities_elsewhere() {
    let world = World::debian();
    let flags = ["--cap-add", "SYS_ADMIN", "--name"];
    let sleep = ["debian", "sleep", "1000"];
    let one = world.detached([&flags[..], &["one"], &sleep].concat());
    let other = world.detached([&flags[..], &["other"], &sleep].concat());
    let caps = |process: &str, target: &str| {
        let told = world
            .soute(["ns", "caps", "--json", process, target])
            .json();
        let rows = told["namespaces"].as_array().unwrap().clone();
        let net = rows
            .iter()
            .find(|row| row["type"] == "net")
            .unwrap()
            .clone();
        (
            net["because"].as_str().unwrap().to_owned(),
            names(&net["capabilities"]),
        )
    };
    let myself = std::process::id().to_string();
    let (because, set) = caps("one", "one");
    assert_eq!(because, "member");
    assert_eq!(
        set,
        names(&show(&world, "one")["capabilities"]["effective"])
    );
    // The neighbour is neither in it nor above, whatever it may do in its own; nor is it in the machine's.
    for target in ["other", &myself] {
        assert_eq!(
            caps("one", target),
            ("elsewhere".to_owned(), BTreeSet::new())
        );
    }
    // Root made it from above; another user of the machine is above, and may there what it may here: nothing.
    let (because, set) = caps(&myself, "one");
    assert_eq!((because.as_str(), set.len()), ("owner", 41));
    let mut nobody = Command::new("setpriv");
    nobody.args(["--reuid=65534", "--clear-groups", "sleep", "1000"]);
    let nobody = Running::start(&mut nobody);
    wait_until("it is nobody", || {
        let told = show(&world, &nobody.pid().to_string());
        told["uid"]["effective"] == 65534
    });
    let (because, set) = caps(&nobody.pid().to_string(), "one");
    assert_eq!((because.as_str(), set.len()), ("above", 0));
    nobody.signal(rustix::process::Signal::KILL);
    // By a file; and the kernel: one's root may not enter the other's network, the machine's may.
    let path = format!("/proc/{}/ns/net", world.pid(&other));
    let told = world.soute(["ns", "caps", "one", &path]);
    told.success().shows("neither in it nor above");
    let enter = [
        "--ns",
        "user,pid",
        &one,
        "nsenter",
        "--net=/proc/1/ns/net",
        "true",
    ];
    world.soute([&["enter"][..], &enter].concat()).success();
    let attempt = [format!("--net={path}"), "true".to_owned()];
    output(Command::new("nsenter").args(&attempt)).success();
    let enter = [
        "enter",
        "--ns",
        "user",
        &one,
        "nsenter",
        &attempt[0],
        "true",
    ];
    world.soute(enter).fails(1, &["nsenter"]);
}
