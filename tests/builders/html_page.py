"""A page, read as HTML."""

from __future__ import annotations

from html.parser import HTMLParser


class HtmlPage(HTMLParser):
    """A page as its elements (tag, attributes, text of all that is in it), in the order in which they begin."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.comments: list[str] = []
        self._open: list[tuple[str, list[str]]] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        text: list[str] = []
        self.elements.append((tag, dict(attributes), text))
        if tag not in ("meta", "link", "input"):
            self._open.append((tag, text))

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes), []))

    def handle_endtag(self, tag: str) -> None:
        opened, _ = self._open.pop()
        assert opened == tag

    def handle_data(self, text: str) -> None:
        for _, texts in self._open:
            texts.append(text)

    def handle_comment(self, text: str) -> None:
        self.comments.append(text)

    def all(self, tag: str, class_: str = "") -> list[str]:
        """The texts of all elements of a tag, and of a class."""
        return [
            "".join(text)
            for name, attributes, text in self.elements
            if name == tag and (not class_ or class_ in (attributes.get("class") or "").split())
        ]

    def by_id(self, id_: str) -> str:
        [text] = ["".join(text) for _, attributes, text in self.elements if attributes.get("id") == id_]
        return text

    def has(self, id_: str) -> bool:
        return any(attributes.get("id") == id_ for _, attributes, _ in self.elements)

    def table(self) -> list[dict[str, str]]:
        """The rows of the tables of a served host's page: each cell by the name of its column."""
        found: list[dict[str, str]] = []
        for tag, attributes, text in self.elements:
            column = attributes.get("data-column")
            if column is not None:
                if tag == "th":
                    found.append({})
                found[-1][column] = "".join(text)
        return found
