//! The end of a clear or TLS byte stream, such that the last response arrives.
//!
//! A socket closed while unread bytes wait in it is reset by the kernel, and the reset can destroy
//! a response on its way. So: say that nothing more comes, then read what is still sent for a
//! while, and only then let go (RFC 9112 section 9.6).

use std::{rc::Rc, time::Duration};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{connection::Connection, transport::Transport};
use crate::{error::Error, http::reply, telemetry::record};

/// How long bytes of a client that does not stop sending are thrown away.
const LINGER: Duration = Duration::from_secs(2);
/// How many of them.
const LINGER_BYTES: usize = 1024 * 1024;

/// Closes after the last response.
pub(crate) async fn close(mut transport: Transport) {
    let _ = tokio::time::timeout(LINGER, async {
        transport.shutdown().await?;
        let mut discarded = 0;
        let mut scratch = vec![0; 2048];
        while discarded < LINGER_BYTES {
            match transport.read(&mut scratch).await? {
                0 => break,
                n => discarded += n,
            }
        }
        std::io::Result::Ok(())
    })
    .await;
}

/// Answers bytes that are no request, notes it in metrics and access log, and closes.
pub(crate) async fn refuse(mut transport: Transport, connection: &Rc<Connection>, error: Error) {
    let response = reply::raw_http1(error, &connection.worker.date());
    record::refusal(connection, error, response.len() as u64);
    let written =
        tokio::time::timeout(LINGER, async { transport.write_all(&response).await }).await;
    if matches!(written, Ok(Ok(()))) {
        close(transport).await;
    }
}
