//! One writer a state file: a file beside it that the system lets go of when the process ends, however it ends.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a predecessor that is just stopping gets to let go of the file.
const PATIENCE: Duration = Duration::from_secs(1);
const TRY_EVERY: Duration = Duration::from_millis(20);

/// Held as long as this process may write the state.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of a state file.
    ///
    /// # Errors
    /// In words: another process holds it, or the file beside the state cannot be made.
    pub(super) fn take(state: &Path) -> Result<Lock, String> {
        let path = beside(state);
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let patience = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Lock { _file: file }),
                Err(TryLockError::WouldBlock) if Instant::now() < patience => std::thread::sleep(TRY_EVERY),
                Err(TryLockError::WouldBlock) => {
                    return Err(
                        "another tautline is using it; stop that one or set state.sqlite to another file"
                            .to_owned(),
                    );
                }
                Err(TryLockError::Error(error)) => return Err(format!("{}: {error}", path.display())),
            }
        }
    }
}

fn beside(state: &Path) -> PathBuf {
    let mut name = state.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}
