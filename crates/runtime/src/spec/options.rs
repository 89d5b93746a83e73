//! Mount options as config.json writes them (runtime-spec, config.md, "Linux mount options").

use soute_sys::mount::{
    ATIME_MASK, NOATIME, NODEV, NODIRATIME, NOEXEC, NOSUID, NOSYMFOLLOW, PRIVATE, RDONLY, SHARED,
    SLAVE, STRICTATIME, UNBINDABLE,
};

use crate::plan::{Attributes, Propagation};

/// What a word does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// Sets these attributes of the mount.
    Set(u64),
    /// Clears them.
    Clear(u64),
    /// Sets these attributes of the mount and of all below.
    SetAll(u64),
    /// Clears them.
    ClearAll(u64),
    /// How events spread.
    Propagate(Propagation),
    /// A bind; with what is mounted below or without.
    Bind { recursive: bool },
    /// The ids are mapped.
    Idmap { recursive: bool },
    /// A tmpfs begins with what it covers.
    CopyUp,
    /// A flag of the file system, by its name for fsconfig(2).
    Filesystem(&'static str),
    /// What is so in any case.
    Nothing,
}

const fn one(kind: u64) -> Effect {
    Effect::Propagate(Propagation {
        kind,
        recursive: false,
    })
}

const fn every(kind: u64) -> Effect {
    Effect::Propagate(Propagation {
        kind,
        recursive: true,
    })
}

/// Every word that is no option of the file system's own.
const WORDS: &[(&str, Effect)] = &[
    ("async", Effect::Nothing),
    ("atime", Effect::Clear(NOATIME)),
    ("bind", Effect::Bind { recursive: false }),
    ("defaults", Effect::Nothing),
    ("dev", Effect::Clear(NODEV)),
    ("diratime", Effect::Clear(NODIRATIME)),
    ("dirsync", Effect::Filesystem("dirsync")),
    ("exec", Effect::Clear(NOEXEC)),
    ("idmap", Effect::Idmap { recursive: false }),
    ("iversion", Effect::Filesystem("iversion")),
    ("lazytime", Effect::Filesystem("lazytime")),
    ("loud", Effect::Nothing),
    ("mand", Effect::Filesystem("mand")),
    ("noatime", Effect::Set(NOATIME)),
    ("nodev", Effect::Set(NODEV)),
    ("nodiratime", Effect::Set(NODIRATIME)),
    ("noexec", Effect::Set(NOEXEC)),
    ("noiversion", Effect::Nothing),
    ("nolazytime", Effect::Nothing),
    ("nomand", Effect::Nothing),
    ("norelatime", Effect::Clear(0)),
    ("nostrictatime", Effect::Clear(STRICTATIME)),
    ("nosuid", Effect::Set(NOSUID)),
    ("nosymfollow", Effect::Set(NOSYMFOLLOW)),
    ("private", one(PRIVATE)),
    ("ratime", Effect::ClearAll(NOATIME)),
    ("rbind", Effect::Bind { recursive: true }),
    ("rdev", Effect::ClearAll(NODEV)),
    ("rdiratime", Effect::ClearAll(NODIRATIME)),
    ("relatime", Effect::Clear(ATIME_MASK)),
    ("rexec", Effect::ClearAll(NOEXEC)),
    ("ridmap", Effect::Idmap { recursive: true }),
    ("rnoatime", Effect::SetAll(NOATIME)),
    ("rnodev", Effect::SetAll(NODEV)),
    ("rnodiratime", Effect::SetAll(NODIRATIME)),
    ("rnoexec", Effect::SetAll(NOEXEC)),
    ("rnorelatime", Effect::ClearAll(0)),
    ("rnostrictatime", Effect::ClearAll(STRICTATIME)),
    ("rnosuid", Effect::SetAll(NOSUID)),
    ("rnosymfollow", Effect::SetAll(NOSYMFOLLOW)),
    ("ro", Effect::Set(RDONLY)),
    ("rprivate", every(PRIVATE)),
    ("rrelatime", Effect::ClearAll(ATIME_MASK)),
    ("rro", Effect::SetAll(RDONLY)),
    ("rrw", Effect::ClearAll(RDONLY)),
    ("rshared", every(SHARED)),
    ("rslave", every(SLAVE)),
    ("rstrictatime", Effect::SetAll(STRICTATIME)),
    ("rsuid", Effect::ClearAll(NOSUID)),
    ("rsymfollow", Effect::ClearAll(NOSYMFOLLOW)),
    ("runbindable", every(UNBINDABLE)),
    ("rw", Effect::Clear(RDONLY)),
    ("shared", one(SHARED)),
    ("silent", Effect::Filesystem("silent")),
    ("slave", one(SLAVE)),
    ("strictatime", Effect::Set(STRICTATIME)),
    ("suid", Effect::Clear(NOSUID)),
    ("symfollow", Effect::Clear(NOSYMFOLLOW)),
    ("sync", Effect::Filesystem("sync")),
    ("tmpcopyup", Effect::CopyUp),
    ("unbindable", one(UNBINDABLE)),
];

/// The words of [`WORDS`], as `features` lists them.
pub const OPTIONS: &[&str] = &{
    let mut words = [""; WORDS.len()];
    let mut index = 0;
    while index < WORDS.len() {
        words[index] = WORDS[index].0;
        index += 1;
    }
    words
};

/// Options of one mount, sorted out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) attributes: Attributes,
    pub(super) all: Attributes,
    pub(super) propagation: Option<Propagation>,
    /// A bind, recursive or not.
    pub(super) bind: Option<bool>,
    /// The ids are mapped, recursively or not.
    pub(super) idmap: Option<bool>,
    pub(super) copy_up: bool,
    /// The file system's own: option and value, an empty one for a flag.
    pub(super) data: Vec<(String, String)>,
}

impl Options {
    /// Of two words that contradict each other the later counts.
    pub(super) fn parse(words: &[String]) -> Self {
        let mut options = Self::default();
        for word in words {
            let known = WORDS.binary_search_by_key(&word.as_str(), |(word, _)| word);
            match known.map(|index| WORDS[index].1) {
                Ok(effect) => options.take(effect),
                Err(_) => {
                    let (key, value) = word.split_once('=').unwrap_or((word, ""));
                    options.data.push((key.to_owned(), value.to_owned()));
                }
            }
        }
        options
    }

    fn take(&mut self, effect: Effect) {
        match effect {
            Effect::Set(bits) => set(&mut self.attributes, bits),
            Effect::Clear(bits) => clear(&mut self.attributes, bits),
            Effect::SetAll(bits) => set(&mut self.all, bits),
            Effect::ClearAll(bits) => clear(&mut self.all, bits),
            Effect::Propagate(propagation) => self.propagation = Some(propagation),
            Effect::Bind { recursive } => {
                self.bind = Some(recursive || self.bind == Some(true));
            }
            Effect::Idmap { recursive } => self.idmap = Some(recursive),
            Effect::CopyUp => self.copy_up = true,
            Effect::Filesystem(flag) => self.data.push((flag.to_owned(), String::new())),
            Effect::Nothing => {}
        }
    }
}

/// The access times are one field of several values: whoever sets one of them clears the field.
fn set(attributes: &mut Attributes, bits: u64) {
    if bits & ATIME_MASK != 0 {
        attributes.set &= !ATIME_MASK;
        attributes.clear |= ATIME_MASK;
    } else {
        attributes.clear &= !bits;
    }
    attributes.set |= bits;
}

fn clear(attributes: &mut Attributes, bits: u64) {
    attributes.set &= !bits;
    attributes.clear |= if bits & ATIME_MASK != 0 {
        ATIME_MASK
    } else {
        bits
    };
}

/// `rootfsPropagation`, which is one of the words for propagation.
pub(super) fn propagation(word: &str) -> Option<Propagation> {
    let index = WORDS.binary_search_by_key(&word, |(word, _)| word).ok()?;
    match WORDS[index].1 {
        Effect::Propagate(propagation) => Some(propagation),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Options {
        let words: Vec<String> = words.split(',').map(str::to_owned).collect();
        Options::parse(&words)
    }

    #[test]
    fn the_table_is_sorted() {
        assert!(WORDS.is_sorted_by_key(|(word, _)| *word));
    }

    #[test]
    fn later_words_win() {
        assert_eq!(
            parse("ro,rw").attributes,
            Attributes {
                set: 0,
                clear: RDONLY
            }
        );
        assert_eq!(
            parse("rw,ro").attributes,
            Attributes {
                set: RDONLY,
                clear: 0
            }
        );
        let atime = parse("noatime,strictatime").attributes;
        assert_eq!((atime.set, atime.clear), (STRICTATIME, ATIME_MASK));
        let atime = parse("strictatime,relatime").attributes;
        assert_eq!((atime.set, atime.clear), (0, ATIME_MASK));
    }

    #[test]
    fn recursive_words_are_for_all() {
        let options = parse("rbind,rro,nosuid,rslave");
        assert_eq!(
            options.all,
            Attributes {
                set: RDONLY,
                clear: 0
            }
        );
        assert_eq!(
            options.attributes,
            Attributes {
                set: NOSUID,
                clear: 0
            }
        );
        assert_eq!(options.bind, Some(true));
        assert_eq!(
            options.propagation,
            Some(Propagation {
                kind: SLAVE,
                recursive: true
            })
        );
    }

    #[test]
    fn what_is_not_known_is_the_file_systems() {
        let options = parse("mode=755,size=1m,newinstance,sync");
        let expected = [
            ("mode", "755"),
            ("size", "1m"),
            ("newinstance", ""),
            ("sync", ""),
        ];
        let expected = expected.map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(options.data, expected);
    }
}
