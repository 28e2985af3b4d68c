//! An allocator that counts, thread by thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Threads that can be told apart; later ones share the last slot.
const SLOTS: usize = 256;

static COUNTS: [AtomicU64; SLOTS] = [const { AtomicU64::new(0) }; SLOTS];
static THREADS: AtomicUsize = AtomicUsize::new(0);
/// Set PDW_ALLOCATION_TRACE to have every counted allocation's backtrace printed: the threads that are watched.
static TRACED: [AtomicUsize; 2] = [AtomicUsize::new(0), AtomicUsize::new(0)];

thread_local! {
    static SLOT: Cell<Option<usize>> = const { Cell::new(None) };
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is handed on to the system's allocator unchanged; counting touches only
// atomics and thread-local cells without destructors, which allocate nothing.
#[allow(unsafe_code, reason = "an allocator cannot be written without")]
unsafe impl GlobalAlloc for Counting {
    // SAFETY: the caller's promises are those of the system's allocator.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the layout is the caller's.
        unsafe { System.alloc(layout) }
    }

    // SAFETY: the caller's promises are those of the system's allocator.
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the layout is the caller's.
        unsafe { System.alloc_zeroed(layout) }
    }

    // SAFETY: the caller's promises are those of the system's allocator.
    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        // SAFETY: pointer and layout are the caller's.
        unsafe { System.realloc(old, layout, size) }
    }

    // SAFETY: the caller's promises are those of the system's allocator.
    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: pointer and layout are the caller's.
        unsafe { System.dealloc(old, layout) }
    }
}

fn note() {
    let slot = SLOT.get().unwrap_or_else(|| {
        let slot = THREADS.fetch_add(1, Ordering::Relaxed).min(SLOTS - 1);
        SLOT.set(Some(slot));
        slot
    });
    COUNTS[slot].fetch_add(1, Ordering::Relaxed);
    let [first, end] = [&TRACED[0], &TRACED[1]].map(|bound| bound.load(Ordering::Relaxed));
    if (first..end).contains(&slot) && !BUSY.replace(true) {
        eprintln!("thread {slot} allocates:\n{}", Backtrace::force_capture());
        BUSY.set(false);
    }
}

/// Threads by the order of their first allocation.
#[derive(Clone, Debug)]
pub(crate) struct Threads(Range<usize>);

impl Threads {
    /// The calling thread.
    pub(crate) fn own() -> Self {
        // It has a slot from its first allocation on.
        drop(Box::new(0));
        let slot = SLOT.get().unwrap();
        Self(slot..slot + 1)
    }

    /// Those that `start` and everything started by it allocate in for the first time.
    pub(crate) fn started_by<T>(start: impl FnOnce() -> T) -> (Self, T) {
        let first = THREADS.load(Ordering::Relaxed);
        let started = start();
        (Self(first..THREADS.load(Ordering::Relaxed).min(SLOTS)), started)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Allocations in these threads during `work`.
    pub(crate) fn allocations(&self, work: impl FnOnce()) -> u64 {
        let count = || self.0.clone().map(|slot| COUNTS[slot].load(Ordering::Relaxed)).sum::<u64>();
        if std::env::var_os("PDW_ALLOCATION_TRACE").is_some() {
            TRACED[0].store(self.0.start, Ordering::Relaxed);
            TRACED[1].store(self.0.end, Ordering::Relaxed);
        }
        let before = count();
        work();
        let counted = count() - before;
        TRACED[1].store(0, Ordering::Relaxed);
        counted
    }
}

#[test]
fn a_deliberate_allocation_is_seen() {
    let own = Threads::own();
    assert_eq!(own.allocations(|| {}), 0);
    assert_eq!(own.allocations(|| drop(std::hint::black_box(Box::new(1)))), 1);
    let mut grown = Vec::<u8>::with_capacity(1);
    assert_eq!(own.allocations(|| grown.resize(std::hint::black_box(100), 0)), 1);
}

#[test]
fn an_allocation_in_another_thread_is_seen() {
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let (done, finished) = std::sync::mpsc::channel();
    let (threads, worker) = Threads::started_by(|| {
        let (ready, started) = std::sync::mpsc::channel();
        let worker = std::thread::spawn(move || {
            drop(std::hint::black_box(Box::new(0)));
            ready.send(()).unwrap();
            while receiver.recv().is_ok() {
                drop(std::hint::black_box(Box::new(0)));
                done.send(()).unwrap();
            }
        });
        started.recv().unwrap();
        worker
    });
    assert!(!threads.is_empty());
    let seen = threads.allocations(|| {
        sender.send(()).unwrap();
        finished.recv().unwrap();
    });
    assert!(seen > 0);
    drop(sender);
    worker.join().unwrap();
}
