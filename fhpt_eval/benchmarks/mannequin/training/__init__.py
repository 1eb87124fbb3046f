"""How the small networks of the benchmark are trained: seeded, resumable, on a CPU or a GPU.

May import: features, benchmarks.mannequin, torch. ``pictures`` draws what they learn from.
"""
