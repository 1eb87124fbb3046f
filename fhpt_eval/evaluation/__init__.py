"""The engine: plan chunks, execute them, store partials, reduce them to a result.

It names no metric.
"""
