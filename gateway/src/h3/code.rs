//! Error codes of HTTP/3 and QPACK (RFC 9114 section 8.1, RFC 9204 section 8.3).

/// Why a stream or a connection ends, as it goes over the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Code {
    /// H3_NO_ERROR: nothing is wrong.
    NoError = 0x100,
    /// H3_GENERAL_PROTOCOL_ERROR: a violation that no other code names.
    GeneralProtocolError = 0x101,
    /// H3_INTERNAL_ERROR: the fault is our own.
    InternalError = 0x102,
    /// H3_STREAM_CREATION_ERROR: a stream that the peer may not open.
    StreamCreationError = 0x103,
    /// H3_CLOSED_CRITICAL_STREAM: a stream that the connection needs was closed.
    ClosedCriticalStream = 0x104,
    /// H3_FRAME_UNEXPECTED: a frame that is not allowed there or then.
    FrameUnexpected = 0x105,
    /// H3_FRAME_ERROR: a frame of a wrong layout or size.
    FrameError = 0x106,
    /// H3_EXCESSIVE_LOAD: the peer causes more work than we take.
    ExcessiveLoad = 0x107,
    /// H3_ID_ERROR: a stream or push id that is out of range or out of order.
    IdError = 0x108,
    /// H3_SETTINGS_ERROR: a fault in the payload of SETTINGS.
    SettingsError = 0x109,
    /// H3_MISSING_SETTINGS: the control stream begins with something else.
    MissingSettings = 0x10a,
    /// H3_REQUEST_REJECTED: not processed at all, to be sent again.
    RequestRejected = 0x10b,
    /// H3_REQUEST_CANCELLED: the request or its response is no longer wanted.
    RequestCancelled = 0x10c,
    /// H3_REQUEST_INCOMPLETE: the client's stream ended before its request.
    RequestIncomplete = 0x10d,
    /// H3_MESSAGE_ERROR: a malformed message.
    MessageError = 0x10e,
    /// H3_CONNECT_ERROR: a tunnel's TCP connection failed.
    ConnectError = 0x10f,
    /// H3_VERSION_FALLBACK: to be asked over HTTP/1.1.
    VersionFallback = 0x110,
    /// QPACK_DECOMPRESSION_FAILED: a field section that cannot be read.
    QpackDecompressionFailed = 0x200,
    /// QPACK_ENCODER_STREAM_ERROR: an instruction of the peer's encoder that cannot be followed.
    QpackEncoderStreamError = 0x201,
    /// QPACK_DECODER_STREAM_ERROR: an instruction of the peer's decoder that cannot be followed.
    QpackDecoderStreamError = 0x202,
}

impl Code {
    /// The number on the wire.
    pub const fn value(self) -> u64 {
        self as u64
    }
}
