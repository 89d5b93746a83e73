//! From a request and an image to a container's record.

use jiff::Timestamp;
use rustix::process::Signal;
use soute_image::ImageConfig;
use soute_network::plan::ports::{self, Wanted};
use soute_runtime::cgroups::default_parent;
use soute_runtime::idmap::IdMaps;
use soute_runtime::process::DEFAULT_PATH;

use crate::error::{Error, short};
use crate::etc_files::machine_hostname;
use crate::lock::Lock;
use crate::places::make_folder;
use crate::record::Record;
use crate::request::{Network, Request, Share, Source, UserNamespace};
use crate::{Engine, ids, remove, subids, volumes};

/// A container that has been made, with the lock on it.
pub(crate) struct Created {
    pub(crate) record: Record,
    pub(crate) lock: Lock,
}

impl Engine {
    /// Makes the container: everything that outlives a start. What cannot work is refused before anything is made,
    /// and what was made is removed again when a later step fails.
    pub(crate) fn make(&self, request: Request, ephemeral: bool) -> Result<Created, Error> {
        crate::plan::check_limits(&request)?;
        check_security_modules(&request)?;
        request.resources.validate(&self.layout)?;
        // Until the record names the image, this keeps it from being removed.
        let _pin = self.store.pin()?;
        let (image, layers, config) = self.root_of(&request.source)?;
        if let Some(name) = &request.name {
            ids::check_name(name)?;
        }
        let id = ids::new_id()?;
        let joined = self.joined(&request)?;
        // The lock first: from now on whatever is left behind by a kill is found through it.
        // Soon: a command in passing may look whether this new folder is a left-over, and holds it for a moment.
        let lock = Lock::take_soon(&self.places.running(&id))?
            .ok_or_else(|| Error::Impossible(format!("the id {id} is in use")))?;
        let made = self
            .settle(&id, request, image, layers, &config, joined)
            .and_then(|mut record| {
                record.ephemeral = ephemeral;
                if !ephemeral {
                    make_folder(&self.places.container(&id), 0o700)?;
                }
                record.write(&self.places).map(|()| record)
            });
        match made {
            Ok(record) => Ok(Created { record, lock }),
            Err(e) => {
                remove::leftovers(&self.places, &id, lock)?;
                Err(e)
            }
        }
    }

    fn settle(
        &self,
        id: &str,
        request: Request,
        image: Option<String>,
        layers: Vec<std::path::PathBuf>,
        config: &ImageConfig,
        joined: Option<Record>,
    ) -> Result<Record, Error> {
        let name = match &request.name {
            Some(name) => {
                ids::take_name(&self.places, name, id)?;
                name.clone()
            }
            None => ids::invent_name(&self.places, id)?,
        };
        let id_maps = match &joined {
            // A namespace of another container is owned by that one's user namespace.
            Some(other) => self.shared_ids(id, other)?,
            None => self.id_maps(id, &request)?,
        };
        if request.privileged && id_maps.is_some() {
            return Err(Error::Impossible(
                "--privileged is for the machine's root, and this container has ids of its own (by the settings, or those \
                 of the container that it joins): --userns host"
                    .to_owned(),
            ));
        }
        let hostname = hostname(id, &request, joined.as_ref());
        let mut record = Record {
            name,
            ephemeral: false,
            created: Timestamp::now(),
            image,
            layers,
            args: args(&request, config),
            env: env(&request, config, hostname.as_deref()),
            working_directory: request
                .working_directory
                .clone()
                .or_else(|| Some(config.working_dir.clone()).filter(|d| !d.is_empty()))
                .unwrap_or_else(|| "/".to_owned()),
            user: request.user.clone().unwrap_or_else(|| config.user.clone()),
            labels: config
                .labels
                .iter()
                .chain(&request.labels)
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect(),
            hostname,
            stop_signal: stop_signal(&request, config)?,
            id_maps,
            cgroup: self.cgroup_path(id, &request),
            anonymous_volumes: Vec::new(),
            volumes: Vec::new(),
            id: id.to_owned(),
            request,
        };
        if record.args.is_empty() {
            return Err(Error::Impossible(
                "no command: the image names none, and none was given".to_owned(),
            ));
        }
        if record.request.publish_all {
            let named = exposed(config)?;
            record.request.published.extend(named);
        }
        volumes::prepare(&self.places, &mut record, config)?;
        Ok(record)
    }

    /// Image id, layers and config of what the root is made of.
    fn root_of(
        &self,
        source: &Source,
    ) -> Result<(Option<String>, Vec<std::path::PathBuf>, ImageConfig), Error> {
        match source {
            Source::Image(name) => {
                let image = self.image(name)?;
                Ok((Some(image.id.to_string()), image.layers, image.config))
            }
            Source::Directory(folder) => {
                let real = crate::error::io("--rootfs", folder, std::fs::canonicalize(folder))?;
                if !real.is_dir() {
                    return Err(Error::Impossible(format!(
                        "--rootfs {}: not a folder",
                        folder.display()
                    )));
                }
                Ok((None, vec![real], ImageConfig::default()))
            }
        }
    }

    fn id_maps(&self, id: &str, request: &Request) -> Result<Option<IdMaps>, Error> {
        match self.user_namespace(request.userns.as_ref(), request.privileged) {
            UserNamespace::Host => Ok(None),
            UserNamespace::Auto => subids::take_range(&self.places, id).map(Some),
            UserNamespace::Remap { user, group } => subids::remap(user, group.as_deref()).map(Some),
        }
    }

    /// What a container's user namespace is, where it joins no other's.
    pub(crate) fn user_namespace<'a>(
        &'a self,
        asked: Option<&'a UserNamespace>,
        privileged: bool,
    ) -> &'a UserNamespace {
        let default = match privileged {
            // Everything that the machine's root has: with ids of its own a container has none of it.
            true => &UserNamespace::Host,
            false => &UserNamespace::Auto,
        };
        asked.or(self.settings.userns.as_ref()).unwrap_or(default)
    }

    /// The ids of the container that is joined, this one's for as long as it is there.
    fn shared_ids(&self, id: &str, other: &Record) -> Result<Option<IdMaps>, Error> {
        if let Some(maps) = &other.id_maps {
            subids::share_range(&self.places, id, maps)?;
            // Had it been removed before that, its ids would be anybody's: its record goes before they do.
            Record::read(&self.places, &other.id)?;
        }
        Ok(other.id_maps.clone())
    }

    fn cgroup_path(&self, id: &str, request: &Request) -> String {
        let parent = request
            .cgroup_parent
            .as_deref()
            .unwrap_or_else(|| default_parent(&self.layout));
        let parent = parent.trim_end_matches('/');
        if parent.is_empty() || parent.starts_with('/') {
            format!("{parent}/{id}")
        } else {
            format!("/{parent}/{id}")
        }
    }

    /// The container whose namespaces are shared: one, since one user namespace must own them all.
    fn joined(&self, request: &Request) -> Result<Option<Record>, Error> {
        let mut names: Vec<&str> = Vec::new();
        for share in [&request.pid, &request.ipc] {
            if let Share::Container(name) = share {
                names.push(name);
            }
        }
        if let Network::Container(name) = &request.network {
            names.push(name);
        }
        let mut joined: Option<Record> = None;
        for name in names {
            let record = self.find(name)?;
            match &joined {
                Some(other) if other.id != record.id => {
                    return Err(Error::Impossible(format!(
                        "namespaces of two containers, {} and {}: each has a user namespace of its own, and a process \
                         is in one",
                        other.name, record.name
                    )));
                }
                _ => joined = Some(record),
            }
        }
        if joined.is_some() && request.userns.is_some() {
            return Err(Error::Impossible(
                "--userns with container:NAME: NAME's user namespace owns what is shared, and is joined, too"
                    .to_owned(),
            ));
        }
        Ok(joined)
    }
}

/// A profile that was asked for and is not applied would be a defence that is not there.
fn check_security_modules(request: &Request) -> Result<(), Error> {
    let security = &request.security;
    let profile = security.apparmor.iter().filter(|p| *p != "unconfined");
    let labels = security.label.iter().filter(|l| *l != "disable");
    let wanted: Vec<String> = profile
        .map(|p| format!("apparmor={p}"))
        .chain(labels.map(|l| format!("label={l}")))
        .collect();
    match wanted.first() {
        None => Ok(()),
        Some(option) => Err(Error::Impossible(format!(
            "--security-opt {option}: profiles of AppArmor and labels of SELinux are not built yet"
        ))),
    }
}

/// The ports that the image names, each by one that is free.
fn exposed(config: &ImageConfig) -> Result<Vec<Wanted>, Error> {
    let mut all = Vec::new();
    for text in &config.exposed_ports {
        let wanted = ports::parse(text).map_err(|e| {
            Error::Impossible(format!(
                "the image's own port: {e}; --publish names one instead of --publish-all"
            ))
        })?;
        all.extend(wanted);
    }
    Ok(all)
}

/// Docker's rule: an entrypoint that is given drops the image's command, too.
fn args(request: &Request, config: &ImageConfig) -> Vec<String> {
    let (entrypoint, image_cmd) = match &request.entrypoint {
        Some(given) => (given.clone(), Vec::new()),
        None => (config.entrypoint.clone(), config.cmd.clone()),
    };
    let command = if request.command.is_empty() {
        image_cmd
    } else {
        request.command.clone()
    };
    entrypoint.into_iter().chain(command).collect()
}

/// Docker's environment: PATH and HOSTNAME, TERM with a terminal, the image's, then the command line's.
fn env(request: &Request, config: &ImageConfig, hostname: Option<&str>) -> Vec<String> {
    let mut env = vec![format!("PATH={DEFAULT_PATH}")];
    env.extend(hostname.map(|h| format!("HOSTNAME={h}")));
    if request.terminal {
        env.push("TERM=xterm".to_owned());
    }
    for entry in config.env.iter().chain(&request.environment) {
        let name = entry.split('=').next().unwrap_or(entry);
        let same = |e: &String| e.split('=').next() == Some(name);
        match (env.iter().position(same), entry.contains('=')) {
            (Some(i), true) => env[i].clone_from(entry),
            (Some(i), false) => drop(env.remove(i)),
            (None, true) => env.push(entry.clone()),
            (None, false) => {}
        }
    }
    env
}

/// A network that is shared brings the name that it goes by.
fn hostname(id: &str, request: &Request, joined: Option<&Record>) -> Option<String> {
    if request.uts == Share::Host {
        return None;
    }
    let shared = match &request.network {
        Network::None | Network::Namespace(_) | Network::Networks(_) => None,
        Network::Host => Some(machine_hostname()),
        Network::Container(_) => joined
            .and_then(|other| other.hostname.clone())
            .or_else(|| Some(machine_hostname())),
    };
    let own = || short(id).to_owned();
    request.hostname.clone().or(shared).or_else(|| Some(own()))
}

fn stop_signal(request: &Request, config: &ImageConfig) -> Result<i32, Error> {
    if let Some(number) = request.stop_signal {
        return Ok(number);
    }
    match config.stop_signal.as_deref().filter(|s| !s.is_empty()) {
        None => Ok(Signal::TERM.as_raw()),
        Some(name) => crate::signals::parse(name).ok_or_else(|| {
            Error::Impossible(format!("the image's stop signal {name:?} is no signal"))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(items: &[&str]) -> Vec<String> {
        items.iter().map(|s| (*s).to_owned()).collect()
    }

    fn image() -> ImageConfig {
        ImageConfig {
            entrypoint: strings(&["/entry"]),
            cmd: strings(&["a", "b"]),
            env: strings(&["PATH=/bin", "LANG=C"]),
            ..ImageConfig::default()
        }
    }

    #[test]
    fn entrypoint_and_command() {
        let mut request = Request::default();
        assert_eq!(args(&request, &image()), strings(&["/entry", "a", "b"]));
        request.command = strings(&["c"]);
        assert_eq!(args(&request, &image()), strings(&["/entry", "c"]));
        request.command.clear();
        request.entrypoint = Some(strings(&["/other"]));
        assert_eq!(args(&request, &image()), strings(&["/other"]));
        request.entrypoint = Some(Vec::new());
        request.command = strings(&["sh"]);
        assert_eq!(args(&request, &image()), strings(&["sh"]));
    }

    #[test]
    fn environment_is_layered() {
        let request = Request {
            terminal: true,
            environment: strings(&["LANG", "X=1", "X=2", "TERM=dumb"]),
            ..Request::default()
        };
        assert_eq!(
            env(&request, &image(), Some("box")),
            strings(&["PATH=/bin", "HOSTNAME=box", "TERM=dumb", "X=2"])
        );
    }
}
