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


def test_an_audit_second_thoughts_and_messages_are_said() -> None:
    text = policy_with(
        mode="audit",
        recheck={"every": "12h", "on_failure": "roll_back"},
        notify=[
            {
                "on": ["waiting", "failed"],
                "waiting_longer_than": "2d",
                "arguments": {"connection": "chat"},
            },
            {"on": "promoted", "notifier": "a.b.Notifier"},
        ],
    ).describe()

    assert "**Audit:** each run decides and records" in text
    assert "judged again every 12 hours" in text
    assert "its target tag is set back to what it held before" in text
    assert (
        "The notifier `webhook` tells of images that wait for longer than 2 days, failures and "
        "conflicts." in text
    )
    assert "The notifier `a.b.Notifier` tells of promoted images." in text


def test_a_daily_recheck_that_only_reports_says_so() -> None:
    text = policy_with(recheck="daily").describe()

    assert "judged again daily" in text
    assert "set back" not in text
    assert "Audit" not in text


def test_the_proof_and_whose_key_signs_it_are_said() -> None:
    text = policy_with(attestation={"connection": "release_key"}).describe()

    assert "leaves a statement in the target" in text
    assert "signed by the key of the connection `release_key`" in text
    assert "statement" not in policy_with().describe()


def test_what_people_decide_is_said() -> None:
    one = policy_with(approval={}).describe()
    two = policy_with(
        approval={
            "approvals": 2,
            "users": ["alice", "bob"],
            "timeout": "2h",
            "on_timeout": "reject",
        },
        overrides="allow",
    ).describe()

    assert (
        "Nothing is copied before one person approves it in Airflow. One rejection is enough to "
        "reject an image. If nobody has decided after 7 days, the next run asks again."
    ) in one
    assert "trigger does not hold" not in one
    assert (
        "Nothing is copied before 2 different people of `alice`, `bob` approve it in Airflow. One "
        "rejection is enough to reject an image. If nobody has decided after 2 hours, the image is "
        "rejected."
    ) in two
    assert "A person may promote named tags although a trigger does not hold" in two


def test_which_tags_stay_is_said() -> None:
    both = policy_with(
        retention={"keep_newest": 10, "keep_younger_than": "30d", "mode": "remove"}
    ).describe()
    young = policy_with(retention={"keep_younger_than": "30d"}).describe()

    assert "the 10 newest and those verified less than 30 days ago stay" in both
    assert "the others are removed at the end of each run." in both
    assert "the others are named in the log at the end of each run, the newest never." in young
    assert "Tags that somebody else set or moved are left alone." in young
    assert "stay in each repository" not in policy_with().describe()
