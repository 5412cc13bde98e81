//! Logs and spans: text on a terminal, JSON elsewhere, and OTLP where an address is given.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::filter::{EnvFilter, FilterExt, LevelFilter, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::late_span::LateSpans;

/// What says nothing unless it is named: the driver tells of each node that does not let it in, several times, and
/// whoever asked for the connection says so once.
const QUIET: &str = "scylla=off";

/// What is logged, and where spans go.
#[derive(clap::Args, Clone, Debug)]
pub struct TelemetryArgs {
    /// What to log: a level, or targets and levels such as `info,pipeline=debug`.
    #[arg(long, env = "SPILLWAY_LOG", default_value = "info", value_name = "FILTER", global = true)]
    pub log: String,
    /// How to log; `auto` is text on a terminal, JSON elsewhere.
    #[arg(long, env = "SPILLWAY_LOG_FORMAT", value_name = "FORMAT", default_value = "auto", global = true)]
    pub log_format: LogFormat,
    /// Address of an OTLP collector for spans, such as `http://127.0.0.1:4317` [default: spans are not sent].
    #[arg(long, env = "SPILLWAY_OTLP", value_name = "URL", global = true)]
    pub otlp: Option<String>,
}

/// How log lines look.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// Whether spans are sent: only then they travel in headers. As the rest of tracing it is of the whole process.
static SENDS_SPANS: AtomicBool = AtomicBool::new(false);

/// Sends what is left of the spans when it is dropped.
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(provider) = &self.provider {
            // Nobody is left to tell if the collector is away while the process ends.
            let _ = provider.shutdown();
        }
    }
}

/// Says whether spans are sent.
pub(crate) fn sends_spans() -> bool {
    SENDS_SPANS.load(Ordering::Relaxed)
}

/// Starts logging and tracing for a process that plays `role`. To be called once, inside the runtime.
///
/// # Errors
/// When the filter or the collector's address is not valid.
pub fn start(args: &TelemetryArgs, role: &str) -> Result<Telemetry> {
    let filter = EnvFilter::try_new(format!("{QUIET},{}", args.log));
    let filter = filter.with_context(|| format!("read the log filter {:?}", args.log))?;
    let provider = args.otlp.as_ref().map(|address| provider(address, role)).transpose()?;

    let json = match args.log_format {
        LogFormat::Auto => !std::io::stderr().is_terminal(),
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = if json {
        lines.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed()
    } else {
        lines.with_target(false).with_ansi(std::io::stderr().is_terminal()).boxed()
    };
    let lines = LateSpans.and_then(lines).with_filter(filter);
    let spans = provider.as_ref().map(|provider| {
        // The exporter's own events would come back to it, for ever.
        let own = filter_fn(|event| {
            !["opentelemetry", "h2", "hyper", "tonic", "tower"].iter().any(|noisy| event.target().starts_with(noisy))
        });
        // What is logged has no say in what is traced: spans travel in headers however quiet the log is.
        let own = own.and(LevelFilter::INFO);
        // A span is made for each message: what nobody asks of it, where in the code it began, on which thread, how long
        // it was polled, cost more than the rest of it.
        let spans = tracing_opentelemetry::layer().with_location(false).with_threads(false);
        let spans = spans.with_tracked_inactivity(false).with_context_activation(false);
        spans.with_tracer(provider.tracer("spillway")).with_filter(own)
    });
    tracing_subscriber::registry().with(lines).with(spans).try_init().context("start logging")?;
    SENDS_SPANS.store(provider.is_some(), Ordering::Relaxed);
    Ok(Telemetry { provider })
}

/// Makes what sends the spans of a process that plays `role` to the collector at `address`.
fn provider(address: &str, role: &str) -> Result<SdkTracerProvider> {
    let exporter = SpanExporter::builder().with_tonic().with_endpoint(address).build();
    let exporter = exporter.context("open the OTLP exporter")?;
    let resource = Resource::builder().with_service_name(format!("spillway-{role}")).build();
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    Ok(SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build())
}
