//! The few functions of libpocketsphinx and libsphinxbase (5prealpha) that are needed.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ops::Range;
use std::ptr::{self, NonNull};
use std::sync::{Mutex, Once};

/// A word of the best hypothesis, as the dictionary has it.
pub(super) struct Recognised {
    /// The dictionary's entry: `read(2)`, `<sil>`.
    pub text: String,
    /// Frames of 10 ms since the utterance's start.
    pub frames: Range<usize>,
    /// The posterior probability of the word in the lattice.
    pub posterior: f64,
}

/// A decoder with its model. Serves one caller at a time.
pub(super) struct Decoder {
    raw: NonNull<c_void>,
}

// SAFETY: the library keeps no thread-local state for a decoder; it may move between threads as long as one uses it
// at a time, which `&mut self` holds.
unsafe impl Send for Decoder {}

impl Decoder {
    /// Opens a decoder with `arguments`, pairs of the library's options and values.
    pub(super) fn open(arguments: &[(String, String)]) -> anyhow::Result<Self> {
        static SILENCE: Once = Once::new();
        // SAFETY: a null stream is the documented way to turn the library's log off.
        SILENCE.call_once(|| unsafe { err_set_logfp(ptr::null_mut()) });
        // Reading a model fills tables shared by the process (of the log arithmetic, among others).
        static OPENING: Mutex<()> = Mutex::new(());
        let _one_at_a_time = OPENING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let words = ["spillway"].into_iter().chain(arguments.iter().flat_map(|(n, v)| [n.as_str(), v.as_str()]));
        let words = words.map(CString::new).collect::<Result<Vec<_>, _>>()?;
        let mut pointers: Vec<*mut c_char> = words.iter().map(|word| word.as_ptr().cast_mut()).collect();
        let count = c_int::try_from(pointers.len())?;
        // SAFETY: the definitions are the library's own static table, `pointers` are `count` valid strings which the
        // parser copies and does not change, and a null first argument makes a new configuration.
        let config = unsafe { cmd_ln_parse_r(ptr::null_mut(), ps_args(), count, pointers.as_mut_ptr(), 1) };
        let config = NonNull::new(config).ok_or_else(|| anyhow::anyhow!("PocketSphinx refused its options"))?;
        // SAFETY: `config` is valid; the decoder takes its own share of it, so ours is given back either way.
        let raw = unsafe {
            let raw = ps_init(config.as_ptr());
            cmd_ln_free_r(config.as_ptr());
            raw
        };
        let raw = NonNull::new(raw).ok_or_else(|| anyhow::anyhow!("PocketSphinx could not read its model"))?;
        Ok(Self { raw })
    }

    /// Recognises `samples` as one utterance. What was recognised before has a slight influence: the sounds that an
    /// utterance considered stay in the search, and scores are relative to the best of all sounds there. Only
    /// `-compallsen yes` avoids that, for 44 % more CPU time.
    pub(super) fn recognise(&mut self, samples: &[i16]) -> anyhow::Result<Vec<Recognised>> {
        let raw = self.raw.as_ptr();
        // SAFETY: `raw` is a live decoder used by nobody else; `samples` outlives the call, which copies what it
        // keeps; a whole utterance at once (the last argument) makes the level normalisation that of this utterance.
        let done = unsafe {
            ps_start_stream(raw) >= 0
                && ps_start_utt(raw) >= 0
                && ps_process_raw(raw, samples.as_ptr(), samples.len(), 0, 1) >= 0
                && ps_end_utt(raw) >= 0
        };
        anyhow::ensure!(done, "PocketSphinx failed on an utterance of {} samples", samples.len());
        Ok(self.hypothesis())
    }

    fn hypothesis(&mut self) -> Vec<Recognised> {
        let mut found = Vec::new();
        let (mut first, mut last) = (0, 0);
        // SAFETY: between utterances the decoder is live and quiet. An iterator is freed by the library when `next`
        // reaches its end; it is never used after that. The word is a string of the dictionary, which lives on.
        unsafe {
            let logarithms = ps_get_logmath(self.raw.as_ptr());
            let mut word = ps_seg_iter(self.raw.as_ptr());
            while !word.is_null() {
                ps_seg_frames(word, &raw mut first, &raw mut last);
                let log_posterior = ps_seg_prob(word, ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
                let start = usize::try_from(first).unwrap_or(0);
                found.push(Recognised {
                    text: CStr::from_ptr(ps_seg_word(word)).to_string_lossy().into_owned(),
                    frames: start..usize::try_from(last + 1).unwrap_or(0).max(start),
                    posterior: logmath_exp(logarithms, log_posterior),
                });
                word = ps_seg_next(word);
            }
        }
        found
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: `raw` is a live decoder of which this is the only owner.
        unsafe { ps_free(self.raw.as_ptr()) };
    }
}

#[link(name = "sphinxbase")]
unsafe extern "C" {
    fn err_set_logfp(stream: *mut c_void);
    fn cmd_ln_parse_r(
        config: *mut c_void,
        definitions: *const c_void,
        count: c_int,
        words: *mut *mut c_char,
        strict: c_int,
    ) -> *mut c_void;
    fn cmd_ln_free_r(config: *mut c_void) -> c_int;
    fn logmath_exp(logarithms: *mut c_void, value: c_int) -> f64;
}

#[link(name = "pocketsphinx")]
unsafe extern "C" {
    fn ps_args() -> *const c_void;
    fn ps_init(config: *mut c_void) -> *mut c_void;
    fn ps_free(decoder: *mut c_void) -> c_int;
    fn ps_start_stream(decoder: *mut c_void) -> c_int;
    fn ps_start_utt(decoder: *mut c_void) -> c_int;
    fn ps_process_raw(
        decoder: *mut c_void,
        samples: *const i16,
        count: usize,
        no_search: c_int,
        full_utterance: c_int,
    ) -> c_int;
    fn ps_end_utt(decoder: *mut c_void) -> c_int;
    fn ps_get_logmath(decoder: *mut c_void) -> *mut c_void;
    fn ps_seg_iter(decoder: *mut c_void) -> *mut c_void;
    fn ps_seg_next(word: *mut c_void) -> *mut c_void;
    fn ps_seg_word(word: *mut c_void) -> *const c_char;
    fn ps_seg_frames(word: *mut c_void, first: *mut c_int, last: *mut c_int);
    fn ps_seg_prob(word: *mut c_void, acoustic: *mut c_int, language: *mut c_int, backoff: *mut c_int) -> c_int;
}
