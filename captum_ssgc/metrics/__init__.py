"""How good is a heat map? Faithfulness to the detector, and agreement with what is known."""

from captum_ssgc.metrics.changed_images import deletion_images, insertion_images
from captum_ssgc.metrics.curve_settings import CurveSettings
from captum_ssgc.metrics.curves import Curves, DeletionInsertion
from captum_ssgc.metrics.discrimination import compactness, object_discrimination_index
from captum_ssgc.metrics.map_scores import MapScores
from captum_ssgc.metrics.map_similarity import rank_correlation, structural_similarity
from captum_ssgc.metrics.object_reliance import Reliance, RelianceThresholds, reliance
from captum_ssgc.metrics.perturbation import deletion, deletion_insertion, insertion
from captum_ssgc.metrics.pointing import energy_pointing_game, evidence_energy, pointing_game
from captum_ssgc.metrics.presets import PRESETS, Preset, preset_named
from captum_ssgc.metrics.randomisation import (
    Randomisation,
    left_of_map,
    parameter_randomisation,
    randomised_copy,
)
from captum_ssgc.metrics.smallest_sets import MinimalSets, minimal_sets

__all__ = [
    "PRESETS",
    "CurveSettings",
    "Curves",
    "DeletionInsertion",
    "MapScores",
    "MinimalSets",
    "Preset",
    "Randomisation",
    "Reliance",
    "RelianceThresholds",
    "compactness",
    "deletion",
    "deletion_images",
    "deletion_insertion",
    "energy_pointing_game",
    "evidence_energy",
    "insertion",
    "insertion_images",
    "left_of_map",
    "minimal_sets",
    "object_discrimination_index",
    "parameter_randomisation",
    "pointing_game",
    "preset_named",
    "randomised_copy",
    "rank_correlation",
    "reliance",
    "structural_similarity",
]
