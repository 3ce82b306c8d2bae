//! The queue of jobs that the interpreter keeps: reactions to promises that wait for their turn.

use std::ptr;

use rquickjs::{Ctx, qjs};

use super::layout::layout;

/// A job's function, as the interpreter has it.
type Function = unsafe extern "C" fn(*mut qjs::JSContext, i32, *mut qjs::JSValue) -> qjs::JSValue;

/// A function of a job that does nothing.
pub(super) const NOTHING: Function = nothing;

unsafe extern "C" fn nothing(_: *mut qjs::JSContext, _: i32, _: *mut qjs::JSValue) -> qjs::JSValue {
    qjs::JS_UNDEFINED
}

/// Moves the entries of the intrusive list whose head is `from` to the empty head `to`.
///
/// # Safety
/// Both are valid for writes; `from` is a list head, or all zero for an empty one.
pub(super) unsafe fn move_list(from: *mut [usize; 2], to: *mut [usize; 2]) {
    let (from_word, to_word) = (from.addr(), to.addr());
    // SAFETY: by the caller.
    unsafe {
        let [next, last] = *from;
        if next == from_word || next == 0 {
            *to = [to_word, to_word];
        } else {
            *to = [next, last];
            (*ptr::with_exposed_provenance_mut::<[usize; 2]>(next))[1] = to.expose_provenance();
            (*ptr::with_exposed_provenance_mut::<[usize; 2]>(last))[0] = to.expose_provenance();
        }
        *from = [from.expose_provenance(), from_word];
    }
}

/// Drops the jobs that wait: work of an iteration that has ended must not be done in the next one,
/// which may be another virtual user's. Each is freed by the interpreter, in whose place nothing
/// is done. Where every virtual user has an interpreter to itself, they stay.
pub(crate) fn discard_jobs(ctx: &Ctx<'_>) {
    let Some(layout) = layout() else { return };
    // SAFETY: `layout` was found by watching an interpreter of this build: the head of the list
    // is in the runtime, and every entry has its function where `probe` saw one.
    unsafe {
        let runtime = qjs::JS_GetRuntime(ctx.as_raw().as_ptr());
        let head = runtime.cast::<u8>().add(layout.jobs).cast::<[usize; 2]>();
        let mut entry = (*head)[0];
        while entry != head.addr() {
            let words = ptr::with_exposed_provenance_mut::<usize>(entry);
            words.byte_add(layout.job_function).write(NOTHING as usize);
            entry = words.read();
        }
    }
    while ctx.execute_pending_job() {}
}
