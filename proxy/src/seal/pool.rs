//! Threads for the dear parts of handshakes, so that none holds up a worker.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Most threads; a proxy has cores for its workers.
const THREADS_MAX: usize = 4;

type Job = Box<dyn FnOnce() + Send>;

/// Threads that do what they are given, first come first served. They begin with the first job, and end with the pool.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pool(Arc<Handle>);

/// What the workers hold; the threads hold only [`Shared`].
#[derive(Debug, Default)]
struct Handle(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    bell: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    over: bool,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} jobs, {} threads", self.jobs.len(), self.threads)
    }
}

impl Pool {
    /// Has a job done. How many wait is bounded by who gives them: one for each handshake that is going on.
    pub(crate) fn give(&self, job: impl FnOnce() + Send + 'static) {
        let shared = &self.0.0;
        let mut queue = shared.lock();
        queue.jobs.push_back(Box::new(job));
        if queue.idle > 0 {
            shared.bell.notify_one();
        }
        // Who was woken and does not run yet counts as idle; one thread does not do for all that has come since.
        if queue.jobs.len() > queue.idle && queue.threads < threads() {
            let theirs = Arc::clone(shared);
            match thread::Builder::new().name("seals".to_owned()).spawn(move || theirs.work()) {
                Ok(_) => queue.threads += 1,
                Err(error) => tracing::warn!(%error, "no thread for handshakes"),
            }
        }
        // Without any thread at all the job is done here, late but done.
        if queue.threads == 0
            && let Some(job) = queue.jobs.pop_front()
        {
            drop(queue);
            job();
        }
    }
}

fn threads() -> usize {
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (cores / 2).clamp(1, THREADS_MAX)
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut queue = self.lock();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                drop(queue);
                // Whatever a stranger's bytes may do to a handshake, the thread is there for the next one.
                if catch_unwind(AssertUnwindSafe(job)).is_err() {
                    tracing::error!("a handshake broke off; please report this with the log");
                }
                queue = self.lock();
            } else if queue.over {
                return;
            } else {
                queue.idle += 1;
                queue = self.bell.wait(queue).unwrap_or_else(PoisonError::into_inner);
                queue.idle -= 1;
            }
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.lock().over = true;
        self.0.bell.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_job_is_done_and_the_threads_end_with_the_pool() {
        let pool = Pool::default();
        let (tell, told) = mpsc::channel();
        for number in 0..1000 {
            let tell = tell.clone();
            pool.give(move || tell.send(number).unwrap());
            if number % 100 == 0 {
                pool.give(|| panic!("on purpose"));
            }
        }
        drop(tell);
        let mut numbers: Vec<i32> = told.iter().collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..1000).collect::<Vec<_>>());
        let shared = Arc::downgrade(&pool.0.0);
        drop(pool);
        let gone = (0..200).any(|_| {
            thread::sleep(Duration::from_millis(10));
            shared.strong_count() == 0
        });
        assert!(gone);
    }
}
