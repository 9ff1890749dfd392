"""What is run for as long as one wants: seeded misfortunes, and a checker that looks afterwards.

``scripts/soak`` runs them; ``tests/faults`` runs a part of each with the other tests.
"""
