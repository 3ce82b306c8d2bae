//! One request of the gateway's own, over a connection of its own, in whatever version that speaks.

use http::{HeaderValue, Method, Request, Response, Uri, Version, header, response::Parts};

use super::{
    draft::{Draft, Shape},
    h1::Answer,
    h2::H2Answer,
    h3::H3Answer,
    pool::{Pooled, Ready},
};
use crate::http::{body::Body, guard::Framing, upload::Upload};

const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("weir/", env!("CARGO_PKG_VERSION")));

/// Sends a request; what comes back, or why nothing does.
pub(crate) async fn ask(pool: &Pooled, mut draft: Draft) -> Result<Response<Body>, String> {
    let ready = pool.0.open(false).await.map_err(|error| error.to_string())?;
    let version = match ready {
        // Nobody but gRPC wants trailers, and it is not spoken there.
        Ready::H1(_) if draft.shape.trailers => {
            return Err("the endpoint speaks HTTP/1.1".to_owned());
        }
        Ready::H1(_) => Version::HTTP_11,
        Ready::H2(_) => Version::HTTP_2,
        Ready::H3(_) => Version::HTTP_3,
    };
    draft.prepare(pool, version).map_err(|failed| failed.error.to_string())?;
    let answered = match ready {
        Ready::H1(connection) => {
            connection.exchange(&mut draft, None).await.map(|answer| match answer {
                Answer::Response(response) => response.map(Body::h1),
                Answer::Bodiless(head, _) | Answer::Switched(head, _) => bodiless(head),
            })
        }
        Ready::H2(connection) => {
            connection.exchange(&mut draft, None, drop).await.map(|answer| match answer {
                H2Answer::Response(response) => response.map(Body::h2),
                H2Answer::Switched(head, _) => bodiless(head),
            })
        }
        Ready::H3(connection) => {
            connection.exchange(&mut draft, None, drop).await.map(|answer| match answer {
                H3Answer::Response(response) => response.map(Body::h3),
                H3Answer::Switched(head, _) => bodiless(head),
            })
        }
    };
    answered.map_err(|failed| failed.error.to_string())
}

/// A request that says who asks.
pub(crate) fn draft(method: Method, target: Uri, framing: Framing, upload: Upload) -> Draft {
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = target;
    request.headers_mut().insert(header::USER_AGENT, USER_AGENT);
    let (head, ()) = request.into_parts();
    let shape = Shape::new(framing);
    Draft::new(head, upload, shape)
}

fn bodiless(head: Parts) -> Response<Body> {
    Response::from_parts(head, Body::empty())
}
