//! What goes wrong on a device on its own account: drivers say so whenever they please.

use std::sync::{Arc, Mutex, PoisonError};

use crate::exec::ExecError;

/// What has gone wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Its memory does not hold what is needed. The device goes on.
    Memory(String),
    /// The device is lost: nothing that it held is there any more.
    Lost(String),
    /// Something else, which no second try mends.
    Other(String),
}

/// What a device has said that went wrong.
#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<Option<Fault>>);

impl Faults {
    /// Listens to a device.
    pub(super) fn of(device: &wgpu::Device) -> Arc<Self> {
        let faults: Arc<Self> = Arc::default();
        let listener = Arc::clone(&faults);
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            let message = error.to_string();
            listener.note(match error {
                wgpu::Error::OutOfMemory { .. } => Fault::Memory(message),
                _ => Fault::Other(message),
            });
        }));
        let listener = Arc::clone(&faults);
        device.set_device_lost_callback(move |_, message| {
            listener.note(Fault::Lost(message));
        });
        faults
    }

    /// The first is the cause of what follows, but for a device that is lost.
    pub(super) fn note(&self, fault: Fault) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*noted, &fault) {
            (None, _) => *noted = Some(fault),
            (Some(Fault::Lost(_)), _) => {}
            (Some(_), Fault::Lost(_)) => *noted = Some(fault),
            (Some(_), _) => {}
        }
    }

    pub(super) fn first(&self) -> Option<Fault> {
        let noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.clone()
    }

    pub(super) fn forget_missing_memory(&self) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.take_if(|fault| matches!(fault, Fault::Memory(_)));
    }
}

impl Fault {
    /// The error that it is on a device of that name.
    pub(super) fn on(self, device: &str) -> ExecError {
        let device = device.to_owned();
        match self {
            Self::Memory(message) => ExecError::OutOfMemory {
                device,
                message,
                advice: "close other programs that use it, or run on `--device cpu`",
            },
            Self::Lost(message) => ExecError::Lost { device, message },
            Self::Other(message) => ExecError::Device { device, message },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_fault_counts_unless_the_device_is_lost() {
        let faults = Faults::default();
        let memory = || Fault::Memory("first".to_owned());
        faults.note(memory());
        faults.note(Fault::Other("second".to_owned()));
        assert_eq!(faults.first(), Some(memory()));
        faults.forget_missing_memory();
        assert_eq!(faults.first(), None);
        faults.note(memory());
        let lost = Fault::Lost("third".to_owned());
        faults.note(lost.clone());
        faults.note(memory());
        faults.forget_missing_memory();
        assert_eq!(faults.first(), Some(lost));
    }
}
