"""All that a call must leave as it was: the model, and PyTorch's settings of this thread."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

HOOKS = (
    *("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"),
    *("_forward_hooks_with_kwargs", "_forward_pre_hooks_with_kwargs"),
    *("_forward_hooks_always_called", "_state_dict_hooks", "_load_state_dict_pre_hooks"),
)


def state_of(model: nn.Module, rng: bool = True) -> dict[str, Any]:
    """What is compared before and after a call.

    Args:
        model: whose parts are looked at.
        rng: also the state of the random numbers.
    """
    modules = list(model.modules())
    state: dict[str, Any] = {
        "requires_grad": [p.requires_grad for p in model.parameters()],
        "grad": [
            None if p.grad is None else (id(p.grad), p.grad.sum().item())
            for p in model.parameters()
        ],
        "leaves": [p.is_leaf and p.grad_fn is None for p in model.parameters()],
        "weights": [p.detach().sum().item() for p in model.parameters()],
        "versions": [p._version for p in model.parameters()],
        "buffers": [b.double().sum().item() for b in model.buffers()],
        "training": [m.training for m in modules],
        "hooks": [[list(getattr(m, name)) for name in HOOKS] for m in modules],
        "global hooks": len(nn.modules.module._global_forward_hooks),
        "attributes": [sorted(vars(m)) for m in modules],
        "grad mode": torch.is_grad_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),
        "function modes": torch._C._len_torch_function_stack(),
        "dispatch modes": torch._C._len_torch_dispatch_stack(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "autocast dtype": torch.get_autocast_dtype("cpu"),
        "default dtype": torch.get_default_dtype(),
        # In torch 2.4.0 get_default_device fails after it was set to None.
        "default device": torch.empty(0).device,
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "anomalies": torch.is_anomaly_enabled(),
        "threads": torch.get_num_threads(),
    }
    if rng:
        state["random numbers"] = torch.get_rng_state().numpy().tobytes()
    return state


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The names of what has changed."""
    return [name for name in before if before[name] != after[name]]
