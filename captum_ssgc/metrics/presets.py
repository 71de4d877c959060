"""The choices that publications made for Deletion and Insertion."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from captum_ssgc.metrics.curve_settings import CurveSettings


@dataclass(frozen=True, eq=False)
class Preset:
    """The settings of a publication.

    Args:
        name: as users type it.
        deletion: settings of the Deletion curve.
        insertion: settings of the Insertion curve.
        source: the publication.
        stated: what it says.
        assumed: what it leaves open, and what is done here.
        score_above: the publication evaluates detections whose score is above this; applied by the
            caller.
        annotation_iou_above: it plays the pointing games on detections whose IoU with an annotation
            of their class is above this; applied by the caller.
    """

    name: str
    deletion: CurveSettings
    insertion: CurveSettings
    source: str
    stated: str
    assumed: str
    score_above: float | None = None
    annotation_iou_above: float | None = None


_VXCODE = CurveSettings(score="s2", s2="own_class", resolution="network")
_VXCODE_SOURCE = (
    "T. Yamauchi, H. Kera, K. Kawamoto, Explaining Object Detectors via Collective Contribution of "
    "Pixels (VX-CODE), CVPR 2026, arXiv:2412.00666, and the code that the authors published."
)
_VXCODE_STATED = (
    "Detections scored above 0.7; removed pixels are black, at the network's resolution; s2 with "
    "the proposals of the changed image, no threshold and no suppression: the largest IoU, with "
    "the box regressed for the detection's class and clipped, times the cosine of all class "
    "probabilities with the background's."
)
_VXCODE_ASSUMED = (
    "The code makes the detections and the similarity, not the curves: ten steps as in the paper "
    "of 2024, curves not divided (they start at 1), {units}. The images are resized here as floats "
    "and not as bytes; the columns s1 are the class probability of the same candidate and not of "
    "that source."
)

PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            name="yamauchi2024",
            deletion=CurveSettings(normalize=True),
            insertion=CurveSettings(normalize=True),
            source="T. Yamauchi, Spatial Sensitive Grad-CAM++, CVPR Workshops 2024, pp. 8164-8168.",
            stated="Ten steps; curves divided by the initial score (they start at 1); s1 and s2, "
            "with candidates above 0.05 for s2; detections with a probability above 0.6, and for "
            "the pointing games an IoU above 0.7 with the annotation.",
            assumed="How removed pixels are filled (here: black), which output of a changed image "
            "s1 is read from (here: the same candidate), whether the candidates of s2 are those "
            "before suppression (here: yes), whether pixels are taken from the whole "
            "image (here: yes).",
            score_above=0.6,
            annotation_iou_above=0.7,
        ),
        Preset(
            name="drise",
            deletion=CurveSettings(score="s2", steps=224, baseline=(0.485, 0.456, 0.406)),
            insertion=CurveSettings(
                score="s2", steps=224, baseline="blur", blur_sigma=5.0, blur_radius=5
            ),
            source="V. Petsiuk et al., Black-box Explanation of Object Detectors via Saliency "
            "Maps, CVPR 2021, arXiv:2006.03204; the metrics are those of V. Petsiuk et al., RISE, "
            "BMVC 2018, arXiv:1806.07421, whose evaluation code gives the numbers.",
            stated="RISE: 224 steps; Deletion fills with zeros after normalisation, which is the "
            "mean colour of ImageNet; Insertion starts from the image blurred by an 11x11 Gaussian "
            "of sigma 5, at 224x224 pixels. D-RISE: the similarity of detections takes the place "
            "of the class probability.",
            assumed="Whether D-RISE kept RISE's steps, fill and blur (here: yes, and the blur in "
            "pixels of the image, however large it is). RISE's code makes its kernel by filtering "
            "a point inside the 11x11 window with reflecting borders, which gives nearly a box, "
            "and pads with the mean colour; here it is the Gaussian itself, cut at the window, and "
            "borders are replicated. D-RISE's similarity has a third factor, "
            "objectness, where a detector has one; here it is s2 throughout.",
        ),
        Preset(
            name="odam",
            deletion=CurveSettings(match="iou", baseline="noise", budget="box", normalize=True),
            insertion=CurveSettings(match="iou", baseline="zero", budget="box"),
            source="C. Zhao, A. B. Chan, ODAM: Gradient-based Instance-specific Visual "
            "Explanations for Object Detection, ICLR 2023, arXiv:2304.06354, and the evaluation "
            "code that the authors published with it.",
            stated="Ten points; as many pixels as the object's box has, from the whole image; "
            "Deletion fills with uniform noise and divides by the initial score; Insertion starts "
            "from black and does not divide; s1 of the best output of the class with an IoU above "
            "0.5; detections scored above 0.1 whose IoU with an annotation of their class is above "
            "0.9, and whose map has a single maximum.",
            assumed="The code measures IoU and budget on the annotation's box (here: on the "
            "predicted one, unless detections with other boxes are passed), draws new noise for "
            "every map (here: one draw per image), sets the first point of Insertion to 0 (here: "
            "measured), and looks at what the detector reports (here: at the candidates above "
            "0.05, before suppression). It has no s2.",
            score_above=0.1,
            annotation_iou_above=0.9,
        ),
        Preset(
            name="vxcode2026",
            deletion=_VXCODE,
            insertion=_VXCODE,
            source=_VXCODE_SOURCE,
            stated=_VXCODE_STATED,
            assumed=_VXCODE_ASSUMED.format(units="pixel by pixel"),
            score_above=0.7,
        ),
        Preset(
            name="vxcode2026-patches",
            deletion=replace(_VXCODE, patches="by_box"),
            insertion=replace(_VXCODE, patches="by_box"),
            source=_VXCODE_SOURCE,
            stated=_VXCODE_STATED
            + " Patches of 1/24, 1/16 or 1/8 of a side, by the share of the image that the box "
            "has.",
            assumed=_VXCODE_ASSUMED.format(units="patch by patch, a patch being worth its mean"),
            score_above=0.7,
        ),
    )
}


def curve_settings(
    given: CurveSettings | Preset | str, curve: Literal["deletion", "insertion"]
) -> CurveSettings:
    """The settings of one curve, as they are or out of a preset.

    Raises:
        ValueError: for the name of no preset.
        TypeError: for anything else.
    """
    preset = preset_named(given) if isinstance(given, str) else given
    if isinstance(preset, Preset):
        return preset.deletion if curve == "deletion" else preset.insertion
    if not isinstance(preset, CurveSettings):
        raise TypeError(
            f"settings: expected CurveSettings, a preset or its name, got {type(preset).__name__}."
        )
    return preset


def preset_named(name: str) -> Preset:
    """The preset called ``name``.

    Raises:
        ValueError: if there is none, with the names there are.
    """
    if name not in PRESETS:
        raise ValueError(f"preset: expected one of {', '.join(PRESETS)}, got {name!r}.")
    return PRESETS[name]
