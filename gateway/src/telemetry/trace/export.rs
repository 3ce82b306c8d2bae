//! The way to the collector: once a second what there is, on the control thread.
//!
//! A collector that is away costs requests nothing: a batch is tried a few times, with growing
//! pauses, spans that find the queue full meanwhile are dropped and counted, and the log tells when
//! that begins and when it ends.

use std::{rc::Rc, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, Uri, header};
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{sleep, timeout},
};
use weir_config::model::{At, ClientTls, Tracing, UpstreamProtocol};

use super::{Span, otlp};
use crate::{
    app::VERSION,
    clock,
    http::{body::Body, guard::Framing, upload::Upload},
    quic::Dialer,
    snapshot::live::Live,
    task,
    upstream::{
        connect::Connector,
        endpoint::Endpoint,
        once,
        pool::{EndpointPool, Pooled},
        tls::UpstreamTls,
    },
};

/// How often what there is is sent.
const PERIOD: Duration = Duration::from_secs(1);
/// Spans of one request to the collector.
const BATCH: usize = 1_024;
/// How often a batch is tried, and the first pause in between, which doubles.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_secs(1);
/// Time for the last spans when the gateway stops.
const FAREWELL: Duration = Duration::from_secs(2);

/// The task that sends.
#[derive(Debug)]
pub(crate) struct Exporter {
    finish: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Exporter {
    /// Begins; what is to be sent, and where, is asked of `live` each time.
    pub(crate) fn start(live: Arc<Live>) -> Self {
        let (finish, mut finished) = oneshot::channel();
        let task = task::spawn(async move {
            let mut courier = Courier { live, failing: false };
            loop {
                let over = timeout(PERIOD, &mut finished).await.is_ok();
                if over {
                    // Whatever comes of it, nobody waits longer.
                    let _ = timeout(FAREWELL, courier.send_all(1)).await;
                    return;
                }
                courier.send_all(TRIES).await;
            }
        });
        Self { finish, task }
    }

    /// Sends what is left, within two seconds.
    pub(crate) async fn finish(mut self) {
        if self.finish.send(()).is_ok() {
            let _ = timeout(FAREWELL, &mut self.task).await;
        }
        self.task.abort();
    }
}

struct Courier {
    live: Arc<Live>,
    failing: bool,
}

/// Why a batch was not taken.
enum Refused {
    /// It may be later.
    ForNow(String),
    /// It never will be.
    ForGood(String),
}

impl Courier {
    async fn send_all(&mut self, tries: u32) {
        let mut spans = self.live.spans.take();
        let snapshot = self.live.snapshot();
        let Some(tracing) = &snapshot.config.tracing else {
            return self.live.spans.count_dropped(spans.len());
        };
        while !spans.is_empty() {
            let rest = spans.split_off(spans.len().min(BATCH));
            self.send(tracing, &spans, tries).await;
            spans = rest;
        }
    }

    /// Sends one batch, or gives it up.
    async fn send(&mut self, tracing: &Tracing, batch: &[Span], tries: u32) {
        let body = Bytes::from(otlp::request(&tracing.service, VERSION, batch));
        let mut pause = PAUSE;
        for attempt in 1..=tries {
            let why = match post(tracing, body.clone()).await {
                Ok(()) => {
                    self.live.spans.count_sent(batch.len());
                    if std::mem::take(&mut self.failing) {
                        tracing::info!("the collector takes spans again");
                    }
                    return;
                }
                Err(why) => why,
            };
            let (Refused::ForNow(text) | Refused::ForGood(text)) = &why;
            if !std::mem::replace(&mut self.failing, true) {
                let collector = tracing.otlp.address.to_string();
                tracing::warn!(collector, why = text, "the collector does not take spans");
            }
            if matches!(why, Refused::ForGood(_)) || attempt == tries {
                break;
            }
            sleep(pause).await;
            pause *= 2;
        }
        self.live.spans.count_dropped(batch.len());
    }
}

/// One request to the collector, over a connection of its own.
async fn post(tracing: &Tracing, body: Bytes) -> Result<(), Refused> {
    let sent = async {
        let pool = pool(tracing)?;
        let answer = once::ask(&pool, draft(tracing, body)?).await;
        let status = answer.map(|response| response.status());
        pool.0.close();
        status
    };
    let status = match timeout(tracing.timeout, sent).await {
        Err(_) => return Err(Refused::ForNow("no answer in time".to_owned())),
        Ok(status) => status.map_err(Refused::ForNow)?,
    };
    let why = format!("status {}", status.as_u16());
    match status {
        status if status.is_success() => Ok(()),
        // The statuses that the protocol says to try again.
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Err(Refused::ForNow(why)),
        _ => Err(Refused::ForGood(why)),
    }
}

fn draft(tracing: &Tracing, body: Bytes) -> Result<crate::upstream::draft::Draft, String> {
    let target = Uri::try_from(tracing.otlp.path.as_str()).map_err(|error| error.to_string())?;
    let framing = Framing::Length(body.len() as u64);
    let upload = Upload::whole(Body::full(body));
    let mut draft = once::draft(Method::POST, target, framing, upload);
    let headers = &mut draft.head.headers;
    headers.extend(tracing.headers.iter().cloned());
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(draft)
}

fn pool(tracing: &Tracing) -> Result<Pooled, String> {
    let tls = match tracing.otlp.tls {
        false => None,
        true => Some(secure(tracing.at)?),
    };
    let connector = Arc::new(Connector::bare(UpstreamProtocol::H1, tls, tracing.timeout));
    let endpoint = Arc::new(Endpoint::new(tracing.otlp.address.clone(), clock::now()));
    Ok(Pooled(Rc::new(EndpointPool::apart(endpoint, connector, Rc::new(Dialer::default())))))
}

/// TLS that trusts whom the machine trusts.
fn secure(at: At) -> Result<UpstreamTls, String> {
    let written = ClientTls { at, server_name: None, ca: None, client: None, verify: true };
    let wall = std::time::UNIX_EPOCH + clock::unix_time();
    match UpstreamTls::load(&written, UpstreamProtocol::H1, wall) {
        Ok((tls, _)) => Ok(tls),
        Err(problems) => {
            Err(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
        }
    }
}
