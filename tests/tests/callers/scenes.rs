//! The story's scenes on containers that soute has not made: what it shows of them is what lsns, nsenter, findmnt, ip and
//! the kernel's own files say.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use soute_tests::views::{
    KINDS, as_findmnt, findmnt, inode, levels, lsns, mount, mounts, numbers, row, show, status,
};
use soute_tests::{Layout, Outcome, World, cgroup_of, layout, output, wait_until};

use crate::engine::{Engine, run, shows};

/// A process with a child, in a PID namespace below the container's.
const PROGRAM: &str = "unshare -p -f sleep 2000 & exec sleep 1000";

const FLAGS: &[&str] = &[
    "--hostname",
    "theirs",
    "--memory",
    "64m",
    "--pids-limit",
    "50",
    "--cpus",
    "0.5",
    "--cap-add",
    "SYS_ADMIN",
    "--cap-drop",
    "MKNOD",
    "--security-opt",
    "no-new-privileges",
    "--volume",
    "/usr:/seen:ro",
];

/// Has a process say what it is in, in the order of [`KINDS`].
const READ_LINKS: &[&str] = &[
    "sh",
    "-c",
    "for kind in cgroup ipc mnt net pid user uts; do readlink /proc/self/ns/$kind; done",
];

/// A container of an engine's, which runs.
struct Theirs<'a> {
    engine: &'a dyn Engine,
    world: &'a World,
    name: String,
    id: String,
    pid: u32,
}

impl<'a> Theirs<'a> {
    #[track_caller]
    fn start(
        engine: &'a dyn Engine,
        world: &'a World,
        part: &str,
        flags: &[&str],
        words: &[&str],
    ) -> Self {
        // Others' containers are in sight, too, those of other tests among them.
        let name = format!("{part}-seen-by-soute-{}", std::process::id());
        let flags = [&["-d", "--name", &name], flags].concat();
        run(engine, &flags, words).success();
        let pid = shows(engine, &name, ".State.Pid");
        Self {
            id: shows(engine, &name, ".Id"),
            pid: pid.parse().expect("a number"),
            engine,
            world,
            name,
        }
    }

    /// Runs the program inside, by the engine's own means.
    #[track_caller]
    fn exec(&self, words: &[&str]) -> Outcome {
        self.engine.call(&[&["exec", &self.name], words].concat())
    }

    /// `soute enter FLAGS PID WORDS`: by a number nobody has to be looked for.
    #[track_caller]
    fn enter(&self, flags: &[&str], words: &[&str]) -> Outcome {
        let pid = self.pid.to_string();
        self.world
            .soute([&["enter"], flags, &[&pid], words].concat())
    }

    /// `nsenter FLAGS WORDS`
    #[track_caller]
    fn nsenter(&self, flags: &[&str], words: &[&str]) -> Outcome {
        let mut nsenter = Command::new("nsenter");
        nsenter
            .args(["--target", &self.pid.to_string()])
            .args(flags);
        output(nsenter.args(words))
    }

    fn mountinfo(&self) -> String {
        fs::read_to_string(format!("/proc/{}/mountinfo", self.pid)).expect("its mounts")
    }
}

/// All scenes, one after the other, on one container.
pub fn all(engine: &dyn Engine, world: &World) {
    let theirs = Theirs::start(engine, world, "web", FLAGS, &["sh", "-c", PROGRAM]);
    wait_until("all of it runs", || {
        let ps = theirs.exec(&["ps", "-o", "args"]).success().stdout.clone();
        ["sleep 1000", "sleep 2000"].map(|line| ps.lines().any(|other| other == line)) == [true; 2]
    });
    its_namespaces_are_lsns(&theirs);
    none_is_missing_in_the_list(&theirs);
    both_sides_tell_the_same_inodes(&theirs);
    each_process_has_a_number_at_each_level(&theirs);
    its_mounts_are_findmnts(&theirs);
    what_is_mounted_over_is_marked_so(&theirs);
    some_namespaces_are_entered(&theirs);
    the_machines_programs_run_where_there_are_none(&theirs);
    tools_stand_beside_its_files(&theirs);
    its_network_is_ips(&theirs);
    its_rights_are_the_kernels(&theirs);
    its_limits_are_the_kernels(&theirs);
    it_is_not_soutes(&theirs);
    it_is_drawn(&theirs);
    what_is_shared_is_marked_so(&theirs);
    engine.call(&["rm", "-f", &theirs.name]).success();
    // Its processes may take a moment to be gone, and are shown until then.
    wait_until("it is not there any more", || {
        let shown = world.soute(["ns", "show", &theirs.name]);
        shown.code == 1 && shown.stderr.contains("no running container")
    });
}

/// All kinds, as the kernel knows them.
fn kinds() -> impl Iterator<Item = &'static str> {
    KINDS.iter().copied().chain(["time"])
}

/// Docker and Podman share the user namespace with the machine, and on cgroup version 1 the cgroup namespace.
fn is_the_machines(kind: &str) -> bool {
    match kind {
        "user" | "time" => true,
        "cgroup" => layout() == Layout::V1,
        _ => false,
    }
}

/// Scene 1.
fn its_namespaces_are_lsns(theirs: &Theirs<'_>) {
    let (world, pid) = (theirs.world, theirs.pid);
    let word = pid.to_string();
    let shown = show(world, &word);
    let whose = json!({"engine": theirs.engine.name(), "id": theirs.id, "name": theirs.name});
    assert_eq!(shown["found_in"], whose, "{shown}");
    assert_eq!(shown["command"], json!(["sleep", "1000"]));
    let oracle = lsns(pid);
    for kind in kinds() {
        let (row, line) = (row(&shown, kind), &oracle[kind]);
        assert_eq!(row["ns"], inode(pid, kind), "{row}");
        for column in ["ns", "pns", "ons"] {
            // 0 stands for none.
            let number = row[column].as_u64().unwrap_or_default();
            assert_eq!(number, line[column], "{kind} {column}");
        }
        let is_machines = is_the_machines(kind);
        assert_eq!(inode(std::process::id(), kind) == row["ns"], is_machines);
        assert_eq!(row["sharing"]["kind"] == "machine", is_machines, "{row}");
        if !is_machines {
            let expected = ["nprocs", "pid", "command"].map(|column| &line[column]);
            assert_eq!([&row["nprocs"], &row["first"], &row["command"]], expected);
        }
    }
    // In the machine's, processes come and go, other tests' among them.
    for kind in kinds().filter(|kind| is_the_machines(kind)) {
        let count = |number: &Value| number.as_u64().expect("a number");
        let [told, seen] = [row(&shown, kind), &oracle[kind]].map(|row| count(&row["nprocs"]));
        assert!(told.abs_diff(seen) < 30, "{kind}: {told}, {seen} by lsns");
    }
    let line = format!("{} {} ({})", theirs.engine.name(), theirs.name, theirs.id);
    world.soute(["ns", "show", &word]).shows(&line);
}

/// Scene 1 once more: all that lsns sees on the machine, and whose each is.
fn none_is_missing_in_the_list(theirs: &Theirs<'_>) {
    let all = || -> BTreeSet<String> {
        let mut lsns = Command::new("lsns");
        lsns.args(["--raw", "--noheadings", "--output", "TYPE,NS"]);
        let outcome = output(&mut lsns);
        outcome.text().lines().map(str::to_owned).collect()
    };
    let before = all();
    let list = theirs.world.soute(["ns", "ls", "--json"]).json();
    let after = all();
    let rows = list["namespaces"].as_array().expect("rows");
    let told = rows.iter();
    let told: BTreeSet<String> = told
        .map(|row| format!("{} {}", row["type"].as_str().expect("a kind"), row["ns"]))
        .collect();
    // Those of other tests come and go.
    let missing: Vec<&String> = before
        .intersection(&after)
        .filter(|line| !told.contains(*line))
        .collect();
    assert!(missing.is_empty(), "{missing:?} of {before:?}");
    for kind in kinds().filter(|kind| !is_the_machines(kind)) {
        let mut found = rows
            .iter()
            .filter(|row| row["ns"] == inode(theirs.pid, kind));
        let row = found.next().unwrap_or_else(|| panic!("no {kind}"));
        let whose = json!({"engine": theirs.engine.name(), "id": theirs.id, "name": theirs.name});
        assert_eq!(row["container"], whose, "{row}");
        assert_eq!(
            (&row["pid"], &row["machine"]),
            (&theirs.pid.into(), &Value::Null)
        );
    }
    let list = theirs.world.soute(["ns", "ls", "net"]);
    let line = format!("{} {}", theirs.engine.name(), theirs.name);
    list.success().shows(&line);
}

/// Scene 3.
fn both_sides_tell_the_same_inodes(theirs: &Theirs<'_>) {
    let shown = show(theirs.world, &theirs.name);
    assert_eq!(shown["pid"], theirs.pid);
    let told: BTreeMap<&str, u64> = kinds()
        .map(|kind| (kind, row(&shown, kind)["ns"].as_u64().expect("an inode")))
        .collect();
    for kind in kinds() {
        let sharing = &row(&shown, kind)["sharing"]["kind"];
        let expected = if is_the_machines(kind) {
            "machine"
        } else {
            "own"
        };
        assert_eq!(sharing, expected, "{kind}");
    }
    let inside = theirs.exec(READ_LINKS);
    let lines = KINDS
        .iter()
        .map(|kind| format!("{kind}:[{}]\n", told[kind]));
    inside.prints(&lines.collect::<String>());
    // The image has no lsns: the machine's, with a /proc of the container's, by nsenter's way and by soute's.
    let lsns = "lsns --raw --noheadings --task 1 --output TYPE,NS";
    let lsns: Vec<&str> = lsns.split(' ').collect();
    let flags = ["--pid", "--net", "--ipc", "--uts", "--cgroup"];
    let mounted = [&["unshare", "--mount-proc"], &lsns[..]].concat();
    for seen in [theirs.nsenter(&flags, &mounted), theirs.enter(&[], &lsns)] {
        let lines = seen
            .text()
            .lines()
            .map(|line| line.split_once(' ').expect("two"));
        let lines = lines.map(|(kind, inode)| (kind, inode.trim().parse().expect("an inode")));
        assert_eq!(lines.collect::<BTreeMap<&str, u64>>(), told, "{seen}");
    }
    // By its id, and by the beginning of it.
    for word in [&theirs.id[..], &theirs.id[..12]] {
        let again = show(theirs.world, word);
        assert_eq!(
            (&again["pid"], &again["container"]),
            (&shown["pid"], &shown["container"])
        );
    }
}

/// Scene 5.
fn each_process_has_a_number_at_each_level(theirs: &Theirs<'_>) {
    let ps = || -> BTreeSet<(u64, String)> {
        let ps = theirs.exec(&["ps", "-o", "pid,args"]);
        let lines = ps.text().lines().skip(1);
        let lines = lines.map(|line| line.trim().split_once(' ').expect("two columns"));
        lines
            .map(|(pid, args)| (pid.parse().expect("a number"), args.to_owned()))
            .filter(|(_, args)| !args.starts_with("ps "))
            .collect()
    };
    theirs
        .engine
        .call(&["exec", "-d", &theirs.name, "sleep", "3000"])
        .success();
    wait_until("it runs, too", || {
        ps().iter().any(|(_, args)| args == "sleep 3000")
    });
    let told = theirs
        .world
        .soute(["ns", "pids", "--json", &theirs.name])
        .json();
    let rows = told["processes"].as_array().expect("rows");
    let mut inside = BTreeSet::new();
    for row in rows {
        let numbers = numbers(row);
        assert_eq!(numbers, levels(numbers[0]), "{row}");
        let words: Vec<&str> = row["command"]
            .as_array()
            .expect("words")
            .iter()
            .map(|word| word.as_str().expect("a word"))
            .collect();
        inside.insert((numbers[1], words.join(" ")));
    }
    assert_eq!(inside, ps());
    let find = |line: &str| {
        let mut found = rows
            .iter()
            .filter(|row| row["command"] == json!(line.split(' ').collect::<Vec<_>>()));
        found.next().unwrap_or_else(|| panic!("no {line}: {told}"))
    };
    let first = find("sleep 1000");
    assert_eq!(numbers(first), [theirs.pid.into(), 1]);
    assert_eq!(first["ns"], inode(theirs.pid, "pid"));
    let nested = find("sleep 2000");
    let numbers = numbers(nested);
    assert_eq!(
        (numbers.len(), numbers[2], &nested["depth"]),
        (3, 1, &2.into())
    );
    let pid = numbers[0].try_into().expect("a process's number");
    assert_eq!(nested["ns"], inode(pid, "pid"));
    assert_ne!(nested["ns"], first["ns"]);
    // A child of nobody's there.
    assert_eq!(find("sleep 3000")["depth"], 0);
    let text = theirs.world.soute(["ns", "pids", &theirs.name]);
    text.success()
        .shows(&numbers[0].to_string())
        .shows("sleep 2000");
}

/// Scene 11.
#[track_caller]
fn its_mounts_are_findmnts(theirs: &Theirs<'_>) -> Vec<Value> {
    let told = mounts(theirs.world, &theirs.name);
    let lines: BTreeSet<String> = told.iter().map(as_findmnt).collect();
    assert_eq!(lines, findmnt(theirs.pid));
    told
}

/// Scene 11 once more, with mounts that no path leads to, and mounts that spread.
fn what_is_mounted_over_is_marked_so(theirs: &Theirs<'_>) {
    let nothing = its_mounts_are_findmnts(theirs);
    assert!(
        nothing.iter().all(|mount| mount["hidden_by"].is_null()),
        "{nothing:?}"
    );
    mount(&nothing, "target", "/seen");
    let script = "mkdir /over && mount -t tmpfs first /over
        mkdir /over/inner && mount -t tmpfs inner /over/inner
        mount -t tmpfs second /over && mount --make-shared /over
        mkdir /again /below && mount -o bind /over /again
        mount -o bind /over /below && mount --make-slave /below";
    theirs
        .nsenter(&["--mount"], &["sh", "-ec", script])
        .success();
    let told = its_mounts_are_findmnts(theirs);
    let [first, inner] = ["first", "inner"].map(|name| mount(&told, "source", name));
    // Bound elsewhere, it has the same source there.
    let mut seconds = told.iter().filter(|one| one["source"] == "second");
    let second = seconds
        .find(|one| one["target"] == "/over")
        .expect("mounted");
    assert_eq!(first["covered_by"], second["id"]);
    assert_eq!(inner["hidden_by"], second["id"]);
    assert!(second["covered_by"].is_null() && second["hidden_by"].is_null());
    assert_eq!(second["peers"][0]["target"], "/again", "{second}");
    assert_eq!(second["slaves"][0]["target"], "/below", "{second}");
    let text = theirs.world.soute(["ns", "mounts", &theirs.name]);
    text.success()
        .shows("no: under")
        .shows("no: behind")
        .shows("1 peer, 1 slave");
}

/// Scene 12.
fn some_namespaces_are_entered(theirs: &Theirs<'_>) {
    let before = theirs.mountinfo();
    for (kinds, flags) in [
        ("net", &["--net"][..]),
        ("uts,ipc", &["--uts", "--ipc"]),
        ("cgroup", &["--cgroup"]),
        ("pid,mnt", &["--pid", "--mount"]),
        (
            "cgroup,ipc,mnt,net,pid,uts",
            &["--cgroup", "--ipc", "--mount", "--net", "--pid", "--uts"],
        ),
    ] {
        let oracle = theirs.nsenter(flags, READ_LINKS);
        let seen = theirs.enter(&["--ns", kinds], READ_LINKS);
        seen.prints(oracle.text());
        // Those that were named, and no other.
        for (kind, line) in KINDS.iter().zip(seen.text().lines()) {
            let named = kinds.split(',').any(|other| other == *kind) || is_the_machines(kind);
            let own = format!("{kind}:[{}]", inode(theirs.pid, kind));
            assert_eq!(line == own, named, "{seen}");
        }
    }
    // Of its processes alone: a /proc is mounted that nobody else sees.
    let seen = theirs.enter(&["--ns", "pid"], &["ps", "-eo", "args"]);
    let lines =
        "COMMAND\nsleep 1000\nunshare -p -f sleep 2000\nsleep 2000\nsleep 3000\nps -eo args";
    seen.prints(lines);
    for word in [&theirs.name, &theirs.id] {
        let enter = ["enter", word, "hostname"];
        theirs.world.soute(enter).prints("theirs");
    }
    assert_eq!(theirs.mountinfo(), before);
}

/// Scene 12 once more: programs that the image has not, or has others of.
fn the_machines_programs_run_where_there_are_none(theirs: &Theirs<'_>) {
    let before = theirs.mountinfo();
    theirs.exec(&["bash", "-c", "true"]).code(127);
    let look = "echo ${BASH##*/}; hostname; id -u; ls /seen/bin/bash";
    theirs
        .enter(&[], &["bash", "-c", look])
        .prints("bash\ntheirs\n0\n/seen/bin/bash");
    let mut session = theirs.world.start([
        "enter",
        "--tools",
        "machine",
        &theirs.name,
        "bash",
        "-c",
        "echo in; read line",
    ]);
    session.expect("in");
    assert_eq!(theirs.mountinfo(), before);
    session.write("\n");
    session.outcome().success();
    // The image's own ps has no such columns.
    let ps = ["ps", "-o", "nlwp=,args=", "--pid", "1"];
    let seen = theirs.enter(&["--tools", "machine"], &ps);
    seen.prints("1 sleep 1000");
    assert_eq!(theirs.mountinfo(), before);
}

/// Scene 12: a shell with the machine's programs, and the container's files below one folder.
#[track_caller]
fn tools_stand_beside_its_files(theirs: &Theirs<'_>) {
    let before = theirs.mountinfo();
    let look = "pwd; hostname; [ -d /container/seen/bin ] && echo held; ps -o args= --pid 1; touch /tmp/mine; ! [ -e /container/tmp/mine ] && echo apart";
    let pid = theirs.pid.to_string();
    let words = ["debug", &pid, "--", "bash", "-c", look];
    let seen = theirs.world.soute(words);
    seen.prints("/\ntheirs\nheld\nsleep 1000\napart");
    assert_eq!(theirs.mountinfo(), before);
}

/// `soute ns graph` has it for a world of its own, by its engine's name.
#[track_caller]
fn it_is_drawn(theirs: &Theirs<'_>) {
    let words = ["ns", "graph", "--json", &theirs.name];
    let graph = theirs.world.soute(words).json();
    let mut worlds = graph["worlds"].as_array().expect("worlds").iter();
    let drawn = worlds.find(|world| world["asked"] == true).expect("it");
    let expected = json!({"engine": theirs.engine.name(), "id": theirs.id, "name": theirs.name});
    assert_eq!(drawn["container"], expected, "{drawn}");
    assert_eq!(drawn["pid"], theirs.pid);
}

/// Scene 12 for the network, which is given something to see.
fn its_network_is_ips(theirs: &Theirs<'_>) {
    for words in [
        "link add left type veth peer name right",
        "address add 10.9.8.7/24 dev left",
        "link set left up",
        "link set right up",
    ] {
        let words: Vec<&str> = ["ip"].into_iter().chain(words.split(' ')).collect();
        theirs.nsenter(&["--net"], &words).success();
    }
    wait_until("they are up", || {
        let link = theirs.nsenter(&["--net"], &["ip", "link", "show", "up", "dev", "left"]);
        link.text().contains("state UP")
    });
    for words in [
        "ip -json -4 address",
        "ip -json -details link",
        "ip -json -4 route",
    ] {
        let words: Vec<&str> = words.split(' ').collect();
        let oracle = theirs.nsenter(&["--net"], &words);
        let seen = theirs.enter(&["--ns", "net"], &[&["--"], &words[..]].concat());
        assert_eq!(seen.json(), oracle.json());
        seen.shows("left");
    }
    // One of its ends is listened to by its name, while it looks for somebody.
    let words = ["capture", "--count", "1", &theirs.name, "arp"];
    let mut capture = theirs.world.start(words);
    wait_until("it is heard", || {
        let send = ["bash", "-c", "echo ahoy > /dev/udp/10.9.8.9/9"];
        theirs.nsenter(&["--net"], &send).success();
        !capture.is_running()
    });
    capture.outcome().success().shows("10.9.8.9");
}

/// Scene 13.
fn its_rights_are_the_kernels(theirs: &Theirs<'_>) {
    let shown = show(theirs.world, &theirs.name);
    let names = |list: &Value| -> BTreeSet<String> {
        let names = list
            .as_array()
            .unwrap_or_else(|| panic!("no list: {list}"))
            .iter();
        names
            .map(|name| name.as_str().expect("a name").to_lowercase())
            .collect()
    };
    let kernel = |line: &str| -> BTreeSet<String> {
        let mask = status(theirs.pid, line);
        let decoded = output(Command::new("capsh").arg(format!("--decode={mask}")));
        let (_, list) = decoded.text().split_once('=').expect("MASK=NAMES");
        let list = list.split(',').filter(|name| !name.is_empty());
        list.map(str::to_owned).collect()
    };
    for (set, line) in [
        ("effective", "CapEff"),
        ("permitted", "CapPrm"),
        ("inheritable", "CapInh"),
        ("bounding", "CapBnd"),
        ("ambient", "CapAmb"),
    ] {
        assert_eq!(names(&shown["capabilities"][set]), kernel(line), "{set}");
    }
    let effective = kernel("CapEff");
    assert!(effective.contains("cap_sys_admin") && !effective.contains("cap_mknod"));
    assert_eq!(
        (&shown["seccomp"], status(theirs.pid, "Seccomp")),
        (&"filter".into(), "2".to_owned())
    );
    assert_eq!(
        shown["seccomp_filters"].to_string(),
        status(theirs.pid, "Seccomp_filters")
    );
    assert_eq!(
        (
            &shown["no_new_privileges"],
            status(theirs.pid, "NoNewPrivs")
        ),
        (&true.into(), "1".to_owned())
    );
    // It is root of the machine's own user namespace: what it may do in its own namespaces, it may do in the machine's.
    let machine = std::process::id().to_string();
    let caps = theirs
        .world
        .soute(["ns", "caps", "--json", &theirs.name, &machine])
        .json();
    for row in caps["namespaces"].as_array().expect("rows") {
        assert_eq!(row["because"], "member", "{row}");
        assert_eq!(names(&row["capabilities"]), effective, "{row}");
    }
}

/// Scene 13 once more.
fn its_limits_are_the_kernels(theirs: &Theirs<'_>) {
    let machine = std::process::id();
    let words = ["ns", "diff", "--json", &theirs.name, &machine.to_string()];
    let told = theirs.world.soute(words).json();
    let of = |name: &str| -> BTreeMap<String, Value> {
        let mut sections = told["sections"].as_array().expect("sections").iter();
        let section = sections.find(|one| one["name"] == name).expect("a section");
        let differences = section["differences"]
            .as_array()
            .expect("differences")
            .iter();
        differences
            .map(|one| {
                (
                    one["what"].as_str().expect("a name").to_owned(),
                    one["one"].clone(),
                )
            })
            .collect()
    };
    let limits = match layout() {
        Layout::V1 => [
            ("memory", "memory.limit_in_bytes", "67108864"),
            ("pids", "pids.max", "50"),
            ("cpu", "cpu.cfs_quota_us", "50000"),
        ],
        Layout::V2 => [
            ("memory", "memory.max", "67108864"),
            ("pids", "pids.max", "50"),
            ("cpu", "cpu.max", "50000 100000"),
        ],
    };
    for (controller, file, limit) in limits {
        let place = cgroup_of(theirs.pid, controller).join(file);
        let kernel = fs::read_to_string(&place).unwrap_or_else(|e| panic!("{place:?}: {e}"));
        assert_eq!(kernel.trim(), limit, "{place:?}");
        assert_eq!(of("limits")[file], limit, "{told}");
    }
    let cgroups = fs::read_to_string(format!("/proc/{}/cgroup", theirs.pid)).expect("its cgroups");
    for (name, path) in of("cgroups") {
        let name = name.trim_start_matches("unified");
        let line = format!(":{name}:{}", path.as_str().expect("a path"));
        assert!(
            cgroups.lines().any(|other| other.ends_with(&line)),
            "no {line} in {cgroups}"
        );
    }
    let kinds: Vec<String> = of("namespaces").into_keys().collect();
    let own: Vec<&str> = KINDS
        .iter()
        .copied()
        .filter(|kind| !is_the_machines(kind))
        .collect();
    assert_eq!(kinds, own);
    let left = &of("interfaces")["left"];
    let left = left.as_str().expect("an interface");
    assert!(left.starts_with("veth up mtu 1500 10.9.8.7/24"), "{left}");
}

/// What is for soute's own containers says so, and leaves this one alone.
fn it_is_not_soutes(theirs: &Theirs<'_>) {
    let name = &theirs.name;
    let maker = format!("{} has one", theirs.engine.name());
    let soute = |words: &[&str]| theirs.world.soute(words);
    for words in [
        "stats --no-stream",
        "update --memory 1g",
        "diff",
        "top",
        "stop",
    ] {
        let words: Vec<&str> = words.split(' ').chain([name.as_str()]).collect();
        soute(&words).fails(1, &["no such container", name, &maker]);
    }
    soute(&["inspect", name]).fails(1, &["no such container or image", name, &maker]);
    for words in [
        &["exec", name, "true"][..],
        &["enter", "--join-cgroup", name, "true"],
    ] {
        soute(words).fails(125, &["no such container", &maker]);
    }
    // Nor is it said to be removed.
    soute(&["rm", "-f", name])
        .fails(0, &["no such container"])
        .prints("");
    assert_eq!(
        shows(theirs.engine, name, ".State.Pid"),
        theirs.pid.to_string()
    );
    assert_eq!(theirs.exec(&["echo", "works"]).text(), "works");
}

/// Scene 3 once more, for another that shares more.
fn what_is_shared_is_marked_so(theirs: &Theirs<'_>) {
    let joined = format!("container:{}", theirs.name);
    let flags = ["--pid", &joined, "--ipc", "host", "--uts", "host"];
    let guest = Theirs::start(
        theirs.engine,
        theirs.world,
        "guest",
        &flags,
        &["sleep", "4000"],
    );
    let shown = show(guest.world, &guest.name);
    assert_eq!(shown["pid"], guest.pid);
    for kind in kinds() {
        let row = row(&shown, kind);
        let expected = match kind {
            "pid" => "others",
            "ipc" | "uts" => "machine",
            kind if is_the_machines(kind) => "machine",
            _ => "own",
        };
        assert_eq!(row["sharing"]["kind"], expected, "{row}");
        assert_eq!(row["ns"], inode(guest.pid, kind), "{row}");
    }
    assert_eq!(row(&shown, "pid")["ns"], inode(theirs.pid, "pid"));
    let told = guest
        .world
        .soute(["ns", "pids", "--json", &guest.name])
        .json();
    let rows = told["processes"].as_array().expect("rows");
    assert_eq!(rows.len(), 1, "{told}");
    assert_eq!(numbers(&rows[0]), levels(guest.pid.into()));
    guest.engine.call(&["rm", "-f", &guest.name]).success();
}
