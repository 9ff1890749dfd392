"""Reasons as text in the ledger."""

from __future__ import annotations

from sqlalchemy.dialects import sqlite

from image_promotion.ledger.records import Reason
from image_promotion.ledger.tables import Reasons

OLD = (
    '[{"trigger":"any","verdict":"held","expected":"e","found":"f","source":"s","parts":'
    '[{"trigger":"t","verdict":"held","expected":"e","found":"f","source":"s","parts":[]}]}]'
)


def test_reasons_of_before_there_were_figures_are_read_and_equal_to_new_ones_without() -> None:
    part = Reason("t", "held", "e", "f", "s")
    assert Reasons().process_result_value(OLD, sqlite.dialect()) == (
        Reason("any", "held", "e", "f", "s", (part,)),
    )


def test_reasons_with_figures_come_back_as_they_were() -> None:
    reasons = (Reason("t", "not_held", "e", "f", "s", count=12, items=("a", "b")),)
    dialect = sqlite.dialect()
    text = Reasons().process_bind_param(reasons, dialect)
    assert Reasons().process_result_value(text, dialect) == reasons
