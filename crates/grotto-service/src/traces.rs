//! Traces by OpenTelemetry.
//!
//! Owns: where spans go, in builds with the feature `otel`. Never: decides what is a span.

#[cfg(feature = "otel")]
pub(crate) use exported::{Traces, layer};
#[cfg(not(feature = "otel"))]
pub(crate) use missing::{Traces, layer};

/// Spans go to a collector.
#[cfg(feature = "otel")]
mod exported {
    use grotto::{Error, Result};
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
    use opentelemetry_sdk::Resource;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing::Subscriber;
    use tracing_subscriber::Layer;
    use tracing_subscriber::registry::LookupSpan;

    /// What sends spans, in the background.
    #[derive(Clone)]
    pub(crate) struct Traces(SdkTracerProvider);

    impl Traces {
        /// Sends what was not sent yet.
        pub(crate) fn end(&self) {
            if let Err(error) = self.0.shutdown() {
                tracing::warn!(%error, "the last traces were not sent");
            }
        }
    }

    /// What makes spans of the log's, and sends them to the collector at an address such as
    /// `http://127.0.0.1:4318`, by OTLP over HTTP.
    ///
    /// # Errors
    /// `Invalid` when the address is none.
    pub(crate) fn layer<S>(address: &str) -> Result<(Traces, Box<dyn Layer<S> + Send + Sync>)>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let address = format!("{}/v1/traces", address.trim_end_matches('/'));
        let exporter = SpanExporter::builder().with_http().with_endpoint(&address);
        let exporter = exporter
            .build()
            .map_err(|e| Error::invalid(format!("traces to {address}: {e}")))?;
        let resource = Resource::builder().with_service_name("grotto").build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("grotto"));
        Ok((Traces(provider), layer.boxed()))
    }
}

/// There is nothing to send them with.
#[cfg(not(feature = "otel"))]
mod missing {
    use grotto::{Error, Result};
    use tracing::Subscriber;
    use tracing_subscriber::Layer;

    /// Nothing.
    #[derive(Clone)]
    pub(crate) enum Traces {}

    impl Traces {
        pub(crate) fn end(&self) {
            match *self {}
        }
    }

    /// # Errors
    /// `Invalid`, always.
    pub(crate) fn layer<S: Subscriber>(
        address: &str,
    ) -> Result<(Traces, Box<dyn Layer<S> + Send + Sync>)> {
        Err(Error::invalid(format!(
            "traces to {address}: this build sends none; build grotto with --features otel"
        )))
    }
}
