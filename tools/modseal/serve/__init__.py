"""What may be asked of a host from outside, and by whom: roles of client certificates, and the table of operations."""
