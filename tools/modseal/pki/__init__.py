"""X.509 for code signing (RFC 5280): certificates, names, CRLs, algorithms, paths, revocation. No policy, no I/O."""
