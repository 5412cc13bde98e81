//! A queue of fetched records: librdkafka's queues of several partitions forwarded to one. All foreign calls
//! that `rdkafka` has no face for are here, but the one of `remind`.

use std::borrow::Cow;
use std::ffi::{CStr, CString, c_void};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use rdkafka::bindings::{
    rd_kafka_consume_queue, rd_kafka_header_get_all, rd_kafka_message_destroy, rd_kafka_message_headers,
    rd_kafka_message_t, rd_kafka_message_timestamp, rd_kafka_queue_cb_event_enable, rd_kafka_queue_destroy,
    rd_kafka_queue_forward, rd_kafka_queue_get_partition, rd_kafka_queue_length, rd_kafka_queue_new, rd_kafka_queue_t,
    rd_kafka_t, rd_kafka_timestamp_type_t,
};
use rdkafka::error::KafkaError;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use tokio::sync::Notify;

use super::headers::{Header, Headers};
use super::tracker::Ticket;

/// A record that was fetched and is in hand.
#[derive(Debug)]
pub struct Record {
    /// Acknowledges it.
    pub ticket: Ticket,
    /// When it was published to this topic, in milliseconds since the Unix epoch.
    pub published_ms: i64,
    /// What travels beside the body.
    pub headers: Headers,
    /// The encoded message.
    pub body: Bytes,
}

impl Record {
    /// Returns when it was published for the first time, in milliseconds since the Unix epoch.
    pub fn first_published_ms(&self) -> i64 {
        let header = self.headers.get(Header::FirstPublished).and_then(|text| text.parse().ok());
        header.unwrap_or(self.published_ms)
    }
}

/// A native queue into which partitions are forwarded.
pub(super) struct Feed {
    native: Mutex<Option<NonNull<rd_kafka_queue_t>>>,
    arrivals: Box<Arrivals>,
}

/// What is told when a queue is no longer empty.
struct Arrivals {
    notify: Arc<Notify>,
    /// False only while the queue is empty: asking it is much dearer, and most lanes are empty most of the time.
    some: AtomicBool,
}

// SAFETY: librdkafka's queues may be used from any thread; the pointer is only used under the mutex.
unsafe impl Send for Feed {}
// SAFETY: as above.
unsafe impl Sync for Feed {}

impl Feed {
    /// Makes a queue of `client` that notifies `arrivals` when records come.
    ///
    /// # Safety
    /// `client` is a live client, and [`Feed::close`] is called before it is destroyed.
    pub(super) unsafe fn new(client: *mut rd_kafka_t, arrivals: Arc<Notify>) -> Self {
        let arrivals = Box::new(Arrivals { notify: arrivals, some: AtomicBool::new(false) });
        // SAFETY: the client is live. The callback's argument stays valid: it is owned by this feed, which disables
        // the callback before it drops it.
        let native = unsafe {
            let native = rd_kafka_queue_new(client);
            rd_kafka_queue_cb_event_enable(native, Some(arrived), ptr::from_ref(&*arrivals) as *mut c_void);
            NonNull::new(native)
        };
        Self { native: Mutex::new(native), arrivals }
    }

    /// Redirects what is fetched of a partition into this queue; to be done before each assignment of it.
    ///
    /// # Safety
    /// `client` is the live client the feed was made of.
    pub(super) unsafe fn redirect(&self, client: *mut rd_kafka_t, topic: &str, partition: i32) {
        let native = self.lock();
        let (Some(native), Ok(topic)) = (*native, CString::new(topic)) else { return };
        // SAFETY: client and queue are live; the partition's queue is a counted reference, given back here.
        unsafe {
            let source = rd_kafka_queue_get_partition(client, topic.as_ptr(), partition);
            if !source.is_null() {
                rd_kafka_queue_forward(source, native.as_ptr());
                rd_kafka_queue_destroy(source);
            }
        }
    }

    /// Takes the next message without waiting.
    pub(super) fn pop(&self) -> Option<Result<Message, KafkaError>> {
        // What arrives between the two is told again.
        if !self.arrivals.some.swap(false, Ordering::AcqRel) {
            return None;
        }
        let native = self.lock();
        // SAFETY: the queue is live while it is not taken out of the mutex. The message is owned by us.
        let message = unsafe { NonNull::new(rd_kafka_consume_queue((*native)?.as_ptr(), 0)) }.map(Message)?;
        self.arrivals.some.store(true, Ordering::Release);
        let error = message.native().err;
        if error == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Some(Ok(message));
        }
        Some(Err(KafkaError::MessageConsumption(RDKafkaErrorCode::from(error))))
    }

    /// Returns how many records wait.
    pub(super) fn len(&self) -> usize {
        // SAFETY: the queue is live while it is not taken out of the mutex.
        self.lock().map_or(0, |native| unsafe { rd_kafka_queue_length(native.as_ptr()) })
    }

    /// Returns what is notified when records come.
    pub(super) fn arrivals(&self) -> &Arc<Notify> {
        &self.arrivals.notify
    }

    /// Gives the native queue back; the feed is empty for ever.
    pub(super) fn close(&self) {
        if let Some(native) = self.lock().take() {
            // SAFETY: the queue is live, and no longer reachable after this.
            unsafe {
                rd_kafka_queue_cb_event_enable(native.as_ptr(), None, ptr::null_mut());
                rd_kafka_queue_destroy(native.as_ptr());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<NonNull<rd_kafka_queue_t>>> {
        self.native.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Called on librdkafka's threads when a queue is no longer empty.
unsafe extern "C" fn arrived(_client: *mut rd_kafka_t, arrivals: *mut c_void) {
    // SAFETY: `Feed::new` gave arrivals that outlive the callback.
    let arrivals = unsafe { &*arrivals.cast::<Arrivals>() };
    arrivals.some.store(true, Ordering::Release);
    arrivals.notify.notify_one();
}

/// A fetched message in librdkafka's memory; lives only until it is copied or dropped.
pub(super) struct Message(NonNull<rd_kafka_message_t>);

impl Message {
    pub(super) fn partition(&self) -> i32 {
        self.native().partition
    }

    pub(super) fn offset(&self) -> i64 {
        self.native().offset
    }

    /// Returns the body's length in bytes.
    pub(super) fn len(&self) -> usize {
        self.native().len
    }

    /// Copies the message out of librdkafka's memory.
    pub(super) fn into_record(self, ticket: Ticket) -> Record {
        let mut kind = rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is live and the type is written to a place of ours.
        let published_ms = unsafe { rd_kafka_message_timestamp(self.0.as_ptr(), &mut kind) };
        // SAFETY: payload and length describe memory that lives as long as the message.
        let body = Bytes::copy_from_slice(unsafe { bytes(self.native().payload, self.native().len) });
        Record { ticket, published_ms, headers: self.headers(), body }
    }

    fn headers(&self) -> Headers {
        let mut headers = Headers::default();
        let mut list = ptr::null_mut();
        // SAFETY: the message is live; the list belongs to it.
        if unsafe { rd_kafka_message_headers(self.0.as_ptr(), &mut list) } != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR
        {
            return headers;
        }
        for index in 0.. {
            let (mut name, mut value, mut length) = (ptr::null(), ptr::null(), 0);
            // SAFETY: the list is live and the results are written to places of ours.
            let found = unsafe { rd_kafka_header_get_all(list, index, &mut name, &mut value, &mut length) };
            if found != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                break;
            }
            // SAFETY: a found header has a name that is a C string, and a value of the given length.
            let (name, value) = unsafe { (CStr::from_ptr(name).to_string_lossy(), bytes(value, length)) };
            let known = Header::named(&name).map(|header| Cow::Borrowed(header.as_str()));
            let name = known.unwrap_or_else(|| Cow::Owned(name.into_owned()));
            headers.put(name, String::from_utf8_lossy(value).into_owned());
        }
        headers
    }

    fn native(&self) -> &rd_kafka_message_t {
        // SAFETY: the message is ours until it is dropped.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: the message is ours and is given back once.
        unsafe { rd_kafka_message_destroy(self.0.as_ptr()) }
    }
}

/// # Safety
/// `data` is null or the start of `length` bytes that live for `'a`.
unsafe fn bytes<'a>(data: *const c_void, length: usize) -> &'a [u8] {
    // SAFETY: as the caller promises.
    if data.is_null() { &[] } else { unsafe { slice::from_raw_parts(data.cast(), length) } }
}
