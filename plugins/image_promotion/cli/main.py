"""The command `promotion`: validate, plan, explain, run, history, copy and the smaller ones.

Exit codes: 0 done; 1 something failed or is invalid; 2 wrong usage. What a command needs is
imported when it is that command's turn: a tag is rendered without loading a database toolkit.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import datetime
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from image_promotion.cli import target_verbs
from image_promotion.cli.loading import loaded_for_good
from image_promotion.errors import InvalidReferenceError, PromotionError

if TYPE_CHECKING:
    from image_promotion.cli.places import Place
    from image_promotion.registry.descriptor import Platform

DONE, FAILED, USAGE = 0, 1, 2

POLICIES_VARIABLE = "IMAGE_PROMOTION_POLICIES"

# As in ledger.records, which would load more than a command line needs to be understood.
_STATES = ("planned", "copied", "tagged", "verified", "failed", "superseded")

_DISTRIBUTION = "image-promotion"

_COMMANDS = {
    "validate": ("policies", "validate"),
    "plan": ("commands", "plan"),
    "explain": ("explaining", "explain"),
    "run": ("commands", "run"),
    "rollback": ("rollback", "rollback"),
    "recheck": ("rechecking", "recheck"),
    "retention": ("retention", "retention"),
    "history": ("ledgers", "history"),
    "copy": ("copying", "copy"),
    "evidence": ("evidence", "evidence"),
    "import": ("importing", "import_policies"),
    "render-tag": ("names", "render_tag"),
    "reference": ("names", "reference"),
}
"""Each command's module and function."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: What follows the program's name; None for this process's own.

    Returns:
        The exit code.
    """
    parser = _parser()
    given = sys.argv[1:] if arguments is None else list(arguments)
    if not given:
        parser.print_help(sys.stderr)
        return USAGE
    options = parser.parse_args(given)
    if options.command == "copy" and not (options.target.tag or options.source.tag):
        parser.error("neither SRC nor DST has a tag, and what is copied needs one: write DST:TAG")
    is_regsync = options.command == "import" and options.product == "regsync"
    if is_regsync and (options.connection or len(options.files) > 1):
        parser.error("regsync has one file and no registry to ask: write --file regsync.yml")
    # What fails is said once, by the command; without a handler, logging would say it again.
    logging.getLogger("image_promotion").addHandler(logging.NullHandler())
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        with loaded_for_good() if arguments is None else nullcontext():
            act = _command(options)
        is_done = act(options)
        sys.stdout.flush()
    except PromotionError as error:
        print(f"promotion: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("promotion: interrupted; run it again to go on", file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        # The reader has seen enough (`promotion history | head`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    finally:
        signal.signal(signal.SIGTERM, before)
    return DONE if is_done else FAILED


def _command(options: argparse.Namespace) -> Callable[[argparse.Namespace], bool]:
    """Load the command that is meant."""
    module, name = _COMMANDS[options.command]
    act: Callable[[argparse.Namespace], bool] = getattr(
        import_module(f"image_promotion.cli.{module}"), name
    )
    return act


def _interrupt(signal_number: int, frame: FrameType | None) -> NoReturn:
    """Make a polite request to end the same as Ctrl-C."""
    del signal_number, frame
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="promotion",
        description="Promote container images from registry to registry, by policy.",
        epilog="Connections are read from AIRFLOW_CONN_<ID> (a URI or JSON), as Airflow does; "
        "the ledger from IMAGE_PROMOTION_LEDGER. "
        "Exit codes: 0 done, 1 failed or invalid, 2 wrong usage.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    _add_policies(parser, default=Path(os.environ.get(POLICIES_VARIABLE) or "include/policies"))
    verbs = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    validate = verbs.add_parser("validate", help="check policy files")
    validate.add_argument("path", nargs="?", type=Path, help="a policy file or a folder of them")
    _add_policies(validate)

    plan = verbs.add_parser("plan", help="say what a run would do; nothing is written")
    _add_policy_arguments(plan)
    plan.add_argument(
        "--no-sizes",
        action="store_false",
        dest="sizes",
        help="do not find out how many bytes would be moved, which asks the target for each blob",
    )

    _add_explain(
        verbs.add_parser("explain", help="say what is decided about one tag, and why, in full")
    )

    run = verbs.add_parser("run", help="run a policy here and now, without a scheduler")
    _add_policy_arguments(run)

    target_verbs.add_rollback(
        verbs.add_parser("rollback", help="set a target tag back to what it was"), _add_common
    )

    recheck = verbs.add_parser("recheck", help="judge again what a policy has promoted")
    recheck.add_argument("policy", help="a policy file, or the name of a policy")
    recheck.add_argument("--all", action="store_true", help="also what was looked at lately")
    _add_policies(recheck)
    _add_json(recheck)

    target_verbs.add_retention(
        verbs.add_parser("retention", help="remove target tags that a policy does not keep"),
        _add_common,
    )

    history = verbs.add_parser("history", help="show decisions and promotions")
    history.add_argument("--policy", metavar="NAME", help="of this policy alone")
    history.add_argument("--tag", metavar="TAG", help="about this source or target tag alone")
    history.add_argument(
        "--digest", metavar="DIGEST", help="about digests alone that begin so, such as sha256:4fb0"
    )
    history.add_argument(
        "--state", choices=_STATES, help="promotions alone that stand so, with their decisions"
    )
    history.add_argument("--limit", type=_positive, default=100, help="at most so many (100)")
    _add_json(history)

    _add_copy(verbs.add_parser("copy", help="copy one image, verified; no policy and no ledger"))

    evidence = verbs.add_parser("evidence", help="show what a report or an attestation says")
    evidence.add_argument("file", metavar="FILE", help="the document; - for standard input")
    _add_json(evidence)

    _add_import(verbs.add_parser("import", help="turn policies of other products into policies"))

    render = verbs.add_parser("render-tag", help="show what a tag template gives")
    render.add_argument("template", help='such as "%%n-%%Y%%m%%d"')
    render.add_argument("--tag", required=True, help="the source tag")
    render.add_argument("--at", required=True, type=_moment, help="a time, ISO 8601")
    render.add_argument("--timezone", default="UTC", help="such as Europe/Berlin (UTC)")

    reference = verbs.add_parser("reference", help="take an image reference apart")
    reference.add_argument("reference", help="such as registry.example.com/team/app:1.4")
    _add_json(reference)
    return parser


class _Version(argparse.Action):
    """Prints the version; asks for it only then, since that reads the installed metadata."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> NoReturn:
        del namespace, values, option_string
        from importlib.metadata import version  # noqa: PLC0415 - see above

        print(f"promotion {version(_DISTRIBUTION)}")
        parser.exit()


def _add_policies(parser: argparse.ArgumentParser, default: Path | None = None) -> None:
    parser.add_argument(
        "--policies",
        type=Path,
        metavar="FOLDER",
        # After the command's name it may be left out, and must not undo what stands before it.
        default=default or argparse.SUPPRESS,
        help=f"where policies are looked up by name (${POLICIES_VARIABLE}, or include/policies)",
    )


def _add_policy_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("policy", help="a policy file, or the name of a policy")
    parser.add_argument(
        "--tag",
        action="append",
        default=[],
        dest="tags",
        metavar="TAG",
        help="consider this source tag alone, decided again; may be repeated",
    )
    parser.add_argument(
        "--decide-again", action="store_true", help="also consider what was rejected before"
    )
    parser.add_argument(
        "--override",
        # No text: argparse would read that as if somebody had written it.
        default=None,
        type=_reason,
        metavar="REASON",
        help="promote these tags although a trigger does not hold, where the policy allows it; the "
        "reason is kept",
    )
    _add_policies(parser)
    _add_json(parser)


def _reason(text: str) -> str:
    """Take the reason of an override; an empty one must not pass for none being asked for."""
    if not text.strip():
        raise argparse.ArgumentTypeError("needs a reason")
    return text


def _add_explain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("policy", help="a policy file, or the name of a policy")
    parser.add_argument(
        "tag", metavar="TAG", help="a source tag; REPOSITORY:TAG where several repositories have it"
    )
    parser.add_argument(
        "--afresh", action="store_true", help="gather the evidence anew, whatever is kept of it"
    )
    _add_policies(parser)
    _add_json(parser)


def _add_copy(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "SRC and DST are image references (registry.example.com/team/app:1.4, with @DIGEST too for "
        "SRC), conn://CONNECTION_ID/REPOSITORY:TAG, or layout://FOLDER//REPOSITORY:TAG. DST "
        "without a tag takes SRC's. A plain reference is reached as the connection of its registry "
        "says, else with Docker's login."
    )
    parser.add_argument("source", type=_source, metavar="SRC", help="what to copy")
    parser.add_argument("target", type=_target, metavar="DST", help="where to")
    parser.add_argument(
        "--referrers", action="store_true", help="bring signatures and what else is attached too"
    )
    parser.add_argument(
        "--platform",
        action="append",
        default=[],
        dest="platforms",
        type=_platform,
        metavar="OS/ARCH[/VARIANT]",
        help="only the images for this platform, in a new index; may be repeated",
    )
    parser.add_argument(
        "--foreign-layers",
        choices=("skip", "copy", "refuse"),
        default="skip",
        help="layers that must not be pushed: leave them where their URLs lead (skip), bring them "
        "from SRC (copy), or refuse the image",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="take DST's tag from another image (refused)"
    )
    parser.add_argument(
        "--plain-http", action="store_true", help="reach plain references by http, not https"
    )
    parser.add_argument(
        "--ca-certificate", type=Path, metavar="FILE", help="also trust these authorities (PEM)"
    )
    parser.add_argument("--skip-tls-verification", action="store_true", help="take any certificate")
    _add_json(parser)


def _add_import(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Turns DTR's promotion and mirroring policies, Harbor's replication rules and regsync.yml "
        "into policy files, and says what could not be carried. Passwords are never carried. "
        "Exit code 1: some entry became no policy."
    )
    parser.add_argument("product", choices=("dtr", "harbor", "regsync"), help="where it comes from")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "--file",
        action="append",
        dest="files",
        type=Path,
        metavar="EXPORT",
        help="what the product's API answered (JSON), may be repeated; or a regsync.yml",
    )
    where.add_argument("--connection", metavar="NAME", help="ask the registry of this connection")
    parser.add_argument(
        "--local",
        metavar="NAME",
        help="with --file: the connection to the DTR or Harbor itself (its product's name)",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FOLDER", help="where the files go (the folder of policies)"
    )
    parser.add_argument("--force", action="store_true", help="overwrite files of the same name")
    parser.add_argument("--dry-run", action="store_true", help="print the files instead")
    _add_policies(parser)


def _add_common(parser: argparse.ArgumentParser) -> None:
    _add_policies(parser)
    _add_json(parser)


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def _place(text: str) -> Place:
    from image_promotion.cli.places import parse_place  # noqa: PLC0415 - see above

    try:
        return parse_place(text)
    except InvalidReferenceError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _source(text: str) -> Place:
    place = _place(text)
    if place.tag is None and place.digest is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} has neither tag nor digest; latest is not implied: write it"
        )
    return place


def _target(text: str) -> Place:
    place = _place(text)
    if place.digest is not None:
        raise argparse.ArgumentTypeError(
            f"{text!r} has a digest; what is copied keeps the digest of SRC: write a tag"
        )
    return place


def _platform(text: str) -> Platform:
    from image_promotion.registry.platforms import parse_platform  # noqa: PLC0415 - see above

    try:
        return parse_platform(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _positive(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text[:10]) > 0:
        return int(text[:10])
    raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1")


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a time in ISO 8601, such as 2026-02-01T09:30:00+01:00"
        ) from None


if __name__ == "__main__":
    sys.exit(main())
