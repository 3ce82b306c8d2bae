//! What the scripts answer. The server is not trusted to be one: what makes no sense is no answer.

use std::{sync::Arc, time::Duration};

use ::redis::Value;
use bytes::Bytes;

use crate::idempotency::{
    record::Recording,
    state::{Claimed, Fence, Owner},
    store::{Seen, Standing, StoreDown},
};

/// What came of a claim of `owner`.
pub(super) fn claimed(reply: Value, owner: Owner) -> Result<Claimed, StoreDown> {
    let Value::Array(mut parts) = reply else { return Err(StoreDown::Other) };
    match parts.as_mut_slice() {
        [Value::Int(1), Value::Int(number)] => {
            let number = u64::try_from(*number).map_err(|_| StoreDown::Other)?;
            Ok(Claimed::Granted(Fence::new(number, owner)))
        }
        [Value::Int(2), Value::Int(left)] => {
            Ok(Claimed::InFlight { left: Duration::from_micros(left.unsigned_abs()) })
        }
        [Value::Int(3)] => Ok(Claimed::Mismatch),
        [Value::Int(4), Value::BulkString(recording)] => {
            let recording = Recording::decode(&Bytes::from(std::mem::take(recording)));
            recording
                .map(|recording| Claimed::Done(Arc::new(recording)))
                .map_err(|_| StoreDown::Foreign)
        }
        [Value::Int(5)] => Ok(Claimed::Unknown),
        _ => Err(StoreDown::Other),
    }
}

/// What an operator sees.
pub(super) fn seen(parts: &[Value]) -> Option<Seen> {
    let [
        Value::BulkString(phase),
        Value::Int(fence),
        Value::Int(left),
        Value::Int(expires),
        Value::BulkString(head),
    ] = parts
    else {
        return None;
    };
    let standing = match phase.as_slice() {
        b"i" => Standing::InFlight { left: Duration::from_micros(left.unsigned_abs()) },
        b"u" => Standing::Unknown,
        b"d" => {
            let (status, replayable) = Recording::peek(head)?;
            Standing::Done { status, replayable }
        }
        _ => return None,
    };
    let expires_in = Duration::from_millis(u64::try_from(*expires).unwrap_or(0));
    Some(Seen { standing, fence: fence.unsigned_abs(), expires_in })
}

/// Whether it was done.
pub(super) fn yes(reply: &Value) -> Result<bool, StoreDown> {
    match reply {
        Value::Int(0) => Ok(false),
        Value::Int(1) => Ok(true),
        _ => Err(StoreDown::Other),
    }
}
