"""The ledger: what was seen, what was decided and why, and what became of it.

It knows databases (SQLite and PostgreSQL, by SQLAlchemy and Alembic) and the life of a promotion.
It knows nothing of registries, policies' rules or Airflow, and imports ``errors`` alone: policies,
digests and reasons come as text. Everything a caller needs is ``ledger.Ledger``, the values of
``records`` and ``location.ledger_url``.
"""
