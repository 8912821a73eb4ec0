//! Tags and Call-IDs that we mint. They carry the place of the call (shard, slot, generation) and
//! the leg, so that a message of a dialog finds its call without a map. A peer can forge one; the
//! leg compares the whole tag before it believes a message, so the worst a forgery gets is a 481.

use std::fmt;

/// Characters in a token: 120 bits, 5 a character.
pub const TOKEN_LENGTH: usize = 24;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const CALL_ID_PREFIX: &[u8] = b"t.";
const SLOT_BITS: u32 = 24;
const GENERATION_BITS: u32 = 24;
const RANDOM_BITS: u32 = 56;

/// Where in a shard a leg lives. Fits into the user word of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LegKey {
    /// The call's slot, below 2^24.
    pub slot: u32,
    /// Which use of the slot, modulo 2^24.
    pub generation: u32,
    /// The leg within the call; 0 is the ingress leg.
    pub leg: u8,
}

/// Where a leg lives, in whichever shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LegAddress {
    /// The shard.
    pub shard: u8,
    /// The place in it.
    pub key: LegKey,
}

impl LegKey {
    /// As the user word of a transaction. The top byte is left zero for other users of the word.
    pub fn to_user(self) -> u64 {
        u64::from(self.slot) << 32 | u64::from(self.generation) << 8 | u64::from(self.leg)
    }

    /// The reverse of [`LegKey::to_user`].
    pub fn from_user(user: u64) -> LegKey {
        LegKey {
            slot: (user >> 32) as u32 & ((1 << SLOT_BITS) - 1),
            generation: (user >> 8) as u32 & ((1 << GENERATION_BITS) - 1),
            leg: user as u8,
        }
    }
}

/// A tag that we minted, as text. Also the unique part of the Call-IDs that we mint.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tag([u8; TOKEN_LENGTH]);

impl Tag {
    /// Encodes a place; `random` makes the tag unguessable (its low 56 bits are used).
    pub fn new(shard: u8, key: LegKey, random: u64) -> Tag {
        let place = u64::from(key.slot) << 32 | u64::from(key.generation) << 8;
        let mut bits = u128::from(shard) << (120 - 8)
            | u128::from(place | u64::from(key.leg)) << RANDOM_BITS
            | u128::from(random & ((1 << RANDOM_BITS) - 1));
        let mut text = [0; TOKEN_LENGTH];
        for character in text.iter_mut().rev() {
            *character = ALPHABET[(bits & 31) as usize];
            bits >>= 5;
        }
        Tag(text)
    }

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("the alphabet is ASCII")
    }

    /// The Call-ID for the egress leg with this tag.
    pub fn call_id(&self) -> [u8; TOKEN_LENGTH + 2] {
        let mut text = [0; TOKEN_LENGTH + 2];
        text[..2].copy_from_slice(CALL_ID_PREFIX);
        text[2..].copy_from_slice(&self.0);
        text
    }

    /// Shard and place, if `text` has the form of a token.
    pub fn read(text: &[u8]) -> Option<(u8, LegKey)> {
        let bits = decode(text)?;
        let key = LegKey {
            slot: (bits >> (RANDOM_BITS + 32)) as u32 & ((1 << SLOT_BITS) - 1),
            generation: (bits >> (RANDOM_BITS + 8)) as u32 & ((1 << GENERATION_BITS) - 1),
            leg: (bits >> RANDOM_BITS) as u8,
        };
        Some(((bits >> (120 - 8)) as u8, key))
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({})", self.as_str())
    }
}

fn decode(text: &[u8]) -> Option<u128> {
    if text.len() != TOKEN_LENGTH {
        return None;
    }
    text.iter().try_fold(0u128, |bits, character| {
        Some(bits << 5 | u128::from(VALUES[usize::from(*character)].checked_sub(1)?))
    })
}

/// Character → value + 1; 0 is no character of ours.
const VALUES: [u8; 256] = {
    let mut values = [0; 256];
    let mut i = 0;
    while i < ALPHABET.len() {
        values[ALPHABET[i] as usize] = i as u8 + 1;
        i += 1;
    }
    values
};

/// The shard that owns every message with this Call-ID: the number inside those we minted, a hash
/// for all others. Every worker must come to the same answer, hence no seed.
pub fn shard_of(call_id: &[u8], shards: u8) -> u8 {
    let minted = call_id.strip_prefix(CALL_ID_PREFIX).and_then(Tag::read);
    if let Some((shard, _)) = minted {
        return shard % shards;
    }
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for byte in call_id {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    // FNV's low bits are its weakest: fold the high half in before reducing.
    ((hash ^ hash >> 32) % u64::from(shards)) as u8
}

/// The generator of a shard: SplitMix64, whose seed is given at construction. Unguessable enough
/// for tags because the seed is secret and 56 of its bits leave at a time through a mix.
#[derive(Debug)]
pub(crate) struct Randomness(u64);

impl Randomness {
    pub(crate) fn new(seed: u64) -> Randomness {
        Randomness(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_tag_leads_back_to_its_leg(
            shard in 0u8.., slot in 0u32..1 << 24, generation in 0u32..1 << 24, leg in 0u8..,
            random in 0u64..,
        ) {
            let key = LegKey { slot, generation, leg };
            let tag = Tag::new(shard, key, random);
            prop_assert_eq!(Tag::read(tag.as_bytes()), Some((shard, key)));
            prop_assert_eq!(LegKey::from_user(key.to_user()), key);
            prop_assert_eq!(key.to_user() >> 56, 0);
            prop_assert_eq!(shard_of(&tag.call_id(), 255), shard % 255);
        }

        #[test]
        fn any_text_has_a_shard(text in proptest::collection::vec(0u8.., 0..60), n in 1u8..) {
            prop_assert!(shard_of(&text, n) < n);
        }
    }

    #[test]
    fn foreign_tags_are_not_read() {
        for text in
            [&b"as58f4e9c1"[..], b"", b"000000000000000000000000u", b"ABCDEFGHJKMNPQRSTVWXYZ00"]
        {
            assert_eq!(Tag::read(text), None);
        }
    }

    #[test]
    fn foreign_call_ids_spread_over_the_shards() {
        let mut counts = [0u32; 4];
        for i in 0..4000 {
            counts[usize::from(shard_of(format!("{i}-7700@10.0.0.1").as_bytes(), 4))] += 1;
        }
        assert!(counts.iter().all(|n| (800..1200).contains(n)), "{counts:?}");
    }
}
