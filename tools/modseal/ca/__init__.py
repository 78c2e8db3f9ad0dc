"""A small certificate authority: keys, requests, certificates and CRLs for those who have no PKI."""
