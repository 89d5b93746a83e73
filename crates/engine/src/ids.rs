//! Container ids and names.

use std::path::{Path, PathBuf};

use crate::error::{Error, io};
use crate::places::Places;

/// A new id: 64 hexadecimal digits, random.
pub fn new_id() -> Result<String, Error> {
    let mut bytes = [0u8; 32];
    rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty())
        .map_err(|e| soute_sys::CallError::new("getrandom(32)", e))?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

/// Whether `text` has an id's form.
pub fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Docker's rule for names.
pub fn check_name(name: &str) -> Result<(), Error> {
    let mut bytes = name.bytes();
    let valid = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric())
        && name.len() >= 2
        && name.len() <= 200
        && bytes.all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    if valid {
        Ok(())
    } else {
        Err(Error::InvalidName(name.to_owned()))
    }
}

/// Takes `name` for container `id`. The link is the reservation: making it is atomic.
pub(crate) fn take_name(places: &Places, name: &str, id: &str) -> Result<(), Error> {
    let link = places.names().join(name);
    match std::os::unix::fs::symlink(id, &link) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Err(Error::NameTaken {
            name: name.to_owned(),
            id: holder(&link)?.unwrap_or_default(),
        }),
        Err(e) => io("taking the name", &link, Err(e)),
    }
}

/// A name that nobody has, from the id itself where possible: the same words for the same id.
pub(crate) fn invent_name(places: &Places, id: &str) -> Result<String, Error> {
    let seed = u64::from_str_radix(&id[..8], 16).unwrap_or(0) as usize;
    for attempt in 0..100 {
        let n = seed.wrapping_add(attempt * 7919);
        let mut name = format!(
            "{}_{}",
            MANNERS[n % MANNERS.len()],
            CARGO[n / MANNERS.len() % CARGO.len()]
        );
        if attempt > 2 {
            name = format!("{name}{attempt}");
        }
        match take_name(places, &name, id) {
            Err(Error::NameTaken { .. }) => {}
            other => return other.map(|()| name),
        }
    }
    let name = format!("soute_{}", crate::error::short(id));
    take_name(places, &name, id).map(|()| name)
}

/// Frees `name` if `id` holds it.
pub(crate) fn free_name(places: &Places, name: &str, id: &str) -> Result<(), Error> {
    let link = places.names().join(name);
    if holder(&link)?.as_deref() == Some(id) {
        io("freeing the name", &link, std::fs::remove_file(&link))?;
    }
    Ok(())
}

/// Who has the name.
pub(crate) fn find_name(places: &Places, name: &str) -> Result<Option<String>, Error> {
    if check_name(name).is_err() {
        return Ok(None);
    }
    holder(&places.names().join(name))
}

/// The name that container `id` has.
pub(crate) fn name_of(places: &Places, id: &str) -> Result<Option<String>, Error> {
    let links = links_to(&places.names(), id)?;
    let names = links.iter().filter_map(|link| link.file_name()?.to_str());
    Ok(names.map(str::to_owned).next())
}

/// The links of an index that container `id` holds, found by search.
pub(crate) fn links_to(index: &Path, id: &str) -> Result<Vec<PathBuf>, Error> {
    let mut links = Vec::new();
    for entry in io("reading the folder", index, std::fs::read_dir(index))? {
        let link = io("reading the folder", index, entry)?.path();
        if std::fs::read_link(&link).is_ok_and(|to| to == Path::new(id)) {
            links.push(link);
        }
    }
    Ok(links)
}

fn holder(link: &Path) -> Result<Option<String>, Error> {
    match std::fs::read_link(link) {
        Ok(target) => Ok(target.to_str().map(str::to_owned)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => io("reading the name", link, Err(e)),
    }
}

/// Every container's id, in no order.
pub(crate) fn all(places: &Places) -> Result<Vec<String>, Error> {
    let folder: PathBuf = places.root.join("containers");
    let mut ids = Vec::new();
    for entry in io("reading the folder", &folder, std::fs::read_dir(&folder))? {
        let entry = io("reading the folder", &folder, entry)?;
        if let Some(name) = entry.file_name().to_str().filter(|n| is_id(n)) {
            ids.push(name.to_owned());
        }
    }
    Ok(ids)
}

const MANNERS: &[&str] = &[
    "agile", "ample", "brave", "brisk", "calm", "clever", "crisp", "deft", "eager", "fair",
    "fleet", "frank", "gentle", "glad", "grand", "hardy", "honest", "jolly", "keen", "kind",
    "lively", "loyal", "lucid", "merry", "mild", "neat", "noble", "patient", "plucky", "proud",
    "quick", "quiet", "ready", "robust", "serene", "sharp", "snug", "sober", "steady", "stout",
    "sunny", "swift", "tidy", "trim", "true", "vivid", "warm", "wise", "witty", "zesty",
];

const CARGO: &[&str] = &[
    "almond", "amber", "anchor", "anise", "barley", "beeswax", "bronze", "cedar", "cinnamon",
    "clove", "cobalt", "cocoa", "copper", "coral", "cork", "cotton", "ebony", "figs", "flax",
    "ginger", "granite", "hemp", "honey", "indigo", "ivory", "jasmine", "juniper", "lemon",
    "linen", "maize", "marble", "mustard", "nutmeg", "oak", "olive", "onyx", "pepper", "pewter",
    "pine", "quartz", "resin", "rice", "rye", "saffron", "sage", "salt", "sesame", "silk", "slate",
    "sugar", "tar", "tea", "teak", "thyme", "timber", "tin", "vanilla", "velvet", "walnut", "wool",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn places(dir: &Path) -> Places {
        let places = Places {
            root: dir.join("root"),
            run: dir.join("run"),
            config: dir.join("config.toml"),
        };
        places.make().unwrap();
        places
    }

    #[test]
    fn names_follow_dockers_rule() {
        for good in ["a1", "web-1", "A.b_c"] {
            check_name(good).unwrap();
        }
        for bad in [
            "",
            "a",
            "-a",
            "_a",
            "a/b",
            "..",
            "a b",
            "é1",
            &"a".repeat(201),
        ] {
            check_name(bad).unwrap_err();
        }
    }

    #[test]
    fn a_name_has_one_holder() {
        let dir = tempfile::tempdir().unwrap();
        let places = places(dir.path());
        take_name(&places, "web", "1").unwrap();
        assert!(
            matches!(take_name(&places, "web", "2"), Err(Error::NameTaken { id, .. }) if id == "1")
        );
        free_name(&places, "web", "2").unwrap();
        assert_eq!(find_name(&places, "web").unwrap().as_deref(), Some("1"));
        free_name(&places, "web", "1").unwrap();
        assert_eq!(find_name(&places, "web").unwrap(), None);
    }

    #[test]
    fn invented_names_never_collide() {
        let dir = tempfile::tempdir().unwrap();
        let places = places(dir.path());
        // The same id every time: the same first choice.
        let names: std::collections::HashSet<_> = (0..110)
            .map(|_| invent_name(&places, &"ab".repeat(32)))
            .filter_map(Result::ok)
            .collect();
        assert!(names.len() > 100);
    }
}
