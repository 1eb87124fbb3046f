"""The engine: plan chunks, execute them, store partials, reduce them to a result.

May import: everything but cli, leaderboard and report. Names no metric.
"""
