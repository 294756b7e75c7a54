use super::*;

fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[test]
fn the_bytes_are_the_same_on_every_machine() {
    let digits = digits(0, Stream::Train, 100, &Difficulty::default());
    let letters = alphabet(0, Stream::Train, 0..20, 5, &Difficulty::default());
    assert_eq!(
        (fnv(&digits.images), fnv(&letters.images)),
        (PINNED.0, PINNED.1),
        "generated images changed: repeat every measurement made with them"
    );
}

const PINNED: (u64, u64) = (5_359_120_371_891_502_323, 5_121_559_635_203_410_400);

#[test]
fn a_sample_depends_only_on_its_index() {
    let difficulty = Difficulty::default();
    let few = digits(3, Stream::Test, 20, &difficulty);
    let many = digits(3, Stream::Test, 50, &difficulty);
    assert_eq!(few.images, many.images[..few.images.len()]);
    assert_ne!(few, digits(3, Stream::Train, 20, &difficulty));
    assert_ne!(few, digits(4, Stream::Test, 20, &difficulty));
    // A class is drawn the same in every range.
    let wide = alphabet(0, Stream::Train, 5..9, 1, &difficulty);
    let narrow = alphabet(0, Stream::Train, 7..8, 1, &difficulty);
    let image = SIDE * SIDE;
    assert_eq!(narrow.images, wide.images[2 * image..3 * image]);
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let with_threads = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap()
            .install(|| digits(5, Stream::Train, 64, &Difficulty::default()))
    };
    assert_eq!(with_threads(1), with_threads(4));
}

#[test]
fn classes_are_balanced_and_images_have_strokes() {
    let set = digits(1, Stream::Train, 200, &Difficulty::default());
    for class in 0..10 {
        assert_eq!(
            set.labels.iter().filter(|&&label| label == class).count(),
            20
        );
    }
    for image in set.images.chunks(SIDE * SIDE) {
        assert!(image.iter().filter(|&&byte| byte > 90).count() > 10);
    }
}

#[test]
fn invented_characters_differ() {
    let clean = Difficulty::default().scaled(0.0);
    let set = alphabet(0, Stream::Train, 0..200, 1, &clean);
    let images: Vec<&[u8]> = set.images.chunks(SIDE * SIDE).collect();
    for (i, a) in images.iter().enumerate() {
        for b in &images[..i] {
            let differ = a
                .iter()
                .zip(*b)
                .filter(|&(&a, &b)| a.abs_diff(b) > 128)
                .count();
            assert!(differ > 15, "{differ}");
        }
    }
}
