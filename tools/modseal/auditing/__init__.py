"""Audits: many bundles examined under one policy, with rules that see more than one of them, as findings."""
