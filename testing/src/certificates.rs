//! Certificates for one server and its clients, as PEM files.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// A certificate and its key.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The certificate.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// What a server shows, what clients show, and who vouches for both.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// Who vouches for server and client.
    pub authority: PathBuf,
    /// The server's key and certificate in one file.
    pub(crate) server_pair: PathBuf,
    /// A client's.
    pub client: Pair,
    /// Who vouches for nobody here.
    pub stranger: PathBuf,
}

impl Certificates {
    /// Makes all of them in `folder`. The server is `localhost` or `127.0.0.1`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(crate) fn make(folder: &Path) -> Result<Self> {
        let file = |name: &str| folder.join(name);
        let all = Self {
            authority: file("authority.pem"),
            server_pair: file("server.pem"),
            client: Pair { certificate: file("client.pem"), key: file("client.key") },
            stranger: file("stranger.pem"),
        };
        let authority = authority("authority")?;
        fs::write(&all.authority, authority.pem())?;
        let (certificate, key) = signed("server", &authority)?;
        fs::write(&all.server_pair, key + &certificate)?;
        let (certificate, key) = signed("client", &authority)?;
        fs::write(&all.client.certificate, certificate)?;
        fs::write(&all.client.key, key)?;
        fs::write(&all.stranger, self::authority("stranger")?.pem())?;
        Ok(all)
    }
}

fn authority(name: &str) -> Result<CertifiedIssuer<'static, KeyPair>> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

/// Returns a certificate and its key.
fn signed(name: &str, authority: &CertifiedIssuer<'_, KeyPair>) -> Result<(String, String)> {
    let mut params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate()?;
    Ok((params.signed_by(&key, authority)?.pem(), key.serialize_pem()))
}
