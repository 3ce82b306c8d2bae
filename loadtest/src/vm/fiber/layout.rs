//! Where `JSRuntime` keeps what moves with a fiber: found by watching which words change.

use std::{cell::Cell, ptr, rc::Rc, sync::OnceLock};

use rquickjs::{
    Context, Error, Function, Runtime,
    allocator::{Allocator, RustAllocator},
    qjs,
};

use super::{enter, jobs::NOTHING};

thread_local! {
    static FIRST_ALLOCATION: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

/// Where `JSRuntime` keeps the innermost frame and the head of the job queue, and where a job has
/// its function, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) frame: usize,
    pub(super) jobs: usize,
    pub(super) job_function: usize,
}

/// Whether fibers may share an interpreter.
pub(crate) fn can_share() -> bool {
    layout().is_some()
}

pub(super) fn layout() -> Option<Layout> {
    static LAYOUT: OnceLock<Option<Layout>> = OnceLock::new();
    *LAYOUT.get_or_init(|| probe().ok().flatten())
}

/// Finds the two words: the frame is 0 outside a call and a stack address inside one; the queue's
/// head points to itself until a job is put in, whose function is then in one of the words behind
/// the two of the list.
fn probe() -> Result<Option<Layout>, Error> {
    FIRST_ALLOCATION.set((0, 0));
    let runtime = Runtime::new_with_alloc(Recording)?;
    let (start, bytes) = FIRST_ALLOCATION.get();
    let context = Context::full(&runtime)?;
    let raw = context.get_runtime_ptr();
    if raw.addr() != start {
        return Ok(None);
    }
    let words = move || -> Vec<usize> {
        // SAFETY: the runtime's own allocation, which was zeroed when it was made.
        (0..bytes / 8).map(|at| unsafe { raw.cast::<usize>().add(at).read() }).collect()
    };
    let outside = words();
    let inside = Rc::new(Cell::new(Vec::new()));
    enter(&context, |ctx| {
        let seen = Rc::clone(&inside);
        ctx.globals().set("look", Function::new(ctx.clone(), move || seen.set(words()))?)?;
        ctx.eval::<(), _>("(function () { look() })()")
    })?;
    let (inside, after) = (inside.take(), words());
    let here = ptr::from_ref(&bytes).addr();
    let frames = (0..outside.len()).filter(|&at| {
        let is_near = inside.get(at).is_some_and(|word| word.abs_diff(here) < 128 * 1024);
        outside[at] == 0 && after[at] == 0 && is_near
    });
    // SAFETY: a job without arguments that does nothing; it is run below.
    unsafe { qjs::JS_EnqueueJob(context.as_raw().as_ptr(), Some(NOTHING), 0, ptr::null_mut()) };
    let queued = words();
    let heads = (0..after.len() - 1).filter(|&at| {
        let address = start + at * 8;
        after[at] == address
            && after[at + 1] == address
            && queued[at] == queued[at + 1]
            && queued[at] != address
    });
    let (frames, heads): (Vec<_>, Vec<_>) = (frames.collect(), heads.collect());
    let (&[frame], &[jobs]) = (&frames[..], &heads[..]) else { return Ok(None) };
    let entry = ptr::with_exposed_provenance::<usize>(queued[jobs]);
    let functions = (2..4usize).filter(|&at| {
        // SAFETY: the entry is in the list, and begins with the two words of the list, a context
        // and a function in some order.
        unsafe { entry.add(at).read() == NOTHING as usize }
    });
    let functions: Vec<_> = functions.collect();
    enter(&context, |ctx| ctx.execute_pending_job());
    let &[function] = &functions[..] else { return Ok(None) };
    Ok(Some(Layout { frame: frame * 8, jobs: jobs * 8, job_function: function * 8 }))
}

/// The allocator of `probe`: notes the first allocation, which is the runtime itself.
struct Recording;

// SAFETY: every method is that of `RustAllocator`.
unsafe impl Allocator for Recording {
    fn alloc(&mut self, size: usize) -> *mut u8 {
        RustAllocator.alloc(size)
    }

    fn calloc(&mut self, count: usize, size: usize) -> *mut u8 {
        let allocation = RustAllocator.calloc(count, size);
        if FIRST_ALLOCATION.get().1 == 0 {
            FIRST_ALLOCATION.set((allocation.addr(), count * size));
        }
        allocation
    }

    unsafe fn dealloc(&mut self, allocation: *mut u8) {
        // SAFETY: by the caller, as for the next two.
        unsafe { RustAllocator.dealloc(allocation) }
    }

    unsafe fn realloc(&mut self, allocation: *mut u8, size: usize) -> *mut u8 {
        // SAFETY: by the caller.
        unsafe { RustAllocator.realloc(allocation, size) }
    }

    unsafe fn usable_size(allocation: *mut u8) -> usize {
        // SAFETY: by the caller.
        unsafe { RustAllocator::usable_size(allocation) }
    }
}
