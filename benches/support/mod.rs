//! What benchmarks share: content of any size that does not compress, writing with a digest, and how much
//! memory a process has had.

use bootc_embed::model::Hasher;
use std::fs;
use std::io::{self, Read, Write};

/// The most memory that a process has had, in KiB: proc(5). None where it has ended.
pub fn peak(process: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A writer that knows what went through it.
pub struct Hashed<W> {
    pub to: W,
    pub hasher: Hasher,
    pub size: u64,
}

impl<W> Hashed<W> {
    pub fn new(to: W) -> Self {
        Self { to, hasher: Hasher::default(), size: 0 }
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.to.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Bytes that do not compress (xorshift64), the same every time.
pub struct Noise(u64);

impl Default for Noise {
    fn default() -> Self {
        Self(1)
    }
}

impl Read for Noise {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for chunk in buffer.chunks_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            chunk.copy_from_slice(&self.0.to_le_bytes()[..chunk.len()]);
        }
        Ok(buffer.len())
    }
}
