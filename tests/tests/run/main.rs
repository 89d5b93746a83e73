//! `soute run` and its kin as users meet them: one file per topic.

#![allow(
    clippy::disallowed_methods,
    reason = "a test lays its files where nobody else knows of them"
)]

mod attach;
mod binds;
mod capabilities;
mod create;
mod detach_keys;
mod detached;
mod devices;
mod diff;
mod entry;
mod environment;
mod exec;
mod exec_privileged;
mod exec_terminal;
mod exit_codes;
mod hello;
mod host_files;
mod init;
mod lesser_root;
mod limits;
mod logs;
mod machine_devices;
mod many;
mod names;
mod namespaces;
mod neighbours;
mod own_files;
mod patience;
mod privileged;
mod process;
mod ps;
mod restart;
mod rootfs;
mod seccomp;
mod security_modules;
mod signals;
mod stats;
mod stop;
mod streams;
mod surroundings;
mod terminal;
mod tmpfs;
mod update;
mod users;
mod volumes;
