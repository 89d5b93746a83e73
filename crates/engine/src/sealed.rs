//! The engine's own executable, out of a container's reach.
//!
//! A user namespace keeps a container's root from writing it as long as the file's owner is nobody in it. Where the
//! owner is somebody, the command goes on from a file that nobody can write ([`soute_runtime::executable`]).

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use soute_runtime::executable::{EXECUTABLE, is_out_of_reach, put_out_of_reach};
use soute_runtime::idmap::IdMaps;

use crate::error::{Error, io};
use crate::request::UserNamespace;
use crate::{Engine, subids};

impl Engine {
    /// Makes this process safe to start a container with, before anything is read or made that cannot be a second
    /// time: the command may begin anew here.
    ///
    /// `userns` is what was asked for, `joined` the containers of which a namespace is shared.
    pub fn shield<'a>(
        &self,
        userns: Option<&UserNamespace>,
        privileged: bool,
        joined: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), Error> {
        let mut join = joined.into_iter().peekable();
        if join.peek().is_some() {
            return join.try_for_each(|name| self.shield_in(name));
        }
        match self.user_namespace(userns, privileged) {
            // Its ids are nobody's on the machine.
            UserNamespace::Auto => Ok(()),
            UserNamespace::Host => shield(None),
            UserNamespace::Remap { user, group } => {
                shield(Some(&subids::remap(user, group.as_deref())?))
            }
        }
    }

    /// [`Self::shield`] before a container that is there is started or entered.
    pub fn shield_in(&self, name: &str) -> Result<(), Error> {
        shield(self.find(name)?.id_maps.as_ref())
    }
}

fn shield(maps: Option<&IdMaps>) -> Result<(), Error> {
    match owner_is_nobody(maps)? {
        true => Ok(()),
        false => Ok(put_out_of_reach()?),
    }
}

/// Refuses to go on where [`Engine::shield`] was needed and not called.
pub(crate) fn require(maps: Option<&IdMaps>) -> Result<(), Error> {
    match is_safe(maps)? {
        true => Ok(()),
        false => Err(Error::Impossible(
            "the container's root could write the engine's executable, and this process has not put it out of reach"
                .to_owned(),
        )),
    }
}

/// Whether a container with these id maps cannot write this process's executable.
fn is_safe(maps: Option<&IdMaps>) -> Result<bool, Error> {
    Ok(owner_is_nobody(maps)? || is_out_of_reach()?)
}

/// Whether the executable's owner is nobody in a container with these id maps.
fn owner_is_nobody(maps: Option<&IdMaps>) -> Result<bool, Error> {
    let Some(maps) = maps else {
        return Ok(false);
    };
    let path = Path::new(EXECUTABLE);
    let owner = io("looking at", path, std::fs::metadata(path))?.uid();
    let somebody = |r: &soute_runtime::idmap::IdRange| owner >= r.host && owner - r.host < r.size;
    Ok(!maps.uids.iter().any(somebody))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_harmless_if_the_owner_is_nobody_in_it() {
        let owner = std::fs::metadata(EXECUTABLE).unwrap().uid();
        let maps = |first: u32| IdMaps::contiguous(first, first, 65_536);
        assert!(is_safe(Some(&maps(owner + 1))).unwrap());
        assert!(!is_safe(Some(&maps(owner))).unwrap());
        assert!(!is_safe(None).unwrap());
        assert!(require(None).is_err());
    }
}
