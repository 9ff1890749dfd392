"""What the files for containers promise."""
