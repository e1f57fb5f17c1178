//! Lines packed into frames of zstd that can be read one by one.
//!
//! Pure over readers; it must never know a file's name. A frame holds whole lines and is closed at 256 KiB, so that one
//! line costs one frame to look at. A frame that claims more than a frame may hold is an error before it is unpacked
//! further: memory is bounded whatever somebody put there.

use std::io::{self, BufRead};

use zstd::bulk::Compressor;
use zstd::stream::raw::{CParameter, DParameter, Decoder, Operation};

use super::LINE_OCTETS_MAX;

/// A frame is closed once it holds so many octets of lines.
pub(super) const FRAME_OCTETS: usize = 256 * 1024;
/// The most that a frame holds: it is closed after the line that reaches the bound.
pub(super) const FRAME_OCTETS_MAX: usize = FRAME_OCTETS + LINE_OCTETS_MAX;
/// The largest window that a frame may ask for, as a power of two: above [`FRAME_OCTETS_MAX`].
const WINDOW_LOG_MAX: u32 = 25;
/// zstd's own default: half the size of the fastest at a third of the slowest's time.
const LEVEL: i32 = 3;
/// How much is unpacked at a time, in octets.
const STEP_OCTETS: usize = 128 * 1024;

/// Packs frames.
pub(super) struct Packer(Compressor<'static>);

impl Packer {
    pub(super) fn new() -> io::Result<Self> {
        let mut compressor = Compressor::new(LEVEL)?;
        compressor.set_parameter(CParameter::ChecksumFlag(true))?;
        Ok(Self(compressor))
    }

    pub(super) fn pack(&mut self, lines: &[u8]) -> io::Result<Vec<u8>> {
        self.0.compress(lines)
    }
}

/// Unpacks frames.
pub(super) struct Unpacker {
    decoder: Decoder<'static>,
    step: Vec<u8>,
}

impl Unpacker {
    pub(super) fn new() -> io::Result<Self> {
        let mut decoder = Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))?;
        Ok(Self {
            decoder,
            step: vec![0; STEP_OCTETS],
        })
    }

    /// Reads the next frame into `lines`, in place of what was there; returns how many octets it took of the reader, 0 at
    /// the end.
    pub(super) fn next(
        &mut self,
        reader: &mut impl BufRead,
        lines: &mut Vec<u8>,
    ) -> io::Result<u64> {
        lines.clear();
        self.decoder.reinit()?;
        let mut packed = 0;
        loop {
            let input = reader.fill_buf()?;
            let ended = input.is_empty();
            if ended && packed == 0 {
                return Ok(0);
            }
            let status = self.decoder.run_on_buffers(input, &mut self.step)?;
            reader.consume(status.bytes_read);
            packed += status.bytes_read as u64;
            lines.extend_from_slice(self.step.get(..status.bytes_written).unwrap_or_default());
            if lines.len() > FRAME_OCTETS_MAX {
                let problem = format!("a frame of more than {FRAME_OCTETS_MAX} octets");
                return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
            }
            if status.remaining == 0 {
                break;
            }
            if ended && status.bytes_written == 0 {
                let problem = "ends within a frame";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, problem));
            }
        }
        match lines.last() {
            Some(b'\n') => Ok(packed),
            _ => {
                let problem = "a frame that does not end with a line";
                Err(io::Error::new(io::ErrorKind::InvalidData, problem))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unpacked(packed: &[u8]) -> io::Result<Vec<(u64, Vec<u8>)>> {
        let mut unpacker = Unpacker::new().unwrap();
        let mut reader = io::BufReader::with_capacity(7, packed);
        let mut frames = Vec::new();
        let mut lines = Vec::new();
        loop {
            match unpacker.next(&mut reader, &mut lines)? {
                0 => return Ok(frames),
                octets => frames.push((octets, lines.clone())),
            }
        }
    }

    #[test]
    fn frames_come_back_one_by_one_with_their_lengths() {
        let mut packer = Packer::new().unwrap();
        let contents = [b"a\n".to_vec(), [b'x', b'\n'].repeat(200_000), vec![b'\n']];
        let frames: Vec<Vec<u8>> = contents.iter().map(|c| packer.pack(c).unwrap()).collect();
        let read = unpacked(&frames.concat()).unwrap();
        let lengths: Vec<u64> = frames.iter().map(|frame| frame.len() as u64).collect();
        assert_eq!(read.iter().map(|(n, _)| *n).collect::<Vec<_>>(), lengths);
        assert_eq!(
            read.into_iter().map(|(_, c)| c).collect::<Vec<_>>(),
            contents
        );
        assert!(unpacked(&[]).unwrap().is_empty());
    }

    #[test]
    fn what_is_cut_changed_or_no_line_is_an_error() {
        let mut packer = Packer::new().unwrap();
        let text: Vec<u8> = (0..2_000)
            .flat_map(|n| format!("line {n}\n").into_bytes())
            .collect();
        let frame = packer.pack(&text).unwrap();
        for cut in 1..frame.len() {
            assert!(unpacked(&frame[..cut]).is_err(), "{cut}");
        }
        for at in 0..frame.len() {
            let mut changed = frame.clone();
            changed[at] ^= 0x10;
            // A bit that zstd does not read changes nothing.
            assert!(
                unpacked(&changed).map_or(true, |read| read[0].1 == text),
                "{at}"
            );
        }
        assert!(unpacked(&packer.pack(b"no line end").unwrap()).is_err());
        assert!(unpacked(&packer.pack(b"").unwrap()).is_err());
        assert!(unpacked(b"plain text, no frame").is_err());
    }

    #[test]
    fn a_frame_that_swells_is_given_up_at_the_bound() {
        let mut bomb = vec![b'x'; 4 * FRAME_OCTETS_MAX];
        bomb.push(b'\n');
        let mut packer = Packer::new().unwrap();
        let packed = packer.pack(&bomb).unwrap();
        assert!(packed.len() < 64 * 1024);
        let error = unpacked(&packed).unwrap_err().to_string();
        assert!(error.contains("a frame of more than"), "{error}");
        let whole = [vec![b'x'; FRAME_OCTETS_MAX - 1], vec![b'\n']].concat();
        assert_eq!(unpacked(&packer.pack(&whole).unwrap()).unwrap().len(), 1);
    }
}
