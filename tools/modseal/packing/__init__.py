"""Making bundles: planned, collected, assembled, signed, stamped and rewritten. A verifier never loads this."""
