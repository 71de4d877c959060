"""Zero-shot detectors: phrases are labels, and nothing but phrases that the model takes whole."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from detectors.family import scene
from detectors.test_recommended_layers import assert_layers_lead_to_scores

import captum_ssgc as ssgc

transformers = pytest.importorskip("transformers", reason="needs the extra [transformers]")

from detectors import prompts_families as families  # noqa: E402

from captum_ssgc.detectors import TextPromptDetector  # noqa: E402
from captum_ssgc.detectors._text_prompts import phrase_of_tokens, phrases_of  # noqa: E402

PHRASES = families.PHRASES


@pytest.fixture(params=["grounding-dino", "owlv2", "omdet-turbo"])
def prompted(request, build_family):
    return build_family("prompts", request.param)


@pytest.fixture
def grounding(build_family):
    return build_family("prompts", "grounding-dino").detector


@pytest.fixture
def owl(build_family):
    return build_family("prompts", "owlv2").detector


def test_detections_are_the_processors_own(prompted, picture):
    found = prompted.detector.detect(picture)[0]
    [theirs] = prompted.on_canvas(picture)
    assert len(found) >= 5
    for name in ("boxes", "scores", "labels"):
        assert torch.equal(getattr(found, name), theirs[name])
    wrapper = ssgc.InstanceScoreWrapper(prompted.detector, found)
    torch.testing.assert_close(wrapper(picture)[0], found.scores, atol=2e-6, rtol=1e-5)


def test_recommended_layers_run_once_and_lead_to_the_scores(prompted, picture):
    assert_layers_lead_to_scores(prompted.detector, picture)


def test_names_are_the_phrases(prompted, picture):
    assert isinstance(prompted.detector, TextPromptDetector)
    assert prompted.detector.label_names == tuple(PHRASES)
    [explained, *_] = ssgc.explain(prompted.detector, picture, score_threshold=0.0)
    assert explained.label == PHRASES[explained.label_index]


def test_a_phrase_against_another(prompted, picture):
    found = prompted.detector.detect(picture)[0]
    contrast = ssgc.InstanceScoreWrapper(prompted.detector, found, ("logit", 1))(picture)[0]
    logits = [
        ssgc.InstanceScoreWrapper(prompted.detector, found, "logit")(picture)[0]
        for found in (found, _relabelled(found, 1))
    ]
    torch.testing.assert_close(contrast, logits[0] - logits[1])
    assert bool((contrast != 0).any())


def test_what_is_missed_is_diagnosed_by_phrase(prompted, picture):
    found = prompted.detector.detect(picture)[0]
    label = PHRASES[int(found.labels[0])]
    other = next(one for one in PHRASES if one != label)
    boxes = torch.cat([found.boxes[:1], torch.tensor([[70.0, 50, 90, 70]])])
    first, second, *_ = ssgc.diagnose(
        prompted.detector, picture, boxes, [label, other], score_threshold=0.0
    )
    assert (first.kind, first.label) == ("found", label)
    assert (second.label, second.object_index) == (other, 1)


def _relabelled(found, label):
    return replace(found, labels=torch.full_like(found.labels, label))


def test_thresholds_are_the_processors_unless_told(grounding, owl, build_family):
    for detector, expected in (
        (grounding, 0.25),
        (owl, 0.1),
        (build_family("prompts", "omdet-turbo").detector, 0.3),
    ):
        again = ssgc.wrap_detector(detector.model, detector.text_processor, text=PHRASES)
        assert again.score_threshold == expected


def test_a_phrase_has_the_best_of_its_tokens(grounding, picture):
    found = grounding.detect(picture)[0]
    with torch.no_grad():
        raw = grounding.run(picture)
    # [CLS] a cat . a red re ##mote . dog . [SEP]
    tokens = raw.vendor.input_ids[0].tolist()
    assert tokens == [101, 110, 111, 1012, 110, 112, 113, 114, 1012, 115, 1012, 102]
    parts = [range(4), range(4, 9), range(9, 12)]
    for row, logits in enumerate(raw.logits[0]):
        scores = [max(float(logits[token].sigmoid()) for token in part) for part in parts]
        torch.testing.assert_close(found.class_scores[row], torch.tensor(scores))


def test_the_processors_words_hold_the_best_token(grounding, picture):
    """The vendor writes every token above a threshold; the phrase is that of the best one."""
    with torch.no_grad():
        raw = grounding.run(picture)
    reports = grounding.text_processor.post_process_grounded_object_detection(
        raw.vendor, threshold=0.0, text_threshold=0.0, target_sizes=[(75, 101)]
    )
    words = reports[0]["text_labels"]
    assert all(phrase.lower() in one for one in words for phrase in PHRASES)


def test_a_string_is_phrases_between_full_stops():
    assert phrases_of("A cat. a red remote.") == ("A cat", "a red remote")
    assert phrases_of(("dog ", "cat")) == ("dog", "cat")


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ([], ValueError, "at least one phrase"),
        ("", ValueError, "at least one phrase"),
        (["cat", " "], ValueError, "none of them empty"),
        (["cat", "cat "], ValueError, "every phrase once, got 'cat' twice"),
        (["cat", 3], TypeError, "a list with int"),
        (7, TypeError, "expected a list of phrases, got int"),
        ([["cat"]], TypeError, "a list with list"),
    ],
)
def test_what_is_no_list_of_phrases_is_refused(text, error, message):
    with pytest.raises(error, match=message):
        phrases_of(text)


def test_full_stops_inside_a_phrase_and_long_texts_are_refused(grounding):
    def wrapped(text):
        return ssgc.wrap_detector(grounding.model, grounding.text_processor, text=text)

    with pytest.raises(ValueError, match="leave full stops out of the phrases"):
        wrapped(["st. bernard", "cat"])
    with pytest.raises(ValueError, match="at most 32 tokens, got 35"):
        wrapped([f"{'a ' * number}cat" for number in range(1, 6)] + [f"{'a ' * 6}dog"])
    with pytest.raises(ValueError, match="leaves 1 of them"):
        phrase_of_tokens(torch.tensor([101, 7, 1012, 102]), 1012, 2)


@pytest.mark.parametrize("name", ["grounding-dino", "owlvit", "omdet-turbo"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (["a cat", "A  cat"], "reads 'a cat' and 'A  cat' alike"),
        ([" ".join(["a cat"] * 20)], "at most 32 tokens"),
    ],
    ids=["alike", "long"],
)
def test_phrases_that_a_model_cannot_read(build_family, name, text, message):
    detector = build_family("prompts", name).detector
    with pytest.raises(ValueError, match=message):
        ssgc.wrap_detector(detector.model, detector.text_processor, text=text)


def test_a_phrase_of_no_tokens(grounding):
    with pytest.raises(ValueError, match=r"nothing to read in .*u200b"):
        ssgc.wrap_detector(grounding.model, grounding.text_processor, text=["\u200b", "a cat"])


def test_other_names_may_be_shown(grounding):
    def wrapped(names):
        return ssgc.wrap_detector(
            grounding.model, grounding.text_processor, text=PHRASES, label_names=names
        )

    assert wrapped(["cat", "remote", "dog"]).label_names == ("cat", "remote", "dog")
    with pytest.raises(ValueError, match="expected 3 names"):
        wrapped(["cat", "remote"])


def test_what_is_missing_is_said(grounding, build_family):
    closed = build_family("transformers", "yolos").detector
    with pytest.raises(TypeError, match=r"wrap_detector\(model, processor, text=\["):
        ssgc.wrap_detector(grounding.model)
    with pytest.raises(ValueError, match=r"processor: a GroundingDino.*tokenizer.*AutoProcessor"):
        ssgc.wrap_detector(grounding.model, text=["cat"])
    with pytest.raises(TypeError, match="expected one with a tokenizer and an image processor"):
        ssgc.wrap_detector(grounding.model, grounding.processor, text=["cat"])
    with pytest.raises(TypeError, match=r"text: a Yolos.* looks for its own classes"):
        ssgc.wrap_detector(closed.model, closed.processor, text=["cat"])
    with pytest.raises(TypeError, match="query_image: no adapter for it and a GroundingDino"):
        ssgc.wrap_detector(
            grounding.model, grounding.text_processor, query_image=torch.rand(1, 3, 8, 8)
        )


def test_a_pipeline_brings_its_processor(grounding, picture):
    pipeline = transformers.ZeroShotObjectDetectionPipeline(
        model=grounding.model,
        tokenizer=grounding.text_processor.tokenizer,
        image_processor=grounding.processor,
        framework="pt",
    )
    detector = ssgc.wrap_detector(pipeline, text=PHRASES, score_threshold=0.0)
    assert torch.equal(detector.detect(picture)[0].boxes, grounding.detect(picture)[0].boxes)


def test_a_saved_processor_is_loaded(grounding, picture, tmp_path, monkeypatch):
    grounding.text_processor.save_pretrained(tmp_path)
    monkeypatch.setattr(grounding.model.config, "_name_or_path", str(tmp_path))
    detector = ssgc.wrap_detector(grounding.model, text=PHRASES, score_threshold=0.0)
    assert torch.equal(detector.detect(picture)[0].boxes, grounding.detect(picture)[0].boxes)


@pytest.mark.parametrize("size", [(75, 101), (96, 130), (300, 70), (800, 1200), (40, 64)])
def test_the_square_that_owlv2_pads_to_is_known(owl, size):
    geometry = owl.geometry(size)
    assert geometry.canvas_size == (96, 96)
    assert geometry.scale == (96 / max(size), 96 / max(size))
    assert geometry.offset == (0, 0)


def test_the_region_holds_the_patch_that_predicts(owl, picture):
    found = owl.detect(picture)[0]
    rows, columns = found.candidates // 6, found.candidates % 6
    middle = torch.stack([columns + 0.5, rows + 0.5], 1) * 16 * 101 / 96
    assert (found.regions[:, :2] <= middle).all()
    assert (found.regions[:, 2:] >= middle).all()
    assert (found.regions[:, :2] <= found.boxes[:, :2]).all()


@pytest.mark.parametrize("name", ["owlvit", "owlv2"])
def test_a_query_image_instead_of_words(build_family, picture, name):
    family = build_family("prompts", name).detector
    model, processor = family.model, family.text_processor
    query = scene(4, (40, 40))
    images = processor.image_processor
    inputs = [images(images=list(one * 255), return_tensors="pt") for one in (picture, query)]
    with torch.no_grad():
        outputs = model.image_guided_detection(inputs[0]["pixel_values"], inputs[1]["pixel_values"])
    [theirs] = images.post_process_image_guided_detection(
        outputs, threshold=0.0, target_sizes=torch.tensor([[75, 101]])
    )
    detector = ssgc.wrap_detector(model, processor, query_image=query)
    assert detector.label_names == ("query image",)
    assert detector.score_threshold == 0.0
    [found, again] = detector.detect(torch.cat([picture, picture]))
    assert len(found) >= 5
    assert torch.equal(found.boxes, theirs["boxes"])
    assert torch.equal(found.boxes, again.boxes)
    rows = found.candidates
    torch.testing.assert_close(found.scores, outputs.logits[0, rows, 0].sigmoid())
    assert_layers_lead_to_scores(detector, picture)
    with pytest.raises(TypeError, match=r"either text=.*or query_image="):
        ssgc.wrap_detector(model, processor, text=["cat"], query_image=query)


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["swin", "timm-swin"])
def test_backbones_that_give_tokens_or_channels_last(vendor_settings, picture, backbone):
    """A Swin as Grounding DINO has it, and one of timm as OMDet-Turbo has it."""
    processor, model = families.with_swin(backbone)
    detector = ssgc.wrap_detector(model, processor, text=PHRASES, score_threshold=0.0)
    assert_layers_lead_to_scores(detector, picture)
    found = detector.detect(picture)[0]
    canvas = detector.geometry((75, 101)).canvas_size
    for layer in detector.target_layers().values():
        wrapper = ssgc.InstanceScoreWrapper(detector, found, "logit")
        maps = ssgc.ODAM(wrapper, layer).attribute(picture, target=0, relu_attributions=False)
        height, width = maps.shape[-2:]
        assert bool(maps.any())
        assert abs(canvas[0] / height - canvas[1] / width) < 2.0
