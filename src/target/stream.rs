//! `Passage`: the bytes of one layer on their way to who reads its archive: hashed and counted as they
//! are stored and as they are unpacked, decompressed, and stopped where they are too many.

use super::Error;
use super::layers::Layer;
use crate::model::Hasher;
use std::cell::{Cell, RefCell};
use std::io::{self, BufReader, Cursor, Read};

/// The most bytes one layer may have, before and after decompression: a bomb has to end somewhere.
const MAX_LAYER: u64 = 1 << 40;
/// The most bytes between the contents of two files: headers and long names, which the archive reader
/// keeps in memory. Linux has no path longer than 4 KiB.
const MAX_HEADERS: u64 = 1024 * 1024;
/// The largest zstd window, as a power of two: what `zstd -d` takes by default. That much memory is used.
const MAX_ZSTD_WINDOW: u32 = 27;
/// How much is read at once.
const BUFFER: usize = 128 * 1024;

/// One layer on its way.
pub(super) struct Passage<'a, R> {
    layer: &'a Layer,
    from: RefCell<R>,
    stored: Count,
    unpacked: Count,
    max_unpacked: u64,
    /// How many unpacked bytes may still come; `None` is any number.
    headers_left: Cell<Option<u64>>,
    /// Whether the layer is not compressed; then its bytes are hashed once.
    is_plain: Cell<bool>,
    /// Why the source failed. Readers in between may change the error they were given.
    failed: RefCell<Option<io::Error>>,
}

#[derive(Default)]
struct Count {
    bytes: Cell<u64>,
    hasher: RefCell<Hasher>,
}

impl Count {
    fn take(&self, bytes: &[u8], hash: bool) {
        self.bytes.set(self.bytes.get() + bytes.len() as u64);
        if hash {
            self.hasher.borrow_mut().update(bytes);
        }
    }
}

impl<'a, R: Read> Passage<'a, R> {
    pub(super) fn new(layer: &'a Layer, from: R) -> Self {
        Self {
            layer,
            from: RefCell::new(from),
            stored: Count::default(),
            unpacked: Count::default(),
            max_unpacked: MAX_LAYER,
            headers_left: Cell::new(None),
            is_plain: Cell::new(false),
            failed: RefCell::new(None),
        }
    }

    /// The archive in the layer. Its first bytes tell how it is compressed; its media type may lie.
    pub(super) fn unpack<'s>(&'s self) -> io::Result<Unpacked<'s, 'a, R>> {
        let mut stored = Stored(self);
        let mut head = Vec::with_capacity(4);
        (&mut stored).take(4).read_to_end(&mut head)?;
        let gzip = head.starts_with(&[0x1f, 0x8b]);
        // A frame, or one of the frames that are skipped, with which zstd:chunked may begin.
        let zstd = head == [0x28, 0xb5, 0x2f, 0xfd]
            || (head.len() == 4 && head[0] & 0xf0 == 0x50 && head[1..] == [0x2a, 0x4d, 0x18]);
        self.is_plain.set(!gzip && !zstd);
        let whole = BufReader::with_capacity(BUFFER, Cursor::new(head).chain(stored));
        let from: Box<dyn Read + 's> = if gzip {
            Box::new(flate2::bufread::MultiGzDecoder::new(whole))
        } else if zstd {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(whole)?;
            decoder.window_log_max(MAX_ZSTD_WINDOW)?;
            Box::new(decoder)
        } else {
            Box::new(whole)
        };
        Ok(Unpacked { from, passage: self })
    }

    /// From here on only headers are read, and few of them.
    pub(super) fn expect_header(&self) {
        self.headers_left.set(Some(MAX_HEADERS));
    }

    /// From here on the content of a file is read.
    pub(super) fn expect_content(&self) {
        self.headers_left.set(None);
    }

    /// Ends the passage: reads what nobody has read, and compares. The most telling of what went wrong
    /// is reported: that the source failed, that its bytes are others, or what was made of them.
    pub(super) fn finish(self, result: Result<(), Error>) -> Result<(), Error> {
        let name = self.layer.name();
        let mut buffer = vec![0; BUFFER];
        while self.failed.borrow().is_none() && Stored(&self).read(&mut buffer).is_ok_and(|count| count > 0) {}
        if let Some(failed) = self.failed.into_inner() {
            return Err(Error::of_reader(&name, failed));
        }
        let (size, stored) = (self.stored.bytes.get(), self.stored.hasher.into_inner().finish());
        if let Some(descriptor) = &self.layer.descriptor {
            if size > descriptor.size {
                return Err(Error::damaged(name, format!("it has more than the {} bytes it should", descriptor.size)));
            } else if size < descriptor.size {
                return Err(Error::damaged(name, format!("it has {size} bytes instead of {}", descriptor.size)));
            } else if stored != descriptor.digest {
                return Err(Error::damaged(name, format!("it has other bytes (their sha256: {})", stored.hex())));
            }
        }
        let unpacked = if self.is_plain.get() { stored } else { self.unpacked.hasher.into_inner().finish() };
        // Whoever stopped early has not seen all that the digest is of.
        result?;
        match &self.layer.diff_id {
            Some(wanted) if *wanted != unpacked => Err(Error::damaged(
                name,
                format!("uncompressed it is {unpacked}, but the image's config says {wanted}"),
            )),
            _ => Ok(()),
        }
    }

    /// The most bytes that are read of the source: one more than there should be tells that there are more.
    fn limit(&self) -> u64 {
        self.layer.descriptor.as_ref().map_or(MAX_LAYER, |descriptor| descriptor.size.min(MAX_LAYER)) + 1
    }
}

/// The bytes as they are stored.
struct Stored<'s, 'a, R>(&'s Passage<'a, R>);

impl<R: Read> Read for Stored<'_, '_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let passage = self.0;
        let left = usize::try_from(passage.limit() - passage.stored.bytes.get()).unwrap_or(usize::MAX);
        let length = buffer.len().min(left);
        match passage.from.borrow_mut().read(&mut buffer[..length]) {
            Ok(count) => {
                passage.stored.take(&buffer[..count], true);
                Ok(count)
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Err(e),
            Err(e) => {
                let told = io::Error::new(e.kind(), e.to_string());
                *passage.failed.borrow_mut() = Some(e);
                Err(told)
            }
        }
    }
}

/// The bytes of the archive.
pub(super) struct Unpacked<'s, 'a, R> {
    from: Box<dyn Read + 's>,
    passage: &'s Passage<'a, R>,
}

impl<R> Read for Unpacked<'_, '_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        let passage = self.passage;
        passage.unpacked.take(&buffer[..count], !passage.is_plain.get());
        if passage.unpacked.bytes.get() > passage.max_unpacked {
            return Err(io::Error::other(format!("it has more than {} bytes", passage.max_unpacked)));
        }
        if let Some(left) = passage.headers_left.get() {
            let left = left.checked_sub(count as u64);
            let too_long = || io::Error::other(format!("a header has more than {} KiB", MAX_HEADERS >> 10));
            passage.headers_left.set(Some(left.ok_or_else(too_long)?));
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Descriptor, Digest};
    use std::io::Write as _;

    #[test]
    fn a_bomb_ends_where_there_is_enough_of_it() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&vec![0; 20 << 20]).unwrap();
        let zstd = zstd::encode_all(vec![0; 20 << 20].as_slice(), 1).unwrap();
        for bomb in [gzip.finish().unwrap(), zstd] {
            let descriptor = Descriptor { media_type: "x".into(), digest: Digest::of(&bomb), size: bomb.len() as u64 };
            let layer = Layer { descriptor: Some(descriptor), diff_id: None };
            let mut passage = Passage::new(&layer, bomb.as_slice());
            passage.max_unpacked = 1 << 20;
            let error = io::copy(&mut passage.unpack().unwrap(), &mut io::sink()).unwrap_err();
            assert!(error.to_string().contains("more than 1048576 bytes"), "{error}");
            assert!(passage.unpacked.bytes.get() < 2 << 20);
            assert!(passage.finish(Ok(())).is_ok(), "its stored bytes are read to the end and are those promised");
        }
    }

    #[test]
    fn a_zstd_window_must_not_take_all_memory() {
        // A frame header (RFC 8878) that asks for a window of 2^31 bytes, and an empty last block.
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, (31 - 10) << 3, 0x01, 0x00, 0x00];
        let layer = Layer { descriptor: None, diff_id: None };
        let passage = Passage::new(&layer, &frame[..]);
        assert!(io::copy(&mut passage.unpack().unwrap(), &mut io::sink()).is_err());
    }
}
