"""The map of 5 x 5 that tutorials 08 to 10 pool by hand: ``from course.example import x``."""

import numpy as np

x = np.array(
    [
        [0.3, 0.6, 1.2, 0.1, 0.4],
        [0.2, 1.0, 0.5, 0.7, 0.0],
        [1.3, 0.4, 0.8, 0.2, 0.9],
        [0.1, 0.5, 0.3, 1.1, 0.6],
        [0.7, 0.0, 0.2, 0.4, 0.8],
    ]
)
