"""Protocols: the file that fixes every number, and its digest."""

from fhpt_eval.protocol.protocol import (
    OPTIONS,
    Entry,
    Protocol,
    Source,
    load_protocol,
    parse_protocol,
    preset_names,
    with_options,
)

__all__ = [
    "OPTIONS",
    "Entry",
    "Protocol",
    "Source",
    "load_protocol",
    "parse_protocol",
    "preset_names",
    "with_options",
]
