"""Keeps gradients through normalisation layers right for a batch of one image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from captum_ssgc._hooks import forward_hooks

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
INSTANCE_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)


@contextmanager
def sound_norm_gradients(model: nn.Module | None) -> Iterator[None]:
    """The body's graph gets right gradients from batch and instance normalisation.

    On CPU (seen with PyTorch 2.15) the backward of batch normalisation mistakes the layout of an
    incoming gradient of batch size 1 whose batch stride is not the one of a dense tensor, such as
    what comes back from ``flatten(2).transpose(1, 2)``, and silently answers with shuffled values.
    RT-DETR turns its feature maps into tokens in just that way. Instance normalisation, which is
    batch normalisation of a batch of one, does so with any gradient whose channels come last.
    Such gradients are copied to the default layout first.
    """
    if model is None or not torch.is_grad_enabled():
        yield
        return
    norms = [m for m in model.modules() if isinstance(m, (*BATCH_NORMS, *INSTANCE_NORMS))]
    with forward_hooks(after=dict.fromkeys(norms, _after_norm)):
        yield


def _after_norm(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
    if isinstance(output, Tensor) and output.requires_grad:
        output.register_hook(
            Tensor.contiguous if isinstance(module, INSTANCE_NORMS) else _with_usual_batch_stride
        )


def _with_usual_batch_stride(gradient: Tensor) -> Tensor:
    usual = gradient.shape[0] != 1 or gradient.stride(0) == gradient.numel()
    return gradient if usual else gradient.contiguous()
