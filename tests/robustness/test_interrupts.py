"""An interrupt, wherever it comes, leaves nothing behind, and the next call is the same."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Sequence

import pytest
import torch
from robustness.interrupting import ALL, OURS, LineInterrupt, lines_of
from robustness.model_state import differences, state_of
from robustness.subjects import CALLS, Subject
from torch import Tensor, nn

import captum_ssgc as ssgc
from captum_ssgc import _cell_trace
from captum_ssgc.detectors import CandidateDetector

FEW, MANY = 15, 150


def some_lines(count: int, most: int) -> list[int]:
    numbers = range(1, count + 1)
    return sorted(random.Random(0).sample(numbers, min(most, count)))


def leftovers(
    call: Callable[[], Tensor], model: nn.Module, folders: Sequence[str], most: int
) -> list[tuple[str, list[str]]]:
    """Interrupt a call at many lines; where something was left behind, and what.

    The exception is kept while the state is compared, as an interactive Python does.
    """
    expected = call()
    lines = lines_of(call, folders)
    assert lines > 30
    before = state_of(model)
    bad = []
    for at in some_lines(lines, most):
        interrupt = LineInterrupt(at, folders)
        with pytest.raises(KeyboardInterrupt) as kept, interrupt:
            call()
        changed = differences(before, state_of(model))
        if changed:
            bad.append((interrupt.place, changed))
        del kept
        changed = differences(before, state_of(model))
        if changed:
            bad.append((f"{interrupt.place}, later", changed))
    assert torch.equal(call(), expected)
    return bad


@pytest.fixture(params=[False, True], ids=["trainable", "partly frozen"])
def some_own(request: pytest.FixtureRequest, own: Subject) -> Subject:
    for number, parameter in enumerate(own.model.parameters()):
        parameter.requires_grad_(not (request.param and number % 2))
        parameter.grad = torch.full_like(parameter, 7.0)
    return own


SCOPES = pytest.mark.parametrize("folders", [OURS, ALL], ids=["own lines", "PyTorch's lines, too"])


@SCOPES
@pytest.mark.parametrize("name", CALLS)
def test_a_few_lines(name, folders, own):
    assert leftovers(own.calls()[name], own.model, folders, FEW) == []


@pytest.mark.slow
@SCOPES
@pytest.mark.parametrize("name", CALLS)
def test_many_lines(name, folders, some_own):
    assert leftovers(some_own.calls()[name], some_own.model, folders, MANY) == []


@pytest.mark.slow
@SCOPES
@pytest.mark.parametrize("name", CALLS)
def test_a_trained_two_stage_detector(name, folders, demo_subject):
    assert leftovers(demo_subject.calls()[name], demo_subject.model, folders, 12) == []


CIRCUMSTANCES = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "default device": lambda: torch.device("cpu"),
    "own function mode": lambda: torch.utils._device.DeviceContext(torch.device("cpu")),
}


@pytest.mark.parametrize("name", ["explain", "attribute", "D-RISE"])
@pytest.mark.parametrize("circumstances", CIRCUMSTANCES.values(), ids=CIRCUMSTANCES.keys())
def test_what_the_caller_has_set_stays_set(name, circumstances, own):
    with circumstances():
        call = own.calls()[name]
        call()
        assert leftovers(call, own.model, ALL, FEW) == []


def test_every_line_that_cleans_up(own):
    """The lines at which leaks were found: those of the modules that set and restore."""
    from captum_ssgc import _as_before, _hooks
    from captum_ssgc.attr import _capture

    files = tuple(module.__file__ for module in (_as_before, _hooks, _capture))
    files = (*files, contextlib.__file__, torch.overrides.__file__)
    assert leftovers(own.calls()["attribute"], own.model, files, 150) == []


@pytest.mark.parametrize("alone", [True, False], ids=["a copy", "itself"])
def test_while_cells_are_followed(alone, own):
    detector = own.detector
    if not alone:
        detector = CandidateDetector(lambda x: own.model(x), model=own.model)

    def call() -> Tensor:
        _cell_trace._traced.clear()
        lines = _cell_trace.traced_lines(detector, own.model.act, (16, 16), (16, 16), own.image)
        return torch.tensor(lines)

    for folders in (OURS, (_cell_trace.__file__, torch.utils._python_dispatch.__file__)):
        assert leftovers(call, own.model, folders, FEW) == []


def test_exceptions_of_hooks_and_timeouts(own):
    """A time limit is an exception that comes from outside, like an interrupt."""
    before = state_of(own.model)

    def late(*args):
        raise TimeoutError

    for module in (own.model.stem, own.model.act, own.model.head):
        for name in CALLS:
            handle = module.register_forward_hook(late)
            try:
                with pytest.raises(TimeoutError):
                    own.calls()[name]()
            finally:
                handle.remove()
            assert differences(before, state_of(own.model)) == []


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs interval timers")
@pytest.mark.parametrize("name", CALLS)
def test_signals_at_any_moment(name, demo_subject):
    call, model = demo_subject.calls()[name], demo_subject.model
    expected = call()
    start = time.perf_counter()
    call()
    usual = time.perf_counter() - start
    before = state_of(model)
    handler = signal.signal(signal.SIGALRM, signal.default_int_handler)
    moments = random.Random(1)
    try:
        for _ in range(10):
            with contextlib.suppress(KeyboardInterrupt):
                signal.setitimer(signal.ITIMER_REAL, max(moments.uniform(0.0, usual), 1e-4))
                call()
                signal.setitimer(signal.ITIMER_REAL, 0.0)
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            assert differences(before, state_of(model)) == []
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, handler)
    assert torch.equal(call(), expected)


def test_training_in_another_thread_keeps_its_gradients(own):
    """Maps are made in this thread for as long as the other one trains the same parameters."""
    model, image = own.model, own.image
    without: list[str] = []
    done = threading.Event()

    def train():
        for _ in range(60):
            model.zero_grad()
            model(image).class_scores.sum().backward()
            without.extend(n for n, p in model.named_parameters() if p.grad is None)
        done.set()

    calls = own.calls()
    worker = threading.Thread(target=train)
    worker.start()
    explained = 0
    while not done.is_set() or not explained:
        calls["attribute"]()
        calls["D-RISE"]()
        explained += 1
    worker.join()
    assert without == []
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("name", ["explain", "attribute", "D-RISE", "wrapper"])
def test_a_child_that_is_forked_in_the_middle_of_a_call(name, own):
    """The child goes on with the call that it was born in, makes another, and both are right."""
    call = own.calls()[name]
    expected, parent, children = call(), os.getpid(), []

    def fork(*args):
        if os.getpid() == parent and not children:
            children.append(os.fork())

    handle = own.model.head.register_forward_hook(fork)
    code = 1
    try:
        found = call()
        if os.getpid() != parent:
            code = 0 if torch.equal(found, expected) and torch.equal(call(), expected) else 2
    finally:
        if os.getpid() != parent:
            os._exit(code)
        handle.remove()
    assert torch.equal(found, expected)
    assert exit_code_of(children[0]) == 0


def exit_code_of(child: int) -> int:
    """Waits ten minutes; a child that hangs is ended."""
    for _ in range(6000):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -1


def test_two_interrupts_in_a_row_and_a_thread_beside(own):
    """Another thread's hooks stay while this thread is interrupted."""
    inside, go_on = threading.Event(), threading.Event()
    main = threading.get_ident()

    def wait(*args):
        if threading.get_ident() != main:
            inside.set()
            go_on.wait(600)

    expected = own.calls()["attribute"]()
    found: list[Tensor] = []
    handle = own.model.head.register_forward_hook(wait)
    worker = threading.Thread(target=lambda: found.append(own.calls()["attribute"]()))
    try:
        worker.start()
        assert inside.wait(600)
        before = state_of(own.model)
        for at in (100, 900):
            with pytest.raises(KeyboardInterrupt), LineInterrupt(at):
                own.calls()["explain"]()
            assert differences(before, state_of(own.model)) == []
    finally:
        go_on.set()
        worker.join()
        handle.remove()
    assert torch.equal(found[0], expected)


def test_the_guard_hands_on_names_and_signatures():
    assert ssgc.explain.__name__ == "explain"
    assert "method" in ssgc.explain.__wrapped__.__annotations__
