//! One body's way into a coding: bytes in, bytes out, nothing waits.
//!
//! What an encoder keeps is bounded whatever it is fed: windows are [`WINDOW_BITS`] wide at most.

use brotli::enc::{
    StandardAlloc,
    encode::{BrotliEncoderOperation, BrotliEncoderParameter, BrotliEncoderStateStruct},
};
use flate2::{Compression, FlushCompress, Status};
use weir_config::model::{Encoding, Levels};
use zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer, ResetDirective};

/// How far back a coding may refer, as a power of two: 256 KiB. More of it makes what the gateway
/// sends hardly shorter, and the memory of each response that is under way longer.
const WINDOW_BITS: u32 = 18;
/// The widest window of gzip.
const GZIP_WINDOW_BITS: u8 = 15;
/// What an output buffer has room for at first, and grows by.
const ROOM: usize = 4 << 10;

/// What becomes of what was fed so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// More follows; what comes out, and when, is the coding's own affair.
    More,
    /// More follows, but all that there was must come out now.
    Flush,
    /// That was all.
    Finish,
}

/// An encoder cannot go on: it has no memory, or was used after its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken;

/// See the module's page.
pub struct Encoder(State);

enum State {
    Gzip(flate2::Compress),
    Zstd(CCtx<'static>),
    Br(Box<BrotliEncoderStateStruct<StandardAlloc>>),
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            State::Gzip(_) => "Encoder::Gzip",
            State::Zstd(_) => "Encoder::Zstd",
            State::Br(_) => "Encoder::Br",
        })
    }
}

impl Encoder {
    /// An encoder for a body of `length` bytes, where that is known: short ones take less memory.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn new(encoding: Encoding, levels: Levels, length: Option<u64>) -> Result<Self, Broken> {
        Ok(Self(match encoding {
            Encoding::Gzip => {
                let level = Compression::new(levels.gzip.min(9));
                State::Gzip(flate2::Compress::new_gzip(level, GZIP_WINDOW_BITS))
            }
            Encoding::Zstd => {
                let mut context = CCtx::try_create().ok_or(Broken)?;
                let level = i32::try_from(levels.zstd).map_err(|_| Broken)?;
                let wanted =
                    [CParameter::CompressionLevel(level), CParameter::WindowLog(WINDOW_BITS)];
                for parameter in wanted {
                    context.set_parameter(parameter).map_err(|_| Broken)?;
                }
                context.set_pledged_src_size(length).map_err(|_| Broken)?;
                State::Zstd(context)
            }
            Encoding::Br => {
                let mut state = Box::new(BrotliEncoderStateStruct::new(StandardAlloc::default()));
                let hint = length.and_then(|length| u32::try_from(length).ok()).unwrap_or(0);
                let wanted = [
                    (BrotliEncoderParameter::BROTLI_PARAM_QUALITY, levels.br.min(11)),
                    (BrotliEncoderParameter::BROTLI_PARAM_LGWIN, WINDOW_BITS),
                    (BrotliEncoderParameter::BROTLI_PARAM_SIZE_HINT, hint),
                ];
                for (parameter, value) in wanted {
                    state.set_parameter(parameter, value);
                }
                State::Br(state)
            }
        }))
    }

    /// Whether it may be used for another body, and is from now on, of `length` bytes where that
    /// is known. Whatever is left of the one before is forgotten.
    pub fn reset(&mut self, length: Option<u64>) -> bool {
        match &mut self.0 {
            State::Gzip(state) => {
                state.reset();
                true
            }
            State::Zstd(context) => {
                context.reset(ResetDirective::SessionOnly).is_ok()
                    && context.set_pledged_src_size(length).is_ok()
            }
            State::Br(_) => false,
        }
    }

    /// Takes all of `input`, and appends what comes out of it.
    ///
    /// # Errors
    /// It cannot go on.
    pub fn push(&mut self, input: &[u8], then: Then, out: &mut Vec<u8>) -> Result<(), Broken> {
        match &mut self.0 {
            State::Gzip(state) => gzip(state, input, then, out),
            State::Zstd(context) => zstd(context, input, then, out),
            State::Br(state) => br(state, input, then, out),
        }
    }
}

fn gzip(
    state: &mut flate2::Compress,
    mut input: &[u8],
    then: Then,
    out: &mut Vec<u8>,
) -> Result<(), Broken> {
    let flush = match then {
        Then::More => FlushCompress::None,
        Then::Flush => FlushCompress::Sync,
        Then::Finish => FlushCompress::Finish,
    };
    loop {
        if out.capacity() == out.len() {
            out.reserve(ROOM);
        }
        let before = state.total_in();
        let status = state.compress_vec(input, out, flush).map_err(|_| Broken)?;
        let taken = usize::try_from(state.total_in() - before).map_err(|_| Broken)?;
        input = input.get(taken..).ok_or(Broken)?;
        let is_full = out.capacity() == out.len();
        match status {
            Status::StreamEnd => return Ok(()),
            // With room left it has said all that it has to say.
            Status::Ok | Status::BufError if input.is_empty() && !is_full => {
                return if then == Then::Finish { Err(Broken) } else { Ok(()) };
            }
            Status::BufError if !is_full => return Err(Broken),
            Status::Ok | Status::BufError => {}
        }
    }
}

fn zstd(
    context: &mut CCtx<'static>,
    input: &[u8],
    then: Then,
    out: &mut Vec<u8>,
) -> Result<(), Broken> {
    let mut input = InBuffer::around(input);
    loop {
        if out.capacity() - out.len() < ROOM / 2 {
            out.reserve(ROOM);
        }
        let at = out.len();
        let mut output = OutBuffer::around_pos(out, at);
        let is_fed = input.pos == input.src.len();
        let left = match then {
            _ if !is_fed => context.compress_stream(&mut output, &mut input).map(|_| 1),
            Then::More => return Ok(()),
            Then::Flush => context.flush_stream(&mut output),
            Then::Finish => context.end_stream(&mut output),
        };
        if left.map_err(|_| Broken)? == 0 {
            return Ok(());
        }
    }
}

fn br(
    state: &mut BrotliEncoderStateStruct<StandardAlloc>,
    input: &[u8],
    then: Then,
    out: &mut Vec<u8>,
) -> Result<(), Broken> {
    let operation = match then {
        Then::More => BrotliEncoderOperation::BROTLI_OPERATION_PROCESS,
        Then::Flush => BrotliEncoderOperation::BROTLI_OPERATION_FLUSH,
        Then::Finish => BrotliEncoderOperation::BROTLI_OPERATION_FINISH,
    };
    let (mut left, mut at) = (input.len(), 0);
    loop {
        let (mut room, mut nowhere) = (0, 0);
        // Without room it keeps what it makes, to be taken from where it lies.
        let went = state.compress_stream(
            operation,
            &mut left,
            input,
            &mut at,
            &mut room,
            &mut [],
            &mut nowhere,
            &mut None,
            &mut |_, _, _, _| (),
        );
        if !went {
            return Err(Broken);
        }
        let is_more = state.has_more_output();
        while state.has_more_output() {
            // None asked for is all there is; the slice itself goes on beyond that.
            let mut length = 0;
            let piece = state.take_output(&mut length);
            out.extend_from_slice(piece.get(..length).ok_or(Broken)?);
        }
        let is_over = match then {
            Then::More => left == 0,
            // Asked once more after its last word it says nothing, which is how one knows.
            Then::Flush => left == 0 && !is_more,
            Then::Finish => state.is_finished(),
        };
        if is_over {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests;
