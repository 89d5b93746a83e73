//! The program's own file, out of a container's reach.
//!
//! Until execve, a process that enters a container is this program, and an image whose program is a script that begins
//! with `#!/proc/self/exe` makes it run inside, where the container's root may write its file (CVE-2019-5736). A
//! runtime starts containers for others, most of which share the machine's users, so it always executes itself anew
//! first: through an overlay without an upper layer, which nobody can write to, and which takes less time than a copy
//! in memory.

use anyhow::Result;
use soute_runtime::executable::{self, is_out_of_reach};

/// Goes on from a file that cannot be written; returns in the process that does.
pub fn begin_anew() -> Result<()> {
    match is_out_of_reach()? {
        true => Ok(()),
        false => match executable::begin_anew()? {},
    }
}
