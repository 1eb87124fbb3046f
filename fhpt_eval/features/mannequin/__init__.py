"""Features of the small networks that were trained on the mannequin benchmark.

They are made for drawn people: of photographs they say nothing. ``garments`` tells what somebody
wears, ``faces`` finds and describes a face; the pose network is one of ``features.openpose``.
"""
