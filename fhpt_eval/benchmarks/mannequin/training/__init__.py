"""How the small networks of the benchmark are trained: seeded, resumable, on a CPU or a GPU.

``pictures`` draws what they learn from.
"""
