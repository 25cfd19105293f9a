//! Wakes the daemon when something happens in an inbox. A hint and no more: what lies there is what a scan finds.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc::Sender;

use crate::transport::escaped;

/// Watches over all inboxes. Where the kernel gives no watch, the periodic scan is all there is, and it is enough.
#[derive(Debug)]
pub struct Watch {
    watcher: Option<RecommendedWatcher>,
    armed: BTreeMap<PathBuf, (u64, u64)>,
    warned: bool,
}

impl Watch {
    /// Wakes through `wake`, a channel with one slot: any number of events while the daemon is busy are one.
    pub fn new(wake: Sender<()>) -> Watch {
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.as_ref().map_or(true, is_a_change) {
                // A full slot means that the daemon will look anyway; a closed one, that it has ended.
                let _ = wake.try_send(());
            }
        });
        let mut watch = Watch { watcher: None, armed: BTreeMap::new(), warned: false };
        match watcher {
            Ok(watcher) => watch.watcher = Some(watcher),
            Err(error) => watch.warn_once(Path::new("."), &error),
        }
        watch
    }

    /// Watches exactly these folders. To be called at the start and at each periodic scan: a folder that was made
    /// again is another folder, and its old watch is silent for ever.
    pub fn arm(&mut self, folders: &[PathBuf]) {
        let gone: Vec<PathBuf> = self.armed.keys().filter(|path| !folders.contains(path)).cloned().collect();
        for path in gone {
            self.forget(&path);
        }
        for path in folders {
            let identity = fs::metadata(path).ok().map(|folder| (folder.dev(), folder.ino()));
            if self.armed.get(path).copied() == identity {
                continue;
            }
            self.forget(path);
            if let Some(identity) = identity {
                self.watch(path, identity);
            }
        }
    }

    /// How many folders wake the daemon at once; the others wait for the periodic scan.
    pub fn armed(&self) -> usize {
        self.armed.len()
    }

    fn watch(&mut self, path: &Path, identity: (u64, u64)) {
        let Some(watcher) = &mut self.watcher else { return };
        match watcher.watch(path, RecursiveMode::NonRecursive) {
            Ok(()) => {
                self.armed.insert(path.to_owned(), identity);
            }
            Err(error) => self.warn_once(path, &error),
        }
    }

    fn forget(&mut self, path: &Path) {
        if self.armed.remove(path).is_some()
            && let Some(watcher) = &mut self.watcher
        {
            // The kernel drops the watch of a removed folder by itself; then there is nothing to drop.
            let _ = watcher.unwatch(path);
        }
    }

    fn warn_once(&mut self, path: &Path, error: &notify::Error) {
        if !self.warned {
            self.warned = true;
            let folder = escaped(path);
            tracing::warn!(
                folder,
                "cannot watch {folder}: {error}; files are found by the periodic scan only: \
                 raise fs.inotify.max_user_watches and max_user_instances"
            );
        }
    }
}

/// Our own scans open and read: waking for that would never end. A lost event (`need_rescan`) is a reason to look.
fn is_a_change(event: &Event) -> bool {
    match event.kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write) || event.need_rescan(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use notify::event::Flag;
    use tokio::sync::mpsc::{Receiver, channel};
    use tokio::time::timeout;

    use super::*;
    use crate::transport::folder::Folder;

    async fn woken(wakes: &mut Receiver<()>) -> bool {
        let woken = timeout(Duration::from_secs(2), wakes.recv()).await == Ok(Some(()));
        quiet(wakes).await;
        woken
    }

    async fn quiet(wakes: &mut Receiver<()>) {
        while timeout(Duration::from_millis(100), wakes.recv()).await.is_ok() {}
    }

    #[tokio::test]
    async fn a_new_file_wakes_and_our_own_reading_does_not() {
        let inbox = tempfile::tempdir().unwrap();
        let (wake, mut wakes) = channel(1);
        let mut watch = Watch::new(wake);
        watch.arm(&[inbox.path().to_owned()]);
        assert_eq!(watch.armed(), 1);
        fs::write(inbox.path().join("a.txt"), "a").unwrap();
        assert!(woken(&mut wakes).await);

        Folder::open(inbox.path()).unwrap().scan(10).unwrap();
        fs::read(inbox.path().join("a.txt")).unwrap();
        assert!(timeout(Duration::from_millis(200), wakes.recv()).await.is_err());
    }

    #[tokio::test]
    async fn a_folder_that_was_made_again_is_watched_again() {
        let drops = tempfile::tempdir().unwrap();
        let inbox = drops.path().join("in");
        fs::create_dir(&inbox).unwrap();
        let (wake, mut wakes) = channel(1);
        let mut watch = Watch::new(wake);
        watch.arm(std::slice::from_ref(&inbox));
        fs::rename(&inbox, drops.path().join("old")).unwrap();
        watch.arm(std::slice::from_ref(&inbox));
        assert_eq!(watch.armed(), 0);
        fs::create_dir(&inbox).unwrap();
        watch.arm(std::slice::from_ref(&inbox));
        quiet(&mut wakes).await;
        fs::write(inbox.join("a.txt"), "a").unwrap();
        assert!(woken(&mut wakes).await);
    }

    #[tokio::test]
    async fn without_a_watcher_the_daemon_goes_on() {
        let (wake, _wakes) = channel(1);
        let mut watch = Watch::new(wake);
        watch.watcher = None;
        watch.arm(&[std::env::temp_dir()]);
        assert_eq!(watch.armed(), 0);
    }

    #[test]
    fn lost_events_are_a_reason_to_look() {
        assert!(is_a_change(&Event::new(EventKind::Other).set_flag(Flag::Rescan)));
        assert!(!is_a_change(&Event::new(EventKind::Access(AccessKind::Open(AccessMode::Any)))));
    }
}
