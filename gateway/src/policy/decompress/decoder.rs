//! One body's way out of a coding: bytes in, a bounded number of bytes out, nothing waits.

use brotli::{BrotliDecompressStream, BrotliResult, BrotliState, enc::StandardAlloc};
use flate2::{FlushDecompress, Status};
use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

/// The widest window of gzip and deflate.
const WINDOW_BITS: u8 = 15;
/// The widest window of Zstandard that a decoder must take (RFC 9659): 8 MiB.
const ZSTD_WINDOW_BITS: u32 = 23;
/// Most parts that a body of gzip may be put together from (RFC 1952, section 2.2): each costs more
/// to begin than its bytes to send.
const MEMBERS: u32 = 1000;

/// A coding of a request's body (RFC 9110, section 8.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// gzip (RFC 1952).
    Gzip,
    /// The zlib format (RFC 1950).
    Deflate,
    /// Brotli (RFC 7932).
    Br,
    /// Zstandard (RFC 8878).
    Zstd,
}

/// What an `Accept-Encoding` of ours says.
pub const ACCEPTED: &str = "gzip, deflate, br, zstd";

impl Coding {
    /// Its name in `Content-Encoding`, whatever the case.
    #[must_use]
    pub fn named(name: &[u8]) -> Option<Self> {
        let is = |word: &str| name.eq_ignore_ascii_case(word.as_bytes());
        match () {
            () if is("gzip") || is("x-gzip") => Some(Self::Gzip),
            () if is("deflate") => Some(Self::Deflate),
            () if is("br") => Some(Self::Br),
            () if is("zstd") => Some(Self::Zstd),
            () => None,
        }
    }

    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Br => "br",
            Self::Zstd => "zstd",
        }
    }
}

/// What was sent is not of this coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// See the module's page.
pub struct Decoder {
    state: State,
    /// Whether what was taken so far may be all.
    complete: bool,
}

enum State {
    Gzip { inflate: flate2::Decompress, members: u32 },
    Deflate(flate2::Decompress),
    Zstd(DCtx<'static>),
    Br(Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>),
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Decoder")
    }
}

impl Decoder {
    /// A decoder; `None` when there is no memory for it.
    #[must_use]
    pub fn new(coding: Coding) -> Option<Self> {
        let state = match coding {
            Coding::Gzip => {
                State::Gzip { inflate: flate2::Decompress::new_gzip(WINDOW_BITS), members: 1 }
            }
            Coding::Deflate => State::Deflate(flate2::Decompress::new(true)),
            Coding::Zstd => {
                let mut context = DCtx::try_create()?;
                context.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_BITS)).ok()?;
                State::Zstd(context)
            }
            Coding::Br => {
                let alloc = StandardAlloc::default;
                State::Br(Box::new(BrotliState::new_strict(alloc(), alloc(), alloc())))
            }
        };
        Some(Self { state, complete: false })
    }

    /// Takes from the beginning of `input`, and appends what comes out, `room` bytes at most. Says
    /// how many it took; with room left those are all, and there is no more to come out of them.
    ///
    /// # Errors
    /// It is not of this coding, or goes on behind its end.
    pub fn push(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        room: usize,
    ) -> Result<usize, Malformed> {
        match &mut self.state {
            State::Gzip { inflate, members } => {
                if self.complete && !input.is_empty() {
                    *members += 1;
                    if *members > MEMBERS {
                        return Err(Malformed);
                    }
                    *inflate = flate2::Decompress::new_gzip(WINDOW_BITS);
                    self.complete = false;
                }
                let (taken, ended) = inflated(inflate, input, out, room)?;
                self.complete |= ended;
                Ok(taken)
            }
            State::Deflate(_) if self.complete && !input.is_empty() => Err(Malformed),
            State::Deflate(inflate) => {
                let (taken, ended) = inflated(inflate, input, out, room)?;
                self.complete |= ended;
                Ok(taken)
            }
            State::Zstd(context) => {
                let mut input = InBuffer::around(input);
                out.reserve_exact(room);
                let at = out.len();
                let mut output = OutBuffer::around_pos(out, at);
                let left = context.decompress_stream(&mut output, &mut input);
                // Zero is the end of a frame, behind which another may begin.
                let left = left.map_err(|_| Malformed)?;
                if input.pos > 0 || output.pos() > at {
                    self.complete = left == 0;
                }
                Ok(input.pos)
            }
            State::Br(_) if self.complete => {
                if input.is_empty() {
                    Ok(0)
                } else {
                    Err(Malformed)
                }
            }
            State::Br(state) => {
                let (taken, ended) = unbrotlied(state, input, out, room)?;
                self.complete = ended;
                Ok(taken)
            }
        }
    }

    /// Whether what was taken so far is a whole body.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.complete
    }
}

fn inflated(
    inflate: &mut flate2::Decompress,
    input: &[u8],
    out: &mut Vec<u8>,
    room: usize,
) -> Result<(usize, bool), Malformed> {
    let at = out.len();
    out.resize(at + room, 0);
    let (taken, made) = (inflate.total_in(), inflate.total_out());
    let status = inflate.decompress(input, &mut out[at..], FlushDecompress::None);
    let made = usize::try_from(inflate.total_out() - made).unwrap_or(room);
    out.truncate(at + made.min(room));
    let taken = usize::try_from(inflate.total_in() - taken).map_err(|_| Malformed)?;
    match status {
        Ok(Status::StreamEnd) => Ok((taken, true)),
        Ok(Status::Ok | Status::BufError) => Ok((taken, false)),
        Err(_) => Err(Malformed),
    }
}

fn unbrotlied(
    state: &mut BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    input: &[u8],
    out: &mut Vec<u8>,
    room: usize,
) -> Result<(usize, bool), Malformed> {
    let at = out.len();
    out.resize(at + room, 0);
    let (mut left, mut taken, mut space, mut made, mut total) = (input.len(), 0, room, 0, 0);
    let result = BrotliDecompressStream(
        &mut left,
        &mut taken,
        input,
        &mut space,
        &mut made,
        &mut out[at..],
        &mut total,
        state,
    );
    out.truncate(at + made.min(room));
    match result {
        BrotliResult::ResultSuccess if left == 0 => Ok((taken, true)),
        BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => Ok((taken, false)),
        BrotliResult::ResultSuccess | BrotliResult::ResultFailure => Err(Malformed),
    }
}

#[cfg(test)]
pub(in crate::policy) mod tests;
