"""Canonical JSON is read, or refused as malformed: nothing that is read is something that cannot be written."""

from __future__ import annotations

import pytest

from builders import recalls
from modseal.errors import FormatError
from modseal.format import canonical_json, recall, statement_file


@pytest.mark.parametrize("text", [r'{"a":"\ud800"}', r'{"\uD800":1}', r'["\udc00\ud800"]', r'[{"a":["x\uDFFF"]}]'])
def test_half_of_a_surrogate_pair_is_no_character(text: str) -> None:
    with pytest.raises(FormatError, match="half of a surrogate pair"):
        canonical_json.require_canonical(text.encode(), canonical_json.load(text.encode(), "it"), "it")


@pytest.mark.parametrize("text", [r'{"a":"\ud83d\ude00"}', r'{"a":"\\ud800"}', '{"a":"\U0001f600"}'])
def test_a_whole_pair_is_one(text: str) -> None:
    assert canonical_json.dump(canonical_json.load(text.encode(), "it"))


def test_a_recall_with_half_of_a_pair_is_malformed() -> None:
    good = recalls.make()
    document = good.signed.replace(b"it burns", b"\\ud800")
    with pytest.raises(FormatError) as error:
        recall.decode(statement_file.encode(recall.MEMBER, document, good.signature))
    assert error.value.failure.code == "recall-invalid"
