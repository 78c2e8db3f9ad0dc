"""What people do with one bundle: pack, sign, verify, inspect, extract."""
