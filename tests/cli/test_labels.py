from __future__ import annotations

from pathlib import Path

import pytest

from captum_ssgc.cli.labels import read_labels
from captum_ssgc.cli.messages import CommandError


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("n.txt", "ant\nbee\n\n", ("ant", "bee")),
        ("n.txt", "\ufeffant\r\n traffic light \r\n", ("ant", "traffic light")),
        ("n.txt", "ant\n\ncow", ("ant", "", "cow")),
        ("n.names", "Ärger\n犬\n", ("Ärger", "犬")),
        ("n.json", '["ant", "bee"]', ("ant", "bee")),
        ("n.json", '{"0": "ant", "2": "cow"}', ("ant", "1", "cow")),
    ],
    ids=["lines", "windows", "gap", "unicode", "list", "object"],
)
def test_reads(name: str, content: str, expected: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content.encode("utf-8"))
    assert read_labels(path) == expected


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("n.txt", b"", "holds no names"),
        ("n.txt", b"\xff\xfe\x00\xd8", "cannot be read as text"),
        ("n.json", b"[1, 2]", "expected a JSON list"),
        ("n.json", b'{"a": "b"}', "expected a JSON list"),
        ("n.json", b'{"categories": []}', "expected a JSON list"),
        ("n.json", b"[", "not valid JSON"),
        ("n.json", b"{}", "holds no names"),
    ],
    ids=["empty", "bytes", "numbers", "words", "coco", "cut", "nothing"],
)
def test_refuses(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CommandError, match=message):
        read_labels(path)
