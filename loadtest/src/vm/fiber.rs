//! Stackful coroutines under the interpreter: what makes `http.get()` synchronous for a script
//! while the thread goes on serving other virtual users. The only room with `unsafe`.
//!
//! A [`Fiber`] runs scripts on a stack of its own. Native code that must wait calls [`wait`], which
//! leaves the fiber; the thread polls the future on its own stack and resumes the fiber when it is
//! ready. Many fibers share one interpreter (87 KB for each instead of 211), so what the
//! interpreter keeps of "the running program" must move with the fiber: its innermost stack frame,
//! its queue of pending jobs and its stack limit. The first two are private words of `JSRuntime`;
//! [`mod@layout`] finds them at start by watching which words change, and where it does not find
//! exactly one of each, every fiber gets an interpreter to itself and nothing needs to move.

#![allow(unsafe_code, reason = "switches stacks under a C interpreter; each site says why it may")]

mod handle;
mod jobs;
mod layout;

use std::{
    cell::{Cell, UnsafeCell},
    fmt,
    future::Future,
    mem::{self, ManuallyDrop},
    pin::{Pin, pin},
    ptr,
    rc::Rc,
    task::{Context as Task, Poll},
    time::{Duration, Instant},
};

use corosensei::{
    Coroutine, CoroutineResult, Yielder,
    stack::{DefaultStack, Stack},
};
use rquickjs::{Context, Ctx, Error, Exception, Runtime, qjs};

pub(crate) use self::{
    handle::{Handle, copy_buffer},
    jobs::discard_jobs,
    layout::can_share,
};
use self::{jobs::move_list, layout::layout};
use crate::clock;

/// Address space of a fiber's stack. Only touched pages cost memory.
const STACK_BYTES: usize = 512 * 1024;
/// Kept free below the interpreter's limit for the native code that scripts call.
const STACK_MARGIN_BYTES: usize = 128 * 1024;
/// The interpreter's limit for code that runs on the thread's own stack.
const THREAD_STACK_BYTES: usize = 256 * 1024;

type Awaited = *mut (dyn Future<Output = ()> + 'static);

thread_local! {
    static CURRENT: Cell<*const State> = const { Cell::new(ptr::null()) };
    static RESUMED_AT: Cell<Option<Instant>> = const { Cell::new(None) };
    static SCRIPT_TIME: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// The fiber was told to stop what it is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stopped;

/// What the fiber and the code inside it share.
struct State {
    runtime: *mut qjs::JSRuntime,
    stack_low: usize,
    yielder: Cell<*const Yielder<(), Awaited>>,
    frame: Cell<usize>,
    jobs: UnsafeCell<[usize; 2]>,
    interrupted: Cell<bool>,
    closing: Cell<bool>,
}

/// A coroutine that runs scripts of one interpreter; polled as a future until its body returns.
pub(crate) struct Fiber {
    coroutine: ManuallyDrop<Coroutine<(), Awaited, (), DefaultStack>>,
    awaited: Option<Awaited>,
    state: Rc<State>,
}

impl Fiber {
    /// A fiber that will run `body`; every script in it must belong to `runtime`.
    pub(crate) fn new(
        runtime: *mut qjs::JSRuntime,
        body: impl FnOnce() + 'static,
    ) -> std::io::Result<Self> {
        let stack = DefaultStack::new(STACK_BYTES)?;
        let state = Rc::new(State {
            runtime,
            stack_low: stack.limit().get(),
            yielder: Cell::new(ptr::null()),
            frame: Cell::new(0),
            jobs: UnsafeCell::new([0, 0]),
            interrupted: Cell::new(false),
            closing: Cell::new(false),
        });
        let inner = Rc::clone(&state);
        let coroutine = Coroutine::with_stack(stack, move |yielder: &Yielder<(), Awaited>, ()| {
            inner.yielder.set(yielder);
            inner.enter();
            body();
        });
        Ok(Self { coroutine: ManuallyDrop::new(coroutine), awaited: None, state })
    }

    /// What stops the work of this fiber from beside it.
    pub(crate) fn interrupter(&self) -> Interrupter {
        Interrupter(Rc::clone(&self.state))
    }

    /// Makes even idle waits end: the body returns. Poll it afterwards.
    pub(crate) fn close(&self) {
        self.state.interrupted.set(true);
        self.state.closing.set(true);
    }
}

/// Stops the work of a fiber.
pub(crate) struct Interrupter(Rc<State>);

impl Interrupter {
    /// Makes what the fiber waits for end with [`Stopped`], and every wait after it, until
    /// [`wait_idle`]. Poll the fiber afterwards.
    pub(crate) fn interrupt(&self) {
        self.0.interrupted.set(true);
    }
}

impl fmt::Debug for Interrupter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Interrupter").field(&self.0.interrupted.get()).finish()
    }
}

impl Future for Fiber {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.coroutine.done() {
            return Poll::Ready(());
        }
        loop {
            if let Some(awaited) = this.awaited
                && !this.state.interrupted.get()
            {
                // SAFETY: the future lives on the fiber's stack, which is suspended in `wait` until
                // we resume it, and is pinned there.
                let future = unsafe { Pin::new_unchecked(&mut *awaited) };
                if future.poll(task).is_pending() {
                    return Poll::Pending;
                }
            }
            this.awaited = None;
            let outer = CURRENT.replace(Rc::as_ptr(&this.state));
            assert!(outer.is_null(), "a fiber was resumed inside a fiber");
            let resumed = clock::now();
            RESUMED_AT.set(Some(resumed));
            let result = this.coroutine.resume(());
            CURRENT.set(ptr::null());
            RESUMED_AT.set(None);
            SCRIPT_TIME.set(SCRIPT_TIME.get() + (clock::now() - resumed));
            match result {
                CoroutineResult::Yield(awaited) => this.awaited = Some(awaited),
                CoroutineResult::Return(()) => return Poll::Ready(()),
            }
        }
    }
}

impl Drop for Fiber {
    fn drop(&mut self) {
        // A fiber that is suspended inside the interpreter cannot be unwound from outside: its
        // stack is given up. It is closed and polled to its end wherever that can be done.
        if self.coroutine.done() || !self.coroutine.started() {
            // SAFETY: dropped once, here.
            unsafe { ManuallyDrop::drop(&mut self.coroutine) };
        } else {
            mem::forget(Rc::clone(&self.state));
        }
    }
}

impl fmt::Debug for Fiber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fiber").field("done", &self.coroutine.done()).finish_non_exhaustive()
    }
}

impl State {
    /// Makes the interpreter's stack limit that of this fiber, from wherever on it we are.
    fn enter(&self) {
        let here = ptr::from_ref(&self).addr();
        let room = here.saturating_sub(self.stack_low + STACK_MARGIN_BYTES).max(1);
        // SAFETY: the runtime outlives its fibers, and both functions only set its limits.
        unsafe {
            qjs::JS_SetMaxStackSize(self.runtime, room as _);
            qjs::JS_UpdateStackTop(self.runtime);
        }
    }

    /// Takes what the interpreter holds of this fiber's program out of it.
    fn park(&self) {
        let Some(layout) = layout() else { return };
        // SAFETY: the offsets were found by `probe` in a runtime of the same build; both fields
        // are words (a pointer, a list head of two pointers) that only the running thread touches.
        // Moving a list head means that its first and last entry point to the new head.
        unsafe {
            let frame = self.runtime.cast::<u8>().add(layout.frame).cast::<usize>();
            self.frame.set(frame.replace(0));
            move_list(self.runtime.cast::<u8>().add(layout.jobs).cast(), self.jobs.get());
        }
    }

    /// Puts it back.
    fn unpark(&self) {
        if let Some(layout) = layout() {
            // SAFETY: as in `park`.
            unsafe {
                let frame = self.runtime.cast::<u8>().add(layout.frame).cast::<usize>();
                frame.write(self.frame.get());
                move_list(self.jobs.get(), self.runtime.cast::<u8>().add(layout.jobs).cast());
            }
        }
        self.enter();
    }
}

fn current<'a>() -> Option<&'a State> {
    // SAFETY: set only while the fiber that owns the state is being polled, and the reference is
    // used by code that runs inside that poll.
    unsafe { CURRENT.get().as_ref() }
}

/// Waits for `future` from inside a fiber, letting the thread do other things.
///
/// # Errors
/// [`Stopped`] when the fiber is interrupted, or when no fiber is running.
pub(crate) fn wait<F: Future>(future: F) -> Result<F::Output, Stopped> {
    let state = current().ok_or(Stopped)?;
    if state.interrupted.get() {
        return Err(Stopped);
    }
    suspend(state, future)
}

/// [`wait`] for a fiber between two pieces of work: forgets an interrupt, ends only on closing.
pub(crate) fn wait_idle<F: Future>(future: F) -> Result<F::Output, Stopped> {
    let state = current().ok_or(Stopped)?;
    if state.closing.get() {
        return Err(Stopped);
    }
    state.interrupted.set(false);
    suspend(state, future)
}

fn suspend<F: Future>(state: &State, future: F) -> Result<F::Output, Stopped> {
    let mut output = None;
    {
        let slot = &mut output;
        let erased = pin!(async move { *slot = Some(future.await) });
        let erased: *mut (dyn Future<Output = ()> + '_) =
            // SAFETY: the pointer is polled only through a `Pin`.
            unsafe { ptr::from_mut(erased.get_unchecked_mut()) };
        // SAFETY: only the lifetime changes. `Fiber::poll` uses the pointer until it resumes this
        // fiber, and this frame lives until then.
        let erased: Awaited = unsafe { mem::transmute(erased) };
        state.park();
        // SAFETY: the yielder lives as long as the coroutine's body, in which we are.
        unsafe { (*state.yielder.get()).suspend(erased) };
        state.unpark();
    }
    output.ok_or(Stopped)
}

/// How long the running fiber has had the thread.
pub(crate) fn slice() -> Duration {
    RESUMED_AT.get().map_or(Duration::ZERO, |resumed| clock::now() - resumed)
}

/// How long fibers had this thread since the last call.
pub(crate) fn take_script_time() -> Duration {
    SCRIPT_TIME.take()
}

/// Whether the running fiber was told to stop.
pub(crate) fn is_interrupted() -> bool {
    current().is_some_and(|state| state.interrupted.get())
}

/// Throws the exception that no `catch` of a script sees.
pub(crate) fn throw_stopped(ctx: &Ctx<'_>) -> Error {
    match Exception::from_message(ctx.clone(), "the iteration was stopped") {
        Ok(error) => {
            // SAFETY: the value is an error object of this context.
            unsafe { qjs::JS_SetUncatchableError(ctx.as_raw().as_ptr(), error.as_raw()) };
            error.throw()
        }
        Err(error) => error,
    }
}

/// Runs `f` with the context, without the lock that `Context::with` would hold across a wait.
/// Outside a fiber the interpreter's stack limit becomes the thread's.
pub(crate) fn enter<R>(context: &Context, f: impl FnOnce(Ctx<'_>) -> R) -> R {
    if current().is_none() {
        // SAFETY: as in `State::enter`; the context keeps its runtime alive.
        unsafe {
            let runtime = qjs::JS_GetRuntime(context.as_raw().as_ptr());
            qjs::JS_SetMaxStackSize(runtime, THREAD_STACK_BYTES as _);
            qjs::JS_UpdateStackTop(runtime);
        }
    }
    // SAFETY: the runtime is used by this thread alone; which fiber's program is inside it is what
    // `park` and `unpark` see to. The lifetime of the `Ctx` cannot leave `f`.
    f(unsafe { Ctx::from_raw(context.as_raw()) })
}

/// The raw runtime of a context, for [`Fiber::new`].
pub(crate) fn runtime_of(runtime: &Runtime) -> Result<*mut qjs::JSRuntime, Error> {
    Ok(Context::base(runtime)?.get_runtime_ptr())
}
