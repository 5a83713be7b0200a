//! Whole bodies, members, cuts, damage and bombs.
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::TryStreamExt;

use super::*;

/// What is free in these tests: less than in earnest, as compressing takes long without optimisation.
const SOME: u64 = 1024 * 1024;

fn pack(text: &[u8]) -> Vec<u8> {
    pack_at(Compression::fast(), text)
}

fn pack_at(level: Compression, text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn corrupt(problem: &'static str) -> Error {
    Error::Corrupt { method: http::Method::GET, path: "/api/v1/pods".to_owned(), problem }
}

/// Unpacks `packed` in chunks of `size`; returns the pieces, or what is wrong.
async fn unpacked(packed: &[u8], size: usize) -> Result<Vec<Bytes>, String> {
    let chunks: Vec<_> = packed.chunks(size).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    let unpacked = unpack(stream::iter(chunks).boxed(), SOME, corrupt);
    unpacked.try_collect::<Vec<_>>().await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn any_number_of_members_in_any_chunks_is_one_body() {
    let text: Vec<u8> = (0..4_000_u32).flat_map(|n| (n * n).to_string().into_bytes()).collect();
    for members in [1, 2, 3, 50] {
        let packed: Vec<u8> = text.chunks(text.len().div_ceil(members)).flat_map(pack).collect();
        for size in [1, 7, 1000, packed.len()] {
            assert!(unpacked(&packed, size).await.unwrap().concat() == text, "{members} members, chunks of {size}");
        }
    }
    let empty = [pack(b""), pack(b"a"), pack(b""), pack(b"b")].concat();
    assert_eq!(unpacked(&empty, 3).await.unwrap().concat(), b"ab");
    assert_eq!(unpacked(b"", 1).await.unwrap().concat(), b"");
}

#[tokio::test(start_paused = true)]
async fn what_has_arrived_is_one_piece_and_is_not_kept_waiting() {
    let text: Vec<u8> = (0..40_000_u32).flat_map(|n| (n * 7).to_string().into_bytes()).collect();
    let packed = pack(&text);
    let size = packed.len().div_ceil(50);
    let arrived = unpacked(&packed, size).await.unwrap();
    assert!(arrived.len() <= text.len() / PIECE + 1, "{} pieces", arrived.len());
    assert!(arrived.iter().all(|piece| piece.len() <= PIECE + 32 * 1024));
    assert_eq!(arrived.concat(), text);

    let second = std::time::Duration::from_secs(1);
    let half = Bytes::from(packed[..packed.len() / 2].to_vec());
    let rest = Bytes::from(packed[half.len()..].to_vec());
    let later = stream::once(async move {
        tokio::time::sleep(second).await;
        Ok(rest)
    });
    let packed = stream::iter([Ok(half)]).chain(later);
    let mut unpacked = unpack(packed.boxed(), SOME, corrupt);
    let begun = tokio::time::Instant::now();
    let (mut early, mut made) = (0, Vec::new());
    while let Some(piece) = unpacked.try_next().await.unwrap() {
        early += if begun.elapsed() < second { piece.len() } else { 0 };
        made.extend_from_slice(&piece);
    }
    assert!(early > text.len() / 3, "{early} of {}", text.len());
    assert_eq!(made, text);
}

#[tokio::test]
async fn what_came_before_a_fault_comes_first() {
    let (first, second) = (vec![b'{'; 100_000], pack(b"]}"));
    for (last, what) in [
        (Err(corrupt("the connection broke")), "the connection broke"),
        (Ok(Bytes::from_static(b"this is no member")), "no gzip"),
        (Ok(Bytes::from(second[..second.len() - 1].to_vec())), "ends before"),
    ] {
        let packed = stream::iter([Ok(Bytes::from(pack(&first))), last]);
        let mut unpacked = unpack(packed.boxed(), SOME, corrupt);
        let mut made = 0;
        let error = loop {
            match unpacked.try_next().await {
                Ok(piece) => made += piece.expect("it does not end well").len(),
                Err(error) => break error,
            }
        };
        // The decoder itself holds up to 32 KiB back.
        assert!(made >= first.len() - 32 * 1024, "{made} before: {what}");
        assert!(error.to_string().contains(what), "{error}");
        assert!(unpacked.try_next().await.unwrap().is_none(), "nothing comes after it");
    }
}

#[tokio::test]
async fn a_body_that_is_cut_or_damaged_is_an_error() {
    let packed = [pack(b"{\"items\":["), pack(b"]}")].concat();
    for end in 1..packed.len() {
        // Between two members nobody can tell, except the reader of what they hold.
        if end != pack(b"{\"items\":[").len() {
            let error = unpacked(&packed[..end], 4).await.expect_err("cut");
            assert!(error.contains("ends before the gzip does"), "{end}: {error}");
        }
    }
    for (at, what) in [(0, "no magic"), (packed.len() - 6, "another checksum"), (packed.len() - 2, "another length")] {
        let mut damaged = packed.clone();
        damaged[at] ^= 1;
        let error = unpacked(&damaged, 1000).await.expect_err(what);
        assert!(error.starts_with("GET /api/v1/pods: the answer can not be unpacked: it "), "{error}");
    }
    let error = unpacked(b"{\"items\":[]}", 1000).await.expect_err("plain text");
    assert!(error.contains("no gzip"), "{error}");
}

#[tokio::test]
async fn a_bomb_is_refused_and_never_held() {
    // One chunk of some KiB that becomes four megabytes.
    let packed = pack_at(Compression::best(), &vec![b' '; 4 * SOME as usize]);
    let mut unpacked = unpack(stream::iter([Ok(Bytes::from(packed))]).boxed(), SOME, corrupt);
    let mut made = 0;
    let error = loop {
        match unpacked.try_next().await {
            Ok(Some(piece)) => {
                assert!(piece.len() <= PIECE + 32 * 1024, "{}", piece.len());
                made += piece.len() as u64;
            }
            Ok(None) => panic!("it went through"),
            Err(error) => break error,
        }
    };
    assert!(made >= SOME - 2 * PIECE as u64 && made <= SOME, "{made}");
    assert!(error.to_string().contains("larger than any list would"), "{error}");
}

#[tokio::test]
async fn objects_that_are_all_alike_are_no_bomb() {
    let object = format!(r#"{{"metadata":{{"name":"a"}},"data":"{}"}},"#, "x".repeat(4000));
    let text = object.repeat(2 * SOME as usize / object.len());
    let mut unpacked = unpack(stream::iter([Ok(Bytes::from(pack(text.as_bytes())))]).boxed(), SOME, corrupt);
    let mut made = 0;
    while let Some(piece) = unpacked.try_next().await.unwrap() {
        made += piece.len();
    }
    assert_eq!(made, text.len());
}
