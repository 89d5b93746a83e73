//! Progress of a pull, load or import, drawn on standard error if that is a terminal.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use soute_image::{Digest, LayerState, Progress};

use crate::output::visible;

/// A bar per layer.
pub struct Bars {
    all: MultiProgress,
    layers: Mutex<HashMap<Digest, ProgressBar>>,
}

impl Bars {
    /// No bars yet. On a standard error that is no terminal nothing is drawn.
    pub fn new() -> Self {
        Self {
            all: MultiProgress::new(),
            layers: Mutex::default(),
        }
    }

    fn bar(&self, digest: &Digest) -> ProgressBar {
        let mut layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = layers.entry(*digest).or_insert_with(|| {
            // Whole before it is drawn: it would begin as a bar of nothing, without a name.
            let bar = ProgressBar::no_length().with_style(style(0));
            self.all.add(bar.with_prefix(digest.short()))
        });
        bar.clone()
    }
}

impl Progress for Bars {
    fn layer(&self, digest: &Digest, state: LayerState<'_>) {
        let bar = self.bar(digest);
        match state {
            LayerState::Exists => finish(&bar, "already here"),
            LayerState::Waiting => say(&bar, "waiting"),
            LayerState::Transferred { done, total } => {
                if bar.length().is_none_or(|length| length != total) {
                    bar.set_style(style(total));
                    if total > 0 {
                        bar.set_length(total);
                    }
                }
                bar.set_position(done);
            }
            LayerState::Retrying { attempt, reason } => {
                say(&bar, &format!("retry {attempt}: {}", visible(reason)))
            }
            LayerState::Done => finish(&bar, "done"),
            // A state that is newer than this picture of it.
            _ => {}
        }
    }

    fn note(&self, text: &str) {
        // Cannot fail in a way that matters: the note is for a person who looks.
        let _ = self.all.println(visible(text));
    }
}

fn style(total: u64) -> ProgressStyle {
    template(match total {
        0 => "{prefix}  {bytes}  {binary_bytes_per_sec}",
        _ => "{prefix}  [{bar:30}]  {bytes}/{total_bytes}",
    })
}

fn template(text: &str) -> ProgressStyle {
    ProgressStyle::with_template(text).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn say(bar: &ProgressBar, words: &str) {
    bar.set_style(template("{prefix}  {msg}"));
    bar.set_message(words.to_owned());
}

fn finish(bar: &ProgressBar, words: &str) {
    bar.set_style(template("{prefix}  {msg}"));
    bar.finish_with_message(words.to_owned());
}
