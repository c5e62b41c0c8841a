//! The CPU executor: chains of ops run row by row, so that what is between them stays in the cache.
