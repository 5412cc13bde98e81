//! The stage `fetch`: uploads and URLs, good and hostile.
