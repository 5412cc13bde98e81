//! What a node is told.

use std::path::Path;

use crate::certificates::Certificates;

/// What Cassandra's own start script adds for Java 17.
pub(super) const EXPORTS: [&str; 9] = [
    "java.base/jdk.internal.misc",
    "java.base/java.lang.ref",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.sql/java.sql",
    "jdk.unsupported/sun.misc",
    "jdk.attach/sun.tools.attach",
    "jdk.compiler/com.sun.tools.javac.file",
];
pub(super) const OPENS: [&str; 16] = [
    "java.base/java.lang",
    "java.base/java.lang.module",
    "java.base/java.lang.reflect",
    "java.base/java.io",
    "java.base/java.nio",
    "java.base/java.util",
    "java.base/java.util.concurrent.atomic",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.util.jar",
    "java.base/sun.nio.ch",
    "jdk.management/com.sun.management.internal",
    "jdk.compiler/com.sun.tools.javac",
];

/// A node that is small, and patient on a busy machine.
pub(super) fn node(folder: &Path, port: u16, storage_port: u16) -> String {
    let folder = folder.display();
    format!(
        "\
cluster_name: test
num_tokens: 1
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
data_file_directories: [\"{folder}/data\"]
commitlog_directory: \"{folder}/commitlog\"
saved_caches_directory: \"{folder}/saved_caches\"
hints_directory: \"{folder}/hints\"
cdc_raw_directory: \"{folder}/cdc\"
listen_address: 127.0.0.1
rpc_address: 127.0.0.1
storage_port: {storage_port}
native_transport_port: {port}
start_native_transport: true
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters:
      - seeds: \"127.0.0.1:{storage_port}\"
endpoint_snitch: SimpleSnitch
auto_bootstrap: false
# A lone node that is killed keeps what it acknowledged; by default it loses the writes of the last 100 ms and more.
commitlog_sync: batch
# The largest write is half of a segment.
commitlog_segment_size: 16MiB
commitlog_total_space: 64MiB
disk_optimization_strategy: ssd
memtable_heap_space: 64MiB
memtable_offheap_space: 64MiB
memtable_flush_writers: 1
key_cache_size: 8MiB
counter_cache_size: 2MiB
file_cache_size: 32MiB
networking_cache_size: 16MiB
concurrent_reads: 8
concurrent_writes: 8
concurrent_counter_writes: 4
concurrent_compactors: 1
native_transport_max_frame_size: 32MiB
read_request_timeout: 10s
write_request_timeout: 10s
cas_contention_timeout: 5s
truncate_request_timeout: 60s
request_timeout: 20s
auto_snapshot: false
hinted_handoff_enabled: false
"
    )
}

/// Everybody may do everything.
pub(super) fn open() -> String {
    "authenticator: AllowAllAuthenticator\nauthorizer: AllowAllAuthorizer\n".to_owned()
}

/// Whoever connects speaks TLS, shows a certificate and gives a password.
pub(super) fn guarded(certificates: &Certificates) -> String {
    let (pair, authority) = (certificates.server_pair.display(), certificates.authority.display());
    format!(
        "\
authenticator: PasswordAuthenticator
authorizer: CassandraAuthorizer
client_encryption_options:
  enabled: true
  optional: false
  require_client_auth: true
  ssl_context_factory:
    class_name: org.apache.cassandra.security.PEMBasedSslContextFactory
  keystore: \"{pair}\"
  truststore: \"{authority}\"
"
    )
}

pub(super) const LOG_CONFIG: &str = r#"<configuration scan="false">
<appender name="c" class="ch.qos.logback.core.ConsoleAppender"><encoder><pattern>%d{ISO8601} %-5level [%thread] %F:%L - %msg%n</pattern></encoder></appender>
<root level="INFO"><appender-ref ref="c"/></root>
</configuration>
"#;
