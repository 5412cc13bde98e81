//! TLS with the nodes, and why a cluster does not let us in.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use scylla::errors::NewSessionError;

/// TLS between this process and the nodes.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct StoreTls {
    /// PEM file of the authorities that may vouch for the nodes: turns TLS for CQL on. Nodes are known by their IP
    /// addresses, which must stand in their certificates.
    #[arg(long, env = "SPILLWAY_STORE_CA", value_name = "FILE")]
    pub store_ca: Option<PathBuf>,
    /// PEM file of the certificate that is shown to the nodes, where they ask for one.
    #[arg(
        long,
        env = "SPILLWAY_STORE_CERTIFICATE",
        value_name = "FILE",
        requires = "store_key",
        requires = "store_ca"
    )]
    pub store_certificate: Option<PathBuf>,
    /// PEM file of that certificate's key.
    #[arg(long, env = "SPILLWAY_STORE_KEY", value_name = "FILE", requires = "store_certificate")]
    pub store_key: Option<PathBuf>,
}

impl StoreTls {
    /// Returns how TLS is spoken, if it is.
    ///
    /// # Errors
    /// One line: a file that cannot be read, or holds something else.
    pub(super) fn client(&self) -> Result<Option<Arc<ClientConfig>>> {
        let Some(authorities) = &self.store_ca else { return Ok(None) };
        let mut roots = RootCertStore::empty();
        for authority in certificates("--store-ca", authorities)? {
            roots.add(authority).with_context(|| format!("use --store-ca {}", authorities.display()))?;
        }
        let config = ClientConfig::builder().with_root_certificates(roots);
        let config = match (&self.store_certificate, &self.store_key) {
            (Some(certificate), Some(key)) => {
                let chain = certificates("--store-certificate", certificate)?;
                let key =
                    PrivateKeyDer::from_pem_file(key).with_context(|| format!("read --store-key {}", key.display()))?;
                config.with_client_auth_cert(chain, key).context("use --store-certificate with --store-key")?
            }
            _ => config.with_no_client_auth(),
        };
        Ok(Some(Arc::new(config)))
    }

    /// Says in one line why no session was made, and what to do.
    pub(super) fn explain(&self, error: NewSessionError) -> anyhow::Error {
        let said = error.to_string();
        let says = |words: &str| said.contains(words);
        let advice = if says("redentials") || says("uthentication") {
            "the cluster does not let this user in; check the user in --store and the password"
        } else if says("UnknownIssuer") || says("NotValidForName") || says("invalid peer certificate") {
            "a node's certificate is not trusted; name who vouches for it with --store-ca"
        } else if says("CertificateRequired") || says("HandshakeFailure") || says("BadCertificate") {
            "a node asks for a certificate; give --store-certificate and --store-key"
        } else if says("InvalidContentType") {
            "a node does not speak TLS; leave --store-ca out"
        } else if self.store_ca.is_none() && says("Request: OPTIONS") {
            "a node hangs up at the first word; if it speaks TLS, give --store-ca"
        } else if self.store_certificate.is_none() && says("Request: OPTIONS") {
            // With TLS 1.3 the node says so after the handshake, and may have closed before that is read.
            "a node hangs up at the first word; if it asks for a certificate, give --store-certificate and --store-key"
        } else {
            return error.into();
        };
        anyhow!("{advice} ({said})")
    }
}

fn certificates(flag: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read = || -> Result<Vec<CertificateDer<'static>>> {
        let found = CertificateDer::pem_file_iter(file)?.collect::<Result<Vec<_>, _>>()?;
        if found.is_empty() { Err(anyhow!("it holds no certificate")) } else { Ok(found) }
    };
    read().with_context(|| format!("read {flag} {}", file.display()))
}
