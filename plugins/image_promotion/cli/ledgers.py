"""The ledger at the command line: opened to be written, or only read; and the command `history`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from image_promotion.cli import output
from image_promotion.cli.marks import marks_in_words, marks_json
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.location import ledger_url, parse_url, redacted
from image_promotion.ledger.records import State


@contextmanager
def ledger_to_read(environ: Mapping[str, str]) -> Iterator[Ledger]:
    """Open the ledger for a command that is to leave nothing behind.

    Opening a ledger makes it if need be. For a file that is not there yet an empty ledger elsewhere
    stands in, so that a look with a wrong path does not pass for a ledger afterwards. A PostgreSQL
    database gets its tables.

    Args:
        environ: The environment.

    Yields:
        The ledger.

    Raises:
        LedgerError: It cannot be opened.
        ConnectionSettingsError: Its connection cannot be used as it is written.
    """
    url = ledger_url(environ)
    parsed = parse_url(url)
    if parsed.drivername == "sqlite" and not Path(parsed.database or "").exists():
        print(f"promotion: there is no ledger at {redacted(parsed)} yet", file=sys.stderr)
        with (
            TemporaryDirectory(prefix="promotion-") as folder,
            Ledger.open(f"sqlite:///{folder}/ledger.db") as ledger,
        ):
            yield ledger
    else:
        with Ledger.open(url) as ledger:
            yield ledger


def history(options: argparse.Namespace) -> bool:
    """Show decisions with what came of them, newest first.

    Args:
        options: ``policy``, ``tag``, ``digest``, ``state``, ``limit``, ``json``.

    Returns:
        True.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    with ledger_to_read(os.environ) as ledger:
        entries = ledger.history(
            policy=options.policy,
            limit=options.limit,
            tag=options.tag,
            digest=options.digest,
            state=State(options.state) if options.state else None,
        )
        marks = ledger.lives.marks(entries)
    if options.json:
        output.print_json(
            [
                {**output.history_json(entry), "marks": marks_json(each)}
                for entry, each in zip(entries, marks, strict=True)
            ]
        )
    elif entries:
        said = [marks_in_words(each) for each in marks]
        output.console().print(output.history_table(entries, said))
    elif options.tag or options.digest or options.state:
        print("nothing of that kind has been decided yet")
    else:
        of = f" by a policy of the name {options.policy}" if options.policy else ""
        print(f"nothing has been decided{of} yet")
    return True
