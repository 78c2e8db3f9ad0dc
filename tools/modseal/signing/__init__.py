"""Making signatures: keys, signature blocks, certificates. A host that only verifies never loads this.

The two halves of signing are apart, so that a key may live anywhere: `block.prepare` says what is to
be signed, a `keys.Signer` (or a person with a token) signs it, `block.complete` makes the block.
"""
