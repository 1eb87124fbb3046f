"""How the small networks of the benchmark are trained: seeded, resumable, on a CPU or a GPU.

``pictures`` draws what they learn from. Each of ``garments``, ``pose`` and ``faces`` has a function
``train(pictures, out, settings, device, progress)``, which goes on where an earlier run of the same
settings was stopped in the folder ``out``, tells ``progress`` lines of text, and returns the file
of weights. On a CPU the outcome is the same to the bit for the same number of threads. All of them
raise ``ArgumentError`` where pictures or settings are of no use or the folder is of another run,
``InputError`` where a checkpoint cannot be read, ``FhptEvalError`` where the training diverges and
``StorageError`` where the folder cannot be written.
"""
