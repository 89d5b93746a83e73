//! One process, with what is shown of it.

use crate::Error;
use crate::proc::{IdMap, Look, ProcessFolder, ProcessStat, ProcessStatus};

/// A process as it was at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// From /proc/PID/stat.
    pub stat: ProcessStat,
    /// From /proc/PID/status.
    pub status: ProcessStatus,
    /// The command line; empty of kernel threads and zombies, and where it is hidden.
    pub words: Vec<Vec<u8>>,
}

impl Process {
    /// Reads it.
    pub fn read(folder: &ProcessFolder) -> Result<Look<Self>, Error> {
        let stat = match folder.stat()? {
            Look::Seen(stat) => stat,
            Look::Gone => return Ok(Look::Gone),
            Look::Hidden => return Ok(Look::Hidden),
        };
        let status = match folder.status()? {
            Look::Seen(status) => status,
            Look::Gone => return Ok(Look::Gone),
            Look::Hidden => return Ok(Look::Hidden),
        };
        let words = folder.command_line()?.seen().unwrap_or_default();
        Ok(Look::Seen(Self {
            stat,
            status,
            words,
        }))
    }

    /// Its number here.
    pub fn pid(&self) -> u32 {
        self.status.pid
    }

    /// The command line with blanks between its words, or as ps(1) has it the name in brackets: any bytes.
    pub fn command(&self) -> Vec<u8> {
        if self.words.is_empty() {
            [b"[", &self.stat.comm[..], b"]"].concat()
        } else {
            self.words.join(&b' ')
        }
    }
}

/// The maps of a process's user namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdMaps {
    /// Of user ids.
    pub uid: IdMap,
    /// Of group ids.
    pub gid: IdMap,
}

impl IdMaps {
    /// Reads /proc/PID/uid_map and gid_map; `None` where they are hidden or the process has ended.
    pub fn read(folder: &ProcessFolder) -> Result<Option<Self>, Error> {
        let (Look::Seen(uid), Look::Seen(gid)) = (folder.read("uid_map")?, folder.read("gid_map")?)
        else {
            return Ok(None);
        };
        Ok(Some(Self {
            uid: IdMap::parse(&uid)?,
            gid: IdMap::parse(&gid)?,
        }))
    }
}
