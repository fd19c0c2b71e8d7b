"""Reference numbers of the signal model, Algorithm 1 and the joint bound: NumPy, one scalar at a time.

Every number comes straight from the equations of the paper, in float64 and without the package, so that a test that
agrees with these files agrees with the equations. `python tests/golden/generate.py` writes the files anew.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np

SPEED_OF_LIGHT = 299_792_458.0

Arrays = dict[str, np.ndarray]


def propagation_gain(position, tx, rx, frequency, wavelength):
    """a_{m,k}(p), (1)-(3)."""
    d1, d2 = np.linalg.norm(position - tx), np.linalg.norm(position - rx)
    loss = 4 * np.pi * d1 * d2 / wavelength
    return np.exp(-2j * np.pi * frequency * (d1 + d2) / SPEED_OF_LIGHT) / loss


def gain_gradient(position, tx, rx, frequency, wavelength):
    """Spatial gradient of the phase of a_{m,k}, (12), with the parentheses that (13)-(14) lack."""
    to_tx = (position - tx) / np.linalg.norm(position - tx)
    to_rx = (position - rx) / np.linalg.norm(position - rx)
    gain = propagation_gain(position, tx, rx, frequency, wavelength)
    return -2j * np.pi * frequency / SPEED_OF_LIGHT * gain * (to_tx + to_rx)


def signal_model() -> Arrays:
    """Geometry, dictionary (1)-(3), (12), line of sight (9), phases (4)-(6), CSI (8) and projection (26)-(27)."""
    generator = np.random.default_rng(20260314)
    n_tx, n_rx, n_side, spacing, n_frequencies = 4, 3, 3, 0.2, 2
    carrier, subcarrier_spacing = 1e9, 120e3
    frequency = carrier + subcarrier_spacing * np.arange(n_frequencies)
    wavelength = SPEED_OF_LIGHT / carrier  # path loss is the same on all subcarriers
    angle = generator.uniform(0, 2 * np.pi, n_tx + n_rx)
    radius = generator.uniform(3.0, 5.0, n_tx + n_rx)
    nodes = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    tx, rx = nodes[:n_tx], nodes[n_tx:]
    line = (np.arange(n_side) - (n_side - 1) / 2) * spacing
    grid = np.array([[x, y] for y in line for x in line])
    n_pixels = len(grid)
    reflectivity, offset = np.zeros(n_pixels), np.zeros((n_pixels, 2))
    for pixel, value in ((1, 0.9), (3, 1.0), (8, 0.4)):
        reflectivity[pixel] = value
        offset[pixel] = generator.uniform(-spacing / 2, spacing / 2, 2)

    shape = (n_tx, n_rx, n_frequencies)
    atom, atom_x, atom_y, true_atom = (np.zeros((*shape, n_pixels), complex) for _ in range(4))
    los = np.zeros(shape, complex)
    for i, j, k in product(*map(range, shape)):
        distance = np.linalg.norm(tx[i] - rx[j])
        turn = np.exp(-2j * np.pi * frequency[k] * distance / SPEED_OF_LIGHT)
        los[i, j, k] = wavelength / (4 * np.pi * distance) * turn
        for n in range(n_pixels):
            link = (tx[i], rx[j], frequency[k], wavelength)
            atom[i, j, k, n] = propagation_gain(grid[n], *link)
            true_atom[i, j, k, n] = propagation_gain(grid[n] + offset[n], *link)
            atom_x[i, j, k, n], atom_y[i, j, k, n] = gain_gradient(grid[n], *link)

    tx_delay, rx_delay = (generator.uniform(0, 1 / subcarrier_spacing, n) for n in (n_tx, n_rx))
    tx_start, rx_start = (generator.uniform(0, 2 * np.pi, n) for n in (n_tx, n_rx))
    tx_phase = 2 * np.pi * np.outer(tx_delay, frequency) + tx_start[:, None]
    rx_phase = 2 * np.pi * np.outer(rx_delay, frequency) + rx_start[:, None]
    phase = tx_phase[:, None, :] - rx_phase[None, :, :]
    visible = np.ones((n_tx, n_rx), bool)
    visible[0, 1] = visible[2, 2] = False
    csi = (los * visible[..., None] + true_atom @ reflectivity) * np.exp(-1j * phase)

    incidence = np.zeros((n_tx * n_rx, n_tx + n_rx - 1))  # (7), Rx 0 is the reference
    for i, j in product(range(n_tx), range(n_rx)):
        incidence[i * n_rx + j, i] = 1
        if j > 0:
            incidence[i * n_rx + j, n_tx + j - 1] = -1
    link_phase = generator.normal(0, 0.3, n_tx * n_rx)  # small, so that none wraps
    node_phase = np.linalg.lstsq(incidence, link_phase, rcond=None)[0]
    return {
        **{"tx": tx, "rx": rx, "grid": grid, "frequency": frequency, "wavelength": wavelength, "alpha": 1.0},
        **{"A": atom, "Ax": atom_x, "Ay": atom_y, "A_true": true_atom, "reflectivity": reflectivity, "offset": offset},
        **{"h_los": los, "visible": visible, "phi_tx": tx_phase, "phi_rx": rx_phase, "Phi": phase, "csi": csi},
        **{"G": incidence, "link_phase": link_phase, "node_phase_ls": node_phase},
        "link_phase_projected": incidence @ node_phase,
    }


def density(value, mean, variance):
    """Density of CN(mean, variance) at `value`."""
    return np.exp(-(abs(value - mean) ** 2) / variance) / (np.pi * variance)


def edge_messages(model: Arrays) -> Arrays:
    """Steps 3-5 of Algorithm 1 in their edge form, three times without damping."""
    n_pixels = len(model["grid"])
    blocks = [model[name].reshape(-1, n_pixels) for name in ("A", "Ax", "Ay")]
    scale = np.sqrt(np.mean(np.abs(blocks[0]) ** 2))
    blocks = [block / scale for block in blocks]
    y = model["A_true"].reshape(-1, n_pixels) @ model["reflectivity"] / scale
    n_rows, n_blocks = len(y), len(blocks)
    eta, noise_variance = 0.3, 0.05
    mu, variance = [1.0, 0.0, 0.0], [0.1**2, 0.1**2, 0.1**2]
    edge_x = [np.full((n_pixels, n_rows), mu[q], complex) for q in range(n_blocks)]
    edge_v = [np.full((n_pixels, n_rows), variance[q]) for q in range(n_blocks)]
    result = {"blocks": blocks, "y": y, "eta": eta, "noise_var": noise_variance, "mu": mu, "var": variance}
    every = list(product(range(n_blocks), range(n_pixels)))
    for iteration in range(1, 4):
        to_x = [np.zeros((n_rows, n_pixels), complex) for _ in blocks]
        to_v = [np.zeros((n_rows, n_pixels)) for _ in blocks]
        for m in range(n_rows):
            z_all = sum(blocks[q][m, n] * edge_x[q][n, m] for q, n in every)
            v_all = sum(abs(blocks[q][m, n]) ** 2 * edge_v[q][n, m] for q, n in every)
            for q, n in every:
                a = blocks[q][m, n]
                z = z_all - a * edge_x[q][n, m]  # (65)
                v = v_all - abs(a) ** 2 * edge_v[q][n, m]  # (66)
                to_x[q][m, n] = (y[m] - z) / a  # (35)
                to_v[q][m, n] = (noise_variance + v) / abs(a) ** 2  # (36)
        total_v = [1 / np.sum(1 / v, 0) for v in to_v]  # (38)
        total_x = [v * np.sum(to_x[q] / to_v[q], 0) for q, v in enumerate(total_v)]  # (37)
        zero = [density(0, total_x[q], total_v[q]) for q in range(n_blocks)]  # (40)
        one = [density(mu[q], total_x[q], variance[q] + total_v[q]) for q in range(n_blocks)]  # (41)
        active = eta * one[0] * one[1] * one[2]
        activity = active / ((1 - eta) * zero[0] * zero[1] * zero[2] + active)  # (47)-(50)
        for q, n in every:
            first, second = (r for r in range(n_blocks) if r != q)
            others_zero = (1 - eta) * zero[first] * zero[second]  # (43)
            others_one = eta * one[first] * one[second]  # (44)
            for m in range(n_rows):
                cavity_v = 1 / (1 / total_v[q][n] - 1 / to_v[q][m, n])  # (78)
                cavity_x = cavity_v * (total_x[q][n] / total_v[q][n] - to_x[q][m, n] / to_v[q][m, n])  # (77)
                product_v = 1 / (1 / variance[q] + 1 / cavity_v)  # (76)
                product_x = product_v * (mu[q] / variance[q] + cavity_x / cavity_v)  # (75)
                weight_zero = others_zero[n] * density(0, cavity_x, cavity_v)  # (73)
                weight_one = others_one[n] * density(mu[q], cavity_x, variance[q] + cavity_v)  # (74)
                probability = weight_one / (weight_zero + weight_one)  # (72)
                edge_x[q][n, m] = probability * product_x  # (45)
                spread = (probability - probability**2) * abs(product_x) ** 2
                edge_v[q][n, m] = probability * product_v + spread  # (46)
        post_v = [1 / (1 / variance[q] + 1 / total_v[q]) for q in range(n_blocks)]  # (52)
        post_x = [post_v[q] * (mu[q] / variance[q] + total_x[q] / total_v[q]) for q in range(n_blocks)]  # (51)
        totals = {"activity": activity, "tot_x": total_x, "tot_v": total_v, "post_x": post_x, "post_v": post_v}
        for name, value in {**totals, "edge_x": edge_x, "edge_v": edge_v}.items():
            result[f"{name}_{iteration}"] = np.array(value)
    return {name: np.asarray(value) for name, value in result.items()}


def joint_bound(model: Arrays) -> Arrays:
    """Fisher information of positions, complex reflectivities and node phases by central differences."""
    tx, rx, frequency, wavelength = (model[name] for name in ("tx", "rx", "frequency", "wavelength"))
    active = np.flatnonzero(model["reflectivity"])[:2]
    place = (model["grid"] + model["offset"])[active]
    reflectivity = model["reflectivity"][active]
    s, n_tx, n_rx, noise_variance = len(active), len(tx), len(rx), 1e-9
    phase = np.random.default_rng(7).normal(0, 0.4, n_tx + n_rx - 1)  # Rx 0 is the reference
    truth = np.concatenate([place.ravel(), reflectivity, np.zeros(s), phase])

    def mean(unknowns):
        position = unknowns[: 2 * s].reshape(s, 2)
        x = unknowns[2 * s : 3 * s] + 1j * unknowns[3 * s : 4 * s]
        tx_phase, rx_phase = unknowns[4 * s : 4 * s + n_tx], np.concatenate([[0.0], unknowns[4 * s + n_tx :]])
        csi = np.zeros((n_tx, n_rx, len(frequency)), complex)
        for i, j, k in product(*map(range, csi.shape)):
            for q in range(s):
                # the amplitude is held at its value at the true position, as (12) does
                d1, d2 = np.linalg.norm(place[q] - tx[i]), np.linalg.norm(place[q] - rx[j])
                path = np.linalg.norm(position[q] - tx[i]) + np.linalg.norm(position[q] - rx[j])
                turn = np.exp(-2j * np.pi * frequency[k] * path / SPEED_OF_LIGHT)
                csi[i, j, k] += x[q] * wavelength / (4 * np.pi * d1 * d2) * turn
            csi[i, j, k] *= np.exp(-1j * (tx_phase[i] - rx_phase[j]))
        return csi.ravel()

    step = 1e-6
    unit = np.eye(len(truth))
    jacobian = np.stack([(mean(truth + step * e) - mean(truth - step * e)) / (2 * step) for e in unit], 1)
    fisher = 2 / noise_variance * np.real(jacobian.conj().T @ jacobian)
    image, phases = slice(4 * s), slice(4 * s, len(truth))
    # a common phase of all Tx is one of all reflectivities: Tx 0 is held beside Rx 0
    free = [index for index in range(len(truth)) if index != 4 * s]
    joint = np.linalg.inv(fisher[np.ix_(free, free)]).diagonal()
    known_image = np.linalg.inv(fisher[phases, phases]).diagonal()
    known_phase = np.linalg.inv(fisher[image, image]).diagonal()
    return {
        **{"tx": tx, "rx": rx, "frequency": frequency, "wavelength": wavelength, "position": place},
        **{"reflectivity": reflectivity, "node_phase": phase, "noise_var": np.asarray(noise_variance)},
        "fisher": fisher,
        "position_bound_joint": np.sqrt(joint[: 2 * s]),
        "position_bound_known_phase": np.sqrt(known_phase[: 2 * s]),
        "phase_bound_known_image": np.sqrt(known_image),
        "phase_bound_joint": np.sqrt(joint[4 * s :]),
    }


def reference_numbers() -> dict[str, Arrays]:
    """The arrays of every file, by its name without suffix."""
    model = signal_model()
    return {"signal_model": model, "edge_messages": edge_messages(model), "joint_bound": joint_bound(model)}


if __name__ == "__main__":
    for name, arrays in reference_numbers().items():
        np.savez(Path(__file__).with_name(f"{name}.npz"), **arrays)
