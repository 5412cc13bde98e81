//! What a letter means: its message in words, why its unit was given up and what to do, and who must hear that the unit is
//! worked on again before it is.

use super::Letter;
use crate::event::{
    AudioSegment, ClipPlanned, ClipReport, ClipReportKind, Envelope, Event, Job, ReadError, Reopened, Replay,
    SegmentReport, SegmentReportKind, VideoEvent, VideoReady, VideoSegment, VideoSource, VideoSubmitted,
    WindowGathered,
};
use crate::failure::Code;
use crate::kafka::Header;
use crate::media_time::MediaTime;
use crate::stage::StageName;

/// A letter in words. What strangers wrote is among them: URLs, names, what was seen.
#[derive(Clone, PartialEq, Debug)]
pub struct Described {
    /// What its message is about: `sound from 30.00 s to 60.00 s`; if it cannot be read, that.
    pub about: String,
    /// The part of the video that it is about, if it is about a part.
    pub span: Option<(MediaTime, MediaTime)>,
    /// Whose work it is, and what was asked for, if the message can be read.
    pub job: Option<Job>,
    /// Which unit of its video it is.
    pub unit: String,
    /// The name of the reason it was given up for, see [`Letter::code`].
    pub code: String,
    /// How often it was tried, if that is said.
    pub attempts: Option<u32>,
    /// What was seen.
    pub detail: String,
    /// What is wrong and what to do.
    pub advice: String,
}

/// Puts `letter` in words.
pub fn describe(letter: &Letter) -> Described {
    let (about, span, job) = match read(letter) {
        Ok(Message { job, about, span, .. }) => (about, span, Some(job)),
        Err(error) => {
            let error = anyhow::Error::from(error);
            (format!("{} bytes that cannot be read: {error:#}", letter.body.len()), None, None)
        }
    };
    Described {
        about,
        span,
        job,
        unit: letter.header(Header::Unit).to_owned(),
        code: letter.header(Header::Code).to_owned(),
        attempts: letter.header(Header::Attempts).parse().ok(),
        detail: letter.header(Header::Detail).to_owned(),
        advice: advice(letter.code()),
    }
}

/// Says what is wrong with what was given up for the reason `code`, and what to do; nothing is known of a reason that only
/// other versions have.
pub fn advice(code: Option<Code>) -> String {
    let Some(code) = code else {
        return "This version does not know the reason; see what was seen.".to_owned();
    };
    match code.blames_input() {
        true => format!("{} A replay only helps if the input is another one by then.", code.message()),
        false => code.message().to_owned(),
    }
}

/// The message of a letter.
struct Message {
    /// Whose work it is.
    job: Job,
    /// What it is about, for a person.
    about: String,
    /// The part of the video that it is about.
    span: Option<(MediaTime, MediaTime)>,
    /// The window it belongs to, for what `join` gathers.
    window: Option<u32>,
}

impl Message {
    /// Is about all of a video, or none of it.
    fn whole(job: Job, about: impl Into<String>) -> Self {
        Self { job, about: about.into(), span: None, window: None }
    }

    /// Is about a part of a video.
    fn part(job: Job, what: &str, start_us: i64, end_us: i64) -> Self {
        let span = [start_us, end_us].map(MediaTime::from_us);
        let about = format!("{what} from {:.2} s to {:.2} s", span[0].as_seconds(), span[1].as_seconds());
        Self { job, about, span: Some(span.into()), window: None }
    }

    fn in_window(self, window: u32) -> Self {
        Self { window: Some(window), ..self }
    }
}

/// Reads the message of `letter`.
///
/// # Errors
/// When it is not what its stage reads.
fn read(letter: &Letter) -> Result<Message, ReadError> {
    let body = &*letter.body;
    Ok(match letter.id.stage {
        StageName::Fetch => {
            let input = VideoSubmitted::read(body)?;
            let about = match input.source {
                Some(VideoSource::Url(url)) => url,
                Some(VideoSource::Upload(blob)) => format!("the upload {}, {} bytes", blob.key, blob.bytes),
                None => "no source".to_owned(),
            };
            Message::whole(input.job, about)
        }
        StageName::Split => {
            let input = VideoReady::read(body)?;
            let (media, key) = (&input.media, &input.source.key);
            let about = format!("{key}, {:.2} s of {}x{}", media.duration().as_seconds(), media.width, media.height);
            Message::whole(input.job, about)
        }
        StageName::Transcribe => {
            let input = AudioSegment::read(body)?;
            Message::part(input.job, "sound", input.start_us, input.end_us).in_window(input.window)
        }
        StageName::Analyze => {
            let input = VideoSegment::read(body)?;
            Message::part(input.job, "picture", input.start_us, input.end_us).in_window(input.window)
        }
        StageName::Join => {
            let input = SegmentReport::read(body)?;
            Message::whole(input.job, "what became of a segment").in_window(input.window)
        }
        StageName::Moments => {
            let input = WindowGathered::read(body)?;
            Message::part(input.job, "the window", input.total.start_us, input.total.end_us)
        }
        StageName::Cut => {
            let input = ClipPlanned::read(body)?;
            Message::part(input.job, "the clip", input.clip.start_us, input.clip.end_us)
        }
        StageName::Deliver => Message::whole(ClipReport::read(body)?.job, "what became of a clip"),
        StageName::Record => Message::whole(VideoEvent::read(body)?.job, "something that happened"),
    })
}

/// Returns what must be told before the unit of `letter` is worked on again: to whom its failure was an answer.
///
/// # Errors
/// When its message is not what its stage reads.
pub(super) fn openings(letter: &Letter) -> Result<Vec<Envelope>, ReadError> {
    let Message { job, window, .. } = read(letter)?;
    let stage = letter.id.stage;
    let unit = letter.header(Header::Unit).to_owned();
    let replay = Replay { stage: stage as i32, unit, letter: letter.id.to_string() };
    Ok(match (stage, window) {
        (StageName::Record, _) => Vec::new(),
        (_, Some(window)) => {
            let kind = Some(SegmentReportKind::Replayed(replay));
            vec![Envelope::of(&SegmentReport { job, window, kind })]
        }
        (_, None) => {
            let kind = Some(ClipReportKind::Reopened(Reopened { replay, window: None, round: 0 }));
            vec![Envelope::of(&ClipReport { job, kind })]
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::LetterId;
    use super::*;
    use crate::event::{Clip, Happened, Options, Outgoing};
    use crate::failure::Code;
    use crate::id::{TenantId, VideoId};
    use crate::kafka::Headers;
    use crate::lane::Lane;
    use crate::topic::Topic;
    use jiff::Timestamp;

    fn letter(stage: StageName, input: &impl Outgoing) -> Letter {
        let envelope = input.envelope();
        let mut headers = Headers::default();
        headers.set(Header::Unit, envelope.unit_key);
        let id = LetterId { stage, partition: 0, offset: 7 };
        Letter { id, at: Timestamp::UNIX_EPOCH, headers, body: envelope.body }
    }

    #[test]
    fn who_heard_of_the_failure_hears_of_the_replay() {
        let job = Job::new(&TenantId::default_tenant(), VideoId::random(), Lane::Express, Options::default());
        let sound = AudioSegment { job: job.clone(), index: 3, window: 2, ..AudioSegment::default() };
        let told = openings(&letter(StageName::Transcribe, &sound)).unwrap();
        assert_eq!((told.len(), told[0].topic, told[0].key), (1, Topic::SegmentDone, Some(job.video())));
        let report = SegmentReport::read(&told[0].body).unwrap();
        let Some(SegmentReportKind::Replayed(replay)) = report.kind else { panic!("no replay") };
        let expected = (2, StageName::Transcribe, "audio/3", "transcribe/0/7");
        assert_eq!((report.window, replay.stage(), &*replay.unit, &*replay.letter), expected);

        let clip = Clip { id: "a".to_owned(), ..Clip::default() };
        let told = openings(&letter(StageName::Cut, &ClipPlanned { job: job.clone(), clip, ..ClipPlanned::default() }));
        let told = told.unwrap();
        assert_eq!((told[0].topic, told[0].unit_key.as_str()), (Topic::ClipReady, "reopened/cut/0/7"));

        let event = VideoEvent::new(&job, Timestamp::UNIX_EPOCH, Happened::Cancelled(true));
        assert_eq!(openings(&letter(StageName::Record, &event)).unwrap(), []);
        assert!(openings(&letter(StageName::Split, &event)).is_err(), "not what split reads");
    }

    #[test]
    fn letters_are_put_in_words() {
        let job = Job::new(&TenantId::default_tenant(), VideoId::random(), Lane::Express, Options::default());
        let (start_us, end_us) = (30_000_000, 59_960_000);
        let sound = AudioSegment { job: job.clone(), index: 3, start_us, end_us, ..AudioSegment::default() };
        let mut letter = letter(StageName::Transcribe, &sound);
        letter.headers.set(Header::Code, Code::AttemptsExhausted.as_str());
        letter.headers.set(Header::Attempts, "5");
        letter.headers.set(Header::Detail, "<b>503</b>");
        let described = describe(&letter);
        assert_eq!(described.about, "sound from 30.00 s to 59.96 s");
        assert_eq!(described.span, Some((MediaTime::from_us(start_us), MediaTime::from_us(end_us))));
        assert_eq!((described.job, &*described.unit, described.attempts), (Some(job), "audio/3", Some(5)));
        assert_eq!((&*described.detail, &*described.advice), ("<b>503</b>", Code::AttemptsExhausted.message()));

        letter.headers.set(Header::Code, Code::Damaged.as_str());
        assert!(describe(&letter).advice.contains("if the input is another one"), "a replay alone changes nothing");
        letter.headers.set(Header::Code, "of_a_newer_version");
        letter.body = vec![1, 2, 3];
        let unread = describe(&letter);
        assert!(unread.about.starts_with("3 bytes that cannot be read: "), "{}", unread.about);
        assert!(unread.job.is_none() && unread.advice.contains("does not know the reason"), "{}", unread.advice);
    }
}
