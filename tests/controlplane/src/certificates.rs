//! The keys and certificates of one control plane, made anew for each.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

/// Where the keys and certificates are, all PEM.
#[derive(Debug)]
pub(crate) struct Certificates {
    pub(crate) authority: PathBuf,
    pub(crate) serving_certificate: PathBuf,
    pub(crate) serving_key: PathBuf,
    pub(crate) service_account_private_key: PathBuf,
    pub(crate) service_account_public_key: PathBuf,
}

/// Keys and certificates could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificatesError {
    /// Generating a key or signing a certificate failed.
    #[error("generate keys and certificates")]
    Generate(#[from] rcgen::Error),
    /// A file could not be written.
    #[error("write keys and certificates")]
    Write(#[from] io::Error),
}

impl Certificates {
    /// Makes an authority, a certificate for an API server on loopback signed by it, and the key pair that
    /// service-account tokens are signed with; writes them into `directory`.
    pub(crate) fn generate(directory: &Path) -> Result<Self, CertificatesError> {
        let authority = authority()?;
        let serving_key = KeyPair::generate()?;
        let serving = serving()?.signed_by(&serving_key, &authority.1)?;
        let service_accounts = KeyPair::generate()?;

        let write = |name: &str, pem: String| -> io::Result<PathBuf> {
            let path = directory.join(name);
            fs::write(&path, pem)?;
            Ok(path)
        };
        Ok(Self {
            authority: write("ca.crt", authority.0)?,
            serving_certificate: write("apiserver.crt", serving.pem())?,
            serving_key: write("apiserver.key", serving_key.serialize_pem())?,
            service_account_private_key: write("service-accounts.key", service_accounts.serialize_pem())?,
            service_account_public_key: write("service-accounts.pub", service_accounts.public_key_pem())?,
        })
    }
}

fn authority() -> Result<(String, Issuer<'static, KeyPair>), rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "controlplane test authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), Issuer::new(params, key)))
}

fn serving() -> Result<CertificateParams, rcgen::Error> {
    let names = ["127.0.0.1", "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"];
    let mut params = CertificateParams::new(names.map(String::from))?;
    params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}
