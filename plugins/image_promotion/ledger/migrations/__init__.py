"""Alembic's migrations of the ledger: ``env.py`` and one file a revision in ``versions``.

A migration is never changed once it was released. It repeats the columns it makes and imports only
the column types of ``tables``, so that later changes there do not alter it.
"""
