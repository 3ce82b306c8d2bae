//! Who the peer has proved to be.

use rustls::pki_types::CertificateDer;

use super::connection::Connection;

impl Connection {
    /// The certificate that the peer has proved to own.
    pub(crate) fn peer_leaf(&self) -> Option<CertificateDer<'static>> {
        let chain = self.proto.borrow().crypto_session().peer_identity()?;
        chain.downcast::<Vec<_>>().ok()?.into_iter().next()
    }
}
