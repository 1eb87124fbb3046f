"""Networks that give a row per image and nothing else, for retrieval and distances of sets.

``classical`` needs no weights; ``networks`` has ResNet-50 and timm's models, ``files`` networks in
TorchScript and ONNX files.
"""
