//! Messages as bytes. Reading is total: any bytes give a message or an error, never a panic, and
//! never more memory than the bytes themselves took. Numbers are big-endian, but for those marked
//! `v`: seven bits a byte, the lowest first, as few bytes as do (LEB128). Generations and
//! incarnations are most of what is said when many die at once, and are small for their type.
//!
//! ```text
//! packet  version(1) kind(1) from(8) generation(v) digest(8) sequence(4) [id(8) [addr]] update*
//! stream  version(1) kind(1) from(8) fields update*
//! update  1 name(1+n) generation(v) incarnation(v) addr meta(2+n)
//!         2 stamp count(1) mark(4)*  |  3 stamp  |  4 stamp
//! stamp   id(8) generation(v) incarnation(v)
//! addr    4 ip(4) port(2)  |  6 ip(16) port(2)
//! ```

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{
    member::{BUCKETS, Id, META_BYTES_MAX, NAME_BYTES_MAX},
    message::{Header, Kind, Mark, Profile, Speech, Stamp, Update, WITNESSES_MAX, Witnesses},
};

/// What this code writes, and all that it reads.
pub(super) const VERSION: u8 = 2;

/// These bytes are no message of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// The bytes not read yet.
#[derive(Debug, Clone, Copy)]
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or(Malformed)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*bytes)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        self.array().map(|[byte]| byte)
    }

    fn short(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    fn word(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    fn long(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    /// A number that is mostly far smaller than its type can hold, in no more bytes than it needs.
    fn small(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for at in 0..10 {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has one bit of the 64 left; a last byte of nothing says nothing.
            if (at == 9 && byte > 1) || (at > 0 && byte == 0) {
                return Err(Malformed);
            }
            number |= bits << (7 * at);
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Malformed)
    }

    fn generation(&mut self) -> Result<u64, Malformed> {
        self.small()
    }

    fn incarnation(&mut self) -> Result<u32, Malformed> {
        u32::try_from(self.small()?).map_err(|_| Malformed)
    }

    fn id(&mut self) -> Result<Id, Malformed> {
        self.long().map(Id)
    }

    fn addr(&mut self) -> Result<SocketAddr, Malformed> {
        let ip = match self.byte()? {
            4 => Ipv4Addr::from(self.array::<4>()?).into(),
            6 => Ipv6Addr::from(self.array::<16>()?).into(),
            _ => return Err(Malformed),
        };
        match self.short()? {
            0 => Err(Malformed),
            port => Ok(SocketAddr::new(ip, port)),
        }
    }

    fn stamp(&mut self) -> Result<Stamp, Malformed> {
        let (id, generation) = (self.id()?, self.generation()?);
        Ok(Stamp { id, generation, incarnation: self.incarnation()? })
    }

    fn version(&mut self) -> Result<(), Malformed> {
        if self.byte()? == VERSION { Ok(()) } else { Err(Malformed) }
    }

    fn header(&mut self) -> Result<Header, Malformed> {
        self.version()?;
        let kind = self.byte()?;
        let (from, generation) = (self.id()?, self.generation()?);
        let (digest, sequence) = (self.long()?, self.word()?);
        let kind = match kind {
            1 => Kind::Ping(self.id()?),
            2 => Kind::Ack(self.id()?),
            3 => Kind::PingReq(self.id()?, self.addr()?),
            4 => Kind::Nack,
            5 => Kind::Gossip,
            _ => return Err(Malformed),
        };
        Ok(Header { from, generation, digest, sequence, kind })
    }

    fn speech(&mut self) -> Result<(Id, Speech), Malformed> {
        self.version()?;
        let kind = self.byte()?;
        let from = self.id()?;
        let speech = match kind {
            16 => {
                let mut buckets = Box::new([0; BUCKETS]);
                for bucket in buckets.iter_mut() {
                    *bucket = self.long()?;
                }
                Speech::Compare(buckets)
            }
            17 => Speech::Differ(self.long()?),
            18 => Speech::Push,
            19 => Speech::Done,
            20 => Speech::Ping(self.id()?),
            21 => Speech::Pong(self.stamp()?),
            _ => return Err(Malformed),
        };
        Ok((from, speech))
    }

    fn update(&mut self) -> Result<Update<'a>, Malformed> {
        Ok(match self.byte()? {
            1 => {
                let name = usize::from(self.byte()?);
                let name = str::from_utf8(self.bytes(name)?).map_err(|_| Malformed)?;
                let (generation, incarnation) = (self.generation()?, self.incarnation()?);
                let addr = self.addr()?;
                let meta = usize::from(self.short()?);
                let meta = self.bytes(meta)?;
                if !(1..=NAME_BYTES_MAX).contains(&name.len()) || meta.len() > META_BYTES_MAX {
                    return Err(Malformed);
                }
                Update::Alive(Profile { name, generation, addr, meta }, incarnation)
            }
            2 => {
                let stamp = self.stamp()?;
                let count = usize::from(self.byte()?);
                let mut witnesses = Witnesses::default();
                for _ in 0..count {
                    let fresh = witnesses.insert(Mark(self.word()?));
                    if !fresh || count > WITNESSES_MAX {
                        return Err(Malformed);
                    }
                }
                Update::Suspect(stamp, witnesses)
            }
            3 => Update::Dead(self.stamp()?),
            4 => Update::Left(self.stamp()?),
            _ => return Err(Malformed),
        })
    }
}

/// The news in a message, all of it read once already and found well-formed.
#[derive(Debug, Clone)]
pub struct Updates<'a>(Reader<'a>);

impl<'a> Updates<'a> {
    fn checked(reader: Reader<'a>) -> Result<Self, Malformed> {
        let mut ahead = reader;
        while !ahead.0.is_empty() {
            ahead.update()?;
        }
        Ok(Self(reader))
    }
}

impl<'a> Iterator for Updates<'a> {
    type Item = Update<'a>;

    fn next(&mut self) -> Option<Update<'a>> {
        self.0.update().ok()
    }
}

/// Reads a packet.
pub fn read_packet(bytes: &[u8]) -> Result<(Header, Updates<'_>), Malformed> {
    let mut reader = Reader(bytes);
    let header = reader.header()?;
    Ok((header, Updates::checked(reader)?))
}

/// Reads what came over a stream, and from whom.
pub fn read_stream(bytes: &[u8]) -> Result<(Id, Speech, Updates<'_>), Malformed> {
    let mut reader = Reader(bytes);
    let (from, speech) = reader.speech()?;
    Ok((from, speech, Updates::checked(reader)?))
}

/// Appends the beginning of a packet.
pub fn write_header(header: &Header, out: &mut Vec<u8>) {
    let kind = match header.kind {
        Kind::Ping(_) => 1,
        Kind::Ack(_) => 2,
        Kind::PingReq(..) => 3,
        Kind::Nack => 4,
        Kind::Gossip => 5,
    };
    out.extend([VERSION, kind]);
    out.extend(header.from.0.to_be_bytes());
    write_small(header.generation, out);
    out.extend(header.digest.to_be_bytes());
    out.extend(header.sequence.to_be_bytes());
    match header.kind {
        Kind::Ping(id) | Kind::Ack(id) => out.extend(id.0.to_be_bytes()),
        Kind::PingReq(id, addr) => {
            out.extend(id.0.to_be_bytes());
            write_addr(addr, out);
        }
        Kind::Nack | Kind::Gossip => {}
    }
}

/// Appends the beginning of what goes over a stream.
pub fn write_speech(from: Id, speech: &Speech, out: &mut Vec<u8>) {
    let kind = match speech {
        Speech::Compare(_) => 16,
        Speech::Differ(_) => 17,
        Speech::Push => 18,
        Speech::Done => 19,
        Speech::Ping(_) => 20,
        Speech::Pong(_) => 21,
    };
    out.extend([VERSION, kind]);
    out.extend(from.0.to_be_bytes());
    match speech {
        Speech::Compare(buckets) => {
            buckets.iter().for_each(|bucket| out.extend(bucket.to_be_bytes()));
        }
        Speech::Differ(mask) => out.extend(mask.to_be_bytes()),
        Speech::Ping(id) => out.extend(id.0.to_be_bytes()),
        Speech::Pong(stamp) => write_stamp(stamp, out),
        Speech::Push | Speech::Done => {}
    }
}

/// Appends a piece of news. What is too long for its field was refused when the record was made.
pub fn write_update(update: &Update<'_>, out: &mut Vec<u8>) {
    match update {
        Update::Alive(profile, incarnation) => {
            out.extend([1, profile.name.len() as u8]);
            out.extend(profile.name.as_bytes());
            write_small(profile.generation, out);
            write_small((*incarnation).into(), out);
            write_addr(profile.addr, out);
            out.extend((profile.meta.len() as u16).to_be_bytes());
            out.extend(profile.meta);
        }
        Update::Suspect(stamp, witnesses) => {
            out.push(2);
            write_stamp(stamp, out);
            out.push(witnesses.len() as u8);
            witnesses.iter().for_each(|mark| out.extend(mark.0.to_be_bytes()));
        }
        Update::Dead(stamp) => {
            out.push(3);
            write_stamp(stamp, out);
        }
        Update::Left(stamp) => {
            out.push(4);
            write_stamp(stamp, out);
        }
    }
}

fn write_stamp(stamp: &Stamp, out: &mut Vec<u8>) {
    out.extend(stamp.id.0.to_be_bytes());
    write_small(stamp.generation, out);
    write_small(stamp.incarnation.into(), out);
}

fn write_small(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn write_addr(addr: SocketAddr, out: &mut Vec<u8>) {
    match addr {
        SocketAddr::V4(addr) => {
            out.push(4);
            out.extend(addr.ip().octets());
        }
        SocketAddr::V6(addr) => {
            out.push(6);
            out.extend(addr.ip().octets());
        }
    }
    out.extend(addr.port().to_be_bytes());
}

#[cfg(test)]
mod tests;
