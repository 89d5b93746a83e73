use super::*;

#[test]
fn names_are_the_kernels() {
    // rustix takes its numbers from the kernel's headers.
    for (name, flag) in CapabilitySet::all().iter_names() {
        let cap: Cap = name.parse().unwrap();
        assert_eq!(cap.bit(), flag.bits(), "{name}");
    }
    assert_eq!(CapabilitySet::all().iter_names().count(), NAMES.len());
    assert_eq!(Cap::LAST.name(), "CAP_CHECKPOINT_RESTORE");
    assert_eq!(CapSet::ALL.bits(), (1 << 41) - 1);
}

#[test]
fn constants_have_their_names() {
    for (cap, name) in [
        (Cap::NET_BIND_SERVICE, "CAP_NET_BIND_SERVICE"),
        (Cap::NET_RAW, "CAP_NET_RAW"),
        (Cap::SYS_ADMIN, "CAP_SYS_ADMIN"),
        (Cap::SYS_TTY_CONFIG, "CAP_SYS_TTY_CONFIG"),
        (Cap::SETFCAP, "CAP_SETFCAP"),
        (Cap::SYSLOG, "CAP_SYSLOG"),
        (Cap::PERFMON, "CAP_PERFMON"),
        (Cap::BPF, "CAP_BPF"),
    ] {
        assert_eq!(cap.name(), name);
    }
    // As /proc/1/status shows it in a Docker container.
    assert_eq!(CapSet::DEFAULT.bits(), 0xa804_25fb);
}

#[test]
fn words_are_read_as_docker_reads_them() {
    for word in ["CAP_NET_RAW", "NET_RAW", "net_raw", "cap_Net_Raw"] {
        assert_eq!(word.parse(), Ok(Cap::NET_RAW), "{word}");
    }
    for word in [
        "",
        "CAP_",
        "CAP_CAP_NET_RAW",
        "NET-RAW",
        "all",
        " NET_RAW",
        "13",
    ] {
        assert_eq!(
            word.parse::<Cap>(),
            Err(CapabilityError::Unknown(word.into()))
        );
    }
}

#[test]
fn sets_are_lists_of_names() {
    let set = CapSet::of(&[Cap::SYS_ADMIN, Cap::CHOWN]);
    let text = serde_json::to_string(&set).unwrap();
    assert_eq!(text, r#"["CAP_CHOWN","CAP_SYS_ADMIN"]"#);
    assert_eq!(serde_json::from_str::<CapSet>(&text).unwrap(), set);
    assert!(serde_json::from_str::<CapSet>(r#"["CAP_NO_SUCH"]"#).is_err());
    assert_eq!(set.to_string(), "CAP_CHOWN,CAP_SYS_ADMIN");
}

#[test]
fn add_and_drop() {
    let last = Cap::LAST.number();
    let of = |add: &[&str], drop: &[&str]| resolve(add, drop, false, last).unwrap();
    let default = CapSet::DEFAULT;
    let net_raw = CapSet::of(&[Cap::NET_RAW]);
    let admin = CapSet::of(&[Cap::SYS_ADMIN]);
    assert_eq!(of(&[], &[]), default);
    assert_eq!(
        of(&["sys_admin"], &["net_raw"]),
        default.union(admin).without(net_raw)
    );
    assert_eq!(of(&[], &["ALL"]), CapSet::EMPTY);
    assert_eq!(of(&["net_raw"], &["all"]), net_raw);
    assert_eq!(of(&["ALL"], &[]), CapSet::ALL);
    assert_eq!(of(&["ALL"], &["net_raw"]), CapSet::ALL.without(net_raw));
    assert_eq!(of(&["ALL"], &["ALL"]), CapSet::ALL);
    assert_eq!(of(&["net_raw"], &["net_raw"]), default);
    let none: [&str; 0] = [];
    assert_eq!(resolve(&none, &none, true, last).unwrap(), CapSet::ALL);
    assert_eq!(
        resolve(&none, &["CAP_NO"], true, last),
        Err(CapabilityError::Unknown("CAP_NO".into()))
    );
}

#[test]
fn an_older_kernel() {
    let none: [&str; 0] = [];
    assert_eq!(
        resolve(&["bpf"], &none, false, 37),
        Err(CapabilityError::NotInKernel(Cap::BPF, 37))
    );
    assert_eq!(
        resolve(&["all"], &none, false, 37).unwrap().bits(),
        (1 << 38) - 1
    );
    assert_eq!(resolve(&["all"], &none, false, 63).unwrap(), CapSet::ALL);
}

#[test]
fn nothing_is_inheritable_and_users_have_none() {
    let root = Capabilities::for_user(CapSet::DEFAULT, 0);
    assert_eq!(root.effective, CapSet::DEFAULT);
    assert_eq!(root.permitted, CapSet::DEFAULT);
    assert_eq!(
        (root.inheritable, root.ambient),
        (CapSet::EMPTY, CapSet::EMPTY)
    );
    let user = Capabilities::for_user(CapSet::DEFAULT, 1000);
    assert_eq!(
        user,
        Capabilities {
            bounding: CapSet::DEFAULT,
            ..Default::default()
        }
    );
}

/// The sets are a thread's, so a thread of its own can try them on.
#[test]
fn the_kernel_agrees() {
    let kernel = thread::capabilities(None).unwrap().permitted;
    assert!(
        kernel.contains(CapabilitySet::SETPCAP),
        "this test runs as root"
    );
    std::thread::spawn(|| {
        let wanted = CapSet::of(&[Cap::CHOWN, Cap::NET_RAW]);
        let mut capabilities = Capabilities::for_user(wanted, 0);
        capabilities.inheritable = CapSet::of(&[Cap::NET_RAW]);
        capabilities.ambient = CapSet::of(&[Cap::NET_RAW]);
        capabilities.apply_bounding().unwrap();
        capabilities.apply().unwrap();
        // What is gone already does not need CAP_SETPCAP; what is still there does.
        capabilities.apply_bounding().unwrap();
        let refused = Capabilities::for_user(CapSet::EMPTY, 0)
            .apply_bounding()
            .unwrap_err();
        assert_eq!(refused.errno(), Errno::PERM);
        let refused = Capabilities::for_user(CapSet::ALL, 0).apply().unwrap_err();
        assert_eq!(refused.errno(), Errno::PERM);

        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let shown = |field: &str| {
            let line = status.lines().find_map(|l| l.strip_prefix(field)).unwrap();
            u64::from_str_radix(line.trim_start_matches(':').trim(), 16).unwrap()
        };
        assert_eq!(shown("CapBnd"), wanted.bits());
        assert_eq!(shown("CapEff"), wanted.bits());
        assert_eq!(shown("CapPrm"), wanted.bits());
        assert_eq!(shown("CapInh"), capabilities.inheritable.bits());
        assert_eq!(shown("CapAmb"), capabilities.ambient.bits());
    })
    .join()
    .unwrap();
}
