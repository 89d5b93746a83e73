//! The program of the embedded image, `hello`: its reading of /proc and its words, as pure functions; then the
//! program itself, on this machine and in namespaces.

#[path = "../hello/look.rs"]
#[allow(dead_code)]
mod look;
#[path = "../hello/tell.rs"]
mod tell;

use std::path::{Path, PathBuf};

use look::{Cgroup, CpuLimit, IdRange, Interface, Limit, Mount, Seen};
use tell::{Whose, whose};

const LINES: usize = 45;
const COLUMNS: usize = 100;

fn mount(point: &str, kind: &str) -> Mount {
    Mount {
        root: "/".into(),
        point: point.into(),
        kind: kind.into(),
        read_only: false,
        options: "rw".into(),
    }
}

/// A container as soute makes it.
fn seen() -> Seen {
    Seen {
        kernel: "6.18.1".into(),
        hostname: "1f3e0c2b4a5d".into(),
        namespaces: [0, 1, 2, 3, 4, 5, 6]
            .map(|n| Some(4_026_532_300 + n))
            .into_iter()
            .chain([Some(4_026_531_834)])
            .collect::<Vec<_>>()
            .try_into()
            .unwrap(),
        status: look::status(
            "Name:\thello\nPid:\t1\nPPid:\t0\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nCapEff:\t00000000a80425fb\n\
             NoNewPrivs:\t0\nSeccomp:\t2\nSeccomp_filters:\t1\nCpus_allowed_list:\t0-7\n",
        ),
        uid_map: vec![IdRange {
            inside: 0,
            outside: 231_072,
            count: 65_536,
        }],
        gid_map: vec![IdRange {
            inside: 0,
            outside: 231_072,
            count: 65_536,
        }],
        mounts: ["/proc", "/dev", "/dev/pts", "/sys"]
            .map(|point| mount(point, "tmpfs"))
            .into_iter()
            .chain([mount("/", "overlay")])
            .collect(),
        interfaces: vec![
            Interface {
                name: "lo".into(),
                index: Some(1),
                link: Some(1),
            },
            Interface {
                name: "eth0".into(),
                index: Some(141),
                link: Some(142),
            },
        ],
        cgroups: vec![Cgroup {
            controllers: String::new(),
            path: "/".into(),
        }],
        last_capability: Some(40),
        memory: Limit::Max(512 << 20),
        processes: Limit::Max(100),
        cpu: CpuLimit::Quota {
            quota: 150_000,
            period: 100_000,
        },
    }
}

#[track_caller]
fn assert_fits(text: &str) {
    assert!(
        text.lines().count() <= LINES,
        "{} lines:\n{text}",
        text.lines().count()
    );
    for line in text.lines() {
        assert!(
            line.chars().count() <= COLUMNS,
            "{} columns: {line}",
            line.chars().count()
        );
        assert_eq!(line, line.trim_end(), "trailing space");
    }
}

#[test]
fn a_container_is_told_what_it_is_made_of() {
    let text = tell::tell(&seen(), false);
    assert_fits(&text);
    for part in [
        "You are in a container",
        "mnt    4026532300  own",
        "time   4026531834  machine's",
        "process 1, child of 0, of user 0 and group 0, on host \"1f3e0c2b4a5d\"",
        "uids: 0-65535 in here are 231072-296607 outside",
        "5 mounts: / (overlay), /proc (tmpfs)",
        "its root is a copy-on-write image",
        "interfaces: lo, eth0@if142",
        "capabilities: 14 of 41: chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap,",
        "seccomp: a filter on every system call; no_new_privs: off",
        "memory: 512 MiB; processes: 100; CPU time: 1.50 CPUs; allowed CPUs: 0-7",
        "soute ns show look",
    ] {
        assert!(text.contains(part), "missing: {part}\n{text}");
    }
}

#[test]
fn the_machine_is_not_called_a_container() {
    let seen = Seen {
        namespaces: [0; 8].map(|_| Some(0xefff_ffff)),
        uid_map: vec![IdRange {
            inside: 0,
            outside: 0,
            count: 4_294_967_295,
        }],
        ..seen()
    };
    let text = tell::tell(&seen, false);
    assert!(text.starts_with("You are not in a container"), "{text}");
    assert!(text.contains("uids: all, unchanged"), "{text}");
}

#[test]
fn nothing_visible_is_said_to_be_so() {
    let text = tell::tell(&Seen::default(), false);
    assert_fits(&text);
    for part in [
        "pid    not visible",
        "uids: not mapped",
        "no interface is visible",
        "capabilities: not visible",
        "seccomp: not visible",
        "mounts: not visible",
        "memory: not visible",
    ] {
        assert!(text.contains(part), "missing: {part}\n{text}");
    }
}

#[test]
fn much_of_everything_still_fits() {
    let hostile = "x\u{1b}[31m\ny\u{202e}".repeat(40);
    let mut seen = seen();
    seen.hostname = hostile.clone();
    seen.mounts = (0..500)
        .map(|n| mount(&format!("/{n}{}", &hostile), "tmpfs"))
        .collect();
    seen.interfaces = (0..500)
        .map(|n| Interface {
            name: format!("veth{n}"),
            index: Some(n),
            link: Some(n + 1),
        })
        .collect();
    seen.uid_map = (0..340)
        .map(|n| IdRange {
            inside: n,
            outside: u64::MAX,
            count: u64::MAX,
        })
        .collect();
    seen.cgroups = (0..20)
        .map(|n| Cgroup {
            controllers: String::new(),
            path: format!("/{n}"),
        })
        .collect();
    seen.status
        .insert("CapEff".into(), "ffffffffffffffff".into());
    seen.last_capability = Some(500);
    let text = tell::tell(&seen, false);
    assert_fits(&text);
    assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
    assert!(text.contains("500 mounts: "), "{text}");
    assert!(text.contains(" more\n"), "{text}");
}

#[test]
fn every_count_of_words_fits_and_none_is_lost() {
    for count in 1..80 {
        let mut seen = seen();
        seen.interfaces = (0..count)
            .map(|n| Interface {
                name: format!("if{n:0width$}", width = 1 + n % 7),
                index: None,
                link: None,
            })
            .collect();
        let text = tell::tell(&seen, false);
        assert_fits(&text);
        let start = text.find("interfaces: ").unwrap() + "interfaces: ".len();
        let list = text[start..].split("\n\n").next().unwrap();
        let named = list.matches("if").count();
        let more: usize = list.split_once("and ").map_or(0, |(_, rest)| {
            rest.split(' ').next().unwrap().parse().unwrap()
        });
        assert_eq!(named + more, count, "{list}");
    }
}

#[test]
fn bold_only_adds_escapes_to_headings() {
    let plain = tell::tell(&seen(), false);
    let bold = tell::tell(&seen(), true);
    assert_ne!(plain, bold);
    assert_eq!(
        bold.replace("\u{1b}[1m", "").replace("\u{1b}[0m", ""),
        plain
    );
}

#[test]
fn initial_namespaces_are_known_by_inode_where_the_kernel_fixes_it() {
    assert_eq!(whose("pid", 0xefff_fffc, "5.10.0-1-amd64"), Whose::Machine);
    assert_eq!(whose("pid", 4_026_532_300, "5.10.0-1-amd64"), Whose::Own);
    assert_eq!(whose("net", 4_026_531_840, "6.1.0"), Whose::Untold);
    assert_eq!(whose("net", 4_026_532_300, "6.18.0-rc1"), Whose::Own);
    assert_eq!(whose("mnt", 4_026_532_300, "7.0"), Whose::Own);
    assert_eq!(whose("mnt", 4_026_532_300, ""), Whose::Untold);
}

#[test]
fn proc_text_is_read() {
    assert_eq!(
        look::namespace_inode(Path::new("net:[4026531840]")),
        Some(4_026_531_840)
    );
    assert_eq!(look::namespace_inode(Path::new("net")), None);
    let mounts = look::mounts(
        "36 35 98:0 /mnt1 /with\\040space\\134 ro,noatime master:1 - ext3 /dev/root rw,errors=continue\nnonsense\n",
    );
    let expected = Mount {
        root: "/mnt1".into(),
        point: "/with space\\".into(),
        kind: "ext3".into(),
        read_only: true,
        options: "rw,errors=continue".into(),
    };
    assert_eq!(mounts, [expected]);
    assert_eq!(look::limit(Some("max\n".into())), Limit::None);
    assert_eq!(
        look::limit(Some("9223372036854771712\n".into())),
        Limit::None
    );
    assert_eq!(look::limit(Some("4096\n".into())), Limit::Max(4096));
    assert_eq!(look::limit(None), Limit::NotVisible);
    assert_eq!(look::cpu_limit(Some("max 100000\n".into())), CpuLimit::None);
    assert_eq!(look::cpu_limit(Some("-1 100000".into())), CpuLimit::None);
    assert_eq!(
        look::cpu_limit(Some("5 10".into())),
        CpuLimit::Quota {
            quota: 5,
            period: 10
        }
    );
    assert_eq!(look::cpu_limit(Some("5 0".into())), CpuLimit::NotVisible);
}

#[test]
fn control_files_are_found_in_both_layouts() {
    let mut v1 = mount("/sys/fs/cgroup/cpu,cpuacct", "cgroup");
    v1.options = "rw,cpu,cpuacct".into();
    v1.root = "/soute".into();
    let mounts = [v1, mount("/sys/fs/cgroup/unified", "cgroup2")];
    let cgroups = look::cgroups("4:cpu,cpuacct:/soute/abc\n0::/x\n");
    let folder = |controller| look::control_folder(&mounts, &cgroups, controller);
    assert_eq!(
        folder("cpu"),
        Some(PathBuf::from("/sys/fs/cgroup/cpu,cpuacct/abc"))
    );
    assert_eq!(
        folder("memory"),
        Some(PathBuf::from("/sys/fs/cgroup/unified/x"))
    );
    // A cgroup above what the mount shows has no control files here.
    let outside = look::cgroups("4:cpu,cpuacct:/other\n");
    assert_eq!(look::control_folder(&mounts, &outside, "cpu"), None);
}

#[test]
fn the_program_is_static_and_tells_the_truth() {
    use std::process::Command;
    let program = concat!(env!("OUT_DIR"), "/hello");
    // PT_INTERP is what a dynamic program has; the image holds nothing that it could name.
    let elf = std::fs::read(program).unwrap();
    assert_eq!(&elf[..4], b"\x7fELF");
    let headers = u64::from_le_bytes(elf[32..40].try_into().unwrap()) as usize;
    let (size, count) = (elf[54] as usize, elf[56] as usize);
    for header in elf[headers..].chunks(size).take(count) {
        assert_ne!(header[0], 3, "PT_INTERP");
    }
    let output = Command::new(program).env_clear().output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_fits(&text);
    for kind in ["uts", "pid"] {
        let own =
            look::namespace_inode(&std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap())
                .unwrap();
        assert!(text.contains(&own.to_string()), "{kind} {own}\n{text}");
    }
    let refused = Command::new(program).arg("--what").output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
}
