//! Taking names away, and what no name and no container needs any more.

use std::collections::BTreeSet;

use rustix::io::Errno;

use super::images;
use super::{Store, state};
use crate::digest::{Digest, ImageId};
use crate::error::Cause;
use crate::{Error, Reference};

/// Tells which containers use an image, by name or id; asked with the store locked, so that it must not use the store.
///
/// Asked then and not before: with the lock held nobody holds a [`Store::pin`], so that whoever has made a container
/// of the image has recorded it.
pub type InUse<'a> = &'a dyn Fn(&ImageId) -> Result<Vec<String>, Cause>;

/// What a removal did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Removed {
    /// Names that are gone.
    pub untagged: Vec<Reference>,
    /// The image, if it is gone too.
    pub image: Option<ImageId>,
    /// Layers that no other image has.
    pub layers: Vec<Digest>,
}

impl Store {
    /// Takes a name away, and with the last one the image, its blobs and the layers that no other image has.
    ///
    /// By id, the image goes with all its names; with more than one only by
    /// `force`. An image that is used is kept; `force` then takes its names away only.
    ///
    /// # Errors
    /// Those of [`Store::resolve`]; [`Error::InUse`], [`Error::SeveralNames`]; [`Error::UsersUnknown`].
    pub fn remove(&self, name: &str, force: bool, in_use: InUse<'_>) -> Result<Removed, Error> {
        self.lay_out()?;
        let lock = self.lock(true)?;
        let (record, by_name) = self.find(name)?;
        let mut references = images::references(&self.fd)?
            .remove(&record.id)
            .unwrap_or_default();
        let going = match &by_name {
            Some(reference) => going_with(reference, &references),
            None => references.clone(),
        };
        let tags = |list: &[Reference]| list.iter().filter(|r| r.tag().is_some()).count();
        if by_name.is_none() && tags(&going) > 1 && !force {
            return Err(Error::SeveralNames {
                image: name.to_owned(),
                references: going.iter().map(Reference::familiar).collect(),
            });
        }
        references.retain(|reference| !going.contains(reference));
        let mut removed = Removed {
            untagged: going,
            ..Removed::default()
        };
        let last = references.is_empty();
        if last {
            let containers = in_use(&record.id).map_err(|source| Error::UsersUnknown {
                image: name.to_owned(),
                source,
            })?;
            if containers.is_empty() {
                removed.image = Some(record.id);
            } else if !force {
                return Err(Error::InUse {
                    image: name.to_owned(),
                    containers,
                });
            }
        }
        for reference in &removed.untagged {
            images::unpoint(&self.fd, reference)?;
        }
        if removed.image.is_none() {
            return Ok(removed);
        }
        state::remove(&self.fd, &format!("images/{}.json", record.id.hex()))?;
        let staging = self.layers()?.stage()?;
        removed.layers = self.collect(&staging)?;
        // Deleting files takes its time; nobody need wait for it.
        drop(lock);
        staging.delete()?;
        Ok(removed)
    }

    /// Removes the layers that killed processes were unpacking: cheap where there are none, for one folder is listed.
    ///
    /// # Errors
    /// [`Error::Call`].
    pub fn sweep_unfinished(&self) -> Result<(), Error> {
        match self.layers() {
            Err(call) if call.errno() == Errno::NOENT => Ok(()),
            layers => Ok(layers?.sweep()?),
        }
    }

    /// Removes what killed processes left behind, which no command sees: call it now and then.
    ///
    /// # Errors
    /// [`Error::Call`].
    pub fn sweep(&self) -> Result<(), Error> {
        if !self.is_laid_out()? {
            return Ok(());
        }
        let layers = self.layers()?;
        layers.sweep()?;
        let lock = self.lock(true)?;
        images::sweep(&self.fd)?;
        let staging = layers.stage()?;
        self.collect(&staging)?;
        drop(lock);
        Ok(staging.delete()?)
    }

    /// Moves layers of no image to `staging`, and deletes blobs of none. The lock must be held:
    /// images get their layers with it held, so what is of no image now will never be.
    fn collect(&self, staging: &super::Staging) -> Result<Vec<Digest>, Error> {
        let mut layers = BTreeSet::new();
        let mut blobs = BTreeSet::new();
        for id in images::ids(&self.fd)? {
            if let Some(record) = images::record(&self.fd, &id)? {
                blobs.extend([record.id, record.manifest]);
                layers.extend(record.layers.iter().map(|layer| layer.id));
            }
        }
        let folder = state::open_folder(&self.fd, "blobs/sha256")?;
        for name in state::names(&folder)? {
            if Digest::from_hex(&name).is_some_and(|digest| !blobs.contains(&digest)) {
                state::remove(&folder, &name)?;
            }
        }
        let all = self.layers()?;
        let mut unused = all.ids()?;
        unused.retain(|id| !layers.contains(id));
        for id in &unused {
            all.retire(staging, id)?;
        }
        Ok(unused)
    }
}

/// The names that go with `reference`: itself, and with a repository's last
/// tag also the digests that it was pulled by, which no user gave.
fn going_with(reference: &Reference, all: &[Reference]) -> Vec<Reference> {
    let mut going = vec![match reference.digest() {
        Some(digest) => reference.with_digest(*digest),
        None => reference.clone(),
    }];
    let same = |other: &&Reference| other.name() == reference.name();
    let tags = all
        .iter()
        .filter(same)
        .filter(|other| other.tag().is_some())
        .count();
    if reference.digest().is_none() && tags == 1 {
        going.extend(
            all.iter()
                .filter(same)
                .filter(|other| other.tag().is_none())
                .cloned(),
        );
    }
    going
}
