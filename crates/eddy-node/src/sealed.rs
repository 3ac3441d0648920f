//! Names of dead letters. A letter is found by its place in the journal of a shard, which all tenants
//! write to: shown as it is, it would tell each of them how much the others do. So the place is
//! encrypted and authenticated, deterministically, with a key of the node's: a synthetic
//! initialisation vector (the construction of RFC 5297) over BLAKE3 in its keyed mode.

use eddy_core::DeadLetterId;
use eddy_types::{Seq, ShardId};

const PLACE: usize = 14;
const VECTOR: usize = 10;
const CONTEXT: &str = "eddy 2026-11 names of dead letters";

/// Makes and reads the names of a node's dead letters.
pub(crate) struct Sealer([u8; 32]);

impl Sealer {
    /// Of a node with this key.
    pub(crate) fn new(node_key: &[u8; 32]) -> Self {
        Self(blake3::derive_key(CONTEXT, node_key))
    }

    /// The name of a letter: 48 hex digits.
    pub(crate) fn name(&self, shard: ShardId, id: DeadLetterId) -> String {
        let mut place = [0; PLACE];
        place[..2].copy_from_slice(&shard.0.to_be_bytes());
        place[2..10].copy_from_slice(&id.seq.0.to_be_bytes());
        place[10..].copy_from_slice(&id.index.to_be_bytes());
        let vector = self.vector(&place);
        self.mask(&vector, &mut place);
        let bytes = vector.iter().chain(&place);
        bytes.map(|byte| format!("{byte:02x}")).collect()
    }

    /// The place that a name stands for; none when this node did not make it.
    pub(crate) fn place(&self, name: &str) -> Option<(ShardId, DeadLetterId)> {
        if name.len() != 2 * (VECTOR + PLACE) || !name.is_ascii() {
            return None;
        }
        let mut bytes = [0; VECTOR + PLACE];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&name[2 * index..2 * index + 2], 16).ok()?;
        }
        let (vector, place) = bytes.split_at_mut(VECTOR);
        self.mask(vector, place);
        if self.vector(place) != *vector {
            return None;
        }
        let (shard, rest) = place.split_first_chunk()?;
        let (seq, index) = rest.split_first_chunk()?;
        let id = DeadLetterId {
            seq: Seq(u64::from_be_bytes(*seq)),
            index: u32::from_be_bytes(*index.first_chunk()?),
        };
        Some((ShardId(u16::from_be_bytes(*shard)), id))
    }

    fn vector(&self, place: &[u8]) -> [u8; VECTOR] {
        let mut vector = [0; VECTOR];
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(b"v").update(place);
        hasher.finalize_xof().fill(&mut vector);
        vector
    }

    /// Encrypts, or decrypts.
    fn mask(&self, vector: &[u8], place: &mut [u8]) {
        let mut stream = [0; PLACE];
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(b"m").update(vector);
        hasher.finalize_xof().fill(&mut stream);
        for (byte, mask) in place.iter_mut().zip(stream) {
            *byte ^= mask;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(seq: u64, index: u32) -> DeadLetterId {
        DeadLetterId {
            seq: Seq(seq),
            index,
        }
    }

    #[test]
    fn names_of_neighbours_have_nothing_in_common() {
        let sealer = Sealer::new(&[7; 32]);
        let (a, b) = (
            sealer.name(ShardId(3), id(41, 0)),
            sealer.name(ShardId(3), id(42, 0)),
        );
        let same = a.bytes().zip(b.bytes()).filter(|(a, b)| a == b).count();
        assert!(same < 16, "{a} {b}");
        assert_eq!(a, sealer.name(ShardId(3), id(41, 0)), "a name stays");
        assert_eq!(Sealer::new(&[8; 32]).place(&a), None, "of another node");
    }

    proptest! {
        #[test]
        fn a_name_stands_for_its_place(shard: u16, seq: u64, index: u32) {
            let sealer = Sealer::new(&[7; 32]);
            let name = sealer.name(ShardId(shard), id(seq, index));
            prop_assert_eq!(sealer.place(&name), Some((ShardId(shard), id(seq, index))));
        }

        #[test]
        fn nothing_else_is_a_name(text in "[0-9a-f]{48}|\\PC{0,60}", at in 0usize..48) {
            let sealer = Sealer::new(&[7; 32]);
            prop_assert_eq!(sealer.place(&text), None);
            let mut name = sealer.name(ShardId(1), id(2, 3));
            let other = if &name[at..=at] == "0" { "1" } else { "0" };
            name.replace_range(at..=at, other);
            prop_assert_eq!(sealer.place(&name), None);
        }
    }
}
