//! Encryption to MySQL: where it is required, the certificate is checked against the authority and the name, and nothing goes on
//! without. Against a real MariaDB that lets nobody in who is not encrypted.
#![cfg(feature = "mysql")]

mod support;

use std::path::Path;

use anyhow::{Result, ensure};
use base64::Engine;
use pawl_database::{Error, Limits, Location, Reader, Secret, Value};
use support::mariadb::{Admin, ENCODED, server_with};
use support::soon;

fn pem(kind: &str, bytes: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
    // A reader of PEM wants lines.
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", lines.join("\n"))
}

/// Writes an authority and a certificate of it for `name`.
fn certificates(folder: &Path, name: &str) -> Result<()> {
    let mut authority = rcgen::CertificateParams::new(Vec::new())?;
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate()?;
    std::fs::write(folder.join("ca.pem"), pem("CERTIFICATE", authority.self_signed(&key)?.der()))?;
    let issuer = rcgen::Issuer::new(authority, key);
    let key = rcgen::KeyPair::generate()?;
    let leaf = rcgen::CertificateParams::new(vec![name.to_owned()])?.signed_by(&key, &issuer)?;
    std::fs::write(folder.join("cert.pem"), pem("CERTIFICATE", leaf.der()))?;
    std::fs::write(folder.join("key.pem"), pem("PRIVATE KEY", &key.serialize_der()))?;
    for file in ["ca.pem", "cert.pem", "key.pem"] {
        support::own(&folder.join(file))?;
    }
    Ok(())
}

#[test]
fn required_encryption_checks_the_certificate_and_its_name() -> Result<()> {
    let (folder, other) = (support::folder()?, support::folder()?);
    certificates(folder.path(), "127.0.0.1")?;
    certificates(other.path(), "127.0.0.1")?;
    let file = |name: &str| folder.path().join(name).display().to_string();
    let options = [format!("--ssl-cert={}", file("cert.pem")), format!("--ssl-key={}", file("key.pem"))];
    let Some(server) = server_with(&options)? else { return Ok(()) };
    Admin::new(&server, "mysql")?.run("ALTER USER 'all'@'%' REQUIRE SSL")?;
    Admin::new(&server, "mysql")?.run("CREATE DATABASE shop")?;
    let (authority, foreign) = (file("ca.pem"), other.path().join("ca.pem").display().to_string());
    let reads = |host: &str, query: &str| {
        let address = format!("mysql://all:{ENCODED}@{host}:{}/shop?{query}", server.port);
        let mut reader =
            Reader::open("shop", &Location::Mysql(Secret::new(address)), &Limits::default(), soon())?;
        reader.query("SELECT 1", &[], 1, soon())
    };
    for query in [
        format!("ssl-mode=required&ssl-ca={authority}"),
        format!("ssl-mode=VERIFY_IDENTITY&ssl-ca={authority}"),
        format!("sslmode=verify-full&sslrootcert={authority}"),
        "ssl-mode=preferred".to_owned(),
        String::new(),
    ] {
        let rows = reads("127.0.0.1", &query)?;
        assert_eq!(rows.rows, [[Value::Integer(1)]], "{query}");
    }
    for (host, query) in [
        // Public authorities do not know it, nor does another one; and it is for another name.
        ("127.0.0.1", "ssl-mode=required".to_owned()),
        ("127.0.0.1", "require_ssl=true".to_owned()),
        ("127.0.0.1", format!("ssl-mode=required&ssl-ca={foreign}")),
        ("localhost", format!("ssl-mode=required&ssl-ca={authority}")),
        ("127.0.0.1", format!("ssl-mode=required&ssl-ca={}", file("key.pem"))),
        ("127.0.0.1", "ssl-mode=disabled".to_owned()),
    ] {
        let refused = reads(host, &query);
        ensure!(matches!(&refused, Err(Error::Unavailable(_))), "{query}: {refused:?}");
    }
    Ok(())
}
