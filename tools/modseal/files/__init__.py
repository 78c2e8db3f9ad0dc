"""Files and folders that are written: atomically, by descriptor, and never through what others planted."""
