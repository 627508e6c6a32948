"""CMU-MOSI: segments of videos in which people speak their opinion; how positive it is, from -3 to 3.

Features and their layout are MMSA's; see _features.py.

Source: https://github.com/CMU-MultiComp-Lab/CMU-MultimodalSDK; https://github.com/thuiar/MMSA.
"""

from __future__ import annotations

from pathlib import Path

from fusionbench.data.recipes._features import features
from fusionbench.data.recipes._layout import Recipe


def recipe(folder: Path) -> Recipe:
    """The table of that folder.

    Raises:
        UserError: no features are there, or others.
    """
    return features("cmu_mosi", folder)
