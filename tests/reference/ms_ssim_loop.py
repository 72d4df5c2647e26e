"""MS-SSIM one window at a time, from the equations of Wang et al. (2003); NumPy only, 0..255, one channel."""

from __future__ import annotations

import numpy as np


def ms_ssim_loop(x, y):
    weights = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333]
    position = np.arange(11) - 5
    window = np.exp(-(position[:, None] ** 2 + position**2) / (2 * 1.5**2))
    window /= window.sum()
    product = 1.0
    for scale, weight in enumerate(weights):
        structures, luminances = [], []
        for i in range(x.shape[0] - 10):
            for j in range(x.shape[1] - 10):
                a, b = x[i : i + 11, j : j + 11], y[i : i + 11, j : j + 11]
                mean_a, mean_b = (window * a).sum(), (window * b).sum()
                var_a, var_b = (window * (a - mean_a) ** 2).sum(), (window * (b - mean_b) ** 2).sum()
                covariance = (window * (a - mean_a) * (b - mean_b)).sum()
                structures.append((2 * covariance + 58.5225) / (var_a + var_b + 58.5225))
                luminances.append((2 * mean_a * mean_b + 6.5025) / (mean_a**2 + mean_b**2 + 6.5025))
        structures, luminances = np.array(structures), np.array(luminances)
        value = (structures * luminances).mean() if scale == 4 else structures.mean()
        product *= max(value, 0) ** weight
        x, y = halve(x), halve(y)
    return product


def halve(image):
    rows, columns = (image.shape[0] + 1) // 2, (image.shape[1] + 1) // 2
    return np.array([[image[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean() for j in range(columns)] for i in range(rows)])
