//! What systemd is told. Without systemd every call does nothing.

use std::time::Duration;

use sd_notify::NotifyState;

/// Started: the store is open and the first scan is done.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// One line for `systemctl status`: counts and words only, never who.
pub fn status(text: &str) {
    tell(&[NotifyState::Status(text)]);
}

/// A sign of life. Only for a loop that has just seen that it is well: systemd kills a process that gives none.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// Not ready yet, and at work: systemd waits for so long from now on.
pub fn starting(longer: Duration) {
    tell(&[NotifyState::ExtendTimeoutUsec(u32::try_from(longer.as_micros()).unwrap_or(u32::MAX))]);
}

/// No more work is taken; what has begun is finished.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// How often to give a sign of life: half of what systemd allows; `None` where it expects none.
pub fn alive_every() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|allowed| allowed / 2)
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!("systemd did not hear {state:?}: {error}");
    }
}
