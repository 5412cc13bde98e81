//! What turns speech into words: the one face of PocketSphinx, whisper.cpp and speech services.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use pipeline::failure::Failure;
use pipeline::outbox::Pulse;
use pipeline::outside::Quota;

/// Samples a second everywhere in hearing.
pub const SAMPLE_RATE: usize = 16_000;

/// Sound in which somebody speaks.
#[derive(Clone, Debug)]
pub struct Speech {
    /// Mono samples at [`SAMPLE_RATE`].
    pub samples: Arc<[i16]>,
    /// Where somebody speaks, as indices of samples: in order, apart, none longer than [`Transcriber::longest_span`].
    pub spans: Vec<Range<usize>>,
    /// The spoken language, ISO 639-1, or `auto`.
    pub language: String,
}

impl Speech {
    /// Joins neighbouring spans into as few as possible, none longer than `longest` unless it was before: for
    /// transcribers that pay by the call, and understand more with what was said before.
    pub fn joined(&self, longest: usize) -> Vec<Range<usize>> {
        let mut groups: Vec<Range<usize>> = Vec::new();
        for span in &self.spans {
            match groups.last_mut() {
                Some(group) if span.end - group.start <= longest => group.end = span.end,
                _ => groups.push(span.clone()),
            }
        }
        groups
    }
}

/// A word that was heard.
#[derive(Clone, Debug, PartialEq)]
pub struct HeardWord {
    /// Where, as indices of samples of the sound.
    pub samples: Range<usize>,
    /// As it is written, with the punctuation that follows it where the transcriber knows any.
    pub text: String,
    /// How sure the transcriber is, 0 to 1.
    pub confidence: f32,
}

/// Turns speech into words with times.
pub trait Transcriber: Send + Sync {
    /// Returns its name in transcripts, such as `whisper:base.en`.
    fn name(&self) -> &str;

    /// Says whether it knows `language`, ISO 639-1 or `auto`.
    fn knows(&self, language: &str) -> bool;

    /// Returns the longest span it takes at once, in samples.
    fn longest_span(&self) -> usize;

    /// Returns how many requests to a service failed in a row; 0 for what works here.
    fn failures_in_a_row(&self) -> u32 {
        0
    }

    /// Returns what is known of a service's quota; nothing for what works here.
    fn quota(&self) -> Quota {
        Quota::default()
    }

    /// Hears the words in the spans of `speech`, in order. The same speech gives the same words.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] when a service it needs is down, [`Failure::Retry`] when told to stop or when it failed.
    fn hear(&self, speech: Speech, pulse: Pulse) -> BoxFuture<'_, Result<Vec<HeardWord>, Failure>>;
}

/// Models that are costly to open and serve one caller at a time: as many are kept as were ever in use at once.
pub struct Pool<T> {
    idle: Mutex<Vec<T>>,
    open: Box<dyn Fn() -> anyhow::Result<T> + Send + Sync>,
}

impl<T> Pool<T> {
    /// Makes a pool and opens its first model, so that what is wrong shows at the start.
    ///
    /// # Errors
    /// Those of `open`.
    pub fn new(open: impl Fn() -> anyhow::Result<T> + Send + Sync + 'static) -> anyhow::Result<Self> {
        let first = open()?;
        Ok(Self { idle: Mutex::new(vec![first]), open: Box::new(open) })
    }

    /// Lends a model to `work`. One whose work failed is closed, so that a broken state ends with it.
    ///
    /// # Errors
    /// Those of `open` and of `work`.
    pub fn with<R>(&self, work: impl FnOnce(&mut T) -> Result<R, Failure>) -> Result<R, Failure> {
        let idle = self.idle().pop();
        let mut model = match idle {
            Some(model) => model,
            None => (self.open)().map_err(Failure::Retry)?,
        };
        let result = work(&mut model)?;
        self.idle().push(model);
        Ok(result)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<T>> {
        self.idle.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_joined_up_to_the_limit() {
        let speech =
            |spans: &[Range<usize>]| Speech { samples: [0; 0].into(), spans: spans.to_vec(), language: "en".into() };
        assert_eq!(speech(&[0..10, 12..20, 21..30, 40..90]).joined(20), [0..20, 21..30, 40..90]);
    }

    #[test]
    fn a_model_is_used_again_unless_its_work_failed() {
        let opened = Arc::new(Mutex::new(0));
        let count = opened.clone();
        let pool = Pool::new(move || {
            *count.lock().unwrap() += 1;
            Ok(*count.lock().unwrap())
        })
        .unwrap();
        let number = || pool.with(|n| Ok(*n)).unwrap();
        assert_eq!((number(), number()), (1, 1));
        let failed: Result<(), _> = pool.with(|_| Err(Failure::Retry(anyhow::anyhow!("broken"))));
        assert!(failed.is_err());
        assert_eq!((number(), *opened.lock().unwrap()), (2, 2));
        let inner = pool.with(|outer| pool.with(|inner| Ok((*outer, *inner)))).unwrap();
        assert_eq!(inner, (2, 3));
    }
}
