"""Experiment trackers take the figures, see docs/exchange.rst."""

from __future__ import annotations

import pytest


def test_tensorboard(explained, tmp_path):
    tensorboard = pytest.importorskip("torch.utils.tensorboard")
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    figure = explained[:2].overview()
    width, height = figure.get_size_inches() * figure.dpi
    with tensorboard.SummaryWriter(str(tmp_path)) as writer:
        writer.add_figure("heat maps", figure, global_step=3)
    events = reader.EventAccumulator(str(tmp_path))
    events.Reload()
    [drawn] = events.Images("heat maps")
    assert drawn.step == 3
    assert (drawn.width, drawn.height) == pytest.approx((width, height), abs=1)


def test_weights_and_biases(explained, tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_SILENT", "true")
    explained[:2].overview().savefig(tmp_path / "heat_maps.png")
    with wandb.init(mode="offline", dir=str(tmp_path), project="heat-maps") as run:
        run.log({"heat maps": wandb.Image(str(tmp_path / "heat_maps.png"))})
    [logged] = [one for one in tmp_path.rglob("*.png") if one.parent != tmp_path]
    assert logged.read_bytes() == (tmp_path / "heat_maps.png").read_bytes()
