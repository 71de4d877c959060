"""A call leaves everything as it was, whatever the circumstances and however it ends."""

from __future__ import annotations

import threading

import pytest
import torch

import captum_ssgc as ssgc

CAMS = [ssgc.GradCAMPlusPlus, ssgc.ODAM, ssgc.SSGradCAM, ssgc.SSGradCAMPlusPlus]
each_cam = pytest.mark.parametrize("method", CAMS, ids=lambda method: method.__name__)


def state_of(model):
    return {
        "requires_grad": [p.requires_grad for p in model.parameters()],
        "grad": [p.grad for p in model.parameters()],
        "training": [m.training for m in model.modules()],
        "hooks": [
            (len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks))
            for m in model.modules()
        ],
        "grad mode": torch.is_grad_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "weights": [p.detach().clone().tolist() for p in model.parameters()],
    }


@pytest.fixture(params=["trainable", "frozen", "partly frozen"])
def some_wrapper(request, wrapper):
    for number, parameter in enumerate(wrapper.model.parameters()):
        parameter.requires_grad_(
            request.param == "trainable" or (request.param[0] == "p" and number % 2 == 0)
        )
    return wrapper


CALLS = {
    "attribute": lambda cam, image: cam.attribute(image, target=0),
    "instances": lambda cam, image: cam.attribute_instances(image, [0, 1]),
}


@each_cam
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_nothing_changes(method, call, some_wrapper, image):
    model = some_wrapper.model
    before = state_of(model)
    found = call(method(some_wrapper, model.fine), image)
    assert found.max() > 0
    assert not found.requires_grad
    assert state_of(model) == before
    assert image.grad is None


@each_cam
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
@pytest.mark.parametrize("where", ["forward", "map"])
def test_nothing_changes_when_it_raises(method, call, where, some_wrapper, image, monkeypatch):
    class Boom(Exception):
        pass

    def explode(*args, **kwargs):
        raise Boom

    model = some_wrapper.model
    cam = method(some_wrapper, model.fine)
    if where == "forward":
        monkeypatch.setattr(model.coarse, "forward", explode)
    else:
        monkeypatch.setattr(type(cam), "maps", staticmethod(lambda a, g, mask=None: explode()))
    before = state_of(model)
    with pytest.raises(Boom):
        call(cam, image)
    assert state_of(model) == before


@each_cam
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_every_grad_mode_gives_the_same(method, mode, wrapper, image):
    expected = method(wrapper, wrapper.model.fine).attribute(image, target=0)
    with mode():
        pixels = image.clone()
        cam = method(wrapper, wrapper.model.fine)
        torch.testing.assert_close(cam.attribute(pixels, target=0), expected)
        torch.testing.assert_close(cam.attribute_instances(pixels, [0]), expected)


def test_an_image_that_requires_a_gradient(wrapper, image):
    expected = ssgc.ODAM(wrapper, wrapper.model.fine).attribute(image, target=0)
    leaf = image.clone().requires_grad_()
    found = ssgc.ODAM(wrapper, wrapper.model.fine).attribute(leaf * 1.0, target=0)
    torch.testing.assert_close(found, expected)
    assert leaf.grad is None


def test_no_graph_below_the_layer(wrapper, image):
    """The convolution before the layer gets no gradient work: its backward never runs."""
    ran = []

    class Spy(torch.autograd.Function):
        @staticmethod
        def forward(ctx, value):
            return value.clone()

        @staticmethod
        def backward(ctx, slope):
            ran.append(slope)
            return slope

    hook = wrapper.model.stem.register_forward_hook(lambda module, args, out: Spy.apply(out))
    try:
        ssgc.ODAM(wrapper, wrapper.model.fine).attribute(image.requires_grad_(), target=0)
        assert not ran
        ssgc.ODAM(wrapper, wrapper.model.stem).attribute(image, target=0)
    finally:
        hook.remove()


def test_existing_gradients_are_kept(wrapper, image):
    for parameter in wrapper.model.parameters():
        parameter.grad = torch.full_like(parameter, 7.0)
    ssgc.SSGradCAMPlusPlus(wrapper, wrapper.model.fine).attribute(image, target=0)
    assert all((p.grad == 7.0).all() for p in wrapper.model.parameters())


@each_cam
def test_an_operation_in_place_after_the_layer(method, signed_detector, make_detector, image):
    """``stem`` feeds an in-place ReLU; its own, signed, output is what counts."""
    in_place = make_detector()
    with torch.no_grad():
        in_place.model.stem.weight.copy_(signed_detector.model.stem.weight)
    careful = make_detector()
    careful.model.load_state_dict(in_place.model.state_dict())
    careful.model.act = torch.nn.ReLU()
    found = []
    for detector in (in_place, careful):
        detections = detector.detect(image)[0]
        wrapper = ssgc.InstanceScoreWrapper(detector, detections)
        found.append(
            method(wrapper, detector.model.stem).attribute(
                image, target=0, relu_attributions=False, attr_dim_summation=False
            )
        )
    assert detector.model.stem(image).min() < 0
    assert torch.equal(*found)


def test_an_operation_in_place_on_the_layers_input(wrapper, image):
    into = ssgc.ODAM(wrapper, wrapper.model.act)
    found = into.attribute(image, target=0, attribute_to_layer_input=True)
    before = ssgc.ODAM(wrapper, wrapper.model.stem).attribute(image, target=0)
    torch.testing.assert_close(found, before)


def test_two_threads_at_once(wrapper, detections, image):
    """Two threads on one model, meeting inside the forward; each sees only its own tensors."""
    images = [image, image.flip(-1)]
    cam = ssgc.SSGradCAMPlusPlus(wrapper, wrapper.model.fine)
    expected = [cam.attribute(pixels, target=0) for pixels in images]
    meeting = threading.Barrier(2, timeout=600)

    def meet(*args):
        meeting.wait()

    hook = wrapper.model.coarse.register_forward_hook(meet)
    found: dict[int, list[torch.Tensor]] = {0: [], 1: []}

    def work(number):
        for _ in range(5):
            found[number].append(cam.attribute(images[number], target=0))

    before = [p.requires_grad for p in wrapper.model.parameters()]
    threads = [threading.Thread(target=work, args=(number,)) for number in (0, 1)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        hook.remove()
    for number in (0, 1):
        assert len(found[number]) == 5
        for one in found[number]:
            torch.testing.assert_close(one, expected[number], rtol=0, atol=0)
    assert [p.requires_grad for p in wrapper.model.parameters()] == before


@each_cam
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_does_not_overflow(method, dtype, make_detector, image):
    """Sums of activations beyond 65504, the largest half, inside the maps."""
    found = {}
    for kind in (dtype, torch.float32):
        detector = make_detector(dtype=kind)
        with torch.no_grad():
            detector.model.stem.weight.mul_(4096.0)
            detector.model.head.weight.div_(4096.0)
        pixels = image.to(dtype).to(kind)
        detections = detector.detect(pixels)[0]
        wrapper = ssgc.InstanceScoreWrapper(detector, detections, output="logit")
        target = int((detections.candidates == 3).nonzero())
        activations = detector.model.fine(detector.model.act(detector.model.stem(pixels)))
        assert activations.float()[0, 0, 2:, 2:].sum() > 65504
        found[kind] = method(wrapper, detector.model.fine).attribute(pixels, target=target)
    assert found[dtype].isfinite().all()
    assert found[dtype].dtype == torch.float32
    scale = float(found[torch.float32].max())
    torch.testing.assert_close(found[dtype], found[torch.float32], rtol=0, atol=0.02 * scale)


@each_cam
def test_double_precision_stays(method, make_detector, image):
    detector = make_detector(dtype=torch.float64)
    pixels = image.double()
    wrapper = ssgc.InstanceScoreWrapper(detector, detector.detect(pixels)[0])
    assert method(wrapper, detector.model.fine).attribute(pixels, 0).dtype == torch.float64
