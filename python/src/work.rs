//! Long work beside Python: without its lock, on threads of its own, stopped by what Python's signal handlers or a
//! callback raise.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use model_bundle::progress::Progress;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

/// How often Python is asked whether it wants to stop, and told how far the work is.
const TICK: Duration = Duration::from_millis(50);

/// How far work is, whether it should go on, and the threads that it may use.
pub struct Reporter {
    pool: Arc<ThreadPool>,
    done: AtomicU64,
    total: AtomicU64,
    stopped: AtomicBool,
}

impl Reporter {
    /// Does `work` on the threads of this process. It must wait for nothing that other such work holds: a thread that
    /// waits for others takes on their work.
    pub fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.pool.install(work)
    }

    /// Says how many steps there will be.
    pub fn expect(&self, total: u64) {
        self.total.store(total, Ordering::Relaxed);
    }

    /// Tells the callback how far the work is, if there is news.
    fn tell(&self, py: Python<'_>, callback: Option<&Py<PyAny>>, told: &mut u64) -> PyResult<()> {
        let (done, total) = (
            self.done.load(Ordering::Relaxed),
            self.total.load(Ordering::Relaxed),
        );
        if let Some(callback) = callback.filter(|_| done > *told) {
            *told = done;
            callback.call1(py, (done, total))?;
        }
        Ok(())
    }
}

impl Progress for Reporter {
    fn step(&self, steps: u64) {
        self.done.fetch_add(steps, Ordering::Relaxed);
    }

    fn advance(&self, _file: &Path, _bytes: u64) {}

    fn interrupted(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

/// Does `work` on the threads of this process, while other Python threads run.
///
/// # Errors
/// As [`run_apart`].
pub fn run<R: Send>(py: Python<'_>, work: impl FnOnce(&Reporter) -> R + Send) -> PyResult<R> {
    run_apart(py, None, |reporter| reporter.install(|| work(reporter)))
}

/// Does `work` on a thread of its own, while other Python threads run. `callback` is called with the steps that are done and all of them, from
/// the calling thread.
///
/// # Errors
/// What a signal handler raises (`KeyboardInterrupt`), or the callback: the work is stopped then.
pub fn run_apart<R: Send>(
    py: Python<'_>,
    callback: Option<&Py<PyAny>>,
    work: impl FnOnce(&Reporter) -> R + Send,
) -> PyResult<R> {
    let reporter = Reporter {
        pool: pool()?,
        done: AtomicU64::new(0),
        total: AtomicU64::new(0),
        stopped: AtomicBool::new(false),
    };
    let mut told = 0;
    let mut raised = None;
    let ended = py.detach(|| {
        thread::scope(|scope| {
            let (end, has_ended) = mpsc::channel::<()>();
            let reporter = &reporter;
            let worker = scope.spawn(move || {
                let result = work(reporter);
                drop(end);
                result
            });
            while has_ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                if raised.is_none() {
                    let asked = Python::attach(|py| {
                        py.check_signals()?;
                        reporter.tell(py, callback, &mut told)
                    });
                    if let Err(error) = asked {
                        reporter.stopped.store(true, Ordering::Relaxed);
                        raised = Some(error);
                    }
                }
            }
            worker.join()
        })
    });
    if let Some(error) = raised {
        return Err(error);
    }
    match ended {
        Ok(result) => {
            reporter.tell(py, callback, &mut told)?;
            Ok(result)
        }
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// The threads of this process. A process that was forked has none of its parent's, and would wait for them for ever.
fn pool() -> PyResult<Arc<ThreadPool>> {
    static POOL: Mutex<Option<(u32, Arc<ThreadPool>)>> = Mutex::new(None);
    let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    if let Some((owner, pool)) = &*pool
        && *owner == process
    {
        return Ok(Arc::clone(pool));
    }
    let made = ThreadPoolBuilder::new().build();
    let made = Arc::new(made.map_err(|error| PyRuntimeError::new_err(error.to_string()))?);
    let of_parent = pool.replace((process, Arc::clone(&made)));
    // Its threads are not here to be ended.
    std::mem::forget(of_parent);
    Ok(made)
}
