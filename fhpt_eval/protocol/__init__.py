"""Protocols: the file that fixes every number, and its digest."""

from fhpt_eval.protocol.protocol import (
    Entry,
    Protocol,
    Source,
    load_protocol,
    parse_protocol,
    preset_names,
)

__all__ = [
    "Entry",
    "Protocol",
    "Source",
    "load_protocol",
    "parse_protocol",
    "preset_names",
]
