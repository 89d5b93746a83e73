//! A bundle's config.json: read, planned, and its filter compiled.

#![no_main]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use soute_runtime::capabilities::CapSet;
use soute_runtime::cgroups::{Layout, Place};
use soute_runtime::hooks::HookState;
use soute_runtime::seccomp::{Filter, KernelVersion, Summary};
use soute_runtime::spec::{Config, Machine, late_hooks, plan};

static BUNDLE: LazyLock<(tempfile::TempDir, PathBuf)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("rootfs")).unwrap();
    let path = folder.path().to_owned();
    (folder, path)
});

static MACHINE: LazyLock<Machine> = LazyLock::new(|| Machine {
    layout: Layout::discover().unwrap(),
    kernel: KernelVersion::new(6, 1),
    last_capability: 40,
});

fuzz_target!(|bytes: &[u8]| {
    let Ok(config) = Config::parse(bytes, BUNDLE.1.clone()) else {
        return;
    };
    let linux = config.spec.linux().as_ref();
    let path = linux.and_then(|linux| linux.cgroups_path().as_deref());
    let path = path.and_then(Path::to_str).unwrap_or_default();
    if let Ok(cgroup) = Place::from_spec(&MACHINE.layout, path, "fuzz") {
        assert!(
            !cgroup.path().split('/').any(|part| part == ".."),
            "{cgroup:?}"
        );
        if let Ok(planned) = plan(&config, &cgroup, &MACHINE, HookState::default()) {
            assert!(
                planned
                    .plan
                    .mounts
                    .iter()
                    .all(|mount| mount.target.starts_with('/'))
            );
        }
    }
    _ = late_hooks(&config.spec);
    if let Some(profile) = &config.seccomp {
        let filter = Filter::compile(profile, CapSet::default(), MACHINE.kernel);
        assert!(filter.is_err() || Summary::of(profile, CapSet::default(), MACHINE.kernel).is_ok());
    }
});
