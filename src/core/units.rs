//! Durations and sizes as people write them: `250ms`, `30s`, `64KiB`.
