//! SETTINGS (RFC 9114 section 7.2.4, RFC 9204 section 5, RFC 9220 section 3).

use bytes::BytesMut;
use smallvec::SmallVec;

use super::{code::Code, frame, varint};

#[cfg(test)]
mod tests;

const MAX_FIELD_SECTION_SIZE: u64 = 0x06;
const ENABLE_CONNECT_PROTOCOL: u64 = 0x08;

/// What one side tells the other at the start.
///
/// QPACK's settings are not among them: ours keep their default of zero, and since nothing is ever
/// inserted into the peer's dynamic table, its own do not matter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settings {
    /// Largest field section that the sender takes, in bytes by the count of RFC 9114 section
    /// 4.2.2. `None`: it does not say.
    pub max_field_section: Option<u64>,
    /// The sender takes extended CONNECT (RFC 9220).
    pub connect_protocol: bool,
}

/// Reads the payload of a SETTINGS frame.
///
/// # Errors
/// [`Code::FrameError`] when it ends within a setting; [`Code::SettingsError`] for one that comes
/// twice, that only HTTP/2 has, or that has a value it must not have.
pub fn decode(mut payload: &[u8]) -> Result<Settings, Code> {
    let mut settings = Settings::default();
    let mut seen = SmallVec::<[u64; 16]>::new();
    while !payload.is_empty() {
        let id = take(&mut payload)?;
        let value = take(&mut payload)?;
        seen.push(id);
        match id {
            0x02..=0x05 => return Err(Code::SettingsError),
            MAX_FIELD_SECTION_SIZE => settings.max_field_section = Some(value),
            ENABLE_CONNECT_PROTOCOL if value > 1 => return Err(Code::SettingsError),
            ENABLE_CONNECT_PROTOCOL => settings.connect_protocol = value == 1,
            _ => {}
        }
    }
    seen.sort_unstable();
    if seen.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Code::SettingsError);
    }
    Ok(settings)
}

/// Writes the whole SETTINGS frame.
pub fn encode(settings: &Settings, out: &mut BytesMut) {
    let mut payload = BytesMut::with_capacity(16);
    if let Some(bytes) = settings.max_field_section {
        varint::encode(MAX_FIELD_SECTION_SIZE, &mut payload);
        varint::encode(bytes, &mut payload);
    }
    if settings.connect_protocol {
        varint::encode(ENABLE_CONNECT_PROTOCOL, &mut payload);
        varint::encode(1, &mut payload);
    }
    varint::encode(frame::kind::SETTINGS, out);
    varint::encode(payload.len() as u64, out);
    out.extend_from_slice(&payload);
}

fn take(payload: &mut &[u8]) -> Result<u64, Code> {
    let (value, length) = varint::decode(payload).ok_or(Code::FrameError)?;
    *payload = &payload[length..];
    Ok(value)
}
