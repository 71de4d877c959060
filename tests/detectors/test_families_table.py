"""The committed table of families says what the tests say."""

from __future__ import annotations

import pytest
from detectors import families_table

ROWS = families_table.rows_of(families_table.PAGE.read_text(encoding="utf-8"))


def test_every_family_has_a_row():
    assert set(ROWS) == {name for _, name in families_table.FAMILIES}
    for row in ROWS.values():
        assert len(row) == len(families_table.HEAD)
        assert "no" not in row


# One of each vendor: the tests that make a row run for every family in files of their own.
FIRST = {vendor: name for vendor, name in reversed(families_table.FAMILIES) if vendor != "rfdetr"}


@pytest.mark.slow
@pytest.mark.parametrize(("vendor", "name"), FIRST.items(), ids=FIRST.values())
def test_a_row_is_what_the_tests_say(build_family, vendor, name):
    """All but the version, which may be another one."""
    two_stage = vendor == "two-stage"
    family = families_table.two_stage(name) if two_stage else build_family(vendor, name)
    made = families_table.row_of(vendor, name, family)
    expected = ROWS[name]
    assert [made[0], *made[2:]] == [expected[0], *expected[2:]]


def test_a_table_is_read_as_it_was_written():
    rows = [["a", "b 1", *["yes"] * 6, "–", "``x``"], ["c", "d 2", *["no"] * 6, "masks", "``y``"]]
    assert list(families_table.rows_of(families_table.page_of(rows)).values()) == rows
