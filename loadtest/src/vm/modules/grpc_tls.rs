//! What a script says of TLS to a gRPC server.

use std::sync::Arc;

use rquickjs::{Ctx, Exception, Object, Result, Value};
use rustls::{
    ClientConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::{CertifiedKey, SingleCertAndKey},
};

use super::grpc::texts;
use crate::{http::client_config, vm::state::VuState};

/// The configuration with the authorities and the certificate of `params`.
pub(super) fn config<'js>(
    ctx: &Ctx<'js>,
    vu: &VuState,
    params: &Object<'js>,
) -> Result<ClientConfig> {
    let failed = |what: &str, error: &dyn std::fmt::Display| {
        Exception::throw_message(ctx, &format!("invalid tls {what}: {error}"))
    };
    if !params.get::<_, Value<'js>>("password")?.is_undefined() {
        let text = "encrypted keys (tls.password) are not supported by weir-load";
        return Err(Exception::throw_message(ctx, text));
    }
    let mut roots = Vec::new();
    for pem in texts(&params.get("cacerts")?)? {
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            roots.push(certificate.map_err(|error| failed("cacerts", &error))?);
        }
    }
    let config = client_config(vu.options().insecure_skip_tls_verify, true, &roots);
    let mut config = config.map_err(|error| failed("parameters", &error))?;
    let (cert, key): (Option<String>, Option<String>) = (params.get("cert")?, params.get("key")?);
    if let (Some(cert), Some(key)) = (cert, key) {
        let chain: std::result::Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(cert.as_bytes()).collect();
        let chain = chain.map_err(|error| failed("cert", &error))?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes());
        let key = key.map_err(|error| failed("key", &error))?;
        let key = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider());
        let key = key.map_err(|error| failed("key", &error))?;
        config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(key));
    }
    Ok(config)
}
