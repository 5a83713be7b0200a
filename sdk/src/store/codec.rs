//! Packs and unpacks bytes with dictionaries made of a store's own objects. The only file that knows zstd.
use std::sync::{Arc, Mutex, PoisonError};

use zstd::bulk::Compressor;
use zstd::zstd_safe::{self, DCtx, DDict};

use crate::wire::MAX_OBJECT_BYTES;

use super::coded;
use super::diff::{self, Difference};
use super::exemplars::{self, Exemplars};
use super::packing::Packing;
use super::splice::Parts;

/// The fastest level that finds what a dictionary offers: levels above gain a few bytes for a third more time.
const LEVEL: i32 = 1;

/// Every frame begins with these bytes, so none is stored with them.
const MAGIC: [u8; 4] = zstd_safe::MAGICNUMBER.to_le_bytes();

/// Buffers that grew beyond this are given back: a few objects are a thousand times larger than most.
const KEPT_BUFFER: usize = 256 * 1024;

/// Most contexts that wait for the next reader; one takes about 100 KiB. More than this many threads rarely unpack at
/// once, and the others make their own for the moment.
const KEPT_CONTEXTS: usize = 4;

/// The number of no dictionary: bytes as they are.
pub(super) const PLAIN: u8 = 0;

/// The number of what needs no dictionary: a short difference in few bits.
pub(super) const CODED: u8 = u8::MAX;

/// The number of a difference in bits that a dictionary may do better with, once there is one that knows it.
pub(super) const CODED_LONG: u8 = CODED - 1;

/// A difference in as few bits as this is left at that: of shorter ones a dictionary takes off a seventh at best, and both to
/// pack and to unpack them takes it ten times as long. Longer ones mostly have words in them.
const ENOUGH: usize = 256;

/// What unpacks that which was packed with one dictionary.
pub(super) struct Dictionary {
    number: u8,
    decoder: DDict<'static>,
}

/// The dictionaries in use, as readers take them along: what was copied can be unpacked whatever happens to the store.
#[derive(Clone, Default)]
pub(super) struct Dictionaries {
    known: Vec<Arc<Dictionary>>,
    exemplars: Exemplars,
    contexts: Arc<Contexts>,
}

/// Trains a dictionary of at most `size` bytes; `None` where the samples are too few or too alike for one.
pub(super) fn train(samples: &Samples, size: usize) -> Option<Vec<u8>> {
    zstd::dict::from_continuous(&samples.bytes, &samples.sizes, size).ok()
}

/// Appends the text that the second argument is the difference of to the first.
type ReadFn = fn(&[u8], &[u8], &mut Vec<u8>) -> bool;

/// Texts one behind the other, as the trainer takes them.
#[derive(Default)]
pub(super) struct Samples {
    pub(super) bytes: Vec<u8>,
    pub(super) sizes: Vec<usize>,
}

impl Dictionaries {
    /// Adds a trained dictionary and returns its number; `None` when the bytes are none, or all numbers are taken.
    pub(super) fn add(&mut self, bytes: &[u8]) -> Option<u8> {
        let taken = |number: &u8| self.known.iter().any(|known| known.number == *number);
        let number = (PLAIN + 1..CODED_LONG).find(|number| !taken(number))?;
        let decoder = DDict::try_create(bytes)?;
        self.known.push(Arc::new(Dictionary { number, decoder }));
        Some(number)
    }

    /// Returns the same with other exemplars.
    pub(super) fn with_exemplars(&self, exemplars: Exemplars) -> Self {
        Self { known: self.known.clone(), exemplars, contexts: Arc::clone(&self.contexts) }
    }

    /// Returns the numbers of all dictionaries.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u8> {
        self.known.iter().map(|known| known.number)
    }

    /// Forgets a dictionary that nothing stored needs any more.
    pub(super) fn remove(&mut self, number: u8) {
        self.known.retain(|known| known.number != number);
    }

    /// Returns the text that was packed, in a buffer of `unpacker`.
    pub(super) fn unpack<'a>(&'a self, packing: Packing, packed: &'a [u8], unpacker: &'a mut Unpacker) -> &'a [u8] {
        let Unpacker { decoder, frame, text, whole } = unpacker;
        let Packing { dictionary, exemplar } = packing;
        let (text, read): (_, ReadFn) = match dictionary {
            CODED | CODED_LONG => (packed, coded::read),
            _ => (self.decompress(dictionary, packed, decoder, frame, text), diff::read),
        };
        if exemplar == exemplars::NONE {
            return text;
        }
        whole.clear();
        if !self.exemplars.get(exemplar).is_some_and(|exemplar| read(exemplar, text, whole)) {
            report_damage();
            whole.clear();
        }
        whole
    }

    /// Returns what a dictionary packed, or is to pack: a text, or its difference to an exemplar.
    pub(super) fn residue<'a>(&self, packing: Packing, packed: &'a [u8], unpacker: &'a mut Unpacker) -> &'a [u8] {
        let Unpacker { decoder, frame, text, .. } = unpacker;
        match packing.dictionary {
            CODED | CODED_LONG => {
                text.clear();
                if !coded::open(packed, text) {
                    report_damage();
                }
                text
            }
            number => self.decompress(number, packed, decoder, frame, text),
        }
    }

    fn decompress<'a>(
        &self,
        number: u8,
        packed: &'a [u8],
        decoder: &mut DCtx<'static>,
        frame: &mut Vec<u8>,
        text: &'a mut Vec<u8>,
    ) -> &'a [u8] {
        if number == PLAIN {
            return packed;
        }
        frame.clear();
        frame.extend_from_slice(&MAGIC);
        frame.extend_from_slice(packed);
        text.clear();
        let size = zstd_safe::get_frame_content_size(frame).ok().flatten().unwrap_or_default();
        text.reserve(usize::try_from(size).map_or(MAX_OBJECT_BYTES, |size| size.min(MAX_OBJECT_BYTES)));
        let known = self.known.iter().find(|known| known.number == number);
        let unpacked = known.is_some_and(|known| decoder.decompress_using_ddict(text, frame, &known.decoder).is_ok());
        if !unpacked {
            report_damage();
            text.clear();
        }
        text
    }

    /// Lends a context to `read`.
    pub(super) fn with_context<T>(&self, read: impl FnOnce(&mut Context) -> T) -> T {
        let mut context = self.contexts.take();
        let result = read(&mut context);
        self.contexts.give_back(context);
        result
    }

    /// Returns how many bytes the dictionaries and the waiting contexts take.
    pub(super) fn memory(&self) -> usize {
        let decoders = self.known.iter().map(|known| known.decoder.sizeof()).sum::<usize>();
        decoders + self.exemplars.memory() + self.contexts.memory()
    }
}

/// What one unpacking needs: taken from a pool, because making it costs more than using it.
pub(super) struct Context {
    pub(super) unpacker: Unpacker,
    /// Scratch of the caller.
    pub(super) parts: Parts,
    /// Scratch of the caller.
    pub(super) json: Vec<u8>,
}

/// A decompression context and its buffers.
pub(super) struct Unpacker {
    decoder: DCtx<'static>,
    frame: Vec<u8>,
    text: Vec<u8>,
    whole: Vec<u8>,
}

#[derive(Default)]
struct Contexts(Mutex<Vec<Context>>);

impl Contexts {
    fn take(&self) -> Context {
        let waiting = self.lock().pop();
        waiting.unwrap_or_else(|| Context {
            unpacker: Unpacker { decoder: DCtx::create(), frame: Vec::new(), text: Vec::new(), whole: Vec::new() },
            parts: Parts::default(),
            json: Vec::new(),
        })
    }

    fn give_back(&self, mut context: Context) {
        shrink(&mut context.unpacker.frame);
        shrink(&mut context.unpacker.text);
        shrink(&mut context.unpacker.whole);
        shrink(&mut context.json);
        let mut waiting = self.lock();
        if waiting.len() < KEPT_CONTEXTS {
            waiting.push(context);
        }
    }

    fn memory(&self) -> usize {
        let size = |Context { unpacker, json, .. }: &Context| {
            let Unpacker { decoder, frame, text, whole } = unpacker;
            decoder.sizeof() + frame.capacity() + text.capacity() + whole.capacity() + json.capacity()
        };
        self.lock().iter().map(size).sum()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Context>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is stored was packed by this process; only damaged memory can come to this.
fn report_damage() {
    tracing::error!("a cached object does not unpack: restart the operator");
}

/// The packing side: one context with one dictionary.
#[derive(Default)]
pub(super) struct Packer {
    /// With the number of its dictionary.
    compressor: Option<(u8, Compressor<'static>)>,
    frame: Vec<u8>,
}

impl Packer {
    /// Packs with a dictionary from here on. Says whether that is possible.
    pub(super) fn load(&mut self, number: u8, dictionary: &[u8]) -> bool {
        let load = || -> std::io::Result<Compressor<'static>> {
            let mut compressor = Compressor::with_dictionary(LEVEL, dictionary)?;
            // The record says which dictionary it is.
            compressor.include_dictid(false)?;
            Ok(compressor)
        };
        let loaded = load().ok();
        let possible = loaded.is_some();
        if let Some(compressor) = loaded {
            self.compressor = Some((number, compressor));
        }
        possible
    }

    /// Returns the number of the dictionary.
    pub(super) fn number(&self) -> u8 {
        self.compressor.as_ref().map_or(PLAIN, |(number, _)| *number)
    }

    /// Appends `text` to `out`, packed where that makes it smaller, and returns the number of the dictionary.
    pub(super) fn pack(&mut self, text: &[u8], out: &mut Vec<u8>) -> u8 {
        let (number, body) = self.compress(text);
        let packed = body.filter(|body| body.len() < text.len());
        out.extend_from_slice(packed.unwrap_or(text));
        let number = if packed.is_some() { number } else { PLAIN };
        shrink(&mut self.frame);
        number
    }

    /// Appends the difference of a text to `out`, and returns the number of what packed it.
    pub(super) fn pack_difference(&mut self, text: &[u8], difference: &Difference, out: &mut Vec<u8>) -> u8 {
        let start = out.len();
        coded::write(text, difference, out);
        let coded = out.len() - start;
        if coded <= ENOUGH {
            return CODED;
        }
        // Nothing else needs the difference as bytes.
        if self.compressor.is_none() {
            return CODED_LONG;
        }
        let mut bytes = Vec::with_capacity(difference.size());
        diff::write(text, difference, &mut bytes);
        let (number, body) = self.compress(&bytes);
        let better = body.filter(|body| body.len() < coded);
        if let Some(better) = better {
            out.truncate(start);
            out.extend_from_slice(better);
        }
        let number = if better.is_some() { number } else { CODED_LONG };
        shrink(&mut self.frame);
        number
    }

    /// Returns a text as the dictionary packs it, with its number; nothing where there is none.
    fn compress(&mut self, text: &[u8]) -> (u8, Option<&[u8]>) {
        let Some((number, compressor)) = &mut self.compressor else { return (PLAIN, None) };
        self.frame.clear();
        self.frame.reserve(zstd_safe::compress_bound(text.len()));
        let packed = compressor.compress_to_buffer(text, &mut self.frame).is_ok();
        (*number, self.frame.strip_prefix(&MAGIC).filter(|_| packed))
    }

    /// Returns how many bytes it takes.
    pub(super) fn memory(&mut self) -> usize {
        let context = self.compressor.as_mut().map_or(0, |(_, compressor)| compressor.context_mut().sizeof());
        context + self.frame.capacity()
    }
}

/// Gives back a buffer that one large object has left behind.
pub(super) fn shrink(buffer: &mut Vec<u8>) {
    if buffer.capacity() > KEPT_BUFFER {
        *buffer = Vec::new();
    }
}
