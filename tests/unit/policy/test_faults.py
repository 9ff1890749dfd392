"""The likeliest mistakes, each with the message a person gets for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from image_promotion.policy.loading import check_policy_file
from image_promotion.policy.model import Policy
from tests.support.policies import TEXT, text_with

TRIGGER = "{ends_with: -stable}"
OPERATORS = "equals, starts_with, ends_with, contains, is_one_of, is_not_one_of, matches, semver"
KINDS = "tag, component, vulnerabilities, license, signature, updated, any, all, not"
TOP = ", ".join(field.alias or name for name, field in Policy.model_fields.items())
BOUND = 'one of >= > = != <= < and a whole number, in quotes, such as "= 0"'
CODES = "%n %A %a %w %d %B %b %m %Y %y %H %I %p %M %S %f %Z %j %W %{group}"
CRON = 'manual, or a cron expression of five fields in quotes, such as "*/5 * * * *"'
LEGAL = "letters, digits, _ . - ; not . or - first; at most 128 characters"


def messages(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "p.yaml"
    path.write_text(text)
    policy, faults = check_policy_file(path)
    assert policy is None
    assert all(fault.file == path and fault.line and fault.column for fault in faults)
    return [str(fault).removeprefix(f"{tmp_path}/") for fault in faults]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            text_with("ends_with", "end_with"),
            (
                "p.yaml:12:11: triggers[0].tag.end_with: is no key here; did you mean ends_with? "
                f"(allowed: {OPERATORS})"
            ),
        ),
        (
            text_with("ends_with", "endsWith"),
            (
                "p.yaml:12:11: triggers[0].tag.endsWith: is no key here; did you mean ends_with? "
                f"(allowed: {OPERATORS})"
            ),
        ),
        (
            text_with("ends_with", "regex"),
            (
                "p.yaml:12:11: triggers[0].tag.regex: is no key here; did you mean matches? "
                f"(allowed: {OPERATORS})"
            ),
        ),
        (
            text_with("- tag:", "- tags:"),
            f"p.yaml:12:5: triggers[0].tags: is no key here; did you mean tag? (allowed: {KINDS})",
        ),
        (
            text_with("- tag: {ends_with: -stable}", "- ends_with: -stable"),
            (
                "p.yaml:12:5: triggers[0].ends_with: is no key here; it belongs under tag or "
                "component "
                f"(allowed: {KINDS})"
            ),
        ),
        (
            TEXT + "tirggers: []\n",
            f"p.yaml:14:1: tirggers: is no key here; did you mean triggers? (allowed: {TOP})",
        ),
        (
            TEXT + 'tag: "%n"\n',
            f"p.yaml:14:1: tag: is no key here; it belongs under target (allowed: {TOP})",
        ),
        (
            text_with("  existing_tag: fail", "  existing_images: ignore"),
            (
                "p.yaml:10:3: target.existing_images: is no key here; did you mean existing_tag? "
                "(allowed: connection, repository, tag, timezone, existing_tag)"
            ),
        ),
        (
            text_with("  existing_tag: fail", "  limits: {}"),
            (
                "p.yaml:10:3: target.limits: is no key here; it belongs at the top of the "
                "policy, so "
                "indent it less (allowed: connection, repository, tag, timezone, existing_tag)"
            ),
        ),
        (TEXT + "on: push\n", f"p.yaml:14:1: on: is no key here (allowed: {TOP})"),
        (TEXT + "name: other\n", "p.yaml:14:1: name: stands twice, in line 1 already"),
        (
            text_with("existing_tag: fail", "existing_tag: replace"),
            (
                "p.yaml:10:17: target.existing_tag: replace is not allowed "
                "(allowed: 'fail', 'skip' or 'overwrite')"
            ),
        ),
        (
            text_with('"*/5 * * * *"', '"*/5 * * *"'),
            (
                "p.yaml:13:11: schedule: '*/5 * * *' is no cron expression: it has 4 of five "
                "fields "
                f"(allowed: {CRON})"
            ),
        ),
        (
            text_with('"%n-%Y%m%d"', '"%q"'),
            f"p.yaml:8:8: target.tag: there is no code %q (allowed: {CODES})",
        ),
        (
            text_with('"%n-%Y%m%d"', '"%n%%"'),
            (
                "p.yaml:8:8: target.tag: %% means a percent sign, which is never legal in a tag "
                f"(allowed: {CODES})"
            ),
        ),
        (
            text_with('"%n-%Y%m%d"', '"%n:%Y"'),
            f"p.yaml:8:8: target.tag: ':' is never legal in a tag (allowed: {LEGAL})",
        ),
        (
            text_with('"%n-%Y%m%d"', '"%n-%Z"').replace("Europe/Berlin", "Etc/GMT-14"),
            (
                "p.yaml:8:8: target.tag: %Z gives '+14' in this time zone, which is never legal "
                "in a "
                f"tag (allowed: {LEGAL})"
            ),
        ),
        (
            text_with('"%n-%Y%m%d"', '"%{1}"'),
            (
                "p.yaml:8:8: target.tag: there is no group %{1} (allowed: none, since no `matches` "
                "trigger that every promoted tag must match has groups)"
            ),
        ),
        (
            text_with(f"tag: {TRIGGER}", "vulnerabilities: {critical: 0}"),
            (
                "p.yaml:12:33: triggers[0].vulnerabilities.critical: 0 is no bound; did you mean "
                f'"= 0"? (allowed: {BOUND})'
            ),
        ),
        (
            text_with(f"tag: {TRIGGER}", 'vulnerabilities: {high: "= 0"}'),
            (
                "p.yaml:12:23: triggers[0].vulnerabilities.high: is no key here; for the words of "
                'scanners there is severity: {HIGH: "= 0"} '
                "(allowed: critical, major, minor, all, severity, only_fixable)"
            ),
        ),
        (
            text_with(f"tag: {TRIGGER}", "vulnerabilities: {severity: {HIGH: 0}}"),
            (
                "p.yaml:12:40: triggers[0].vulnerabilities.severity.HIGH: 0 is no bound; did you "
                "mean "
                f'"= 0"? (allowed: {BOUND})'
            ),
        ),
        (
            text_with(TRIGGER, "-stable"),
            f"p.yaml:12:10: triggers[0].tag: must be a mapping, not a text (allowed: {OPERATORS})",
        ),
        (
            text_with(TRIGGER, "{equals: 1.10}"),
            (
                "p.yaml:12:19: triggers[0].tag.equals: YAML reads 1.10 as a number "
                '(allowed: a text; put it in quotes: "1.10")'
            ),
        ),
        (
            text_with(TRIGGER, "{is_one_of: [latest, no]}"),
            (
                "p.yaml:12:31: triggers[0].tag.is_one_of[1]: YAML reads no as true or false "
                '(allowed: a text; put it in quotes: "no")'
            ),
        ),
        (
            text_with(TRIGGER, "{is_one_of: [2026-01-31]}"),
            (
                "p.yaml:12:23: triggers[0].tag.is_one_of[0]: YAML reads 2026-01-31 as a date "
                '(allowed: a text; put it in quotes: "2026-01-31")'
            ),
        ),
        (
            text_with(TRIGGER, "{equals: on}"),
            (
                "p.yaml:12:19: triggers[0].tag.equals: YAML reads on as true or false "
                '(allowed: a text; put it in quotes: "on")'
            ),
        ),
        (
            text_with(TRIGGER, "{is_one_of: latest}"),
            (
                "p.yaml:12:22: triggers[0].tag.is_one_of: must be a list, not a text "
                '(allowed: a list such as ["a", "b"])'
            ),
        ),
        (
            text_with(TRIGGER, "{ends_with: }"),
            "p.yaml:12:11: triggers[0].tag.ends_with: has no value",
        ),
        (
            text_with(TRIGGER, "{matches: '(1.4'}"),
            "p.yaml:12:20: triggers[0].tag.matches: is no RE2 expression: missing ): (1.4",
        ),
        (
            text_with("  - tag: {ends_with: -stable}", "  tag: {ends_with: -stable}"),
            (
                "p.yaml:12:3: triggers: must be a list, not a mapping "
                "(allowed: triggers, each with a dash before it)"
            ),
        ),
        (
            text_with(TRIGGER, f"{TRIGGER}\n    license: {{is_one_of: [MIT]}}"),
            (
                "p.yaml:12:5: triggers[0]: has tag and license; begin each trigger with a dash "
                "of its "
                f"own (allowed: exactly one of {KINDS})"
            ),
        ),
        (
            text_with(f"tag: {TRIGGER}", "updated: {older_than: 7 days}"),
            (
                "p.yaml:12:27: triggers[0].updated.older_than: '7 days' is no duration (allowed: a "
                "whole number and m, h, d or w for minutes, hours, days or weeks, such as 7d)"
            ),
        ),
        (
            text_with(f"tag: {TRIGGER}", "not: {any: [{tag: {endswith: x}}]}"),
            (
                "p.yaml:12:24: triggers[0].not.any[0].tag.endswith: is no key here; did you mean "
                f"ends_with? (allowed: {OPERATORS})"
            ),
        ),
        (
            text_with(f"tag: {TRIGGER}", "not: {" * 9 + "tag: {equals: a}" + "}" * 9),
            (
                "p.yaml:12:58: triggers[0].not.not.not.not.not.not.not.not.not: is nested too "
                "deeply "
                "(allowed: 8 levels of any, all and not)"
            ),
        ),
        (
            text_with("source:\n  connection: dev_registry\n  repository: dev/website\n", ""),
            "p.yaml:1:1: source: is missing (allowed: connection, repository)",
        ),
        (
            text_with("  repository: dev/website\n", ""),
            (
                "p.yaml:2:1: source.repository: is missing (allowed: A repository such as "
                "`dev/website`, or a pattern with one `*` such as `dev/*`, which stands for any "
                "characters but `/`)"
            ),
        ),
        (
            text_with("dev/website", "dev/*"),
            (
                "p.yaml:7:15: target.repository: 'qa/website' does not go with source.repository "
                "'dev/*' (allowed: {name} where the source has *, and only there)"
            ),
        ),
        (
            text_with("qa/website", "{name}"),
            (
                "p.yaml:7:15: target.repository: must be a text, not a mapping "
                "(allowed: a text, in quotes if it has { or [)"
            ),
        ),
        (
            TEXT + "limits: {images_per_run: many}\n",
            (
                "p.yaml:14:26: limits.images_per_run: must be a whole number, not a text "
                "(allowed: a number without quotes)"
            ),
        ),
        (
            TEXT + "limits: {tasks_per_run: 5_000}\n",
            "p.yaml:14:25: limits.tasks_per_run: 5_000 is too large (allowed: 500 or less)",
        ),
        (TEXT + "limits:\n", "p.yaml:14:1: limits: has no value"),
        (
            TEXT + f"description: {'x' * 2001}\n",
            "p.yaml:14:14: description: string should have at most 2000 characters",
        ),
        (
            text_with("  connection: dev_registry", "\tconnection: dev_registry"),
            (
                "p.yaml:3:1: is not the YAML of one document: while scanning for the next token "
                "found "
                "character '\\t' that cannot start any token. Indent with spaces; YAML allows no "
                "tabs."
            ),
        ),
    ],
)
def test_a_mistake_is_told_where_it_is_with_what_is_allowed(
    tmp_path: Path, text: str, message: str
) -> None:
    assert messages(tmp_path, text) == [message]


def test_all_mistakes_of_a_file_are_told_at_once_by_line(tmp_path: Path) -> None:
    text = (
        TEXT.replace("existing_tag: fail", "existing_tag: replace")
        .replace("ends_with", "end_with")
        .replace("Europe/Berlin", "Mars")
        .replace('"%n-%Y%m%d"', '"%q"')
        .replace("*/5 * * * *", "* *")
    ) + "name: again\nlimits: {images_per_run: 0}\n"

    found = [each.split(": ")[:2] for each in messages(tmp_path, text)]
    assert found == [
        ["p.yaml:8:8", "target.tag"],
        ["p.yaml:9:13", "target.timezone"],
        ["p.yaml:10:17", "target.existing_tag"],
        ["p.yaml:12:11", "triggers[0].tag.end_with"],
        ["p.yaml:13:11", "schedule"],
        ["p.yaml:14:1", "name"],
        ["p.yaml:15:26", "limits.images_per_run"],
    ]


def test_two_wrong_values_of_one_list_are_both_told(tmp_path: Path) -> None:
    text = text_with(TRIGGER, '{is_one_of: [1.10, "", ok]}')

    assert [each.split(": ")[1] for each in messages(tmp_path, text)] == [
        "triggers[0].tag.is_one_of[0]",
        "triggers[0].tag.is_one_of[1]",
    ]
