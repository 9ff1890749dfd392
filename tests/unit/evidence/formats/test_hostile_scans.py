"""Any bytes, and any valid report that was changed, give a report or the typed error."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_promotion.errors import UnreadableEvidenceError
from image_promotion.evidence.formats import text
from image_promotion.evidence.formats.recognition import read_predicate, read_report
from image_promotion.evidence.formats.text import read_json_report
from image_promotion.evidence.summary import read_evidence, summarise
from tests.support import scans
from tests.support.sboms import written
from tests.support.scans import Document

_MODIFIED: Document = {
    "Type": "vulnerability",
    "Status": "fixed",
    "Finding": scans.trivy_vulnerability(),
}
_IGNORED = scans.grype_match() | {"appliedIgnoreRules": [{"vex-status": "fixed"}]}

REPORTS: dict[str, Document] = {
    "trivy": scans.trivy(
        scans.trivy_result(
            scans.trivy_vulnerability(),
            Packages=[{"Name": "a", "Version": "1", "Epoch": 1, "Licenses": ["MIT"]}],
            Licenses=[{"PkgName": "a", "Name": "MIT"}],
            ExperimentalModifiedFindings=[_MODIFIED],
        )
    ),
    "grype": scans.grype(scans.grype_match(), ignoredMatches=[_IGNORED]),
    "sarif of trivy": scans.sarif(
        "Trivy", [scans.trivy_rule(cvssv3_baseScore=9.8)], [scans.trivy_sarif_result()]
    ),
    "sarif of grype": scans.sarif("grype", [scans.grype_rule()], [scans.grype_sarif_result()]),
    "openvex": scans.openvex(scans.vex_statement()),
    "harbor": {
        "application/vnd.security.vulnerability.report; version=1.1": scans.harbor(
            scans.harbor_vulnerability(), artifact={"digest": scans.IMAGE_DIGEST}
        )
    },
    "dtr": {"digest": scans.IMAGE_DIGEST, "vuln_summary": scans.dtr_scan()},
}
PREDICATES: dict[str, Document] = {
    "https://cosign.sigstore.dev/attestation/vuln/v1": scans.cosign_predicate(REPORTS["trivy"]),
    "https://in-toto.io/attestation/vulns/v0.2": scans.in_toto_predicate(
        {"id": "CVE-1", "severity": [{"method": "nvd", "score": "1.0"}]}
    ),
}

_OTHER_VALUES: tuple[object, ...] = (
    None, True, False, 0, -1, 10**30, 1e300, "", "x", "\x00", "\ud800",
    [], [None], [[]], {}, {"": {}},
)  # fmt: skip


def _places(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield where each value in a document stands."""
    items: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        items += value.items()
    elif isinstance(value, list):
        items += enumerate(value)
    for key, item in items:
        yield (*path, key)
        yield from _places(item, (*path, key))


def _changed(
    document: Document, path: tuple[str | int, ...], value: object, *, gone: bool
) -> bytes:
    changed = copy.deepcopy(document)
    holder: object = changed
    for key in path[:-1]:
        holder = holder[key]  # type: ignore[index] # the path leads through lists and objects
    if gone:
        del holder[path[-1]]  # type: ignore[attr-defined]
    else:
        holder[path[-1]] = value  # type: ignore[index]
    return json.dumps(changed).encode()


def _is_read_or_refused(content: bytes) -> None:
    with suppress(UnreadableEvidenceError):
        summarise(read_evidence(content))


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_with_any_member_missing_or_of_another_kind_is_read_or_refused(name: str) -> None:
    document = REPORTS[name]
    assert summarise(read_evidence(written(document))).format
    for path in _places(document):
        _is_read_or_refused(_changed(document, path, None, gone=True))
        for value in _OTHER_VALUES:
            _is_read_or_refused(_changed(document, path, value, gone=False))


@pytest.mark.parametrize("predicate_type", PREDICATES)
def test_a_predicate_with_any_member_missing_or_of_another_kind_is_read_or_refused(
    predicate_type: str,
) -> None:
    document = PREDICATES[predicate_type]
    assert read_predicate(predicate_type, read_json_report(written(document))).vulnerabilities
    for path in _places(document):
        for value in (_GONE, *_OTHER_VALUES):
            content = _changed(document, path, value, gone=value is _GONE)
            with suppress(UnreadableEvidenceError):
                read_predicate(predicate_type, read_json_report(content))


_GONE = object()


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    _is_read_or_refused(content)


@given(
    st.sampled_from(sorted(REPORTS)),
    st.integers(min_value=0, max_value=10_000),
    st.binary(max_size=4),
)
def test_a_report_with_other_bytes_in_it_is_read_or_refused(
    name: str, position: int, other: bytes
) -> None:
    content = written(REPORTS[name])
    position %= len(content)
    _is_read_or_refused(content[:position] + other + content[position + len(other) :])


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["matches", "descriptor", "runs", "version", "scanner", "layer_details"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_is_read_or_refused(value: object) -> None:
    _is_read_or_refused(json.dumps(value).encode())


@pytest.mark.parametrize("name", REPORTS)
def test_more_findings_than_a_report_may_have_are_refused(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = written(REPORTS[name])
    assert read_report(content)
    monkeypatch.setattr(text, "MAX_ITEMS", 0)
    with pytest.raises(UnreadableEvidenceError, match="entries, more than 0"):
        read_report(content)
