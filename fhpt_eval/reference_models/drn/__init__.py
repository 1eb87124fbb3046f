"""The Detail Replenishing Network (arXiv 2005.12494): the reference model behind the baselines.

This is the front door; docs/drn.md describes the model.
"""

from fhpt_eval.reference_models.drn.configuration import (
    Configuration,
    configuration_names,
    load_configuration,
)
from fhpt_eval.reference_models.drn.inputs import Inputs, Targets
from fhpt_eval.reference_models.drn.network import Model, Outputs, build_model

__all__ = [
    "Configuration",
    "Inputs",
    "Model",
    "Outputs",
    "Targets",
    "build_model",
    "configuration_names",
    "load_configuration",
]
