"""What people do with one bundle: verify, inspect, extract."""
