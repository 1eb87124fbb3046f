"""The Detail Replenishing Network (arXiv 2005.12494): the reference model behind the baselines.

This is the front door; docs/drn.md describes the model.
"""

from fhpt_eval.reference_models.drn.configuration import (
    Configuration,
    configuration_names,
    load_configuration,
)
from fhpt_eval.reference_models.drn.model.drn import Inputs, Model, Outputs

__all__ = [
    "Configuration",
    "Inputs",
    "Model",
    "Outputs",
    "configuration_names",
    "load_configuration",
]
