//! Tests of `multipart`.

use super::*;
use proptest::prelude::*;

const TYPE: &str = "multipart/form-data; boundary=xyz";

fn scan(content_type: &str, body: &[u8], piece: usize) -> Vec<Part> {
    let mut scanner = Scanner::new(content_type, Lengths::Ignored);
    body.chunks(piece.max(1)).for_each(|chunk| scanner.push(chunk));
    scanner.finish().parts
}

fn part(name: &str, length: Option<usize>, content: &[u8]) -> Vec<u8> {
    let mut part = format!("--xyz\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"f\"\r\n").into_bytes();
    if let Some(length) = length {
        part.extend(format!("Content-Length: {length}\r\n").bytes());
    }
    part.extend(b"\r\n");
    part.extend(content);
    part.extend(b"\r\n");
    part
}

fn body() -> Vec<u8> {
    [
        part("header", Some(5), b"ab\r\nc"),
        part("chat", None, b"{}"),
        part("audio", Some(3), b"--x"),
        b"--xyz--\r\n".to_vec(),
    ]
    .concat()
}

fn contents<'a>(body: &'a [u8], parts: &[Part]) -> Vec<(String, &'a [u8], bool)> {
    let range = |part: &Part| part.offset as usize..(part.offset + part.length) as usize;
    parts.iter().map(|part| (part.name.clone(), &body[range(part)], part.complete)).collect()
}

#[test]
fn a_whole_body_in_any_pieces() {
    let body = body();
    for piece in [1, 2, 7, 1000] {
        let parts = scan(TYPE, &body, piece);
        let expected: [(String, &[u8], bool); 3] =
            [("header".into(), b"ab\r\nc", true), ("chat".into(), b"{}", true), ("audio".into(), b"--x", true)];
        assert_eq!(contents(&body, &parts), expected);
    }
}

#[test]
fn a_wrong_or_missing_content_type_does_not_matter() {
    let body = body();
    assert_eq!(scan("", &body, 9), scan(TYPE, &body, 9));
    assert_eq!(scan("multipart/form-data; boundary=\"xyz\"", &body, 9), scan(TYPE, &body, 9));
}

#[test]
fn a_wrong_content_length_is_noticed() {
    for wrong in [0, 1, 4, 20, 1 << 40] {
        let body = [part("a", Some(wrong), b"12345"), part("b", None, b"6"), b"--xyz--".to_vec()].concat();
        let mut scanner = Scanner::new(TYPE, Lengths::Believed);
        scanner.push(&body);
        assert!(!scanner.finish().closed, "{wrong}");
        let names: Vec<_> = scan(TYPE, &body, 1000).iter().map(|part| (part.name.clone(), part.length)).collect();
        assert_eq!(names, [("a".to_owned(), 5), ("b".to_owned(), 1)]);
    }
}

#[test]
fn skipping_finds_the_same() {
    let content = vec![b'-'; 100_000];
    let body = [part("big", Some(content.len()), &content), part("b", None, b"6"), b"--xyz--".to_vec()].concat();
    let mut scanner = Scanner::new(TYPE, Lengths::Believed);
    let (mut at, mut read) = (0, 0);
    while at < body.len() {
        let skip = scanner.skippable().min((body.len() - at) as u64);
        scanner.skip(skip);
        at += skip as usize;
        let end = (at + 500).min(body.len());
        scanner.push(&body[at..end]);
        read += end - at;
        at = end;
    }
    assert_eq!(scanner.finish(), Scan { parts: scan(TYPE, &body, 333), closed: true });
    assert!(read < 3_000, "{read}");
}

#[test]
fn a_body_that_can_be_read_anywhere_is_read_where_it_is_wanted() {
    let content = vec![b'-'; 2_000_000];
    let body = [part("big", Some(content.len()), &content), part("b", None, b"6"), b"--xyz--".to_vec()].concat();
    let size = body.len() as u64;
    for (lengths, most) in [(Lengths::Believed, 40_000), (Lengths::Ignored, size)] {
        let mut scanner = Scanner::new(TYPE, lengths);
        let mut read = 0;
        while let Some(wanted) = scanner.wanted(size) {
            // The source may give less than was wanted.
            let bytes = &body[wanted.start as usize..wanted.end as usize];
            let bytes = &bytes[..bytes.len().div_ceil(2)];
            scanner.push(bytes);
            read += bytes.len() as u64;
        }
        assert_eq!(scanner.finish(), Scan { parts: scan(TYPE, &body, 333), closed: true });
        assert!(read <= most && (lengths == Lengths::Believed || read == size), "{lengths:?}: {read}");
    }
    // Content that is longer than the body is skipped as far as there is a body.
    let mut scanner = Scanner::new(TYPE, Lengths::Believed);
    scanner.push(&body[..1_000]);
    assert_eq!(scanner.wanted(500_000), None);
    let cut = scanner.finish();
    assert_eq!((cut.closed, cut.parts[0].offset + cut.parts[0].length), (false, 500_000));
}

proptest! {
    #[test]
    fn a_cut_body_is_a_prefix_of_the_whole(cut in 0_usize..400, piece in 1_usize..50) {
        let body = body();
        let cut = cut.min(body.len());
        let (whole, parts) = (scan(TYPE, &body, 1000), scan(TYPE, &body[..cut], piece));
        prop_assert!(parts.len() <= whole.len());
        for (part, whole) in parts.iter().zip(&whole) {
            prop_assert_eq!((&part.name, part.offset), (&whole.name, whole.offset));
            prop_assert!(part.offset + part.length <= cut as u64);
            if part.complete {
                prop_assert_eq!(part, whole);
            }
        }
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(prop_oneof![Just(b'-'), Just(b'\n'), Just(b'\r'), Just(b'x'), any::<u8>()], 0..500), piece in 1_usize..60) {
        let parts = scan("multipart/form-data; boundary=x", &bytes, piece);
        for part in parts {
            prop_assert!(part.offset + part.length <= bytes.len() as u64);
        }
    }
}
