"""From masks to numbers: phases, features, statistics over fields, specimens."""

from steelquant.stereology.quantify import Quantification, quantify
from steelquant.stereology.summary import SpecimenResult

__all__ = ["Quantification", "SpecimenResult", "quantify"]
