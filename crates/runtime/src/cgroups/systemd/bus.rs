//! Talking with systemd over a socket, one thing after the other.
//!
//! No thread, no event loop: a request is written, and messages are read until its answer has come or time is up.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use zbus::wire::serialized::Context;
use zbus::wire::{LE, to_bytes};
use zbus::{OwnedObjectPath, Type, Variant};

use super::message::{self, Call, FIXED, Received};
use super::properties::Property;
use crate::cgroups::CgroupError;

/// systemd's own socket for root's programs, there from the start and without a bus; and the bus.
const SOCKETS: [(&str, bool); 2] = [
    ("/run/systemd/private", false),
    ("/run/dbus/system_bus_socket", true),
];

/// For all that one command asks. What runc gives systemd for each job.
const PATIENCE: Duration = Duration::from_secs(30);

const SYSTEMD: &str = "org.freedesktop.systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const BUS: &str = "org.freedesktop.DBus";

#[derive(Debug)]
pub(super) struct Bus {
    socket: UnixStream,
    start: Instant,
    serial: u32,
    /// Those that came before the answer that was waited for.
    signals: VecDeque<Received>,
}

/// A refusal: the error's name, and its text.
struct Refused {
    name: String,
    text: String,
}

impl Bus {
    pub(super) fn connect() -> Result<Self, CgroupError> {
        let mut failed = Vec::new();
        for (path, is_bus) in SOCKETS {
            match UnixStream::connect(path)
                .map_err(|e| e.to_string())
                .and_then(|s| Self::greet(s, is_bus))
            {
                Ok(bus) => return Ok(bus),
                Err(why) => failed.push(format!("{path}: {why}")),
            }
        }
        Err(CgroupError::NoSystemd {
            why: format!("systemd cannot be reached ({})", failed.join("; ")),
        })
    }

    pub(super) fn greet(socket: UnixStream, is_bus: bool) -> Result<Self, String> {
        let mut bus = Self {
            socket,
            start: Instant::now(),
            serial: 0,
            signals: VecDeque::new(),
        };
        bus.authenticate()?;
        if is_bus {
            let _: String = bus.ask(BUS, "/org/freedesktop/DBus", BUS, "Hello", "", &())?;
            let rule =
                "type='signal',interface='org.freedesktop.systemd1.Manager',member='JobRemoved'";
            let () = bus.ask(BUS, "/org/freedesktop/DBus", BUS, "AddMatch", "s", &(rule,))?;
            // systemd tells the bus of jobs only while somebody listens.
            let () = bus.ask(
                SYSTEMD,
                "/org/freedesktop/systemd1",
                MANAGER,
                "Subscribe",
                "",
                &(),
            )?;
        }
        Ok(bus)
    }

    /// "Authentication Protocol": as the user that the kernel says we are.
    fn authenticate(&mut self) -> Result<(), String> {
        let user = rustix::process::geteuid().as_raw().to_string();
        let hex: String = user.bytes().map(|b| format!("{b:02x}")).collect();
        // BEGIN goes with it, as sd-bus sends it. Sent when the answer is there, it can reach systemd in one piece with
        // the first message, which then lies unread in its buffer until more comes (seen with systemd 252).
        self.write(format!("\0AUTH EXTERNAL {hex}\r\nBEGIN\r\n").as_bytes())?;
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            if line.len() > 1000 {
                return Err("no end of its greeting".to_owned());
            }
            let mut byte = [0];
            self.read(&mut byte)?;
            line.push(byte[0]);
        }
        if !line.starts_with(b"OK ") {
            let line = String::from_utf8_lossy(&line).trim().to_owned();
            return Err(format!("it does not let us in: {line:?}"));
        }
        Ok(())
    }

    /// Starts a transient unit and waits until that is done. A failed one of the same name that is left is forgotten first.
    pub(super) fn start(
        &mut self,
        unit: &str,
        properties: &[(&str, &Variant<'_>)],
    ) -> Result<(), CgroupError> {
        let no_others: Vec<(&str, Vec<(&str, Variant<'_>)>)> = Vec::new();
        let arguments = (unit, "fail", properties, no_others);
        let mut again = true;
        let job: OwnedObjectPath = loop {
            match self.manage("StartTransientUnit", "ssa(sv)a(sa(sv))", &arguments) {
                Err(Refused { name, .. }) if again && name.ends_with(".UnitExists") => {
                    again = false;
                    self.forget(unit);
                }
                answer => break answer.map_err(|refused| refused.error(unit, "start"))?,
            }
        };
        match self.outcome(unit, &job)?.as_str() {
            "done" => Ok(()),
            other => {
                self.forget(unit);
                Err(failed(unit, format!("systemd could not start it: {other}")))
            }
        }
    }

    pub(super) fn stop(&mut self, unit: &str) -> Result<(), CgroupError> {
        let job: Result<OwnedObjectPath, _> = self.manage("StopUnit", "ss", &(unit, "replace"));
        match job {
            Ok(job) => {
                // Whatever became of it: the cgroup's removal shows whether anything is left.
                self.outcome(unit, &job)?;
            }
            Err(refused) if refused.name.ends_with(".NoSuchUnit") => return Ok(()),
            Err(refused) => return Err(refused.error(unit, "stop")),
        }
        self.forget(unit);
        Ok(())
    }

    pub(super) fn set_properties(
        &mut self,
        unit: &str,
        properties: &[Property],
    ) -> Result<(), CgroupError> {
        // True: until the next boot, as the unit itself.
        let () = self
            .manage("SetUnitProperties", "sba(sv)", &(unit, true, properties))
            .map_err(|refused| refused.error(unit, "change"))?;
        Ok(())
    }

    /// Has systemd forget a unit that failed; that it knows none such is fine.
    fn forget(&mut self, unit: &str) {
        let _: Result<(), Refused> = self.manage("ResetFailedUnit", "s", &(unit,));
    }

    /// Waits for the end of a job: `done`, `failed`, `canceled`, `timeout` and others (org.freedesktop.systemd1(5)).
    fn outcome(&mut self, unit: &str, job: &OwnedObjectPath) -> Result<String, CgroupError> {
        loop {
            let signal = match self.signals.pop_front() {
                Some(signal) => signal,
                None => self.receive().map_err(|why| failed(unit, why))?,
            };
            if signal.member.as_deref() == Some("JobRemoved")
                && let Some((_, path, _, result)) =
                    signal.body::<(u32, OwnedObjectPath, String, String)>()
                && path == *job
            {
                return Ok(result);
            }
        }
    }

    fn manage<A: serde::Serialize + Type, T: serde::de::DeserializeOwned + Type>(
        &mut self,
        method: &str,
        signature: &str,
        arguments: &A,
    ) -> Result<T, Refused> {
        self.request(
            SYSTEMD,
            "/org/freedesktop/systemd1",
            MANAGER,
            method,
            signature,
            arguments,
        )
    }

    fn ask<A: serde::Serialize + Type, T: serde::de::DeserializeOwned + Type>(
        &mut self,
        destination: &str,
        path: &str,
        interface: &str,
        member: &str,
        signature: &str,
        arguments: &A,
    ) -> Result<T, String> {
        self.request(destination, path, interface, member, signature, arguments)
            .map_err(|Refused { name, text }| format!("{member}: {text} ({name})"))
    }

    fn request<A: serde::Serialize + Type, T: serde::de::DeserializeOwned + Type>(
        &mut self,
        destination: &str,
        path: &str,
        interface: &str,
        member: &str,
        signature: &str,
        arguments: &A,
    ) -> Result<T, Refused> {
        let broken = |text: String| Refused {
            name: "connection".to_owned(),
            text,
        };
        let body = to_bytes(Context::new(LE, 0), arguments).map_err(|e| broken(e.to_string()))?;
        self.serial += 1;
        let call = Call {
            destination,
            path,
            interface,
            member,
            signature,
        };
        let message = call.encode(self.serial, body.bytes());
        self.write(&message).map_err(broken)?;
        loop {
            let received = self.receive().map_err(broken)?;
            if received.reply_to != Some(self.serial) {
                self.signals.push_back(received);
                continue;
            }
            if let Some(name) = &received.error {
                let text = received
                    .body::<(String,)>()
                    .map_or_else(String::new, |(text,)| text);
                return Err(Refused {
                    name: name.clone(),
                    text,
                });
            }
            let unexpected = || broken(format!("an unexpected answer to {member}"));
            return received.body().ok_or_else(unexpected);
        }
    }

    fn receive(&mut self) -> Result<Received, String> {
        let mut message = vec![0; FIXED];
        self.read(&mut message)?;
        let head = message.first_chunk().and_then(message::rest);
        let rest = head.ok_or("it sent what is no message of D-Bus")?;
        message.resize(FIXED + rest, 0);
        self.read(&mut message[FIXED..])?;
        Received::decode(&message).ok_or_else(|| "it sent what is no message of D-Bus".to_owned())
    }

    /// Fills `buffer`, or fails when time is up.
    fn read(&mut self, buffer: &mut [u8]) -> Result<(), String> {
        let mut done = 0;
        while done < buffer.len() {
            let left = self.left()?;
            self.socket
                .set_read_timeout(Some(left))
                .map_err(|e| e.to_string())?;
            match self.socket.read(&mut buffer[done..]) {
                Ok(0) => return Err("it closed the connection".to_owned()),
                Ok(read) => done += read,
                Err(e) if is_momentary(&e) => {}
                Err(e) => return Err(e.to_string()),
            }
        }
        Ok(())
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        while !bytes.is_empty() {
            let left = self.left()?;
            self.socket
                .set_write_timeout(Some(left))
                .map_err(|e| e.to_string())?;
            match self.socket.write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(e) if is_momentary(&e) => {}
                Err(e) => return Err(e.to_string()),
            }
        }
        Ok(())
    }

    fn left(&self) -> Result<Duration, String> {
        let left = PATIENCE.saturating_sub(self.start.elapsed());
        if left.is_zero() {
            return Err(format!(
                "no answer from systemd in {} s",
                PATIENCE.as_secs()
            ));
        }
        Ok(left)
    }
}

/// A signal came, or a timeout was over: the time that is left decides.
fn is_momentary(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}

impl Refused {
    fn error(self, unit: &str, verb: &str) -> CgroupError {
        failed(
            unit,
            format!("systemd does not {verb} it: {} ({})", self.text, self.name),
        )
    }
}

fn failed(unit: &str, what: String) -> CgroupError {
    CgroupError::Systemd {
        unit: unit.to_owned(),
        what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead as _, BufReader};
    use std::thread::JoinHandle;

    use zbus::ObjectPath;

    /// A message of the type (2: an answer, 3: an error, 4: a signal) with these fields and this body.
    fn message<B: serde::Serialize + Type>(
        kind: u8,
        mut fields: Vec<(u8, Variant<'_>)>,
        body: &B,
    ) -> Vec<u8> {
        if *B::SIGNATURE != zbus::Signature::Unit {
            fields.push((8, B::SIGNATURE.clone().into()));
        }
        let body = to_bytes(Context::new(LE, 0), body).unwrap();
        let mut message = vec![b'l', kind, 0, 1];
        message.extend((body.len() as u32).to_le_bytes());
        message.extend(9u32.to_le_bytes());
        message.extend(to_bytes(Context::new(LE, 12), &fields).unwrap().bytes());
        message.resize(message.len().next_multiple_of(8), 0);
        message.extend(body.bytes());
        message
    }

    fn answer<B: serde::Serialize + Type>(to: u32, body: &B) -> Vec<u8> {
        message(2, vec![(5, to.into())], body)
    }

    fn removed(job: &str, result: &str) -> Vec<u8> {
        let job = ObjectPath::try_from(job.to_owned()).unwrap();
        let body = (1u32, job, "a.scope", result);
        message(4, vec![(3, "JobRemoved".into())], &body)
    }

    /// A systemd that lets everybody in and answers the calls in turn; what was called is what it returns.
    fn pretend(answers: Vec<Vec<u8>>) -> (Bus, JoinHandle<Vec<String>>) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let thread = std::thread::spawn(move || {
            let mut reader = BufReader::new(theirs.try_clone().unwrap());
            let mut writer = theirs;
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            assert!(line.starts_with("\0AUTH EXTERNAL "), "{line:?}");
            writer.write_all(b"OK 0123456789abcdef\r\n").unwrap();
            line.clear();
            reader.read_line(&mut line).unwrap();
            assert_eq!(line, "BEGIN\r\n");
            let mut called = Vec::new();
            for answer in answers {
                let mut call = vec![0; FIXED];
                reader.read_exact(&mut call).unwrap();
                let rest = message::rest(call.first_chunk().unwrap()).unwrap();
                call.resize(FIXED + rest, 0);
                reader.read_exact(&mut call[FIXED..]).unwrap();
                called.push(Received::decode(&call).unwrap().member.unwrap());
                writer.write_all(&answer).unwrap();
            }
            called
        });
        (Bus::greet(ours, false).unwrap(), thread)
    }

    fn job(number: u32) -> ObjectPath<'static> {
        ObjectPath::try_from(format!("/org/freedesktop/systemd1/job/{number}")).unwrap()
    }

    #[test]
    fn a_start_ends_with_its_own_job() {
        let started = [
            // One that came before the answer, of somebody else's job, and one of ours.
            removed("/org/freedesktop/systemd1/job/6", "failed"),
            removed("/org/freedesktop/systemd1/job/7", "done"),
            answer(1, &(job(7),)),
        ];
        let (mut bus, systemd) = pretend(vec![started.concat()]);
        let pids: Variant<'_> = vec![1u32].into();
        let devices: Variant<'_> = vec![("/dev/null".to_owned(), "rwm".to_owned())].into();
        let properties = [("PIDs", &pids), ("DeviceAllow", &devices)];
        bus.start("a.scope", &properties).unwrap();
        assert_eq!(systemd.join().unwrap(), ["StartTransientUnit"]);
    }

    #[test]
    fn a_leftover_is_forgotten_once() {
        let exists = |to: u32| {
            let name = "org.freedesktop.systemd1.UnitExists";
            let fields = vec![(5, to.into()), (4, name.into())];
            message(3, fields, &("Unit a.scope already exists.",))
        };
        let (mut bus, systemd) = pretend(vec![exists(1), answer(2, &()), exists(3)]);
        let error = bus.start("a.scope", &[]).unwrap_err().to_string();
        assert!(
            error.contains("already exists") && error.contains("a.scope"),
            "{error}"
        );
        let calls = [
            "StartTransientUnit",
            "ResetFailedUnit",
            "StartTransientUnit",
        ];
        assert_eq!(systemd.join().unwrap(), calls);
    }

    #[test]
    fn what_fails_is_told() {
        let failed = [
            answer(1, &(job(7),)),
            removed("/org/freedesktop/systemd1/job/7", "failed"),
        ];
        let (mut bus, systemd) = pretend(vec![failed.concat(), answer(2, &())]);
        let error = bus.start("a.scope", &[]).unwrap_err().to_string();
        assert!(error.contains("could not start it: failed"), "{error}");
        assert_eq!(
            systemd.join().unwrap(),
            ["StartTransientUnit", "ResetFailedUnit"]
        );

        let (mut bus, systemd) = pretend(vec![b"no message at all".to_vec()]);
        let error = bus.start("a.scope", &[]).unwrap_err().to_string();
        assert!(error.contains("no message of D-Bus"), "{error}");
        systemd.join().unwrap();
        // It has gone.
        assert!(bus.stop("a.scope").is_err());
    }

    #[test]
    fn stopping_what_is_gone() {
        let name = "org.freedesktop.systemd1.NoSuchUnit";
        let fields = vec![(5, 1u32.into()), (4, name.into())];
        let gone = message(3, fields, &("Unit a.scope not loaded.",));
        let (mut bus, systemd) = pretend(vec![gone]);
        bus.stop("a.scope").unwrap();
        systemd.join().unwrap();
    }
}
