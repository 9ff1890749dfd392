"""What the product does: scan, evaluate, copy, retag, verify, report.

Plain functions that take what they need: stores, the ledger, a clock. The operators, the page and
the command line call the same ones, so that none of them holds a rule. May import errors, registry,
policy, ledger and evidence; knows nothing of Airflow.
"""
