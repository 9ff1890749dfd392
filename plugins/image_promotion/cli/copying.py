"""The command `copy`: one image from anywhere to anywhere, verified, without a policy or a ledger.

The content goes by digest and untagged, what is attached follows it, and the tag comes last: who
reads the tag finds all of it, its signatures too. A tag that holds another image is refused before
a byte has moved, and once more just before it would be set.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from image_promotion.cli.connections import find_endpoint
from image_promotion.cli.endpoints import Transport, endpoint_of
from image_promotion.cli.event_loop import run_to_end
from image_promotion.cli.places import Place
from image_promotion.cli.progress import ProgressBars
from image_promotion.errors import (
    NotFoundError,
    PromotionError,
    Subject,
    TagConflictError,
    UnsupportedContentError,
    VerificationError,
)
from image_promotion.policy.foreign_layers import ForeignLayers
from image_promotion.promotion.verification import Verification, verify_image
from image_promotion.registry.descriptor import Platform
from image_promotion.registry.digest import Digest
from image_promotion.registry.layout import LayoutStore
from image_promotion.registry.manifest import ImageIndex
from image_promotion.registry.opening import open_store
from image_promotion.registry.passage import TransferProgress
from image_promotion.registry.platforms import Selection, choose_platforms, with_manifest
from image_promotion.registry.products.catalogue import HasCatalogue
from image_promotion.registry.referrer_transfer import (
    CarriageReport,
    carry_attachments,
    check_attachments,
)
from image_promotion.registry.store import Store
from image_promotion.registry.transfer import (
    NO_PROGRESS,
    TransferReport,
    copy_image,
    list_content,
    readable_size,
)


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be copied.

    Args:
        source: The store it comes from.
        source_repository: Its repository there.
        reference: The tag or the digest.
        target: The store it goes to.
        target_repository: Its repository there.
        tag: The tag it gets.
        platforms: The platforms wanted of it; empty for all.
        takes_referrers: Whether what is attached to it goes with it.
        overwrites: Whether the tag may be taken from another image.
        foreign_layers: What to do with layers that must not be pushed.
    """

    source: Store
    source_repository: str
    reference: str | Digest
    target: Store
    target_repository: str
    tag: str
    platforms: tuple[Platform, ...] = ()
    takes_referrers: bool = False
    overwrites: bool = False
    foreign_layers: ForeignLayers = ForeignLayers.SKIP

    def named_source(self) -> Subject:
        """Return the source as people name it."""
        full = self.source.full_repository(self.source_repository)
        if isinstance(self.reference, Digest):
            return Subject(self.source.name, full, digest=str(self.reference))
        return Subject(self.source.name, full, self.reference)

    def named_target(self, digest: Digest | None = None) -> Subject:
        """Return the target as people name it."""
        full = self.target.full_repository(self.target_repository)
        return Subject(self.target.name, full, self.tag, None if digest is None else str(digest))


@dataclass(frozen=True, slots=True)
class Copied:
    """What a copy did.

    Args:
        order: What was to be copied.
        selection: What was chosen of the image.
        transfer: What was moved.
        verification: What was found at the target afterwards.
        carriages: What was carried besides; None when it was not asked for.
        held: What the target tag pointed at before; None when there was none.
        seconds: How long all of it took.
    """

    order: Order
    selection: Selection
    transfer: TransferReport
    verification: Verification
    carriages: tuple[CarriageReport, ...] | None
    held: Digest | None
    seconds: float

    @property
    def digest(self) -> Digest:
        """What the target tag points at now."""
        return self.selection.image.digest

    def warnings(self) -> tuple[str, ...]:
        """Return what the reader must not miss, each as a sentence."""
        said = []
        selection = self.selection
        if selection.is_new:
            kept = ", ".join(str(platform) for platform in selection.platforms)
            said.append(
                f"this is a new index of {kept} alone: the digest changes from "
                f"{selection.original} to {self.digest}, and signatures over the old one, or what "
                "else is attached to it, no longer apply"
            )
        if self.held not in (None, self.digest):
            said.append(f"the tag {self.order.tag} pointed at {self.held} before")
        if left := self.transfer.foreign_layers_left:
            said.append(
                f"{left} foreign layer{' was' if left == 1 else 's were'} not copied, since such "
                "layers must not be pushed unasked: who runs the image fetches from the URLs that "
                "it gives for them"
            )
        for carriage in self.carriages or ():
            said += [
                f"{left.digest} is listed as attached to {left.subject} and was left behind: "
                f"{left.reason}"
                for left in carriage.left_out
            ]
        return tuple(said)

    def __str__(self) -> str:
        moved = self.transfer
        carried = ""
        if self.carriages is not None:
            number = sum(len(carriage.attachments) for carriage in self.carriages)
            carried = f"; {number} attachment{'' if number == 1 else 's'} with it"
        return (
            f"{self.order.named_target(self.digest)} is verified: "
            f"{readable_size(moved.bytes_copied)} copied, "
            f"{readable_size(moved.bytes_skipped)} skipped, "
            f"{readable_size(moved.bytes_mounted)} mounted{carried}; {self.seconds:.1f} s"
        )


def copy(options: argparse.Namespace) -> bool:
    """Copy one image, set its tag and verify it.

    Args:
        options: ``source``, ``target``, ``platforms``, ``foreign_layers``, ``referrers``,
            ``overwrite``, ``plain_http``, ``ca_certificate``, ``skip_tls_verification``, ``json``.

    Returns:
        True.

    Raises:
        TagConflictError: The target tag holds another image, and is not to be overwritten.
        UnsupportedContentError: There is no image for a platform, or there are foreign layers and
            they are refused.
        VerificationError: The target does not hold what was copied.
        PromotionError: A place cannot be read or written.
    """
    transport = Transport(options.plain_http, options.ca_certificate, options.skip_tls_verification)
    source: Place = options.source
    target: Place = options.target
    with ProgressBars(f"{_written(source)} -> {_written(target)}") as bars:
        progress = bars.of("bytes")

        async def act() -> Copied:
            async with AsyncExitStack() as opened:
                stores = []
                for place in (source, target):
                    store = _open(place, transport, os.environ, is_source=place is source)
                    opened.push_async_callback(store.aclose)
                    stores.append(store)
                order = Order(
                    source=stores[0],
                    source_repository=source.repository,
                    reference=source.digest or source.tag or "",
                    target=stores[1],
                    target_repository=target.repository,
                    tag=target.tag or source.tag or "",
                    platforms=tuple(options.platforms),
                    takes_referrers=options.referrers,
                    overwrites=options.overwrite,
                    foreign_layers=ForeignLayers(options.foreign_layers),
                )
                return await carry_out(order, progress)

        copied = run_to_end(act)
    for warning in copied.warnings():
        print(f"promotion: warning: {warning}", file=sys.stderr)
    if options.json:
        from image_promotion.cli import output  # noqa: PLC0415 - its tables are not needed here

        output.print_json(output.copy_json(copied))
    else:
        print(copied)
    return True


async def carry_out(order: Order, progress: TransferProgress = NO_PROGRESS) -> Copied:
    """Copy one image, set its tag and verify it.

    Args:
        order: What is to be copied.
        progress: Told how the copy goes.

    Returns:
        What was done.

    Raises:
        PromotionError: As from ``copy``.
    """
    started_s = time.monotonic()
    selection = await _select(order)
    digest = selection.image.digest
    source = with_manifest(order.source, order.source_repository, selection.image)
    if order.foreign_layers is ForeignLayers.REFUSE:
        await _refuse_foreign_layers(order, source, selection)
    await _held(order, digest)
    if isinstance(order.target, HasCatalogue):
        # Some products take no push into a repository that is not there.
        await order.target.catalogue.ensure_repository(order.target_repository)
    takes_foreign_layers = order.foreign_layers is ForeignLayers.COPY
    transfer = await copy_image(
        source,
        order.source_repository,
        digest,
        order.target,
        order.target_repository,
        progress=progress,
        takes_foreign_layers=takes_foreign_layers,
    )
    # Before the tag: who admits signed images alone looks for the signature as soon as it is there.
    carriages = await _carry(order, selection) if order.takes_referrers else None
    held = await _held(order, digest)
    if held != digest:
        await order.target.put_manifest(order.target_repository, order.tag, selection.image)
    verification = await verify_image(
        order.target,
        order.target_repository,
        order.tag,
        str(digest),
        order.named_target(digest),
        wants_foreign_layers=takes_foreign_layers,
    )
    await _check_carried(order, digest, carriages or ())
    return Copied(
        order, selection, transfer, verification, carriages, held, time.monotonic() - started_s
    )


async def _select(order: Order) -> Selection:
    """Read the image, and choose of it what is wanted."""
    try:
        image = await order.source.get_manifest(order.source_repository, order.reference)
        if not order.platforms:
            return Selection(image, image.digest, ())
        return await choose_platforms(order.source, order.source_repository, image, order.platforms)
    except PromotionError as error:
        error.about(order.named_source())
        raise


async def _refuse_foreign_layers(order: Order, source: Store, selection: Selection) -> None:
    image = selection.image
    content = await list_content(source, order.source_repository, image.digest, image=image)
    if content.foreign_layers:
        layers = ", ".join(str(layer.digest) for layer in content.foreign_layers)
        raise UnsupportedContentError(
            f"the image has layers that must not be pushed: {layers}",
            subject=order.named_source(),
            advice="Say --foreign-layers skip to leave them out, or copy to bring them.",
        )


async def _held(order: Order, digest: Digest) -> Digest | None:
    """Return what the target tag points at; refuse another image if it is not to be overwritten."""
    held = await order.target.resolve(order.target_repository, order.tag)
    if held is None:
        return None
    if held.digest != digest and not order.overwrites:
        raise TagConflictError(
            "the tag points at another image there, and was left as it is",
            held_digest=str(held.digest),
            subject=order.named_target(),
            advice=f"It holds {held.digest}, and would get {digest}: say --overwrite, or name "
            "another tag.",
        )
    return held.digest


async def _carry(order: Order, selection: Selection) -> tuple[CarriageReport, ...]:
    """Carry what is attached; of a new index, what is attached to the images kept in it."""
    images = [selection.image.digest]
    if selection.is_new and isinstance(selection.image, ImageIndex):
        images = list(dict.fromkeys(entry.digest for entry in selection.image.manifests))
    return tuple(
        [
            await carry_attachments(
                order.source,
                order.source_repository,
                image,
                order.target,
                order.target_repository,
            )
            for image in images
        ]
    )


async def _check_carried(
    order: Order, digest: Digest, carriages: tuple[CarriageReport, ...]
) -> None:
    problems: list[str] = []
    for carriage in carriages:
        problems += await check_attachments(
            carriage.attachments, order.target, order.target_repository
        )
    if problems:
        raise VerificationError(
            "the target does not hold all that is attached to the image",
            problems=tuple(problems),
            subject=order.named_target(digest),
            advice="Copy it again: what is missing is copied. If it happens again, something else "
            "writes to or cleans up this repository.",
        )


def _open(
    place: Place, transport: Transport, environ: Mapping[str, str], *, is_source: bool
) -> Store:
    if place.folder is not None:
        if is_source and not place.folder.is_dir():
            raise NotFoundError(
                "there is no such folder of OCI layouts", subject=Subject(str(place.folder))
            )
        return LayoutStore(place.folder)
    if place.connection_id is not None:
        return open_store(find_endpoint(place.connection_id, environ))
    return open_store(endpoint_of(place.registry or "", transport, environ))


def _written(place: Place) -> str:
    """Return a place as short as it can be told from another."""
    return f"{place.repository}:{place.tag}" if place.tag else place.repository
