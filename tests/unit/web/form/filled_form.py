"""A page's form as a browser without script posts it."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

Pairs = list[tuple[str, str]]


@dataclass
class FilledForm(HTMLParser):
    """Reads the fields of the policy's form, and the buttons that send it.

    Attributes:
        fields: Names and values in the order of the page.
        buttons: The values of the buttons named ``do``.
        ids: Every id of the page.
        links: Where links lead.
        labelled: The ids that labels are for.
        focused: The id that the page begins at, if it says so.
    """

    fields: Pairs = field(default_factory=list)
    buttons: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    labelled: set[str] = field(default_factory=set)
    focused: str = ""
    _in_form: bool = False
    _select: str = ""
    _options: list[tuple[str, bool]] = field(default_factory=list)
    _area: str = ""
    _text: str | None = None

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    @classmethod
    def read(cls, html: str) -> FilledForm:
        """Read a page."""
        made = cls()
        made.feed(html)
        made.close()
        return made

    def with_values(self, **changes: str) -> Pairs:
        """Return the fields with other values; names have ``__`` for each dot."""
        wanted = {name.replace("__", "."): value for name, value in changes.items()}
        known = {name for name, _ in self.fields}
        assert set(wanted) <= known, set(wanted) - known
        return [(name, wanted.get(name, value)) for name, value in self.fields]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what begins."""
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self.ids.append(given["id"])
        if "autofocus" in given:
            self.focused = given.get("id", "")
        match tag:
            case "form":
                self._in_form = given.get("id") == "policy"
            case "a":
                self.links.append(given.get("href", ""))
            case "label":
                self.labelled.add(given.get("for", ""))
            case "button" if given.get("name") == "do":
                self.buttons.append(given["value"])
            case _ if self._in_form:
                self._begin_field(tag, given)
            case _:
                pass

    def _begin_field(self, tag: str, given: dict[str, str]) -> None:
        match tag:
            case "input":
                self.fields.append((given["name"], given.get("value", "")))
            case "textarea":
                self._area, self._text = given["name"], ""
            case "select":
                self._select, self._options = given["name"], []
            case "option" if self._select:
                self._options.append((given.get("value", "\0"), "selected" in given))
            case _:
                pass

    def handle_data(self, data: str) -> None:
        """Take the text of an area, or of an option that has no other value."""
        if self._text is not None:
            self._text += data
        elif self._select and self._options and self._options[-1][0] == "\0":
            self._options[-1] = (data, self._options[-1][1])

    def handle_endtag(self, tag: str) -> None:
        """Note what ends."""
        if tag == "form":
            self._in_form = False
        elif tag == "textarea" and self._text is not None:
            # HTML, "The textarea element": a line break that follows the tag at once is no part.
            text = self._text.removeprefix("\n")
            self.fields.append((self._area, text.replace("\r", "").replace("\n", "\r\n")))
            self._text = None
        elif tag == "select" and self._select:
            chosen = [value for value, selected in self._options if selected]
            self.fields.append((self._select, chosen[-1] if chosen else self._options[0][0]))
            self._select = ""
