//! Dead letters as the stages understand them: what a letter's message is, and who must hear that its unit is worked on
//! again before it is.

use pipeline::dead_letter::Letter;
use pipeline::event::{
    AudioSegment, ClipPlanned, ClipReport, ClipReportKind, Envelope, Event, Job, ReadError, Reopened, Replay,
    SegmentReport, SegmentReportKind, VideoEvent, VideoReady, VideoSegment, VideoSource, VideoSubmitted,
    WindowGathered,
};
use pipeline::kafka::Header;
use pipeline::stage::StageName;

/// The message of a letter.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Whose work it is.
    pub job: Job,
    /// What it is about, for a person.
    pub about: String,
    /// The window it belongs to, for what `join` gathers.
    window: Option<u32>,
}

/// Reads the message of `letter`.
///
/// # Errors
/// When it is not what its stage reads.
pub fn read(letter: &Letter) -> Result<Message, ReadError> {
    let body = &*letter.body;
    let span = |start_us: i64, end_us: i64| format!("{:.2} s to {:.2} s", start_us as f64 / 1e6, end_us as f64 / 1e6);
    let (job, about, window) = match letter.id.stage {
        StageName::Fetch => {
            let input = VideoSubmitted::read(body)?;
            let about = match input.source {
                Some(VideoSource::Url(url)) => url,
                Some(VideoSource::Upload(blob)) => format!("the upload {}, {} bytes", blob.key, blob.bytes),
                None => "no source".to_owned(),
            };
            (input.job, about, None)
        }
        StageName::Split => {
            let input = VideoReady::read(body)?;
            let (media, key) = (&input.media, &input.source.key);
            let about = format!("{key}, {:.2} s of {}x{}", media.duration().as_seconds(), media.width, media.height);
            (input.job, about, None)
        }
        StageName::Transcribe => {
            let input = AudioSegment::read(body)?;
            (input.job, format!("sound from {}", span(input.start_us, input.end_us)), Some(input.window))
        }
        StageName::Analyze => {
            let input = VideoSegment::read(body)?;
            (input.job, format!("picture from {}", span(input.start_us, input.end_us)), Some(input.window))
        }
        StageName::Join => {
            let input = SegmentReport::read(body)?;
            (input.job, "what became of a segment".to_owned(), Some(input.window))
        }
        StageName::Moments => {
            let input = WindowGathered::read(body)?;
            (input.job, format!("the window from {}", span(input.total.start_us, input.total.end_us)), None)
        }
        StageName::Cut => {
            let input = ClipPlanned::read(body)?;
            (input.job, format!("the clip from {}", span(input.clip.start_us, input.clip.end_us)), None)
        }
        StageName::Deliver => (ClipReport::read(body)?.job, "what became of a clip".to_owned(), None),
        StageName::Record => (VideoEvent::read(body)?.job, "something that happened".to_owned(), None),
    };
    Ok(Message { job, about, window })
}

/// Returns what must be told before the unit of `letter` is worked on again: to whom its failure was an answer.
///
/// # Errors
/// When its message is not what its stage reads.
pub fn openings(letter: &Letter) -> Result<Vec<Envelope>, ReadError> {
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
    use jiff::Timestamp;
    use pipeline::dead_letter::LetterId;
    use pipeline::event::{Clip, Happened, Options, Outgoing};
    use pipeline::id::{TenantId, VideoId};
    use pipeline::kafka::Headers;
    use pipeline::lane::Lane;
    use pipeline::topic::Topic;

    use super::*;

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
}
