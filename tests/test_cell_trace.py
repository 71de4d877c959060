from __future__ import annotations

import gc
import math
import threading

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import captum_ssgc as ssgc
from captum_ssgc import ImageGeometry, _cell_trace
from captum_ssgc._cell_trace import traced_lines
from captum_ssgc.detectors import CandidateDetector

SIZE = (96, 128)


def conv(channels: int, kernel: int, stride: int = 1, padding: int = 0, **further: int):
    return nn.Conv2d(channels, 4, kernel, stride, padding, **further)


class SpaceToDepth(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        parts = [x[..., row::2, column::2] for row in (0, 1) for column in (0, 1)]
        return torch.cat(parts, 1)


class PaddedByHand(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, (0, 1, 0, 1))


class TopDown(nn.Module):
    """The finer level of a pyramid, with what comes down from the coarser one."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.fine, self.coarse, self.out = conv(3, 3, 4, 1), conv(4, 3, 2, 1), conv(4, 3, 1, 1)
        self.mode = mode

    def forward(self, x: Tensor) -> Tensor:
        fine = self.fine(x)
        down = F.interpolate(self.coarse(fine), size=fine.shape[-2:], mode=self.mode)
        return self.out(fine + down)


class Joined(TopDown):
    def __init__(self) -> None:
        super().__init__("nearest")
        self.out = conv(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.fine(x)
        return self.out(torch.cat([F.interpolate(self.coarse(fine), scale_factor=2), fine], 1))


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.gate = conv(3, 3, 2, 1), conv(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(x)
        return x * self.gate(F.adaptive_avg_pool2d(x, 1)).sigmoid()


class Patches(nn.Module):
    """Tokens of patches behind a class token, through shifted windows and attention."""

    def __init__(self, shift: int = 0) -> None:
        super().__init__()
        self.embed, self.norm = conv(3, 8, 8), nn.LayerNorm(4)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.first, self.shift = nn.Parameter(torch.rand(1, 1, 4)), shift

    def forward(self, x: Tensor) -> Tensor:
        grid = self.embed(x).permute(0, 2, 3, 1).roll((self.shift, self.shift), (1, 2))
        windows = (
            grid.unflatten(2, (-1, 4)).unflatten(1, (-1, 4)).transpose(2, 3).reshape(-1, 16, 4)
        )
        windows = windows + self.attention(windows, windows, windows)[0]
        shape = (1, grid.shape[1] // 4, grid.shape[2] // 4, 4, 4, 4)
        grid = windows.reshape(shape).transpose(2, 3).reshape(grid.shape)
        grid = grid.roll((-self.shift, -self.shift), (1, 2))
        return self.norm(torch.cat([self.first, grid.flatten(1, 2)], 1))


class Merged(nn.Module):
    """Channels last, four patches joined into one."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.reduce = conv(3, 4, 4), nn.Linear(16, 8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).permute(0, 2, 3, 1)
        return self.reduce(torch.cat([x[:, r::2, c::2] for r in (0, 1) for c in (0, 1)], -1))


def lines_of(network: nn.Module, size: tuple[int, int] = SIZE):
    detector = CandidateDetector(network.eval())
    return traced_lines(detector, detector.model, size, size)


STACKS = {
    "3x3-stride-2": [conv(3, 3, 2, 1), nn.ReLU(True), conv(4, 3, 2, 1), conv(4, 3, 2, 1)],
    "7x7-and-max-pooling": [conv(3, 7, 2, 3), nn.BatchNorm2d(4), nn.MaxPool2d(3, 2, 1)],
    "2x2-pooling": [conv(3, 3, 1, 1), nn.MaxPool2d(2), conv(4, 3, 1, 1), nn.AvgPool2d(2, 2)],
    "patches": [conv(3, 8, 8)],
    "no-padding": [conv(3, 5, 2), conv(4, 3, 2)],
    "dilation": [conv(3, 3, 2, 1, dilation=2), conv(4, 3, 1, 0, dilation=3)],
    "unequal": [nn.Conv2d(3, 4, (3, 5), (2, 4), (1, 0))],
    "padded-by-hand": [PaddedByHand(), conv(3, 3, 2), PaddedByHand(), conv(4, 3, 2)],
    "space-to-depth": [SpaceToDepth(), conv(12, 3, 2, 1)],
    "pixel-unshuffle": [nn.PixelUnshuffle(2), conv(12, 3, 2, 1)],
    "transposed": [conv(3, 3, 4, 1), nn.ConvTranspose2d(4, 4, 2, 2)],
    "transposed-3x3": [conv(3, 4, 4), nn.ConvTranspose2d(4, 4, 3, 2, 1, output_padding=1)],
    "bilinear": [conv(3, 3, 4, 1), nn.UpsamplingBilinear2d(scale_factor=2)],
    "nearest-2": [conv(3, 3, 4, 1), nn.Upsample(scale_factor=2)],
    "adaptive": [conv(3, 3, 2, 1), nn.AdaptiveAvgPool2d((12, 16))],
}


def averaging(layer: nn.Module) -> nn.Module:
    """The layer with equal weights for all that it looks at."""
    for weight in layer.parameters():
        nn.init.ones_(weight)
    if isinstance(layer, nn.MaxPool2d):
        return nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding)
    return nn.Identity() if isinstance(layer, nn.ReLU) else layer


@pytest.mark.parametrize("name", STACKS)
def test_is_the_centroid_of_what_a_cell_depends_on(name):
    lines = lines_of(nn.Sequential(*STACKS[name]))
    network = nn.Sequential(*map(averaging, STACKS[name])).eval()
    image = torch.rand(1, 3, *SIZE, requires_grad=True)
    output = network(image)
    for axis, (start, step) in enumerate(lines):
        places = []
        for cell in (output.shape[2 + axis] // 2, output.shape[2 + axis] // 2 + 1):
            index = [side // 2 for side in output.shape[2:]]
            index[axis] = cell
            [gradient] = torch.autograd.grad(
                output[0][(slice(None), *index)].sum(), image, retain_graph=True
            )
            share = gradient[0].double().sum((0, 2 - axis))
            pixels = torch.arange(len(share)) + 0.5
            places.append((float((share * pixels).sum() / share.sum()), start + step * cell))
        # of two neighbours, as upsampling by nearest neighbour gives both the same place
        found, expected = (sum(values) / 2 for values in zip(*places, strict=True))
        assert expected == pytest.approx(found, abs=0.01)


NETWORKS = {
    "top-down-nearest": (TopDown("nearest"), 0.5, 4.0),
    "top-down-bilinear": (TopDown("bilinear"), 0.5, 4.0),
    "joined-levels": (Joined(), 0.5, 4.0),
    "gate-of-the-whole": (Gated(), 0.5, 2.0),
    "tokens": (Patches(), 4.0, 8.0),
    "shifted-windows": (Patches(shift=2), 4.0, 8.0),
    "channels-last": (Merged(), 4.0, 8.0),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_follows_levels_tokens_and_windows(name):
    network, start, step = NETWORKS[name]
    for found in lines_of(network):
        assert found == pytest.approx((start, step), abs=0.05)


def test_a_coarse_level_of_one_cell_has_its_stride():
    stack = nn.Sequential(conv(3, 3, 2, 1), *(conv(4, 3, 2, 1) for _ in range(6)))
    assert lines_of(stack, (64, 960)) == [(0.5, 128.0), (0.5, 128.0)]


class Shuffled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        x = F.avg_pool2d(x, 8)
        order = torch.randperm(x.shape[-1], generator=torch.Generator().manual_seed(0))
        return x[..., order]


class Spectrum(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.rfft2(x).abs()


class Failing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("not with this image")


@pytest.mark.parametrize("network", [Shuffled(), Spectrum(), Failing()], ids=lambda n: str(n))
def test_what_cannot_be_followed_is_none(network):
    assert lines_of(network) is None


class Scored(nn.Module):
    """A detector's network whose only candidate is the whole image."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.body, self.runs = nn.Sequential(*layers), 0

    def forward(self, canvas: Tensor) -> tuple[Tensor, Tensor]:
        self.runs += 1
        score = self.body(canvas).mean((1, 2, 3)).sigmoid()
        height, width = canvas.shape[-2:]
        box = torch.tensor([0.0, 0.0, width, height]).expand(len(canvas), 1, 4)
        return box, score[:, None, None]


def own_detector(*layers: nn.Module) -> CandidateDetector:
    return CandidateDetector(Scored(*layers).eval(), target_layers=["body"])


@pytest.mark.parametrize(("share", "start"), [(0.0, 4.0), (0.5, 2.25), (1.0, 0.5)])
def test_cells_lie_between_the_middle_of_the_stride_and_of_the_window(share, start):
    detector = own_detector(conv(3, 3, 2, 1), conv(4, 3, 2, 1), conv(4, 3, 2, 1))
    detector.window_share = share
    cells = detector.cell_grid(detector.model.body, (96, 128), (12, 16))
    assert (cells.stride, cells.origin) == ((8.0, 8.0), (start, start))


@pytest.mark.parametrize("width", [892, 900, 924, 960, 1000])
def test_strides_do_not_depend_on_what_divides_the_image(width):
    rounded_down, rounded_up = own_detector(conv(3, 32, 32)), own_detector(conv(3, 3, 32, 1))
    for detector, cells in ((rounded_down, width // 32), (rounded_up, math.ceil(width / 32))):
        grid = detector.cell_grid(detector.model.body, (64, width), (2, cells))
        assert grid.stride == (32.0, 32.0)


def test_a_grid_that_does_not_cover_the_canvas_is_that_of_its_size():
    detector = own_detector(conv(3, 3, 8, 1), nn.AdaptiveAvgPool2d((2, 2)))
    assert detector.cell_grid(detector.model.body, (64, 96), (2, 2)).stride == (32.0, 48.0)
    plain = ImageGeometry.identity((64, 96)).cells((8, 12))
    assert detector.cell_grid(detector.model.body, (64, 96), (8, 12)) == plain


def test_the_detector_itself_sees_no_forward_and_nothing_is_left_behind():
    detector = own_detector(conv(3, 3, 2, 1), nn.BatchNorm2d(4), conv(4, 3, 2, 1))
    body = detector.model.body
    before = {name: value.clone() for name, value in detector.model.state_dict().items()}
    seen = []
    handle = body.register_forward_hook(lambda *args: seen.append(args))
    first = detector.cell_grid(body, (64, 96), (16, 24))
    assert detector.cell_grid(body, (32, 48), (8, 12)).origin == first.origin
    assert detector.model.runs == len(seen) == 0
    handle.remove()
    assert not body._forward_hooks
    after = detector.model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert all(weight.requires_grad for weight in detector.model.parameters())


@pytest.mark.parametrize(
    "mode", [torch.inference_mode(), torch.no_grad(), torch.autocast("cpu", torch.bfloat16)],
    ids=["inference", "no-grad", "autocast"],
)  # fmt: skip
def test_is_the_same_in_every_mode(mode):
    detector = own_detector(conv(3, 3, 2, 1))
    with mode:
        cells = detector.cell_grid(detector.model.body, (64, 96), (32, 48))
    assert (cells.stride, cells.origin) == ((2.0, 2.0), (0.75, 0.75))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_does_not_depend_on_the_precision(dtype):
    network = nn.Sequential(conv(3, 3, 2, 1), nn.GroupNorm(2, 4), conv(4, 3, 2, 1)).to(dtype)
    detector = CandidateDetector(lambda canvas: network(canvas.to(dtype)), model=network.eval())
    assert traced_lines(detector, network, (1024, 2048), (1024, 2048)) == [
        (0.5, 4.0),
        (0.5, 4.0),
    ]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_is_the_same_in_every_precision_for_images_of_any_channels(dtype, channels):
    detector = own_detector(conv(channels, 3, 2, 1), conv(4, 3, 2, 1))
    body, image = detector.model.to(dtype).body, torch.rand(1, channels, *SIZE, dtype=dtype)
    cells = detector.cell_grid(body, SIZE, (24, 32), image)
    assert (cells.stride, cells.origin) == ((4.0, 4.0), (1.25, 1.25))


def test_only_the_image_that_was_taken_is_needed():
    class Particular(Scored):
        def forward(self, canvas: Tensor) -> tuple[Tensor, Tensor]:
            if not torch.equal(canvas, image):
                raise ValueError("another image")
            return super().forward(canvas)

    image = torch.rand(1, 3, *SIZE)
    detector = CandidateDetector(Particular(conv(3, 3, 2, 1)).eval(), target_layers=["body"])
    found = ssgc.explain(detector, image, "odam", score_threshold=0.0)
    other = CandidateDetector(Scored(conv(3, 3, 2, 1)).eval(), target_layers=["body"])
    other.model.load_state_dict(detector.model.state_dict())
    expected = ssgc.explain(other, image, "odam", score_threshold=0.0)
    assert torch.equal(found[0].heat_map, expected[0].heat_map)


@pytest.mark.parametrize("in_between", ["the same detector", "another detector", "another size"])
def test_what_failed_once_is_tried_again(in_between):
    class Moody(Scored):
        def forward(self, canvas: Tensor) -> tuple[Tensor, Tensor]:
            if bad:
                raise RuntimeError("not now")
            return super().forward(canvas)

    bad, image, size = [True], torch.rand(1, 3, *SIZE), SIZE
    detector = CandidateDetector(Moody(conv(3, 3, 2, 1)).eval(), target_layers=["body"])
    body = detector.model.body
    assert detector.cell_grid(body, SIZE, (48, 64), image).origin == (1.0, 1.0)
    bad.clear()
    image = image.clone()
    if in_between == "another detector":
        detector = CandidateDetector(detector.model, target_layers=["body"])
    if in_between == "another size":
        size, image = (48, 64), torch.rand(1, 3, 48, 64)
    grid = (size[0] // 2, size[1] // 2)
    assert detector.cell_grid(body, size, grid, image).origin == (0.75, 0.75)


def test_one_failure_for_all_layers_of_a_call():
    runs = []

    def failing(canvas: Tensor) -> None:
        runs.append(1)
        raise RuntimeError

    network = nn.Sequential(conv(3, 3, 2, 1), conv(4, 3, 2, 1)).eval()
    detector = CandidateDetector(failing, model=network, target_layers=["0", "1"])
    image = torch.rand(1, 3, *SIZE)
    for layer, stride in ((network[0], 2), (network[1], 4)):
        grid = (SIZE[0] // stride, SIZE[1] // stride)
        assert detector.cell_grid(layer, SIZE, grid, image).origin == (stride / 2, stride / 2)
    assert len(runs) == 1


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_functions_around_one_network_have_their_own_places(order):
    network = Scored(conv(3, 3, 2, 1)).eval()
    for factor in order:
        detector = CandidateDetector(
            lambda canvas, factor=factor: network(F.avg_pool2d(canvas, factor)),
            target_layers=["body"],
        )
        size = (SIZE[0] // 2 // factor, SIZE[1] // 2 // factor)
        assert detector.cell_grid(network.body, SIZE, size).stride == (2.0 * factor, 2.0 * factor)


class Resized(Scored):
    def forward(self, canvas: Tensor) -> tuple[Tensor, Tensor]:
        return super().forward(F.interpolate(canvas, (48, 48), mode="bilinear"))


@pytest.mark.parametrize("sides", [(96, 120, 100), (100, 96, 120)])
def test_what_is_brought_to_one_size_is_followed_for_each(sides):
    detector = CandidateDetector(Resized(conv(3, 3, 4, 1)).eval(), target_layers=["body"])
    for side in sides:
        cells = detector.cell_grid(detector.model.body, (side, side), (12, 12))
        assert cells.stride == pytest.approx((side / 12, side / 12), abs=1e-4)
        assert cells.origin[0] == pytest.approx(side / 12 * (0.5 + 0.125) / 2, abs=0.01)


class Remembering(Scored):
    """Keeps a mean of its features between the frames of a video."""

    def __init__(self) -> None:
        super().__init__(conv(3, 3, 2, 1))
        self.register_buffer("memory", torch.ones(1, 4, 48, 64))
        self.last = torch.ones(1, 4, 48, 64)
        self.last_of_all = torch.nn.Identity()

    def forward(self, canvas: Tensor) -> tuple[Tensor, Tensor]:
        box, score = super().forward(canvas)
        features = self.body(canvas).detach()
        for kept in (self.memory, self.last):
            kept.mul_(0.5).add_(features)
        self.last_of_all(features)
        return box, score


def test_what_is_remembered_goes_with_its_detector():
    network = Scored(conv(3, 3, 2, 1)).eval()
    before = len(_cell_trace._traced)
    for _ in range(3):
        detector = CandidateDetector(lambda canvas: network(canvas), target_layers=["body"])
        detector.cell_grid(network.body, SIZE, (48, 64))
        assert len(_cell_trace._traced) == before + 1
        del detector
        gc.collect()
    assert len(_cell_trace._traced) == before


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("layers", [["body"], ["body", "last_of_all"]])
def test_the_network_keeps_its_state(layers, inference):
    detector = CandidateDetector(Remembering().eval(), target_layers=layers)
    network, numbers = detector.model, torch.get_rng_state()
    with torch.inference_mode(inference):
        cells = detector.cell_grid(network.body, SIZE, (48, 64))
    assert cells.origin == (0.75, 0.75)
    assert network.memory.eq(1).all()
    assert network.last.eq(1).all()
    assert network.runs == 0
    assert torch.equal(torch.get_rng_state(), numbers)


def test_random_numbers_are_not_used_up():
    class Noisy(Scored):
        def forward(self, canvas: Tensor) -> tuple[Tensor, Tensor]:
            return super().forward(canvas + torch.rand_like(canvas))

    detector = CandidateDetector(Noisy(conv(3, 3, 2, 1)).eval(), target_layers=["body"])
    before = torch.get_rng_state()
    assert detector.cell_grid(detector.model.body, SIZE, (48, 64)).origin == (0.75, 0.75)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_function_runs_as_always_in_this_thread_and_to_its_end():
    network, calls = Scored(conv(3, 3, 2, 1)).eval(), []

    def function(canvas: Tensor) -> tuple[Tensor, Tensor]:
        calls.append([threading.get_ident()])
        box, score = network(canvas)
        calls[-1].append(float(score))
        return box, score

    detector, image = CandidateDetector(function, target_layers=["body"]), torch.rand(1, 3, *SIZE)
    detector.detect(image)
    assert detector.cell_grid(network.body, SIZE, (48, 64), image).origin == (0.75, 0.75)
    first, second = calls
    assert first == second == [threading.get_ident(), float(detector.detect(image)[0].scores)]


def test_decode_sees_no_zeros():
    seen = []

    def decode(output: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        seen.append(float(output[1]))
        return output

    network = Scored(conv(3, 3, 2, 1)).eval()
    network.spare = conv(4, 1)  # never runs
    detector = CandidateDetector(network, decode, target_layers=["body", "spare"])
    assert detector.cell_grid(network.body, SIZE, (48, 64)).origin == (0.75, 0.75)
    assert seen == []


def test_what_a_network_keeps_for_all_is_computed():
    kept: dict[str, Tensor] = {}

    class Placed(Scored):
        def forward(self, canvas: Tensor) -> tuple[Tensor, Tensor]:
            rows = torch.arange(1.0, 49.0)[:, None]
            if "places" not in kept:
                kept["places"] = F.linear(rows @ torch.ones(1, 64), 2 * torch.eye(64))
            return super().forward(canvas + F.interpolate(kept["places"][None, None], SIZE))

    detector = CandidateDetector(Placed(conv(3, 3, 2, 1)).eval(), target_layers=["body"])
    assert detector.cell_grid(detector.model.body, SIZE, (48, 64)).origin == (0.75, 0.75)
    assert kept["places"].tolist() == [[2.0 * row] * 64 for row in range(1, 49)]


class NotWithZeros(Scored):
    def forward(self, canvas: Tensor) -> tuple[Tensor, Tensor]:
        first = self.body[0](canvas)
        if not first.any():
            raise ValueError("nothing to see")
        return super().forward(canvas)


class NotToBeCopied(Scored):
    def __deepcopy__(self, memo: object) -> None:
        raise TypeError("it holds a lock")


class WithItsOwnHook(Scored):
    def __init__(self, *layers: nn.Module) -> None:
        super().__init__(*layers)
        self.kept: list[Tensor] = []
        self.body[0].register_forward_hook(lambda module, args, output: self.kept.append(output))

    def forward(self, canvas: Tensor) -> tuple[Tensor, Tensor]:
        self.body[0](canvas)
        return super().forward(canvas + 0 * self.kept.pop().mean())


@pytest.mark.parametrize("kind", [NotWithZeros, NotToBeCopied, WithItsOwnHook])
def test_what_does_not_get_along_with_a_copy_or_zeros_runs_as_always(kind):
    detector = CandidateDetector(kind(conv(3, 3, 2, 1)).eval(), target_layers=["body"])
    assert detector.cell_grid(detector.model.body, SIZE, (48, 64)).origin == (0.75, 0.75)
