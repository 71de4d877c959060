"""``captum-ssgc demo``: the detector in the box on a drawn scene whose evidence is known."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from captum_ssgc.cli.each_image import complain_of_nothing, explanations_of, prepare_folder
from captum_ssgc.cli.folders import ResultFolders
from captum_ssgc.cli.help_format import HelpFormatter
from captum_ssgc.cli.messages import DONE, forwards_shown, say
from captum_ssgc.cli.model_choice import ModelChoice
from captum_ssgc.cli.models import check_layers, check_outputs, load_detector
from captum_ssgc.cli.options import (
    add_device_option,
    add_explanation_options,
    add_general_options,
    explain_arguments,
    outputs_of,
)

if TYPE_CHECKING:
    from captum_ssgc.cli.results import Shares
    from captum_ssgc.data import Scene
    from captum_ssgc.explanations import Explanation

_DEFAULT_SEED = 26
_SAME_OBJECT = 0.5

_DESCRIPTION = """\
Draw a scene, find its objects with the small detector in the box, and explain them.

In these scenes an object's class is decided by its emblem alone, so it is known where an honest
explanation must point: the share of each map's energy in the object and in its emblem is printed
with the results, beside what chance gives. Nothing is downloaded.
"""
_BRACKETS = """\
In brackets: what chance gives, a map that is even over the image; for the emblem, which alone
decides the class, a map that is even over the object.
"""
_EPILOG = """\
examples:
  captum-ssgc demo
  captum-ssgc demo --seed 12 --method all -o results
"""


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "demo",
        help="see it work, without model, image or network",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        usage="captum-ssgc demo [options]",
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--seed",
        metavar="N",
        type=int,
        default=_DEFAULT_SEED,
        help="which scene, a whole number from 0 (default: %(default)s)",
    )
    add_explanation_options(parser)
    add_device_option(parser)
    add_general_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Draw, detect, explain, write."""
    arguments = explain_arguments(args)
    prepare_folder(args.output_dir)
    from captum_ssgc.cli.results import ImageResult, energy_in_boxes, print_result, write_result
    from captum_ssgc.demo import scene
    from captum_ssgc.explanation import NoDetectionError

    choice = ModelChoice("demo", device=args.device, score_threshold=args.score_threshold)
    detector = load_detector(choice)
    check_layers(detector, arguments["layer"])
    check_outputs(detector, outputs_of(arguments))
    name = f"scene_{args.seed}"
    drawn = scene(args.seed)
    try:
        with forwards_shown(detector.model):
            explanations = explanations_of(drawn.image, detector, args, arguments)
    except NoDetectionError as error:
        return complain_of_nothing(error, name, args.score_threshold)
    shares, chance = _known_shares(drawn, explanations)
    result = ImageResult(
        name=name,
        source=f"demo scene of seed {args.seed}",
        image=drawn.image[None],
        explanations=explanations,
        model=choice,
        output=args.output,
        shares={"box": energy_in_boxes(explanations), **shares},
        chance=chance,
        options=arguments["method_options"],
    )
    with ResultFolders(args.output_dir).results_of(name, result.source) as folder:
        write_result(result, folder)
    print_result(result, folder)
    say(_BRACKETS)
    return DONE


def _known_shares(scene: Scene, explanations: Sequence[Explanation]) -> tuple[Shares, Shares]:
    """The share of each map's energy in the object and in its emblem, and what chance gives.

    ``None`` for a detection that is none of the scene's objects. By chance a map has in a box or an
    object what that covers of the image, and in an emblem what it covers of its object.
    """
    import torch

    from captum_ssgc.metrics import energy_pointing_game, evidence_energy

    shares: dict[str, list[float | None]] = {"object": [], "emblem": []}
    chance: dict[str, list[float | None]] = {"box": [], "object": [], "emblem": []}
    for one in explanations:
        even = torch.ones_like(one.heat_map[None].cpu())
        chance["box"].append(energy_pointing_game(even, boxes=one.box[None].cpu()).mean())
        place = _object_of(scene, one)
        if place is None:
            for values in (*shares.values(), chance["object"], chance["emblem"]):
                values.append(None)
            continue
        heat_map = one.heat_map[None].cpu()
        masks, emblems = scene.masks[place : place + 1], scene.emblem_masks[place : place + 1]
        shares["object"].append(energy_pointing_game(heat_map, masks=masks).mean())
        shares["emblem"].append(evidence_energy(heat_map, emblems).mean())
        chance["object"].append(energy_pointing_game(even, masks=masks).mean())
        chance["emblem"].append(evidence_energy(masks.to(even), emblems).mean())
    return shares, chance


def _object_of(scene: Scene, one: Explanation) -> int | None:
    from torchvision.ops import box_iou

    overlaps = box_iou(one.box[None].cpu(), scene.boxes)[0]
    overlaps = overlaps * (scene.labels == one.label_index)
    best = int(overlaps.argmax())
    return best if float(overlaps[best]) >= _SAME_OBJECT else None
