//! Folds the store's write-ahead log back beside the work, so that no posting waits for it.

use crate::daemon::bureau::{Bureau, Step};
use crate::transport::Error;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the log is looked at. A fold that finds nothing new costs some microseconds.
const EVERY: Duration = Duration::from_secs(1);

/// The thread that folds; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Folding {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Folding {
    /// Begins, with a connection of its own.
    pub(super) fn start(bureau: &Bureau) -> Step<Folding> {
        let (stop, stopped) = channel();
        let store = bureau.beside()?.store;
        let fold = move || {
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(EVERY) {
                // A full disk is told by the next commit, and the log keeps what is not folded yet.
                if let Err(error) = store.fold() {
                    tracing::debug!(%error, "the log of the store could not be folded back");
                }
            }
        };
        let thread = std::thread::Builder::new().name("folding".to_owned()).spawn(fold);
        let thread = thread.map_err(|source| Error::io(&bureau.config.state, "start a thread for", source))?;
        Ok(Folding { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Folding {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
