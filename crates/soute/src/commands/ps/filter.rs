//! `ps --filter`: conditions with the same key are alternatives, those with different keys all hold.

use std::str::FromStr;

use anyhow::{Result, ensure};
use jiff::Timestamp;
use regex_lite::Regex;
use soute_engine::request::Source;
use soute_engine::{Container, Engine, Status};
use soute_image::Reference;

/// One `KEY=VALUE`.
#[derive(Debug, Clone)]
pub struct Condition {
    key: Key,
    value: String,
    /// Of a name.
    pattern: Option<Regex>,
}

/// Docker's words. Those that no container of soute's is in are words all the same, which scripts ask for.
const STATES: [&str; 7] = [
    "created",
    "running",
    "exited",
    "paused",
    "restarting",
    "removing",
    "dead",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Id,
    Name,
    Label,
    Status,
    Exited,
    Ancestor,
    Before,
    Since,
}

const KEYS: &[(&str, Key)] = &[
    ("id", Key::Id),
    ("name", Key::Name),
    ("label", Key::Label),
    ("status", Key::Status),
    ("exited", Key::Exited),
    ("ancestor", Key::Ancestor),
    ("before", Key::Before),
    ("since", Key::Since),
];

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once('=').ok_or("KEY=VALUE is expected")?;
        let found = KEYS.iter().find(|(known, _)| *known == name);
        let (_, key) = found.ok_or_else(|| {
            let known: Vec<_> = KEYS.iter().map(|(known, _)| *known).collect();
            format!("unknown filter '{name}'; known are {}", known.join(", "))
        })?;
        match key {
            Key::Status if !STATES.contains(&value) => Err(format!(
                "'{value}' is not a status; known are {}",
                STATES.join(", ")
            )),
            Key::Exited if value.parse::<i32>().is_err() => {
                Err(format!("'{value}' is not an exit code"))
            }
            key => Ok(Self {
                key: *key,
                value: value.to_owned(),
                pattern: match key {
                    Key::Name => Some(Regex::new(value).map_err(|e| format!("'{value}': {e}"))?),
                    _ => None,
                },
            }),
        }
    }
}

/// All conditions of a command.
#[derive(Debug)]
pub struct Filters {
    conditions: Vec<Condition>,
    before: Option<Timestamp>,
    since: Option<Timestamp>,
}

impl Filters {
    /// Looks up the containers that `before` and `since` name, and the images that `ancestor` does.
    pub fn new(mut conditions: Vec<Condition>, engine: &Engine) -> Result<Self> {
        let named = conditions
            .iter_mut()
            .filter(|condition| condition.key == Key::Ancestor);
        for condition in named {
            // One that is not here any more is compared as it is written.
            if let Ok(image) = engine.images().resolve(&condition.value) {
                condition.value = image.id.to_string();
            }
        }
        let created = |key: Key| -> Result<Option<Timestamp>> {
            let mut named = conditions.iter().filter(|condition| condition.key == key);
            let Some(first) = named.next() else {
                return Ok(None);
            };
            ensure!(
                named.next().is_none(),
                "a filter by before= or since= is given once"
            );
            Ok(Some(engine.find(&first.value)?.created))
        };
        Ok(Self {
            before: created(Key::Before)?,
            since: created(Key::Since)?,
            conditions,
        })
    }

    /// Whether a container that does not run may be meant.
    pub fn ask_for_a_state(&self) -> bool {
        let about_state = |key| matches!(key, Key::Status | Key::Exited);
        self.conditions
            .iter()
            .any(|condition| about_state(condition.key))
    }

    /// Whether the container meets the conditions.
    pub fn accept(&self, container: &Container) -> bool {
        let created = container.record.created;
        let in_time = self.before.is_none_or(|before| created < before)
            && self.since.is_none_or(|since| created > since);
        in_time
            && KEYS.iter().all(|(_, key)| {
                let mut alternatives = self
                    .conditions
                    .iter()
                    .filter(|condition| condition.key == *key)
                    .peekable();
                match key {
                    // Labels are Docker's exception: all of them hold.
                    Key::Label => alternatives.all(|condition| condition.holds(container)),
                    _ => {
                        alternatives.peek().is_none()
                            || alternatives.any(|condition| condition.holds(container))
                    }
                }
            })
    }
}

impl Condition {
    fn holds(&self, container: &Container) -> bool {
        let record = &container.record;
        let value = self.value.as_str();
        match self.key {
            Key::Id => record.id.starts_with(value),
            // Docker's names begin with a slash where nobody sees it, but a pattern may have it.
            Key::Name => self.pattern.as_ref().is_some_and(|pattern| {
                pattern.is_match(&record.name) || pattern.is_match(&format!("/{}", record.name))
            }),
            Key::Label => match value.split_once('=') {
                Some((name, value)) => record.labels.get(name).is_some_and(|label| label == value),
                None => record.labels.contains_key(value),
            },
            Key::Status => container.status.word() == value,
            Key::Exited => {
                matches!(&container.status, Status::Exited(last) if value.parse() == Ok(last.exit_code))
            }
            Key::Ancestor => {
                let id = record
                    .image
                    .as_deref()
                    .map(|id| id.trim_start_matches("sha256:"));
                let wanted = value.trim_start_matches("sha256:");
                id.is_some_and(|id| wanted.len() >= 4 && id.starts_with(wanted))
                    || matches!(&record.request.source, Source::Image(name) if same_image(name, value))
            }
            // Settled for the whole list.
            Key::Before | Key::Since => true,
        }
    }
}

/// `debian` is `docker.io/library/debian:latest`.
fn same_image(one: &str, other: &str) -> bool {
    let parsed = (Reference::parse(one), Reference::parse(other));
    matches!(parsed, (Ok(one), Ok(other)) if one == other) || one == other
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container() -> Container {
        let json = serde_json::json!({
            "id": "ab".repeat(32), "name": "web-1", "ephemeral": false, "created": "2026-11-05T10:00:00Z",
            "request": {"source": {"Image": "debian"}}, "image": format!("sha256:{}", "cd".repeat(32)),
            "layers": [], "args": ["sh"], "env": [], "working_directory": "/", "user": "",
            "labels": {"a": "1", "b": ""}, "hostname": null, "stop_signal": 15, "id_maps": null, "cgroup": "/x",
            "anonymous_volumes": [], "volumes": [],
        });
        Container {
            record: serde_json::from_value(json).unwrap(),
            status: Status::Created,
        }
    }

    fn accepts(conditions: &[&str]) -> bool {
        let filters = Filters {
            conditions: conditions
                .iter()
                .map(|text| text.parse().unwrap())
                .collect(),
            before: None,
            since: None,
        };
        filters.accept(&container())
    }

    #[test]
    fn conditions_choose() {
        for (conditions, accepted) in [
            (&[][..], true),
            (&["id=abab"], true),
            (&["id=ba"], false),
            (&["name=web"], true),
            (&["name=db"], false),
            (&["name=^web"], true),
            (&["name=^/web-1$"], true),
            (&["name=^eb"], false),
            (&["name=^web$"], false),
            (&["name=w.b-[0-9]+"], true),
            (&["status=paused"], false),
            (&["status=dead", "status=created"], true),
            (&["name=db", "name=web"], true),
            (&["name=web", "status=running"], false),
            (&["status=created"], true),
            (&["status=running", "status=created"], true),
            (&["label=a"], true),
            (&["label=a=1", "label=b"], true),
            (&["label=a", "label=c"], false),
            (&["label=a=2"], false),
            (&["exited=0"], false),
            (&["ancestor=debian"], true),
            (&["ancestor=debian:latest"], true),
            (&["ancestor=docker.io/library/debian"], true),
            (&["ancestor=debian:12"], false),
            (&["ancestor=cdcdcd"], true),
            (&["ancestor=alpine"], false),
        ] {
            assert_eq!(accepts(conditions), accepted, "{conditions:?}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "name",
            "foo=1",
            "status=flying",
            "exited=soon",
            "name=(",
        ] {
            assert!(text.parse::<Condition>().is_err(), "{text}");
        }
    }
}
