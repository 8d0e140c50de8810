//! Names for bytes: BLAKE3 with its tree, SHA-256, and a copy, in one pass over the source.
//!
//! The trees are `bao-tree`'s, the hashes `blake3`'s and `ring`'s. SHA-256 runs on a second thread,
//! because it is the slowest part.

use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use bao_tree::BaoTree;
use bao_tree::io::outboard::PreOrderOutboard;
use perennial_manifest::{BlobId, Sha256, Sha256Digest};

use crate::large::GROUP;

/// Size of the pieces that travel between the threads, and how many are in flight.
const PIECE: usize = 256 << 10;
const PIECES: usize = 8;

/// Both names of bytes in memory.
pub(crate) fn names_of(bytes: &[u8]) -> (BlobId, Sha256Digest) {
    (BlobId::of(bytes), Sha256Digest::of(bytes))
}

/// Copies a source and returns the BLAKE3 of the copied bytes.
pub(crate) fn blake3_of(mut source: impl Read, copy: &mut dyn Write) -> io::Result<BlobId> {
    let (mut hasher, mut piece) = (blake3::Hasher::new(), vec![0; PIECE]);
    loop {
        let read = match source.read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        if read == 0 {
            return Ok(BlobId::from_bytes(hasher.finalize().into()));
        }
        hasher.update(&piece[..read]);
        copy.write_all(&piece[..read])?;
    }
}

/// Copies a source and returns both names of the copied bytes.
pub(crate) fn plain(source: impl Read, copy: &mut dyn Write) -> io::Result<(BlobId, Sha256Digest)> {
    let (pieces, inbox) = sync_channel::<Vec<u8>>(PIECES);
    let (back, empties) = sync_channel::<Vec<u8>>(PIECES + 1);
    thread::scope(|scope| {
        let sha = scope.spawn(move || hash_pieces(inbox, &back));
        let mut tee = Tee {
            source,
            copy: Some(copy),
            pieces: Some(pieces),
            empties,
            progress: &|_| {},
            piece: Vec::new(),
            at: 0,
        };
        let mut hasher = blake3::Hasher::new();
        loop {
            tee.next_piece()?;
            if tee.piece.is_empty() {
                break;
            }
            hasher.update(&tee.piece);
        }
        tee.pieces = None;
        let sha256 = sha.join().map_err(|_| io::Error::other("the SHA-256 thread panicked"))?;
        Ok((BlobId::from_bytes(hasher.finalize().into()), sha256))
    })
}

fn hash_pieces(inbox: Receiver<Vec<u8>>, back: &SyncSender<Vec<u8>>) -> Sha256Digest {
    let mut hasher = Sha256::new();
    for piece in inbox {
        hasher.update(&piece);
        // A full return channel means that there are enough buffers: this one is dropped.
        let _ = back.try_send(piece);
    }
    hasher.finish()
}

/// The result of one pass over a source.
pub(crate) struct Pass {
    pub(crate) blob: BlobId,
    pub(crate) sha256: Sha256Digest,
    /// Hash pairs in pre-order, 64 bytes per pair.
    pub(crate) outboard: Vec<u8>,
}

/// Hashes `size` bytes of `source` both ways and copies them to `copy`, if given. `progress` is
/// called with the length of each piece.
pub(crate) fn pass<'a>(
    source: impl Read,
    size: u64,
    copy: Option<&'a mut dyn Write>,
    progress: &'a dyn Fn(u64),
) -> io::Result<Pass> {
    let (pieces, inbox) = sync_channel::<Vec<u8>>(PIECES);
    let (back, empties) = sync_channel::<Vec<u8>>(PIECES + 1);
    thread::scope(|scope| {
        let sha = scope.spawn(move || hash_pieces(inbox, &back));
        let mut tee =
            Tee { source, copy, pieces: Some(pieces), empties, progress, piece: Vec::new(), at: 0 };
        let tree = BaoTree::new(size, GROUP);
        let pairs =
            usize::try_from(tree.outboard_size()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let mut outboard =
            PreOrderOutboard { root: blake3::Hash::from([0; 32]), tree, data: vec![0; pairs] };
        let root = bao_tree::io::sync::outboard(&mut tee, tree, &mut outboard)?;
        if tee.read(&mut [0])? != 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the file grew while it was read",
            ));
        }
        tee.pieces = None;
        let sha256 = sha.join().map_err(|_| io::Error::other("the SHA-256 thread panicked"))?;
        Ok(Pass { blob: BlobId::from_bytes(root.into()), sha256, outboard: outboard.data })
    })
}

/// Reads a source piece by piece, and hands each piece to the copy and to the SHA-256 thread.
struct Tee<'a, R> {
    source: R,
    copy: Option<&'a mut (dyn Write + 'a)>,
    pieces: Option<SyncSender<Vec<u8>>>,
    empties: Receiver<Vec<u8>>,
    progress: &'a dyn Fn(u64),
    piece: Vec<u8>,
    at: usize,
}

impl<R: Read> Tee<'_, R> {
    fn next_piece(&mut self) -> io::Result<()> {
        let done = std::mem::take(&mut self.piece);
        if !done.is_empty()
            && let Some(pieces) = &self.pieces
        {
            pieces.send(done).map_err(|_| io::Error::other("the SHA-256 thread ended"))?;
        }
        let mut piece = self.empties.try_recv().unwrap_or_default();
        piece.resize(PIECE, 0);
        let mut len = 0;
        while len < PIECE {
            match self.source.read(&mut piece[len..])? {
                0 => break,
                read => len += read,
            }
        }
        piece.truncate(len);
        if let Some(copy) = &mut self.copy {
            copy.write_all(&piece)?;
        }
        (self.progress)(len as u64);
        (self.piece, self.at) = (piece, 0);
        Ok(())
    }
}

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() {
            self.next_piece()?;
        }
        let take = out.len().min(self.piece.len() - self.at);
        out[..take].copy_from_slice(&self.piece[self.at..self.at + take]);
        self.at += take;
        Ok(take)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pass_gives_the_names_the_tools_give() {
        for size in [0usize, 1, 16_384, 16_385, 300_000, 1_048_577] {
            let bytes: Vec<u8> = (0..=250u8).cycle().take(size).collect();
            let mut copy = Vec::new();
            let pass = pass(&bytes[..], size as u64, Some(&mut copy), &|_| {}).unwrap();
            assert_eq!((pass.blob, pass.sha256), names_of(&bytes), "{size}");
            assert_eq!(copy, bytes);
        }
        assert!(pass(&[1, 2, 3][..], 2, None, &|_| {}).is_err(), "grew");
        assert!(pass(&[1, 2, 3][..], 4, None, &|_| {}).is_err(), "shrank");
    }
}
