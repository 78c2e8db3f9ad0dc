"""A strict reader of small XML documents whose every element is known in advance.

A grammar says which elements may stand where, how often, in which order, and with which attributes.
Whatever it does not list is refused, with its line and column. So are, before they have any effect: a
document type (and with it every entity but the five of XML), processing instructions, CDATA, namespaces,
a byte order mark, any encoding but UTF-8, and comments where the caller does not expect them (attacks
XML-01 to XML-07). As the grammar is finite, so is the depth.

One parser reads the bytes once. They are never written back: what is signed stays as it came.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import NamedTuple, NoReturn
from xml.parsers import expat

from modseal import limits
from modseal.errors import FormatError, foreign
from modseal.format.shape import quote, suggestion

_SPACE = " \t\r\n"


class Element:
    """What an element may be: its attributes, and either text or children in this order."""

    def __init__(
        self,
        name: str,
        *children: Child,
        required: tuple[str, ...] = (),
        optional: tuple[str, ...] = (),
        text: bool = False,
    ) -> None:
        self.name, self.children, self.text = name, children, text
        self.required = frozenset(required)
        self.attributes = (*required, *optional)
        self.places = {child.element.name: place for place, child in enumerate(children)}

    def containers(self) -> Iterator[str]:
        """The names of all elements here and below that hold elements, not text."""
        if not self.text:
            yield self.name
        for child in self.children:
            yield from child.element.containers()


class Child(NamedTuple):
    """How often an element may stand at its place: `least` to `most` times in a row."""

    element: Element
    least: int = 1
    most: int = 1


class Node:
    """One element of a document, and where it starts."""

    __slots__ = ("attributes", "children", "column", "count", "element", "line", "place", "text")

    def __init__(self, element: Element, attributes: dict[str, str], line: int, column: int) -> None:
        self.element, self.attributes, self.line, self.column = element, attributes, line, column
        self.children: list[Node] = []
        self.text = ""
        self.place = -1  # of the last child in the grammar, and how many of them there are
        self.count = 0

    @property
    def name(self) -> str:
        """The element's name."""
        return self.element.name

    def all(self, name: str) -> list[Node]:
        """The children of one name."""
        return [child for child in self.children if child.element.name == name]

    def find(self, name: str) -> Node | None:
        """The child of a name that stands at most once; None where it is absent."""
        return next((child for child in self.children if child.element.name == name), None)

    def walk(self) -> Iterator[Node]:
        """The node and all below it, in document order."""
        yield self
        for child in self.children:
            yield from child.walk()

    def error(self, detail: str) -> FormatError:
        """The refusal of this node."""
        return _error(self.line, self.column, detail)


def parse(data: bytes, grammar: Element, *, comments_in: Container[str] = ()) -> Node:
    """The root of a document that follows a grammar.

    `comments_in` names the elements between whose children comments may stand; the empty name stands
    for the place outside the root. Comments are never allowed in a value.

    Raises `FormatError`: limit-exceeded, bad-manifest.
    """
    if len(data) > limits.MANIFEST_SIZE:
        raise FormatError("limit-exceeded", f"the document has {len(data)} bytes, over {limits.MANIFEST_SIZE}")
    if data.count(b"=") > limits.MANIFEST_ATTRIBUTES:
        raise FormatError("limit-exceeded", f"the document has more than {limits.MANIFEST_ATTRIBUTES} attributes")
    _require_utf8(data)
    reader = _Reader(grammar, comments_in)
    with foreign(lambda why: _error(1, 0, f"it cannot be read: {why}")):
        try:
            reader.parser.Parse(data, True)
        except expat.ExpatError as error:
            raise _error(error.lineno, error.offset, f"it is not XML: {expat.ErrorString(error.code)}") from None
    return reader.document.children[0]


class _Reader:
    """The handlers of one parser, and the elements that are open."""

    def __init__(self, grammar: Element, comments_in: Container[str]) -> None:
        self.document = Node(Element("", Child(grammar)), {}, 1, 0)
        self._open = [self.document]
        self._comments_in = comments_in
        self.parser = parser = expat.ParserCreate("UTF-8")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.CommentHandler = self._comment
        parser.XmlDeclHandler = self._declaration
        parser.StartDoctypeDeclHandler = self._doctype
        parser.ProcessingInstructionHandler = self._instruction
        parser.StartCdataSectionHandler = self._cdata

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        parent = self._open[-1]
        element = self._place(parent, name)
        self._require_attributes(element, attributes)
        node = Node(element, attributes, self.parser.CurrentLineNumber, self.parser.CurrentColumnNumber)
        parent.children.append(node)
        self._open.append(node)

    def _place(self, parent: Node, name: str) -> Element:
        """The element that may stand here under this name; what must come before it is there."""
        place = parent.element.places.get(name)
        if place is None:
            where = f"in <{parent.name}>" if parent.name else "as the root"
            self._refuse(f"<{quote(name)[1:-1]}> is not known {where}{suggestion(name, parent.element.places)}")
        if place < parent.place:
            self._refuse(f"<{name}> stands after <{parent.children[-1].name}>, and must stand before it")
        if place > parent.place:
            self._require_all(parent, place, f"before <{name}>")
            parent.count = 0
        most = parent.element.children[place].most
        if parent.count == most:
            self._refuse(f"<{name}> stands more than {'once' if most == 1 else f'{most} times'} in <{parent.name}>")
        parent.place = place
        parent.count += 1
        return parent.element.children[place].element

    def _require_all(self, parent: Node, end: int, where: str) -> None:
        for child in parent.element.children[parent.place + 1 : end]:
            if child.least:
                self._refuse(f"<{child.element.name}> is missing {where}")

    def _require_attributes(self, element: Element, attributes: dict[str, str]) -> None:
        for name in attributes:
            if name not in element.attributes:
                hint = suggestion(name, element.attributes)
                self._refuse(f"<{element.name}> has the unknown attribute {quote(name)}{hint}")
        if not attributes.keys() >= element.required:
            missing = ", ".join(sorted(element.required - attributes.keys()))
            self._refuse(f"<{element.name}> lacks the attribute {missing}")

    def _end(self, _name: str) -> None:
        node = self._open.pop()
        self._require_all(node, len(node.element.children), f"in <{node.name}>")

    def _characters(self, text: str) -> None:
        node = self._open[-1]
        if node.element.text:
            if len(node.text) + len(text) > limits.TEXT_LENGTH:  # adding up without end would be quadratic
                self._refuse(f"<{node.name}> has more than {limits.TEXT_LENGTH} characters")
            node.text += text
        elif text.strip(_SPACE):
            self._refuse(f"<{node.name}> has the text {quote(text.strip(_SPACE))}, where only elements may stand")

    def _comment(self, _text: str) -> None:
        node = self._open[-1]
        if node.element.text or node.name not in self._comments_in:
            self._refuse(f"a comment stands in <{node.name}>" if node.name else "a comment stands outside the root")

    def _declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        if version != "1.0" or (encoding or "UTF-8").upper() != "UTF-8" or standalone != -1:
            self._refuse("the XML declaration says something else than version 1.0 and UTF-8")

    def _doctype(self, *_: object) -> None:
        self._refuse("it has a document type")

    def _instruction(self, *_: object) -> None:
        self._refuse("it has a processing instruction")

    def _cdata(self) -> None:
        self._refuse("it has a CDATA section")

    def _refuse(self, detail: str) -> NoReturn:
        raise _error(self.parser.CurrentLineNumber, self.parser.CurrentColumnNumber, detail)


def _require_utf8(data: bytes) -> None:
    if data.startswith(b"\xef\xbb\xbf"):
        raise _error(1, 0, "it starts with a byte order mark")
    if b"\0" in data:
        raise _error(1, 0, "it has a NUL byte: it is not UTF-8 text")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start)
        raise _error(line + 1, error.start - data.rfind(b"\n", 0, error.start) - 1, "it is not UTF-8") from None


def _error(line: int, column: int, detail: str) -> FormatError:
    return FormatError("bad-manifest", f"line {line}, column {column + 1}: {detail}", line=line, column=column + 1)
