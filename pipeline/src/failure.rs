//! The three kinds of failure, and the closed list of reasons a video can end with.

/// Why a stage could not process its input. Anything else is a bug: panic, exit, be restarted.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Can never succeed: published to the dead-letter topic at once, then the offset advances.
    #[error("input rejected: {code}")]
    Reject {
        /// The stable reason, with its text and advice.
        code: Code,
        /// What was seen.
        source: anyhow::Error,
    },
    /// May succeed later: tried again with backoff and jitter, then dead-lettered.
    #[error("attempt failed")]
    Retry(#[source] anyhow::Error),
    /// A dependency is down: the stage pauses and no attempt is spent.
    #[error("dependency unavailable")]
    Unavailable(#[source] anyhow::Error),
}

impl Failure {
    /// Rejects an input for `code`, with what was seen.
    pub fn reject(code: Code, source: impl Into<anyhow::Error>) -> Self {
        Self::Reject { code, source: source.into() }
    }

    /// Returns the reason this failure gives once no more attempts are made: one that may pass has the code that was
    /// put around its error as context, if any.
    pub fn code(&self) -> Code {
        match self {
            Self::Reject { code, .. } => *code,
            Self::Retry(error) | Self::Unavailable(error) => {
                error.downcast_ref().copied().unwrap_or(Code::AttemptsExhausted)
            }
        }
    }
}

/// Why a unit of work, a clip or a video failed. Stable: callers branch on [`Code::as_str`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Code {
    /// The upload has no bytes.
    EmptyFile,
    /// The bytes are no container that is admitted.
    NotAVideo,
    /// A playlist, script or other text that points elsewhere.
    FormatRefused,
    /// The container is damaged or ends too early to be read.
    Damaged,
    /// The container has no picture.
    NoVideoStream,
    /// The picture is encrypted.
    Encrypted,
    /// No frame of the picture could be decoded.
    Undecodable,
    /// Longer than the operator admits.
    TooLong,
    /// More bytes than the operator admits.
    TooLarge,
    /// More pixels in a frame than are admitted.
    TooManyPixels,
    /// More frames a second than are admitted.
    FrameRateTooHigh,
    /// More of the picture between two keyframes than is admitted.
    KeyframesTooFarApart,
    /// Looking at the container took too long.
    ProbeTimeout,
    /// The URL leads to an address or scheme that is not admitted.
    UrlRefused,
    /// The URL answered 404 or another refusal.
    UrlNotFound,
    /// The URL could not be fetched.
    UrlFailed,
    /// The URL redirects too often.
    UrlRedirects,
    /// The URL gave bytes for too long.
    UrlTimeout,
    /// The finished clip did not pass its check.
    ClipInvalid,
    /// No attempt succeeded.
    AttemptsExhausted,
    /// The unit made no progress within its limit.
    Stuck,
    /// The unit ended its worker each time it ran alone.
    Crashed,
    /// A gatherer waited for its parts until the deadline.
    Deadline,
    /// A message could not be read.
    MessageUnreadable,
    /// Too little of the video could be processed to choose clips.
    NothingLeft,
    /// Some of the video could not be processed; there are clips from the rest.
    PartsMissing,
    /// The stored file is not there any more.
    SourceGone,
}

impl Code {
    /// Every code.
    pub const ALL: [Self; 27] = [
        Self::EmptyFile,
        Self::NotAVideo,
        Self::FormatRefused,
        Self::Damaged,
        Self::NoVideoStream,
        Self::Encrypted,
        Self::Undecodable,
        Self::TooLong,
        Self::TooLarge,
        Self::TooManyPixels,
        Self::FrameRateTooHigh,
        Self::KeyframesTooFarApart,
        Self::ProbeTimeout,
        Self::UrlRefused,
        Self::UrlNotFound,
        Self::UrlFailed,
        Self::UrlRedirects,
        Self::UrlTimeout,
        Self::ClipInvalid,
        Self::AttemptsExhausted,
        Self::Stuck,
        Self::Crashed,
        Self::Deadline,
        Self::MessageUnreadable,
        Self::NothingLeft,
        Self::PartsMissing,
        Self::SourceGone,
    ];

    /// Returns the stable name used in the API, labels and headers.
    pub const fn as_str(self) -> &'static str {
        self.row().0
    }

    /// Returns one sentence: what is wrong and what to do.
    pub const fn message(self) -> &'static str {
        self.row().1
    }

    /// Says whether the input itself is at fault, so that no replay of it can ever work.
    pub const fn blames_input(self) -> bool {
        !matches!(
            self,
            Self::ClipInvalid
                | Self::AttemptsExhausted
                | Self::Stuck
                | Self::Crashed
                | Self::Deadline
                | Self::MessageUnreadable
                | Self::NothingLeft
                | Self::PartsMissing
        )
    }

    /// Finds the code called `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == name)
    }

    const fn row(self) -> (&'static str, &'static str) {
        match self {
            Self::EmptyFile => ("empty_file", "The upload has no bytes; check the file and upload it again."),
            Self::NotAVideo => ("not_a_video", "The file is not a video; upload mp4, mov, mkv, webm, ts, avi or flv."),
            Self::FormatRefused => {
                ("format_refused", "The file is a playlist or script that points elsewhere; upload the video itself.")
            }
            Self::Damaged => {
                ("damaged", "The file is damaged or incomplete; export or download it again, then upload it.")
            }
            Self::NoVideoStream => ("no_video_stream", "The file has no picture; upload one that has a video track."),
            Self::Encrypted => ("encrypted", "The video is protected (DRM); upload a copy that is not encrypted."),
            Self::Undecodable => {
                ("undecodable", "No frame could be decoded; re-encode the video, for example as H.264 in mp4.")
            }
            Self::TooLong => {
                ("too_long", "The video is longer than this service admits; cut it into parts and upload each.")
            }
            Self::TooLarge => {
                ("too_large", "The file is larger than this service admits; compress it or cut it into parts.")
            }
            Self::TooManyPixels => {
                ("too_many_pixels", "The picture is larger than 8192x4320; scale it down and upload it again.")
            }
            Self::FrameRateTooHigh => {
                ("frame_rate_too_high", "The frame rate is above 120 per second; convert it to 60 or less.")
            }
            Self::KeyframesTooFarApart => {
                ("keyframes_too_far_apart", "Keyframes are hours apart; re-encode it with one every few seconds.")
            }
            Self::ProbeTimeout => {
                ("probe_timeout", "The file could not be understood in time; re-encode it and upload it again.")
            }
            Self::UrlRefused => {
                ("url_refused", "The URL leads to an address that is not admitted; use a public http(s) address.")
            }
            Self::UrlNotFound => ("url_not_found", "The URL gave no video; check that it opens without signing in."),
            Self::UrlFailed => ("url_failed", "The URL could not be fetched; check the address and submit it again."),
            Self::UrlRedirects => {
                ("url_redirects", "The URL redirects more than three times; submit the address it ends at.")
            }
            Self::UrlTimeout => ("url_timeout", "The URL took too long; upload the file instead."),
            Self::ClipInvalid => {
                ("clip_invalid", "The finished clip failed its check; retry it, and report it if it fails again.")
            }
            Self::AttemptsExhausted => {
                ("attempts_exhausted", "Every attempt failed; see the worker's log, mend the cause and replay it.")
            }
            Self::Stuck => ("stuck", "The work made no progress within its limit; see the worker's log and replay it."),
            Self::Crashed => {
                ("crashed", "The work ended its worker three times; keep the video, report it and discard it.")
            }
            Self::Deadline => {
                ("deadline", "Parts of the video did not arrive in time; see which stage lags and replay them.")
            }
            Self::MessageUnreadable => {
                ("message_unreadable", "A message could not be read; check that all workers have the same version.")
            }
            Self::SourceGone => ("source_gone", "The stored file is gone or no longer whole; upload the video again."),
            Self::NothingLeft => {
                ("nothing_left", "Too little of the video could be processed; re-encode it and upload it again.")
            }
            Self::PartsMissing => {
                ("parts_missing", "Some parts could not be processed, the clips come from the rest; see its events.")
            }
        }
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
