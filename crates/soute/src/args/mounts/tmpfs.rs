//! `--tmpfs TARGET[:OPTIONS]`.

use soute_engine::request::{MountKind, MountRequest};

use super::super::numbers;
use super::target;

/// Options as in tmpfs(5); without any it is noexec, nosuid, nodev, as in Docker.
pub fn parse(text: &str) -> Result<MountRequest, String> {
    let (destination, options) = text.split_once(':').unwrap_or((text, ""));
    let mut tmpfs = Tmpfs::default();
    for option in options.split(',').filter(|option| !option.is_empty()) {
        tmpfs.set(option)?;
    }
    tmpfs.at(destination)
}

/// What a tmpfs is asked to be, collected option by option.
#[derive(Default)]
pub struct Tmpfs {
    pub size: Option<u64>,
    pub mode: Option<u32>,
    pub read_only: bool,
    pub exec: bool,
    pub suid: bool,
    pub dev: bool,
    pub inodes: Option<u64>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
}

impl Tmpfs {
    fn set(&mut self, option: &str) -> Result<(), String> {
        match option.split_once('=') {
            None => match option {
                "ro" => self.read_only = true,
                "rw" => self.read_only = false,
                "exec" => self.exec = true,
                "noexec" => self.exec = false,
                "suid" => self.suid = true,
                "nosuid" => self.suid = false,
                "dev" => self.dev = true,
                "nodev" => self.dev = false,
                _ => return Err(format!("unknown tmpfs option '{option}'")),
            },
            Some(("size", size)) => self.size = Some(numbers::bytes(size)?),
            Some(("mode", mode)) => self.mode = Some(octal_mode(mode)?),
            Some(("nr_inodes", inodes)) => self.inodes = Some(numbers::bytes(inodes)?),
            Some(("uid", uid)) => self.uid = Some(id(uid)?),
            Some(("gid", gid)) => self.gid = Some(id(gid)?),
            Some((name, _)) => return Err(format!("unknown tmpfs option '{name}'")),
        }
        Ok(())
    }

    /// The mount of it at `destination`.
    pub fn at(self, destination: &str) -> Result<MountRequest, String> {
        Ok(MountRequest {
            target: target::clean(destination)?,
            source: MountKind::Tmpfs {
                size: self.size,
                mode: self.mode,
                exec: self.exec,
                suid: self.suid,
                dev: self.dev,
                inodes: self.inodes,
                uid: self.uid,
                gid: self.gid,
            },
            read_only: self.read_only,
            no_copy: false,
        })
    }
}

/// A folder's mode: octal, set-id and sticky bits included.
pub fn octal_mode(text: &str) -> Result<u32, String> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let mode = digits.then(|| u32::from_str_radix(text, 8).ok()).flatten();
    mode.filter(|mode| *mode <= 0o7777)
        .ok_or_else(|| format!("'{text}' is not an octal mode such as 1777"))
}

/// A user or group number; the largest is no id but "no change" to the kernel.
fn id(text: &str) -> Result<u32, String> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let id = digits.then(|| text.parse().ok()).flatten();
    id.filter(|id| *id < u32::MAX)
        .ok_or_else(|| format!("'{text}' is not a user or group number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        let mount = parse("/x:size=64m,mode=1770,exec,suid,dev,noexec,ro,nr_inodes=1k,uid=1,gid=2")
            .unwrap();
        let expected = MountRequest {
            target: "/x".to_owned(),
            source: MountKind::Tmpfs {
                size: Some(64 << 20),
                mode: Some(0o1770),
                exec: false,
                suid: true,
                dev: true,
                inodes: Some(1024),
                uid: Some(1),
                gid: Some(2),
            },
            read_only: true,
            no_copy: false,
        };
        assert_eq!(mount, expected);
        assert_eq!(parse("/x").unwrap(), Tmpfs::default().at("/x").unwrap());
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "x",
            "/",
            "/x:foo",
            "/x:size=",
            "/x:size=50%",
            "/x:mode=9",
            "/x:mode=",
            "/x:mode=+7",
            "/x:mode=17777",
            "/x:uid=-1",
            "/x:uid=4294967295",
            "/x:huge=always",
            "/x:exec=1",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
