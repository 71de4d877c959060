"""Raw heat maps in a file that NumPy reads: a ``.npz`` of one array for each column."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from captum_ssgc._whole_file import written_whole

ROWS = {
    "maps": ("f", 3), "boxes": ("f", 2), "labels": ("i", 1), "names": ("U", 1),
    "scores": ("f", 1), "method": ("U", 1), "layer": ("U", 1), "index": ("i", 1),
    "detected": ("b", 1), "asked_iou": ("f", 1),
}  # fmt: skip
IF_KNOWN = {"corners": ("f", 3), "masks": ("fb", 3)}
OF_IMAGE = {"image": ("f", 4), "image_name": ("U", 0), "output": ("U", 0)}


def write_maps(path: str | os.PathLike[str], columns: Mapping[str, np.ndarray]) -> None:
    """Write :data:`ROWS`, :data:`OF_IMAGE`, and of :data:`IF_KNOWN` what there is.

    The file is there in full or as before.
    """
    arrays: dict[str, Any] = dict(columns)  # and not allow_pickle, which NumPy 1.26 would store
    with written_whole(path) as unfinished, unfinished.open("wb") as file:
        np.savez_compressed(file, **arrays)


def read_maps(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """What :func:`write_maps` wrote; nothing in a file is run.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no such file.
    """
    expected = {**ROWS, **OF_IMAGE}
    try:
        with Path(path).open("rb") as opened:
            file = np.load(opened, allow_pickle=False)
            if not isinstance(file, Mapping):
                raise ValueError("it holds a single array.")
            expected |= {name: kind for name, kind in IF_KNOWN.items() if name in file}
            columns = {name: file[name] for name in expected}
    except FileNotFoundError:
        raise
    except (KeyError, ValueError, TypeError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: expected a file of heat maps (save_maps): {error}") from None
    count = len(columns["maps"]) if columns["maps"].ndim else 0
    for name, (kind, dimensions) in expected.items():
        column = columns[name]
        fits = name in OF_IMAGE or column.shape[:1] == (count,)
        if column.dtype.kind not in kind or column.ndim != dimensions or not fits:
            raise ValueError(
                f"{path}: {name}: expected {dimensions} dimensions of kind {kind!r} for {count} "
                f"maps, got {column.dtype} {column.shape}."
            )
    return columns
