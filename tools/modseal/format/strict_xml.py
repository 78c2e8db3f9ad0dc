"""A strict reader of small XML documents whose every element is known in advance.

A grammar says which elements may stand where, how often, in which order, and with which attributes.
Everything that it does not list is refused, with its line and column. So are, before they have any effect: a
document type (and with it every entity but the five of XML), processing instructions, CDATA, namespaces,
a byte order mark, any encoding but UTF-8, and comments where the caller does not expect them (attacks
XML-01 to XML-07). As the grammar is finite, so is the depth.

One parser reads the bytes once. They are never written back: what is signed stays as it came.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import replace
from pyexpat import ErrorString, ExpatError, ParserCreate  # what xml.parsers.expat is, without three modules around it

from modseal import limits
from modseal.errors import FormatError, foreign
from modseal.format.shape import quote, suggestion
from modseal.values import dataclass

_SPACE = " \t\r\n"
_SHOWN = 60
"""Characters of the text of something unknown that are shown."""


class ElementRule:
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
        self.last_needed = max((place for place, child in enumerate(children) if child.least), default=-1)

    def walk(self) -> Iterator[ElementRule]:
        """The element and all below it."""
        yield self
        for child in self.children:
            yield from child.element.walk()


@dataclass(frozen=True, slots=True)
class Child:
    """How often an element may stand at its place: `least` to `most` times in a row."""

    element: ElementRule
    least: int = 1
    most: int = 1


class Node:
    """One element of a document, and where it starts; or who gave its text, where it is not the document's own."""

    __slots__ = ("attributes", "children", "column", "count", "element", "line", "place", "source", "text")

    def __init__(self, element: ElementRule, attributes: dict[str, str], line: int, column: int) -> None:
        self.element, self.attributes, self.line, self.column = element, attributes, line, column
        self.children: list[Node] = []
        self.text = ""
        self.source = ""
        self.place = -1  # of the last child in the grammar, and how many of them there are
        self.count = 0

    @property
    def name(self) -> str:
        """The element's name."""
        return self.element.name

    def by_name(self) -> dict[str, Node]:
        """The children by their names, of which each stands there at most once."""
        return {child.element.name: child for child in self.children}

    def all(self, name: str) -> list[Node]:
        """The children of one name."""
        return [child for child in self.children if child.element.name == name]

    def find(self, name: str) -> Node | None:
        """The child of a name that stands at most once; None where it is absent."""
        for child in self.children:
            if child.element.name == name:
                return child
        return None

    def walk(self) -> Iterator[Node]:
        """The node and all below it, in document order."""
        yield self
        for child in self.children:
            yield from child.walk()

    def error(self, detail: str) -> FormatError:
        """The refusal of this node."""
        if self.source:
            return FormatError("bad-manifest", f"{self.source}: {detail}", given=self.source)
        return _error(self.line, self.column, detail)


@dataclass(frozen=True, slots=True)
class Unknown:
    """An element or attribute that the grammar does not list, in the element `holder`; its text is cut."""

    name: str
    holder: str
    line: int
    column: int
    text: str = ""
    attribute: bool = False

    def __str__(self) -> str:
        name = quote(self.name)[1:-1]
        return f"the attribute {name} of <{self.holder}>" if self.attribute else f"<{name}> in <{self.holder}>"


def parse(
    data: bytes,
    grammar: ElementRule,
    *,
    comments_in: Container[str] = (),
    ordered: bool = True,
    unknown: list[Unknown] | None = None,
    problems: list[FormatError] | None = None,
) -> Node:
    """The root of a document that follows a grammar.

    `comments_in` names the elements between whose children comments may stand; the empty name stands
    for the place outside the root. Comments are never allowed in a value. Where the document is not `ordered`, the
    children of an element may stand in any order. Elements and attributes that the grammar does not list are added to
    `unknown` and passed over, where that is given. What breaks the grammar in a way that reading can go on after is
    added to `problems`, where that is given; then the root may lack what it should have.

    Raises `FormatError`: limit-exceeded, bad-manifest.
    """
    if len(data) > limits.MANIFEST_SIZE:
        raise FormatError("limit-exceeded", f"the document has {len(data)} bytes, over {limits.MANIFEST_SIZE}")
    if data.count(b"=") > limits.MANIFEST_ATTRIBUTES:
        raise FormatError("limit-exceeded", f"the document has more than {limits.MANIFEST_ATTRIBUTES} attributes")
    if data.count(b"<") > limits.MANIFEST_TAGS:
        raise FormatError("limit-exceeded", f"the document has more than {limits.MANIFEST_TAGS} tags")
    _require_utf8(data)
    reader = _XmlReader(grammar, comments_in, ordered=ordered, unknown=unknown, problems=problems)
    with foreign(lambda why: _error(1, 0, f"it cannot be read: {why}")):
        try:
            reader.parser.Parse(data, True)
        except ExpatError as error:
            for part in unknown or ():
                if hint := suggestion(part.name, (element.name for element in grammar.walk())):  # one tag is misspelt
                    raise _misspelt(part, hint) from None
            raise _error(error.lineno, error.offset, f"it is not XML: {ErrorString(error.code)}") from None
    if not reader.document.children:
        raise (problems or [_error(1, 0, "it has no element that is known")])[0]
    return reader.document.children[0]


class _XmlReader:
    """The handlers of one parser, and the elements that are open."""

    def __init__(
        self,
        grammar: ElementRule,
        comments_in: Container[str],
        *,
        ordered: bool,
        unknown: list[Unknown] | None,
        problems: list[FormatError] | None,
    ) -> None:
        self.document = Node(ElementRule("", Child(grammar)), {}, 1, 0)
        self._open = [self.document]
        self._grammar = grammar
        self._comments_in = comments_in
        self._ordered = ordered
        self._unknown = unknown
        self._problems = problems
        self._passed_over = 0
        """How many elements are open that are passed over: one that is not known, and all in it."""
        self._in_order = ordered
        """Whether the order counts, and none is passed over."""
        self.parser = parser = ParserCreate("UTF-8")
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
        rule, following = parent.element, parent.place + 1
        if self._in_order and rule.places.get(name) == following:  # the next one, as nearly all are
            parent.place, parent.count = following, 1
            element: ElementRule | None = rule.children[following].element
        else:
            element = None if self._passed_over else self._place(parent, name)
        if element is None:
            self._in_order = False
            self._passed_over += 1
            return
        if attributes.keys() != element.required:
            self._require_attributes(element, attributes)
        node = Node(element, attributes, self.parser.CurrentLineNumber, self.parser.CurrentColumnNumber)
        parent.children.append(node)
        self._open.append(node)

    def _place(self, parent: Node, name: str) -> ElementRule | None:
        """The element that may stand here under this name, None where it is passed over.

        What must come before it is there, where the order counts.
        """
        place = parent.element.places.get(name)
        if place is None:
            if self._unknown is not None and parent.name and not parent.element.text and self._is_new(name):
                self._note(name, parent.name)
                return None
            where = f"in <{parent.name}>" if parent.name else "as the root"
            self._refuse(f"<{quote(name)[1:-1]}> is not known {where}{suggestion(name, parent.element.places)}")
            return None
        if not self._ordered:
            return self._place_anywhere(parent, place)
        if place < parent.place:
            self._refuse(f"<{name}> stands after <{parent.children[-1].name}>, and must stand before it")
        if place > parent.place:
            if place > parent.place + 1:
                self._require_all(parent, place, f"before <{name}>")
            parent.count = 0
        if parent.count == parent.element.children[place].most:
            self._refuse_more(parent, place)
        parent.place = place
        parent.count += 1
        return parent.element.children[place].element

    def _place_anywhere(self, parent: Node, place: int) -> ElementRule | None:
        child = parent.element.children[place]
        if len(parent.all(child.element.name)) == child.most:
            self._refuse_more(parent, place)
            return None
        return child.element

    def _refuse_more(self, parent: Node, place: int) -> None:
        child = parent.element.children[place]
        times = "once" if child.most == 1 else f"{child.most} times"
        self._refuse(f"<{child.element.name}> stands more than {times} in <{parent.name}>")

    def _is_new(self, name: str) -> bool:
        """Whether the grammar lacks this name everywhere. A known element in a wrong place is not unknown."""
        return _has_no_prefix(name) and all(element.name != name for element in self._grammar.walk())

    def _note(self, name: str, holder: str, text: str = "", *, attribute: bool = False) -> None:
        line, column = self.parser.CurrentLineNumber, self.parser.CurrentColumnNumber + 1
        unknown = self._unknown or []
        if len(unknown) == limits.PROBLEMS or len(name) > limits.TEXT_LENGTH or len(text) > limits.TEXT_LENGTH:
            raise _error(line, column - 1, "it has too much that is not known, or a huge name or value")
        if self._unknown is not None:
            self._unknown.append(Unknown(name[:_SHOWN], holder, line, column, text[:_SHOWN], attribute))

    def _require_all(self, parent: Node, end: int, where: str) -> None:
        for child in parent.element.children[parent.place + 1 : end]:
            if child.least:
                self._require_not_misspelt(parent, child.element.name)
                self._refuse(f"<{child.element.name}> is missing {where}")

    def _require_not_misspelt(self, parent: Node, name: str) -> None:
        """Whether an unknown element is a misspelt one: an element with nearly that name is missing."""
        for part in self._unknown or ():
            hint = suggestion(part.name, [name])
            if hint and part.holder == parent.name and not part.attribute:
                raise _misspelt(part, hint)

    def _require_attributes(self, element: ElementRule, attributes: dict[str, str]) -> None:
        for name, value in attributes.items():
            if name not in element.attributes and self._unknown is not None and _has_no_prefix(name):
                self._note(name, element.name, value, attribute=True)
            elif name not in element.attributes:
                hint = suggestion(name, element.attributes)
                self._refuse(f"<{element.name}> has the unknown attribute {quote(name)}{hint}")
        if not attributes.keys() >= element.required:
            missing = ", ".join(sorted(element.required - attributes.keys()))
            self._refuse(f"<{element.name}> lacks the attribute {missing}")

    def _end(self, _name: str) -> None:
        if self._passed_over:
            self._passed_over -= 1
            self._in_order = self._ordered and not self._passed_over
            return
        node = self._open.pop()
        if self._ordered:
            if node.place < node.element.last_needed:
                self._require_all(node, len(node.element.children), f"in <{node.name}>")
            return
        present = {child.name for child in node.children}
        for child in node.element.children:
            if child.least and child.element.name not in present:
                self._refuse(f"<{child.element.name}> is missing in <{node.name}>")

    def _characters(self, text: str) -> None:
        if self._passed_over:
            if self._unknown and len(self._unknown[-1].text) < _SHOWN:
                last = self._unknown[-1]
                self._unknown[-1] = replace(last, text=last.text + text[:_SHOWN].strip(_SPACE))
            return
        node = self._open[-1]
        if node.element.text:
            node.text += text
            if len(node.text) > limits.TEXT_LENGTH:  # adding up without end would be quadratic
                self._refuse(f"<{node.name}> has more than {limits.TEXT_LENGTH} characters")
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
        # Never only noted: reading on would expand its entities.
        raise _error(self.parser.CurrentLineNumber, self.parser.CurrentColumnNumber, "it has a document type")

    def _instruction(self, *_: object) -> None:
        self._refuse("it has a processing instruction")

    def _cdata(self) -> None:
        self._refuse("it has a CDATA section")

    def _refuse(self, detail: str) -> None:
        """Raise what is wrong here, or note it where all problems are wanted."""
        error = _error(self.parser.CurrentLineNumber, self.parser.CurrentColumnNumber, detail)
        if self._problems is None:
            raise error
        if len(self._problems) < limits.PROBLEMS:
            self._problems.append(error)


def _has_no_prefix(name: str) -> bool:
    """Whether a name has no namespace. Namespaces are always refused: no genuine descriptor uses them."""
    return ":" not in name and name != "xmlns"


def _misspelt(part: Unknown, hint: str) -> FormatError:
    return _error(part.line, part.column - 1, f"<{part.name}> is not known in <{part.holder}>{hint}")


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
