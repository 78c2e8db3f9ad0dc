"""Who signed it, when, and do we accept that. The main path is `examine.examine`, top to bottom."""
