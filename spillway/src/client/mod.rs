//! Talks to a spillway server: what `submit` and `watch` share.

mod api;
mod board;
mod downloads;
mod follow;
mod progress;
mod reply;
mod sse;
mod times;

pub use api::{Api, Error};
pub use board::Board;
pub use downloads::{Saved, save_clips};
pub use follow::follow;
pub use reply::{ClipReply, VideoReply};
pub use times::Times;

use std::process::ExitCode;

use pipeline::secret::Secret;
use url::Url;

/// Where the server is.
#[derive(clap::Args, Clone, Debug)]
pub struct ServerArgs {
    /// Address of the server.
    #[arg(long, env = "SPILLWAY_SERVER", default_value = dashboard::USUAL_SERVER, value_name = "URL")]
    pub server: Url,
    /// Key of your tenant, where the server wants one; better given by the variable, because others can read a command
    /// line.
    #[arg(long, env = "SPILLWAY_KEY", value_name = "KEY", hide_env_values = true)]
    pub key: Option<Secret>,
}

/// What the exit codes mean, for `--help`.
pub const EXIT_CODES: &str = "Exit codes:
    0  every video is done (submit without --wait: was accepted)
    1  a video was refused, failed or was cancelled, or a clip could not be saved
    2  wrong usage, or an input that cannot be read
    3  the server cannot be reached
    4  no video failed, but one is partial
  130  ended by Ctrl-C; what was accepted goes on, see `spillway watch --all`";

/// How a video ended for the caller; the worst of several counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verdict {
    /// All is well.
    Done,
    /// Parts of it are missing.
    Partial,
    /// There is nothing.
    Failed,
    /// It could not even be sent.
    Unreadable,
    /// Nobody answers.
    Unreachable,
}

impl Verdict {
    /// Judges a video by its final state.
    pub fn of_state(state: &str) -> Self {
        match state {
            "done" => Self::Done,
            "partial" => Self::Partial,
            _ => Self::Failed,
        }
    }

    /// Judges why a request did not succeed.
    pub fn of_error(error: &Error) -> Self {
        match error {
            Error::Unreachable(_) => Self::Unreachable,
            Error::Unreadable(_) => Self::Unreadable,
            Error::Refused(_) | Error::Broken(_) => Self::Failed,
        }
    }
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        Self::from(match verdict {
            Verdict::Done => 0u8,
            Verdict::Failed => 1,
            Verdict::Unreadable => 2,
            Verdict::Unreachable => 3,
            Verdict::Partial => 4,
        })
    }
}
