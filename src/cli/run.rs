//! `daikou run`: the daemon.

use crate::cli::{CliError, Context, Exit, Ran, shanghai_now};
use crate::daemon::bureau::Clock;
use crate::daemon::{self, Setup};
use crate::telemetry::{Health, LogFormat, Metrics, log_to_stderr};
use crate::transport::Lock;
use crate::web::{self, Shown};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// Shape of the log on stderr
    #[arg(long, value_name = "SHAPE", default_value = "text", value_parser = ["text", "json"])]
    log: String,
    /// off, error, warn, info, debug, trace, or target=level pairs with commas
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: String,
}

/// How long the main loop may be silent before `/healthz` says so.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the daemon until it is told to stop.
pub fn run(args: &RunArgs, context: &Context) -> Ran {
    let format = if args.log == "json" { LogFormat::Json } else { LogFormat::Text };
    log_to_stderr(format, &args.log_level).map_err(|error| CliError::Usage(error.to_string()))?;
    let bureau = context.open()?;
    let lock = Lock::acquire(&bureau.config.state)?;
    let failed = |error| CliError::Io("cannot start the runtime".to_owned(), error);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(failed)?;
    let (metrics, health) = (Arc::<Metrics>::default(), Arc::<Health>::default());
    let shown = Shown { metrics: metrics.clone(), health: health.clone(), patience: PATIENCE };
    let http = bureau.config.http;
    let clock = Clock { today: context.today, now: shanghai_now };
    let setup = Setup { bureau, lock, clock, metrics, health };
    let ended = runtime.block_on(async {
        let stop = stop_signal().map_err(|error| CliError::Io("cannot listen to signals".to_owned(), error))?;
        let listener = web::listen(http).await.map_err(|error| unheard(http, error))?;
        if let Ok(address) = listener.local_addr() {
            println!("http://{address}");
        }
        let pages = tokio::spawn(web::serve(listener, shown, stopped(stop.clone())));
        let ended = daemon::run(setup, stopped(stop)).await;
        pages.abort();
        ended.map_err(CliError::from)
    });
    // A round that did not end in time is left where it is: what it has not committed is not there.
    runtime.shutdown_background();
    ended.map(|()| Exit::Done)
}

fn unheard(address: SocketAddr, error: web::Error) -> CliError {
    match error {
        web::Error::NotLoopback { .. } => CliError::Usage(error.to_string()),
        web::Error::Listen { source, .. } => CliError::Io(format!("http {address}: choose a free port"), source),
    }
}

/// Becomes true on SIGTERM or SIGINT.
fn stop_signal() -> std::io::Result<watch::Receiver<bool>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (tell, told) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        // Whoever does not listen any more has ended already.
        let _ = tell.send(true);
    });
    Ok(told)
}

async fn stopped(mut told: watch::Receiver<bool>) {
    // The sender lives until it has spoken.
    let _ = told.wait_for(|stop| *stop).await;
}
