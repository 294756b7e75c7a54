//! Every seed, some changes of each, and every input that was ever one too many.

use lsoftmax_fuzz::{Mutator, TARGETS};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

#[test]
fn seeds_and_past_failures_are_read_in_peace() {
    for target in TARGETS {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{} has no seeds", target.name);
        let mut mutator = Mutator::new(1);
        let changed: Vec<Vec<u8>> = (0..200).map(|_| mutator.input(&seeds)).collect();
        let failures = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("failures")
            .join(target.name);
        let failures = fs::read_dir(failures).into_iter().flatten().flatten();
        let failures = failures.flat_map(|entry| fs::read(entry.path()));
        for input in seeds.iter().cloned().chain(changed).chain(failures) {
            let start = Instant::now();
            (target.run)(&input);
            // A hang, not a busy machine.
            let took = start.elapsed();
            assert!(took < Duration::from_secs(20), "{}: {took:?}", target.name);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_inputs() {
    let seeds = vec![b"path,label\na,1\n".to_vec(), vec![0; 40]];
    let inputs = |seed| {
        let mut mutator = Mutator::new(seed);
        (0..50).map(|_| mutator.input(&seeds)).collect::<Vec<_>>()
    };
    assert_eq!(inputs(7), inputs(7));
    assert_ne!(inputs(7), inputs(8));
}
