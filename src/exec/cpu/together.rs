//! Threads that share out short pieces of work, again and again, and stay awake between them.
//!
//! A thread that sleeps is late for the next piece. In a virtual machine of two processors, Linux was also seen to wake
//! it on the processor of the thread that woke it, with the other one idle (`perf sched timehist`): a window that came alone
//! took as long as with one thread. Rayon's threads go to sleep after some ten microseconds without work.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Runs `work` on a thread of a pool, while the pool's others look for work all the time.
pub(super) fn awake<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    let done = AtomicBool::new(false);
    rayon::scope(|scope| {
        let own = rayon::current_thread_index();
        let done = &done;
        scope.spawn_broadcast(move |_, thread| {
            while Some(thread.index()) != own && !done.load(Ordering::Acquire) {
                if rayon::yield_now() != Some(rayon::Yield::Executed) {
                    thread::yield_now();
                }
            }
        });
        // Also if the work panics.
        let _end = OnDrop(|| done.store(true, Ordering::Release));
        work()
    })
}

/// Does each piece, all threads of the pool together.
pub(super) fn each<T: Send>(pieces: Vec<T>, work: impl Fn(T) + Sync) {
    let left = AtomicUsize::new(pieces.len());
    let helpers = rayon::current_num_threads()
        .min(pieces.len())
        .saturating_sub(1);
    let pieces = Mutex::new(pieces.into_iter());
    let next = || pieces.lock().unwrap_or_else(PoisonError::into_inner).next();
    let take = || {
        while let Some(piece) = next() {
            let _end = OnDrop(|| {
                left.fetch_sub(1, Ordering::Release);
            });
            work(piece);
        }
    };
    rayon::scope(|scope| {
        for _ in 0..helpers {
            scope.spawn(|_| take());
        }
        take();
        // The end of the scope would sleep.
        while left.load(Ordering::Acquire) > 0 {
            thread::yield_now();
        }
    });
}

struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(threads: usize) -> rayon::ThreadPool {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap()
    }

    #[test]
    fn each_piece_is_done_once() {
        for threads in [1, 2, 5] {
            for count in [0, 1, 2, 7, 100] {
                let mut done = vec![0; count];
                let rounds = 20;
                pool(threads).install(|| {
                    awake(|| {
                        for _ in 0..rounds {
                            each(done.iter_mut().collect(), |done| *done += 1);
                        }
                    });
                });
                assert_eq!(done, vec![rounds; count], "{threads} threads");
            }
        }
    }

    #[test]
    fn a_panic_is_passed_on_and_leaves_the_pool_at_work() {
        let pool = pool(3);
        for wrong in [0, 5, 9] {
            let run =
                || pool.install(|| awake(|| each((0..10).collect(), |n| assert_ne!(n, wrong))));
            let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
            assert!(failed.is_err());
        }
        assert_eq!(pool.install(|| awake(|| 7)), 7);
    }

    /// Two callers share a pool: neither waits for the other's threads to find nothing to do.
    #[test]
    fn pools_may_be_shared() {
        let pool = pool(2);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let sum = AtomicUsize::new(0);
                        let add = |n| {
                            sum.fetch_add(n, Ordering::Relaxed);
                        };
                        pool.install(|| awake(|| each((0..20).collect(), add)));
                        assert_eq!(sum.into_inner(), 190);
                    }
                });
            }
        });
    }
}
