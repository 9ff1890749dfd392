from __future__ import annotations

from tests.support.policies import policy_with


def test_a_policy_is_said_in_words() -> None:
    text = policy_with(
        {"tag": {"ends_with": "-stable"}},
        {"any": [{"vulnerabilities": {"critical": "= 0"}}, {"not": {"tag": {"equals": "x"}}}]},
        {"all": [{"updated": {"older_than": "2h"}}, {"license": {"is_one_of": ["MIT"]}}]},
        description="For QA.",
        schedule="0 3 * * *",
        target={"tag": "%n-%Y", "timezone": "Europe/Berlin", "existing_tag": "skip"},
        existing_images="ignore",
    ).describe()

    assert text.splitlines() == [
        "For QA.",
        "",
        (
            "Promotes images from `dev/website` (connection `dev_registry`) to `qa/website` "
            "(connection `qa_registry`) under the tag `%n-%Y` (Europe/Berlin)."
        ),
        "",
        "An image is promoted when all of these hold:",
        "",
        '- tag ends with "-stable"',
        "- any of:",
        "  - vulnerabilities: critical = 0",
        "  - not:",
        '    - tag equals "x"',
        "- all of:",
        "  - updated at least 2 hours ago",
        '  - a license is one of "MIT"',
        "",
        (
            "If the target tag holds another image, the image is not promoted. Images that were "
            "there when the policy was made or changed do not count."
        ),
        "",
        "Signatures, SBOMs and whatever else is attached to an image go with it.",
        "",
        (
            "Runs at `0 3 * * *` (Europe/Berlin) and when an event says that something arrived at "
            "its source."
        ),
    ]


def test_a_manual_policy_that_keeps_tags_says_so() -> None:
    text = policy_with().describe()

    assert "under the tag it has." in text
    assert "Runs when somebody triggers it." in text
    assert text.startswith("Promotes")


def test_what_goes_along_with_an_image_is_said() -> None:
    nothing = policy_with(referrers={"carry": "none"}).describe()
    some = policy_with(referrers={"artifact_types": ["application/spdx+json", "*sig*"]}).describe()

    assert "is attached to an image stay behind." in nothing
    assert "these types go with it: `application/spdx+json`, `*sig*`." in some


def test_which_parts_of_an_image_go_is_said_where_it_is_not_the_usual() -> None:
    some = policy_with(platforms=["linux/amd64", "linux/arm64"], foreign_layers="copy").describe()
    strict = policy_with(foreign_layers="refuse").describe()

    assert "only those for `linux/amd64`, `linux/arm64` go, in a new index" in some
    assert "(non-distributable ones) go along." in some
    assert "(non-distributable ones) is rejected." in strict
    assert "non-distributable" not in policy_with().describe()


def test_markdown_makes_nothing_of_an_expression() -> None:
    text = policy_with({"tag": {"matches": "(?P<v>[0-9]*)_*"}}).describe()

    assert r"- tag matches /(?P\<v\>\[0-9\]\*)\_\*/" in text
