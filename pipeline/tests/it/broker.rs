//! The one broker of a test run.

/// Returns the address of the broker that tests use.
pub fn broker() -> String {
    std::env::var("SPILLWAY_TEST_BROKERS")
        .expect("set SPILLWAY_TEST_BROKERS to the address of a Kafka broker for tests")
}
