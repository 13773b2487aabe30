//! Connections that nobody else reads or alters.
//!
//! Owns: whom to trust: what the host trusts, or the file that `SSL_CERT_FILE` names, as for stores. Never: goes on
//! without.

use crate::wire::Stream;
use crate::{Error, ErrorKind, Result};
use rustls_platform_verifier::BuilderVerifierExt as _;
use std::sync::Arc;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig};

/// A stream within a secured one, to the server of this name.
pub(crate) async fn wrap(stream: Box<dyn Stream>, host: &str) -> Result<Box<dyn Stream>> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|e| Error::invalid(format!("{host} is no name of a server")).with_source(e))?;
    let config = config().map_err(|e| {
        Error::new(
            ErrorKind::Invalid,
            format!("cannot secure a connection: {e}"),
        )
        .with_source(e)
    })?;
    let secured = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await;
    let secured = secured.map_err(|e| {
        Error::unavailable(format!("cannot secure the connection: {e}")).with_source(e)
    })?;
    Ok(Box::new(secured))
}

fn config() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_platform_verifier()?.with_no_client_auth())
}
