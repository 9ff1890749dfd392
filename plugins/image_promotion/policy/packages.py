"""What a component is called: its names, its ecosystem and where it was built from.

Package URLs are taken apart here by hand, and only as far as triggers need it: an image has tens of
thousands, and a library that checks every part of each takes longer than all that judges them.

Source: package-url specification, "purl-spec", and its types.
"""

from __future__ import annotations

from urllib.parse import unquote

from image_promotion.policy.facts import Component

QUALIFYING_TYPES = frozenset(
    {"npm", "maven", "golang", "composer", "clojars", "swift", "github", "gitlab", "bitbucket"}
)
"""The types whose namespace is part of the name."""

SYSTEM_TYPES = frozenset({"alpm", "apk", "deb", "ebuild", "qpkg", "rpm"})
"""The types whose namespace is a vendor, such as ``debian``, and no part of the name."""

# fmt: off
PURL_TYPES = frozenset(
    {
        "alpm", "apk", "bazel", "bioconductor", "bitbucket", "bitnami", "cargo", "chrome",
        "clojars", "cocoapods", "composer", "conan", "conda", "cpan", "cran", "deb", "docker",
        "ebuild", "elm", "gem", "generic", "github", "gitlab", "golang", "hackage", "hex",
        "huggingface", "julia", "kpm", "luarocks", "maven", "mlflow", "nix", "npm", "nuget",
        "oci", "opam", "otp", "pear", "pub", "puppet", "pypi", "qpkg", "rpm", "swid", "swift",
        "vscode-extension", "yocto",
    }
)
# fmt: on
"""Source: package-url specification, "types"."""

# fmt: off
KINDS = frozenset(
    {
        "application", "framework", "library", "container", "platform", "operating-system",
        "device", "device-driver", "firmware", "file", "machine-learning-model", "data",
        "cryptographic-asset", "archive", "source", "install",
    }
)
# fmt: on
"""Source: CycloneDX 1.6, `component.type`; SPDX 2.3, 7.24 "Primary Package Purpose"."""

NOT_SOFTWARE = frozenset({"file", "operating-system", "container", "data", "cryptographic-asset"})
"""The kinds that reports list beside the packages; nobody gives each of them a license."""


def kind_of_component(component: Component) -> str:
    """Return what a component is, in CycloneDX's words; empty when the report does not say."""
    return (component.kind or "").casefold().replace("_", "-").replace(" ", "-")


def type_of(purl: str | None) -> str | None:
    """Return the type of a package URL, such as ``deb``; None without one."""
    if purl is None or not purl.startswith("pkg:"):
        return None
    return purl[4:].lstrip("/").partition("/")[0].lower() or None


def qualifier(purl: str, key: str) -> str | None:
    """Return a qualifier of a package URL; None when it has none of that key."""
    if key not in purl:
        return None
    for pair in purl.partition("#")[0].partition("?")[2].split("&"):
        name, _, value = pair.partition("=")
        if name.lower() == key:
            return unquote(value) or None
    return None


def names_of(component: Component) -> tuple[str, ...]:
    """Return a component's own names: as the report has it, the full one and its last part.

    A full name has its group before it: ``@scope/name`` of npm, ``group:name`` and ``group/name``
    of Maven, ``github.com/owner/name`` of Go. A system's package has no group but a vendor.

    Args:
        component: The component.

    Returns:
        The names; the first is the report's own.
    """
    name, group, purl = component.name, component.group, component.purl
    type_ = type_of(purl)
    if type_ in SYSTEM_TYPES:
        return (name,)
    is_full = "/" in name or ":" in name
    if not group and not is_full and purl and type_ in QUALIFYING_TYPES:
        group = _namespace(purl)
    if group:
        return name, f"{group}/{name}", f"{group}:{name}"
    if not is_full or name.startswith(("/", ".")):
        # A path is the name of a file; elsewhere what stands before the last part is its group.
        return (name,)
    return name, *_parts(name)


def _namespace(purl: str) -> str:
    path = purl[4:].partition("#")[0].partition("?")[0].strip("/")
    if path.rfind("@") > path.rfind("/"):
        path = path.rpartition("@")[0]
    return unquote("/".join(path.split("/")[1:-1]))


def _parts(name: str) -> list[str]:
    """Return the last part of a full name, and the full name in its other spelling."""
    group, mark, last = name.rpartition("/")
    if not mark and "::" not in name:  # which joins the parts of a Perl or Rust module's name
        group, mark, last = name.rpartition(":")
        return [last, f"{group}/{last}"] if group and last else []
    return [last, f"{group}:{last}"] if group and last else []


def upstream_of(purl: str | None) -> str | None:
    """Return the name of the source package that a system's package was built from.

    Args:
        purl: A package URL, such as ``pkg:deb/debian/libssl3@3.0.11?upstream=openssl``.

    Returns:
        The name without version; None when the package URL says nothing of it.
    """
    value = qualifier(purl, "upstream") if purl else None
    if value is None:
        return None
    if value.endswith(".src.rpm"):
        # bash-5.1.8-9.el9.src.rpm: what precedes version and release.
        return value.rsplit("-", 2)[0]
    return value.partition("@")[0] or None


def version_of(component: Component) -> str | None:
    """Return a component's version as its ecosystem compares it, so an RPM's with its epoch."""
    version, purl = component.version, component.purl
    if version and purl and ":" not in version and type_of(purl) == "rpm":
        epoch = qualifier(purl, "epoch")
        return f"{epoch}:{version}" if epoch else version
    return version or None


def label_of(component: Component) -> str:
    """Return a component's full name and version, as a finding shows it."""
    name = component.name
    if component.group and type_of(component.purl) not in SYSTEM_TYPES:
        joint = ":" if type_of(component.purl) == "maven" else "/"
        name = f"{component.group}{joint}{name}"
    return f"{name} {component.version}" if component.version else name
