//! Certificates of an authority that nobody else trusts.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};

/// Makes an authority and a certificate of it for this machine's loopback addresses, and writes that and its key into a folder as `public.crt` and
/// `private.key`. Returns the authority's certificate (PEM).
pub fn write(folder: &Path) -> String {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let names = ["localhost", "127.0.0.1"].map(str::to_owned);
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("public.crt"), certificate.pem()).unwrap();
    std::fs::write(folder.join("private.key"), key.serialize_pem()).unwrap();
    authority.pem()
}
