//! The span of a unit, made when something is logged in it. Of a unit that goes well nothing is, and a span was a quarter
//! of all that the runner did for a small one. Where spans are sent it is made at once.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;

use tracing::span::EnteredSpan;
use tracing::{Event, Span, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use crate::id::VideoId;
use crate::lane::Lane;
use crate::stage::StageName;

/// What the span of a unit says.
pub struct UnitNames {
    /// The stage that works on it.
    pub stage: StageName,
    /// The lane it came in.
    pub lane: Lane,
    /// Whose work it is.
    pub video: VideoId,
    /// Which unit of the video it is.
    pub unit: Arc<str>,
}

impl UnitNames {
    /// Makes the span.
    pub fn span(&self) -> Span {
        let Self { stage, lane, video, unit } = self;
        tracing::error_span!("unit", %stage, %lane, %video, unit = &**unit)
    }
}

/// What this thread is at.
#[derive(Default)]
struct Now {
    /// The unit that is worked on.
    names: Option<UnitNames>,
    /// Its span, once there is one.
    entered: Option<EnteredSpan>,
}

thread_local! {
    static NOW: RefCell<Now> = RefCell::default();
}

/// Lets `work` go on in the span of a unit: in `made`, else in one that is made when it is needed.
pub fn within<F: Future>(
    names: UnitNames,
    made: Option<Span>,
    mut work: Pin<&mut F>,
) -> impl Future<Output = F::Output> {
    let (mut names, mut span) = (Some(names), made);
    poll_fn(move |context| {
        let now = Now { names: names.take(), entered: span.take().map(Span::entered) };
        // A panic ends the process (`Cargo.toml`): then nobody needs what was there before.
        let outer = NOW.replace(now);
        let polled = work.as_mut().poll(context);
        let now = NOW.replace(outer);
        (names, span) = (now.names, now.entered.map(EnteredSpan::exit));
        polled
    })
}

/// Makes the span before the line is written that is logged in it.
pub struct LateSpans;

impl<S: Subscriber> Layer<S> for LateSpans {
    fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
        // Making a span logs nothing, so nobody else has this borrowed.
        NOW.with_borrow_mut(|now| {
            if let (Some(names), None) = (&now.names, &now.entered) {
                now.entered = Some(names.span().entered());
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::pin::pin;
    use std::sync::{Mutex, PoisonError};

    use serde_json::Value;
    use tracing::info;
    use tracing_subscriber::filter::EnvFilter;
    use tracing_subscriber::fmt;
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::util::SubscriberInitExt;

    use super::*;

    static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());

    /// Writes to [`LINES`].
    struct Lines;

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            LINES.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn names(unit: &str) -> UnitNames {
        let video = "6e8bc430-9c3a-51d9-9669-4704b4f5a1d3".parse().expect("a uuid");
        UnitNames { stage: StageName::Cut, lane: Lane::Express, video, unit: unit.into() }
    }

    async fn log_twice() {
        info!("before");
        tokio::task::yield_now().await;
        info!("after");
    }

    /// Returns what each line says that was written in this test: its text, and the unit whose span it is in.
    fn said() -> Vec<(String, Option<String>)> {
        let lines = String::from_utf8(LINES.lock().unwrap_or_else(PoisonError::into_inner).clone()).expect("text");
        let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let of_here = lines.filter(|line| line["target"] == module_path!());
        let text = |value: &Value| value.as_str().map(str::to_owned);
        of_here.map(|line| (text(&line["message"]).expect("a text"), text(&line["span"]["unit"]))).collect()
    }

    #[tokio::test]
    async fn lines_say_whose_unit_they_are_of() {
        let lines = fmt::layer().json().flatten_event(true).with_current_span(true).with_writer(|| Lines);
        let lines = LateSpans.and_then(lines).with_filter(EnvFilter::new("info"));
        tracing_subscriber::registry().with(lines).init();
        let (one, other, silent) = (pin!(log_twice()), pin!(log_twice()), pin!(async {}));
        let known = names("traced").span();
        futures::join!(within(names("one"), None, one), within(names("other"), None, other));
        within(names("silent"), None, silent).await;
        info!("between");
        let inner = pin!(log_twice());
        let outer = pin!(async {
            within(names("inner"), None, inner).await;
            info!("outer");
        });
        within(names("outer"), Some(known), outer).await;
        let said = said();
        let said: Vec<_> = said.iter().map(|(text, unit)| (text.as_str(), unit.as_deref())).collect();
        let expected = [
            ("before", Some("one")),
            ("before", Some("other")),
            ("after", Some("one")),
            ("after", Some("other")),
            ("between", None),
            ("before", Some("inner")),
            ("after", Some("inner")),
            ("outer", Some("traced")),
        ];
        assert_eq!(said, expected);
    }
}
