"""Several processes, as PyTorch's own launcher starts them (``torchrun``)."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from itertools import count
from typing import Any

import torch

# The first process to finish waits for the last one, however long that takes.
_PATIENCE = timedelta(days=30)


@dataclass(frozen=True)
class World:
    """This process among all of them.

    Args:
        rank: its number, from 0.
        size: how many there are.
        local_rank: its number on this machine, from 0.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    def __post_init__(self) -> None:
        if self.size < 1 or not 0 <= self.rank < self.size or self.local_rank < 0:
            raise ValueError(
                "expected RANK from 0 to WORLD_SIZE - 1 and LOCAL_RANK of at least 0, as torchrun "
                f"sets them, got RANK={self.rank}, WORLD_SIZE={self.size}, "
                f"LOCAL_RANK={self.local_rank}; unset them to run a single process."
            )

    @classmethod
    def from_environment(cls) -> World:
        """What ``torchrun`` says; a single process without it.

        Raises:
            ValueError: if it says something that cannot be.
        """
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
        if not all(name in os.environ for name in names):
            return cls()
        numbers = []
        for name in names:
            text = os.environ[name]
            if not re.fullmatch(r"\s*[+-]?[0-9]{1,9}\s*", text):
                raise ValueError(
                    f"expected {name} as a whole number, as torchrun sets it, got {text[:40]!r}; "
                    "unset it to run a single process."
                )
            numbers.append(int(text))
        return cls(*numbers)

    @property
    def leads(self) -> bool:
        """Whether this process draws the progress and writes the report."""
        return self.rank == 0

    def device(self, name: str) -> str:
        """``name`` with the number of this process's own GPU, where it is ``cuda`` or ``auto``."""
        if self.size > 1 and name in ("auto", "cuda") and torch.cuda.is_available():
            return f"cuda:{self.local_rank % torch.cuda.device_count()}"
        return name

    def share(self, count: int) -> range:
        """The images of this process: every ``size``-th.

        It depends on nothing that changes while the processes start, so that no image is done
        twice, and none forgotten.
        """
        return range(self.rank, count, self.size)

    def gather(self, message: str) -> list[str]:
        """What all processes say, by rank; the only time that they talk to one another.

        They leave their messages where they found one another, without a process group: that of
        gloo in torch 2.4 may wait for ever when it is destroyed, for a thread of its own that
        waits for Python.

        Args:
            message: of this process.
        """
        if self.size == 1:
            return [message]
        store, turns = _meeting(self.rank, self.size)
        turn = next(turns)
        keys = [f"captum_ssgc/{turn}/{rank}" for rank in range(self.size)]
        store.set(keys[self.rank], message.encode("utf-8", "surrogatepass"))
        messages = [store.get(key).decode("utf-8", "surrogatepass") for key in keys]
        store.set(f"{keys[self.rank]}/read", "yes")
        if self.leads:  # the store may end with this process
            for key in keys:
                store.get(f"{key}/read")
        return messages


@cache
def _meeting(rank: int, size: int) -> tuple[Any, Iterator[int]]:
    """What all processes read and write, at the address of ``torchrun``; numbers of their talks."""
    from torch.distributed.rendezvous import rendezvous

    store, *_ = next(rendezvous("env://", rank, size, timeout=_PATIENCE))
    return store, count()


@contextlib.contextmanager
def cpu_threads(count: int) -> Iterator[None]:
    """``count`` threads for torch's CPU operators during the body."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def usable_cores() -> int:
    """How many CPU cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
