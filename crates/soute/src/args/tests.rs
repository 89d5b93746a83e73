//! Whole command lines.

use clap::{Command, FromArgMatches as _};
use soute_engine::request::{Endpoint, MountKind, Network, Share, UserNamespace};

use super::outside::tests::Pretended;
use super::*;

fn create(words: &[&str]) -> Result<Creation> {
    let command = crate::cli::as_docker_parses(CreateArgs::augment_args(
        Command::new("run").disable_help_flag(true),
    ));
    let words = std::iter::once(&"run").chain(words);
    let arguments = CreateArgs::from_arg_matches(&command.try_get_matches_from(words)?)?;
    arguments.into_request(&Pretended::default())
}

fn request(line: &str) -> Request {
    let words: Vec<_> = line.split_whitespace().collect();
    create(&words)
        .unwrap_or_else(|e| panic!("{line}: {e:#}"))
        .request
}

#[test]
fn without_flags_everything_is_the_default() {
    let bridge = Endpoint {
        network: "bridge".into(),
        ..Endpoint::default()
    };
    let expected = Request {
        source: Source::Image("debian".into()),
        network: Network::Networks(vec![bridge]),
        ..Request::default()
    };
    assert_eq!(request("debian"), expected);
}

#[test]
fn words_after_the_image_belong_to_the_command() {
    for (line, command) in [
        ("debian ls -la --rm", &["ls", "-la", "--rm"][..]),
        ("debian -it", &["-it"]),
        ("debian --rm", &["--rm"]),
        ("debian -- x", &["--", "x"]),
        ("-- debian -e A", &["-e", "A"]),
        ("-i debian --name x", &["--name", "x"]),
        ("-e A=1 debian sh -c true", &["sh", "-c", "true"]),
        ("debian --no-such-flag", &["--no-such-flag"]),
        ("debian help", &["help"]),
    ] {
        let request = request(line);
        assert_eq!(request.source, Source::Image("debian".into()), "{line}");
        assert_eq!(request.command, command, "{line}");
        assert!(
            !request.remove && !request.terminal && request.name.is_none(),
            "{line}"
        );
    }
}

#[test]
fn booleans_combine_and_take_values() {
    for (line, interactive, terminal, remove) in [
        ("-it --rm debian", true, true, true),
        ("-ti debian", true, true, false),
        ("-it=false --rm=true debian", true, false, true),
        ("-i=0 --tty debian", false, true, false),
        ("--rm --rm=false debian", false, false, false),
        ("-itw /x debian", true, true, false),
    ] {
        let request = request(line);
        assert_eq!(
            (request.interactive, request.terminal, request.remove),
            (interactive, terminal, remove),
            "{line}"
        );
        assert_eq!(request.source, Source::Image("debian".into()), "{line}");
    }
}

#[test]
fn flags_reach_the_request() {
    let request = request(
        "-h host --domainname dom --name web -e A=1 -w /srv -u bob:staff --group-add audio --entrypoint /bin/sh \
         -v data:/data:ro --tmpfs /run --read-only --cap-add net_admin --cap-drop ALL --security-opt no-new-privileges \
         --ulimit nofile=10:20 --ulimit nofile=30 --sysctl net.ipv4.ip_forward=1 --device /dev/fuse --pid host --ipc private --uts private \
         --cgroupns host --userns remap:bob:bob --net host --init --stop-signal INT --stop-timeout -5 -l a=b -l c \
         --shm-size 1m --add-host db:10.0.0.1 --dns 1.1.1.1 --dns-search example.com --dns-opt ndots:2 \
         --oom-score-adj -500 --cgroup-parent /mine --platform linux/arm64 -m 64m --memory-swap -1 debian",
    );
    assert_eq!(request.hostname.as_deref(), Some("host"));
    assert_eq!(request.domain_name.as_deref(), Some("dom"));
    assert_eq!(request.name.as_deref(), Some("web"));
    assert_eq!(request.environment, ["A=1"]);
    assert_eq!(request.working_directory.as_deref(), Some("/srv"));
    assert_eq!(request.user.as_deref(), Some("bob:staff"));
    assert_eq!(request.additional_groups, ["audio"]);
    assert_eq!(request.entrypoint, Some(vec!["/bin/sh".to_owned()]));
    assert_eq!(request.mounts.len(), 2);
    assert!(matches!(request.mounts[0].source, MountKind::Volume { .. }));
    assert!(request.read_only && request.init && request.security.no_new_privileges);
    assert_eq!(request.cap_add, ["CAP_NET_ADMIN"]);
    assert_eq!(request.cap_drop, ["ALL"]);
    assert_eq!(request.ulimits.len(), 1);
    assert_eq!(request.ulimits[0].soft, 30);
    assert_eq!(request.sysctls["net.ipv4.ip_forward"], "1");
    assert_eq!(request.devices[0].permissions, "rwm");
    assert_eq!(
        (request.pid, request.ipc, request.uts, request.cgroupns),
        (Share::Host, Share::Private, Share::Private, Share::Host)
    );
    assert!(matches!(request.userns, Some(UserNamespace::Remap { .. })));
    assert_eq!(request.network, Network::Host);
    assert_eq!(
        (request.stop_signal, request.stop_timeout),
        (Some(2), Some(-1))
    );
    assert_eq!(
        request.labels,
        [("a", "b"), ("c", "")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into()
    );
    assert_eq!(
        request.extra_hosts,
        [("db".to_owned(), "10.0.0.1".parse().unwrap())]
    );
    assert_eq!(
        request.dns,
        ["1.1.1.1".parse::<std::net::IpAddr>().unwrap()]
    );
    assert_eq!(request.dns_search, ["example.com"]);
    assert_eq!(request.dns_options, ["ndots:2"]);
    assert_eq!(request.oom_score_adj, Some(-500));
    assert_eq!(request.cgroup_parent.as_deref(), Some("/mine"));
    assert_eq!(request.platform.as_deref(), Some("linux/arm64"));
    assert_eq!(
        (request.resources.memory, request.resources.memory_swap),
        (Some(64 << 20), Some(-1))
    );
}

#[test]
fn an_empty_entrypoint_clears_the_images() {
    let request = create(&["--entrypoint", "", "debian", "ls"])
        .unwrap()
        .request;
    assert_eq!(request.entrypoint, Some(Vec::new()));
}

#[test]
fn a_directory_takes_the_place_of_the_image() {
    let request = request("--rootfs ../tree -i ls -la");
    assert_eq!(
        request.source,
        Source::Directory("/home/bob/../tree".into())
    );
    assert_eq!(request.command, ["ls", "-la"]);
}

#[test]
fn the_last_of_several_values_counts() {
    assert_eq!(
        request("--name aa --name bb debian").name.as_deref(),
        Some("bb")
    );
}

#[test]
fn what_cannot_be_is_refused() {
    for (line, complaint) in [
        ("", "an image is needed"),
        ("--badflag debian", "unexpected argument '--badflag'"),
        (
            "-m 12q debian",
            "invalid value '12q' for '--memory <BYTES>'",
        ),
        ("--name ! debian", "invalid value '!' for '--name <NAME>'"),
        (
            "--pull sometimes debian",
            "invalid value 'sometimes' for '--pull <WHEN>'",
        ),
        ("--rm=perhaps debian", "'perhaps' is neither true nor false"),
        ("--network ns:x debian", "an absolute path is expected"),
        (
            "--network ns:/x -p 80:80 debian",
            "cannot be given with --network ns:/x",
        ),
        (
            "--network ns:/x --ip 10.0.0.1 debian",
            "for a container in a network of its own",
        ),
        (
            "--network host --add-host a:host-gateway debian",
            "cannot be given with --network host",
        ),
        (
            "--network ns:/x --add-host a:host-gateway debian",
            "cannot be given with --network ns:/x",
        ),
        (
            "--network none --add-host a:host-gateway debian",
            "cannot be given with --network none",
        ),
        (
            "--network a --network host debian",
            "go with no other --network",
        ),
        ("-p 80: debian", "the container's port is missing"),
        (
            "-p 80:80 --network host debian",
            "cannot be given with --network host",
        ),
        (
            "--network none --ip 10.0.0.1 debian",
            "for a container in a network of its own",
        ),
        (
            "-P --network none debian",
            "cannot be given with --network none",
        ),
        ("-w rel debian", "an absolute path is expected"),
        ("--oom-score-adj 1001 debian", "1001 is not in -1000..=1000"),
        (
            "--platform a/b/c/d debian",
            "os[/arch[/variant]] is expected",
        ),
        (
            "-v data:/x:z debian",
            "SELinux relabelling is not there yet",
        ),
        ("--rootfs /x", "--rootfs brings no command of its own"),
        (
            "--rootfs /x --platform linux ls",
            "--platform says which image to take",
        ),
        (
            "--rootfs /x --pull never ls",
            "--pull says which image to take",
        ),
        (
            "-h a --uts host debian",
            "--hostname cannot be given with --uts host",
        ),
        (
            "-h a --network container:b debian",
            "--hostname cannot be given with --network container:b",
        ),
        (
            "--dns 1.1.1.1 --net container:b debian",
            "--dns cannot be given with --network container:b",
        ),
        (
            "--privileged --userns auto debian",
            "--privileged cannot be given with a user namespace",
        ),
        (
            "--userns host --pid container:b debian",
            "--userns cannot be given with container:",
        ),
        (
            "--shm-size 1m --ipc host debian",
            "--shm-size cannot be given with --ipc host",
        ),
        (
            "--userns keep-id debian",
            "auto, host or remap:USER[:GROUP] is expected",
        ),
    ] {
        let words: Vec<_> = line.split_whitespace().collect();
        let error = format!(
            "{:#}",
            create(&words)
                .err()
                .unwrap_or_else(|| panic!("{line} was taken"))
        );
        assert!(error.contains(complaint), "{line}: {error}");
    }
}
