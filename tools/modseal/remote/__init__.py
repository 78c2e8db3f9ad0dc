"""Managing hosts from a desk: asks them over the network, and judges nothing itself."""
