"""The formats of reports: each module reads the documents of one family, and does no I/O."""
