"""Sources: they fetch the bytes that may be evidence about a digest, and believe none of them.

They know stores, scanners and folders, and nothing of formats and signatures. ``source`` says what
each of them offers. Whatever a source cannot have it names: nothing that failed looks like nothing
found.
"""
