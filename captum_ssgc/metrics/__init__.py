"""How good is a heat map? Faithfulness to the detector, and agreement with what is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from captum_ssgc._lazy import lazy_names

if TYPE_CHECKING:
    from captum_ssgc.metrics.changed_images import deletion_images as deletion_images
    from captum_ssgc.metrics.changed_images import insertion_images as insertion_images
    from captum_ssgc.metrics.curve_settings import CurveSettings as CurveSettings
    from captum_ssgc.metrics.curves import Curves as Curves
    from captum_ssgc.metrics.curves import DeletionInsertion as DeletionInsertion
    from captum_ssgc.metrics.discrimination import compactness as compactness
    from captum_ssgc.metrics.discrimination import (
        object_discrimination_index as object_discrimination_index,
    )
    from captum_ssgc.metrics.map_scores import MapScores as MapScores
    from captum_ssgc.metrics.map_similarity import rank_correlation as rank_correlation
    from captum_ssgc.metrics.map_similarity import structural_similarity as structural_similarity
    from captum_ssgc.metrics.object_reliance import Reliance as Reliance
    from captum_ssgc.metrics.object_reliance import RelianceThresholds as RelianceThresholds
    from captum_ssgc.metrics.object_reliance import reliance as reliance
    from captum_ssgc.metrics.perturbation import deletion as deletion
    from captum_ssgc.metrics.perturbation import deletion_insertion as deletion_insertion
    from captum_ssgc.metrics.perturbation import insertion as insertion
    from captum_ssgc.metrics.pointing import energy_pointing_game as energy_pointing_game
    from captum_ssgc.metrics.pointing import evidence_energy as evidence_energy
    from captum_ssgc.metrics.pointing import pointing_game as pointing_game
    from captum_ssgc.metrics.presets import PRESETS as PRESETS
    from captum_ssgc.metrics.presets import Preset as Preset
    from captum_ssgc.metrics.presets import preset_named as preset_named
    from captum_ssgc.metrics.randomisation import Randomisation as Randomisation
    from captum_ssgc.metrics.randomisation import left_of_map as left_of_map
    from captum_ssgc.metrics.randomisation import (
        parameter_randomisation as parameter_randomisation,
    )
    from captum_ssgc.metrics.randomisation import randomised_copy as randomised_copy
    from captum_ssgc.metrics.smallest_sets import MinimalSets as MinimalSets
    from captum_ssgc.metrics.smallest_sets import minimal_sets as minimal_sets

_HOMES = {
    "PRESETS": "presets",
    "CurveSettings": "curve_settings",
    "Curves": "curves",
    "DeletionInsertion": "curves",
    "MapScores": "map_scores",
    "MinimalSets": "smallest_sets",
    "Preset": "presets",
    "Randomisation": "randomisation",
    "Reliance": "object_reliance",
    "RelianceThresholds": "object_reliance",
    "compactness": "discrimination",
    "deletion": "perturbation",
    "deletion_images": "changed_images",
    "deletion_insertion": "perturbation",
    "energy_pointing_game": "pointing",
    "evidence_energy": "pointing",
    "insertion": "perturbation",
    "insertion_images": "changed_images",
    "left_of_map": "randomisation",
    "minimal_sets": "smallest_sets",
    "object_discrimination_index": "discrimination",
    "parameter_randomisation": "randomisation",
    "pointing_game": "pointing",
    "preset_named": "presets",
    "randomised_copy": "randomisation",
    "rank_correlation": "map_similarity",
    "reliance": "object_reliance",
    "structural_similarity": "map_similarity",
}

__all__ = sorted(_HOMES)
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
