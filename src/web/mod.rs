//! `/metrics` and `/healthz`, on the loopback address only: whoever reads them from elsewhere does so through a proxy
//! that knows who may.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::telemetry::{Health, Metrics};

/// The listener could not be opened, or broke.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not an address of this machine alone.
    #[error("http {address}: expected a loopback address such as 127.0.0.1:9187; nothing here asks who is calling")]
    NotLoopback {
        /// As configured.
        address: SocketAddr,
    },
    /// The kernel refused.
    #[error("http {address}: {source}; choose a free port in the configuration")]
    Listen {
        /// As configured.
        address: SocketAddr,
        /// Its answer.
        source: io::Error,
    },
}

/// What the pages show.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The figures.
    pub metrics: Arc<Metrics>,
    /// Whether the process is well.
    pub health: Arc<Health>,
    /// How long the main loop may be silent.
    pub patience: Duration,
}

/// Takes the address; fails at once where it is not loopback or not free.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    if !address.ip().is_loopback() {
        return Err(Error::NotLoopback { address });
    }
    TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })
}

/// Answers until `shutdown` is ready, then lets open answers end, but not for longer than [`LAST_ANSWERS`].
pub async fn serve(
    listener: TcpListener,
    shown: Shown,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let pages = Router::new().route("/metrics", get(metrics)).route("/healthz", get(healthz)).with_state(shown);
    let (stopped, when_stopped) = oneshot::channel();
    let server = axum::serve(listener, pages).with_graceful_shutdown(async move {
        shutdown.await;
        // Nobody listens only where the server has ended by itself.
        let _ = stopped.send(());
    });
    tokio::select! {
        ended = server.into_future() => ended,
        () = patience_after(when_stopped) => Ok(()),
    }
}

/// How long a slow reader may hold up the end of the process.
pub const LAST_ANSWERS: Duration = Duration::from_secs(2);

async fn patience_after(stopped: oneshot::Receiver<()>) {
    match stopped.await {
        Ok(()) => tokio::time::sleep(LAST_ANSWERS).await,
        Err(_) => std::future::pending().await,
    }
}

async fn metrics(State(shown): State<Shown>) -> impl IntoResponse {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, OPEN_METRICS)], shown.metrics.render())
}

async fn healthz(State(shown): State<Shown>) -> (StatusCode, String) {
    match shown.health.verdict(Instant::now(), shown.patience) {
        Ok(()) => (StatusCode::OK, "ok\n".into()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason + "\n"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;

    fn ask(address: SocketAddr, page: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {page} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn pages_answer_until_the_shutdown_even_with_a_silent_client() {
        let shown = Shown { metrics: Arc::default(), health: Arc::default(), patience: Duration::from_secs(30) };
        let listener = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(serve(listener, shown.clone(), async move {
            let _ = stopped.await;
        }));
        assert!(ask(address, "/healthz").contains("503 Service Unavailable"));
        shown.health.alive(Instant::now());
        assert!(ask(address, "/healthz").ends_with("\r\n\r\nok\n"));
        assert!(ask(address, "/metrics").contains("# EOF"));
        assert!(ask(address, "/else").contains("404 Not Found"));

        let mut silent = TcpStream::connect(address).unwrap();
        silent.write_all(b"GET /metr").unwrap();
        stop.send(()).unwrap();
        tokio::time::timeout(LAST_ANSWERS * 3, server).await.unwrap().unwrap().unwrap();
    }

    #[tokio::test]
    async fn only_loopback_is_taken() {
        let refused = listen("0.0.0.0:0".parse().unwrap()).await.unwrap_err();
        assert!(matches!(refused, Error::NotLoopback { .. }), "{refused}");
    }
}
