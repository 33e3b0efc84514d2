"""The parts of the deterministic verifier: one noun a file."""
