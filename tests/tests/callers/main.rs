//! soute in runc's place: under containerd, Podman and Docker, which call it by its command line alone.
//!
//! Each engine is the distribution's, with all its folders in the test's, and
//! told that its runtime is a file called `runc` that is soute.

mod containerd;
mod dockerd;
mod engine;
mod podman;
mod scenes;
mod stage;
