from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captum_ssgc.cli.method_text import parse_methods, parse_option, parse_value, written

BOTH = "ssgrad-cam++,ssgrad-cam++[output=logit,signed_activations=as_is]"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("odam", [("odam", {})]),
        ("grad-cam, odam ,", [("grad-cam", {}), ("odam", {})]),
        (
            BOTH,
            [
                ("ssgrad-cam++", {}),
                ("ssgrad-cam++", {"output": "logit", "signed_activations": "as_is"}),
            ],
        ),
        ("a[x=1],b[y=2, z=none]", [("a", {"x": 1}), ("b", {"y": 2, "z": None})]),
        (" a [ x = 7x9 ] , b", [("a", {"x": (7, 9)}), ("b", {})]),
        ("a[]", [("a", {})]),
        ("a[x=1],a[x=1]", [("a", {"x": 1})] * 2),
        ("", []),
        (" , ,", []),
    ],
)
def test_methods(text: str, expected: list[tuple[str, dict[str, Any]]]) -> None:
    assert parse_methods(text) == expected


@pytest.mark.parametrize(
    "text",
    ["a[x=1", "a]", "[x=1]", "a[x=1]b", "a[[x=1]]", "a[x=1]]", "a[b[x=1]]", "a,[", "a[x=1],[y=2]"],
)
def test_brackets_that_do_not_fit(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected NAME or NAME\[option=value,\.\.\.\]"):
        parse_methods(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a[x]", "expected NAME=VALUE"),
        ("a[x=]", "expected a value behind '='"),
        ("a[=1]", "expected NAME=VALUE"),
        ("a[x=1,x=2]", "'x' stands there twice"),
        ("a[b.x=1]", "got 'b.x=1'"),
    ],
)
def test_options_in_brackets_that_are_none(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_methods(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("smoothing=1", ("", "smoothing", 1)),
        ("odam.smoothing=.5", ("odam", "smoothing", 0.5)),
        ("ssgrad-cam++.signed_activations=as_is", ("ssgrad-cam++", "signed_activations", "as_is")),
        ("d-rise.grid = 8x12", ("d-rise", "grid", (8, 12))),
        ("x=a=b", ("", "x", "a=b")),
        ("x=1.5.2", ("", "x", "1.5.2")),
    ],
)
def test_one_option(text: str, expected: tuple[str, str, Any]) -> None:
    assert parse_option(text) == expected


@pytest.mark.parametrize("text", ["", "smoothing", "=1", ".x=1", "a.=1", "x y=1", "a.b c=1", "1=2"])
def test_what_is_no_option(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected NAME=VALUE or METHOD\.NAME=VALUE, got"):
        parse_option(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1),
        ("-2", -2),
        ("+3", 3),
        ("007", 7),
        ("1.", 1.0),
        ("-1e-3", -0.001),
        ("True", True),
        ("FALSE", False),
        ("none", None),
        ("as_is", "as_is"),
        ("nan", "nan"),
        ("1_000", "1_000"),
        ("16x", "16x"),
        ("١", "١"),
    ],
)
def test_values(text: str, expected: object) -> None:
    value = parse_value(text)
    assert value == expected
    assert type(value) is type(expected)


WORDS = st.from_regex(r"[a-z_]+", fullmatch=True).filter(
    lambda word: word not in ("true", "false", "none")
)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**12), 10**12),
    st.floats(allow_nan=False, allow_infinity=False),
    st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)),
    WORDS,
)


@given(VALUES)
def test_what_is_written_is_read_again(value: object) -> None:
    again = parse_value(written(value))
    assert again == value
    assert type(again) is type(value)


@given(st.lists(st.tuples(WORDS, st.dictionaries(WORDS, VALUES, max_size=3)), max_size=4))
def test_methods_that_are_written_are_read_again(methods: list[tuple[str, dict[str, Any]]]) -> None:
    texts = [
        f"{name}[{','.join(f'{key}={written(value)}' for key, value in options.items())}]"
        for name, options in methods
    ]
    assert parse_methods(",".join(texts)) == methods


@given(st.text(alphabet="ab[]=,.1 x", max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        methods = parse_methods(text)
    except ValueError:
        return
    assert all(name and not set(name) & set("[],") for name, _ in methods)
