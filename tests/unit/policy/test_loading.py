from __future__ import annotations

import random
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from image_promotion.errors import PolicyError
from image_promotion.policy.loading import check_policy_file, load_policies, load_policy
from image_promotion.policy.model import Policy
from tests.support.policies import PUBLIC_KEY, TEXT, policy_documents, text_with

# Each example writes over the file of the last.
one_folder = settings(
    max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_valid_file_is_a_policy(tmp_path: Path) -> None:
    path = write(tmp_path, "a.yaml", TEXT)
    policy = load_policy(path)

    assert policy.name == "website-stable-to-qa"
    assert policy.target.tag == "%n-%Y%m%d"
    assert check_policy_file(path) == (policy, ())


def test_the_first_fault_of_a_file_is_raised(tmp_path: Path) -> None:
    text = text_with("dev/website", "Dev").replace("fail", "replace")

    with pytest.raises(PolicyError, match="'Dev' is no repository") as caught:
        load_policy(write(tmp_path, "a.yaml", text))
    assert (caught.value.line, caught.value.column) == (4, 15)
    assert caught.value.key == "source.repository"


def test_the_good_policies_of_a_folder_are_loaded_beside_the_broken(tmp_path: Path) -> None:
    write(tmp_path, "1.yaml", text_with("fail", "replace").replace("ends_with", "end_with"))
    write(tmp_path, "2.yaml", TEXT)
    write(tmp_path, "3.yml", "a: [")
    write(tmp_path, "4.yml", TEXT.replace("website-stable", "other"))
    loaded = load_policies(tmp_path)

    assert [each.path.name for each in loaded.good] == ["2.yaml", "4.yml"]
    assert [each.policy.name for each in loaded.good] == ["website-stable-to-qa", "other-to-qa"]
    assert [(each.file and each.file.name, each.key) for each in loaded.broken] == [
        ("1.yaml", "target.existing_tag"),
        ("1.yaml", "triggers[0].tag.end_with"),
        ("3.yml", ""),
    ]


def test_the_second_policy_of_a_name_is_a_fault_at_its_name(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", TEXT)
    second = write(tmp_path, "b.yaml", f"# a copy\n\n{TEXT}")
    loaded = load_policies(tmp_path)

    assert [each.path.name for each in loaded.good] == ["a.yaml"]
    assert [str(each) for each in loaded.broken] == [
        (
            f"{second}:3:7: name: a.yaml has a policy of the name website-stable-to-qa already "
            "(allowed: a name of its own for each policy)"
        )
    ]


def test_other_files_hidden_ones_and_folders_within_are_let_be(tmp_path: Path) -> None:
    write(tmp_path, "policy.schema.json", "{}")
    write(tmp_path, "README.md", "# Policies")
    write(tmp_path, ".a.yaml.swp", "x")
    write(tmp_path, "._a.yaml", "x")
    (tmp_path / ".#a.yaml").symlink_to("someone@somewhere")
    (tmp_path / "drafts").mkdir()
    write(tmp_path / "drafts", "a.yaml", "x")

    assert load_policies(tmp_path) == load_policies(tmp_path / "nowhere")
    assert load_policies(tmp_path).good == ()
    assert load_policies(tmp_path).broken == ()


def test_a_folder_or_a_lost_link_of_a_policys_name_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").mkdir()
    (tmp_path / "b.yaml").symlink_to(tmp_path / "gone.yaml")

    assert [str(each) for each in load_policies(tmp_path).broken] == [
        f"{tmp_path}/a.yaml: is not a file",
        f"{tmp_path}/b.yaml: is not a file",
    ]


@pytest.mark.parametrize("value", ["2026-01-31", "2026-01-31 10:00:00", "2026-01-31T10:00:00Z"])
def test_a_date_needs_no_quotes_where_a_date_is_asked_for(tmp_path: Path, value: str) -> None:
    def load(written: str) -> Policy:
        trigger = f"updated: {{before: {written}}}"
        text = text_with("tag: {ends_with: -stable}", trigger)
        return load_policy(write(tmp_path, "a.yaml", text))

    assert load(value) == load(f'"{value}"')


def look(folder: Path, content: bytes) -> None:
    """Load a file that holds anything: a policy, or faults of this file."""
    path = folder / "a.yaml"
    path.write_bytes(content)
    policy, faults = check_policy_file(path)
    assert (policy is None) is bool(faults)
    for fault in faults:
        assert fault.file == path
        assert str(fault).isprintable()
        str(fault).encode()


def test_what_a_file_says_cannot_drive_a_terminal(tmp_path: Path) -> None:
    text = text_with("ends_with: -stable", r'"\e[2J\n": x').replace("fail", r'"\e[31m"')

    for fault in check_policy_file(write(tmp_path, "a.yaml", text))[1]:
        assert str(fault).isprintable()
        assert r"\x1b[" in str(fault)


@one_folder
@given(content=st.binary(max_size=200))
def test_any_bytes_are_a_policy_or_a_policy_error(tmp_path: Path, content: bytes) -> None:
    look(tmp_path, content)


yaml_like = st.lists(
    st.sampled_from(
        [
            *TEXT.splitlines(keepends=True),
            "- ",
            "  ",
            "\n",
            ": ",
            "{",
            "}",
            "[",
            "]",
            "&a ",
            "*a",
            "!!",
            "'",
            '"',
            "|",
            ">",
            "?",
            "#",
            "---\n",
            "%",
            "\t",
            "null",
            "no",
            "1.10",
            "2026-02-31",
            "name",
            "tag",
            "any: ",
            "not: ",
            "<<: *a\n",
            "!x ",
            "\\ud800",
            "\x85",
            "é",
            "=",
        ]
    ),
    max_size=30,
).map("".join)


@one_folder
@given(text=yaml_like)
def test_anything_made_of_yaml_is_a_policy_or_a_policy_error(tmp_path: Path, text: str) -> None:
    look(tmp_path, text.encode())


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=10)
    | st.dates()
    | st.datetimes()
    | st.binary(max_size=4)
    | st.sampled_from(["%n", "%{1}", "= 0", "7d", "*", "* * * * *", "{name}", "(a)", "^1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


def places_in(value: object) -> list[tuple[dict[object, object] | list[object], object]]:
    """Return every container and key of a document."""
    if not isinstance(value, dict | list):
        return []
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    inner = [place for key in keys for place in places_in(value[key])]
    return [*((value, key) for key in keys), *inner]


@one_folder
@given(document=policy_documents, value=values, seed=st.integers(0, 1000))
def test_any_value_anywhere_in_a_policy_gives_a_policy_or_policy_errors(
    tmp_path: Path, document: dict[str, object], value: object, seed: int
) -> None:
    text = yaml.safe_dump(document)
    changed = yaml.safe_load(text)
    container, key = random.Random(seed).choice(places_in(changed))  # noqa: S311 - no secret
    container[key] = value  # type: ignore[call-overload]  # a dict or a list, with its key

    look(tmp_path, yaml.safe_dump(changed, allow_unicode=True).encode())


@one_folder
@given(document=policy_documents)
def test_what_the_model_accepts_comes_back_from_a_file(
    tmp_path: Path, document: dict[str, object]
) -> None:
    path = write(tmp_path, "a.yaml", yaml.safe_dump(document, allow_unicode=True))

    assert load_policy(path) == Policy.model_validate(document)


# What a policy says of evidence stands partly in files beside it

EVIDENCE = f"""\
evidence:
  signers:
    release:
      key_file: keys/release.pub
  exceptions_file: accepted.yaml
{TEXT}"""
ACCEPTED = """\
exceptions:
  - {id: CVE-2099-0001, reason: not compiled in, expires: 2099-12-31, by: alice}
"""


def write_evidence(folder: Path, text: str = EVIDENCE) -> Path:
    (folder / "keys").mkdir(exist_ok=True)
    write(folder / "keys", "release.pub", PUBLIC_KEY)
    write(folder, "accepted.yaml", ACCEPTED)
    return write(folder, "policy.yaml", text)


def test_files_beside_a_policy_become_part_of_it_and_of_its_record(tmp_path: Path) -> None:
    policy = load_policy(write_evidence(tmp_path))
    assert policy.evidence.signers["release"].key == PUBLIC_KEY
    assert [each.id for each in policy.evidence.exceptions] == ["CVE-2099-0001"]

    document = policy.document()
    for path in (tmp_path / "keys" / "release.pub", tmp_path / "accepted.yaml"):
        path.unlink()
    again = Policy.from_document(document)
    assert again == policy
    assert (again.hash, again.document()) == (policy.hash, document)


@pytest.mark.parametrize("name", ["keys/release.pub", "accepted.yaml"])
def test_a_file_that_says_something_else_makes_another_version(tmp_path: Path, name: str) -> None:
    path = write_evidence(tmp_path)
    before = load_policy(path).hash
    file = tmp_path / name
    file.write_text(file.read_text().replace("alice", "bob") + "\n")

    assert load_policy(path).hash != before


@pytest.mark.parametrize(
    ("change", "line", "key", "said"),
    [
        (("release.pub", "gone.pub"), 4, "evidence.signers.release.key_file", "cannot be read"),
        (
            ("keys/release", "../release"),
            4,
            "evidence.signers.release.key_file",
            "leaves the folder",
        ),
        (("accepted.yaml", "gone.yaml"), 5, "evidence.exceptions_file", "gone.yaml is broken"),
        (("accepted.yaml", "/etc/passwd"), 5, "evidence.exceptions_file", "leaves the folder"),
        (("accepted.yaml", "keys/release.pub"), 5, "evidence.exceptions_file", "is broken"),
        (("key_file", "key_flie"), 4, "evidence.signers.release.key_flie", ""),
    ],
)
def test_a_fault_of_such_a_file_is_told_where_the_policy_names_it(
    tmp_path: Path, change: tuple[str, str], line: int, key: str, said: str
) -> None:
    policy, faults = check_policy_file(write_evidence(tmp_path, EVIDENCE.replace(*change)))

    assert policy is None
    assert (faults[0].line, faults[0].key) == (line, key)
    assert said in str(faults[0])
    assert faults[0].file == tmp_path / "policy.yaml"


def test_a_broken_exceptions_file_says_where_it_is_broken(tmp_path: Path) -> None:
    path = write_evidence(tmp_path)
    write(tmp_path, "accepted.yaml", ACCEPTED.replace("2099-12-31", "soon"))

    with pytest.raises(PolicyError) as caught:
        load_policy(path)
    assert (caught.value.line, caught.value.key) == (5, "evidence.exceptions_file")
    assert "accepted.yaml:2:" in str(caught.value)
    assert "'soon' is no date" in str(caught.value)


def test_a_policy_that_says_nothing_of_evidence_has_the_hash_it_always_had(
    tmp_path: Path,
) -> None:
    bare = load_policy(write(tmp_path, "a.yaml", TEXT)).hash

    assert load_policy(write(tmp_path, "b.yaml", "evidence: {}\n" + TEXT)).hash == bare
    said = "evidence: {sources: [referrers, registry]}\n" + TEXT
    assert load_policy(write(tmp_path, "c.yaml", said)).hash == bare
    for other in ("max_age: 7d", "sources: [registry]", "trust: {referrers: any}"):
        text = f"evidence: {{{other}}}\n{TEXT}"
        assert load_policy(write(tmp_path, "d.yaml", text)).hash != bare
