"""What went wrong in an image, and why: missed objects and false detections."""

from captum_ssgc.diagnosis.diagnosis import Diagnosis
from captum_ssgc.diagnosis.image_diagnosis import diagnose
from captum_ssgc.diagnosis.kinds import Kind, Kinds, kinds_of
from captum_ssgc.diagnosis.mechanisms import Cause, ImageFacts, Mechanism, cause_of

__all__ = [
    "Cause",
    "Diagnosis",
    "ImageFacts",
    "Kind",
    "Kinds",
    "Mechanism",
    "cause_of",
    "diagnose",
    "kinds_of",
]
