//! As much of Protocol Buffers as it takes to write two kinds of messages
//! (<https://protobuf.dev/programming-guides/encoding/>).

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const LENGTH: u32 = 2;

/// A message in the making. Fields may be written in any order.
#[derive(Debug, Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    /// The bytes.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// `int64`, `bool` and enumerations.
    pub(super) fn varint(&mut self, field: u32, value: u64) -> &mut Self {
        self.key(field, VARINT);
        self.raw(value);
        self
    }

    /// `double`.
    pub(super) fn double(&mut self, field: u32, value: f64) -> &mut Self {
        self.fixed(field, value.to_bits())
    }

    /// `fixed64`.
    pub(super) fn fixed(&mut self, field: u32, value: u64) -> &mut Self {
        self.key(field, FIXED64);
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// `repeated fixed64` or `repeated double`, packed: the values' bits.
    pub(super) fn packed(&mut self, field: u32, values: impl Iterator<Item = u64>) -> &mut Self {
        let bytes: Vec<u8> = values.flat_map(u64::to_le_bytes).collect();
        self.bytes(field, &bytes)
    }

    /// `string` and `bytes`.
    pub(super) fn bytes(&mut self, field: u32, bytes: &[u8]) -> &mut Self {
        self.key(field, LENGTH);
        self.raw(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    /// A message within it.
    pub(super) fn message(&mut self, field: u32, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let mut inner = Self::default();
        fill(&mut inner);
        self.bytes(field, &inner.0)
    }

    fn key(&mut self, field: u32, kind: u32) {
        self.raw(u64::from(field << 3 | kind));
    }

    fn raw(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}
