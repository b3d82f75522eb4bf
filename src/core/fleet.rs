//! Several services: their order, their common stop, and the one exit code.
