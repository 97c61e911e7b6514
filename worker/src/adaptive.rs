//! How many files to read at once. Pure.

/// What was observed since the last decision.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Observed {
    /// Readers that worked.
    pub(crate) readers: usize,
    /// Share of their time that the readers used a processor, 0 to 1.
    pub(crate) readers_busy: f64,
    /// Share of all processors that the process used, 0 to 1.
    pub(crate) process_busy: f64,
    /// Readers had to wait for the writers.
    pub(crate) is_backed_up: bool,
}

/// The number of readers for the next while: more where they wait for storage and processors idle,
/// fewer where they compete for processors.
pub(crate) fn next_readers(observed: Observed, cores: usize, max: usize) -> usize {
    let Observed { readers, readers_busy, process_busy, is_backed_up } = observed;
    let most = max.max(1);
    let next = if !is_backed_up && process_busy < 0.75 && readers_busy < 0.6 {
        readers + readers.div_ceil(2)
    } else if readers > cores && readers_busy > 0.9 {
        readers - 1
    } else {
        readers
    };
    next.clamp(1, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_follow_what_they_wait_for() {
        let check = |readers, readers_busy, process_busy, is_backed_up, expected| {
            let observed = Observed { readers, readers_busy, process_busy, is_backed_up };
            assert_eq!(next_readers(observed, 2, 64), expected, "{observed:?}");
        };
        check(2, 0.1, 0.1, false, 3);
        check(60, 0.1, 0.2, false, 64);
        check(2, 0.5, 0.95, false, 2); // the writers use the processors
        check(2, 0.1, 0.1, true, 2); // more readers would only wait too
        check(8, 0.95, 1.0, false, 7);
        check(2, 0.95, 1.0, false, 2);
    }
}
