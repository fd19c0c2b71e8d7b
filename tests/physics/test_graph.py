"""The graph of nodes and links: its components, its incidence matrix and its Laplacian."""

from __future__ import annotations

import pytest
import torch
from scipy.sparse import bmat, csr_matrix
from scipy.sparse.csgraph import connected_components

from unfolded_ogamp.physics import (
    components,
    incidence_matrix,
    is_connected,
    isolated_nodes,
    laplacian,
    main_part,
    reached_nodes,
    reference_node,
    reference_nodes,
)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_reference_is_the_node_with_most_links():
    link = torch.tensor([[1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 1, 0]], dtype=torch.bool)
    assert reference_node(link) == 4 + 1
    assert reference_node(link.T) == 1


def test_connected_exactly_where_the_incidence_matrix_has_full_rank(generator):
    link = torch.rand(200, 4, 5, generator=generator) < 0.4
    full_rank = []
    for one in link:
        matrix = incidence_matrix(one, reference_node(one))
        full_rank.append(bool(len(matrix)) and int(torch.linalg.matrix_rank(matrix)) == 4 + 5 - 1)
    connected = is_connected(link)
    assert connected.tolist() == full_rank
    assert 20 < connected.sum() < 180  # the draw has both kinds


def test_reach_over_a_long_chain():
    """tx 0 - rx 0 - tx 1 - rx 1 - ... - tx 7, with rx 7 cut off."""
    link = torch.eye(8, dtype=torch.bool) | torch.eye(8, dtype=torch.bool).roll(1, 0)
    link[0, 7] = link[7, 7] = False
    reached = reached_nodes(link[None])[0]
    assert reached.tolist() == [True] * 15 + [False]
    link[3, 2] = False  # breaks the chain in its middle: tx 3 and all after it
    assert reached_nodes(link[None])[0].nonzero().flatten().tolist() == [0, 1, 2, 8, 9, 10]


def test_parts_of_a_network_agree_with_scipy(generator):
    n_tx, n_rx = 7, 6
    links = torch.rand(60, n_tx, n_rx, generator=generator) < 0.12
    parts, references = components(links), reference_nodes(links)
    main, isolated = main_part(links), isolated_nodes(links)
    n_parts = set()
    for one, part, reference, joined, alone in zip(links, parts, references, main, isolated, strict=True):
        block = csr_matrix(one.int().numpy())
        count, label = connected_components(bmat([[None, block], [block.T, None]]), directed=False)
        n_parts.add(count)
        degree = torch.cat([one.sum(1), one.sum(0)])
        for number in range(count):
            nodes = [node for node in range(n_tx + n_rx) if label[node] == number]
            chosen = [node for node in nodes if reference[node]]
            assert chosen == [nodes[int(degree[nodes].argmax())]]
            assert part[nodes].tolist() == len(nodes) * chosen
        assert joined.tolist() == (label == label[reference_node(one)]).tolist()
        assert alone.tolist() == (degree == 0).tolist()
    assert len(n_parts) > 3


def test_laplacian_is_that_of_the_incidence_matrix(generator):
    link = torch.rand(1, 5, 4, generator=generator) < 0.6
    weight = torch.rand(1, 5, 4, dtype=torch.float64, generator=generator) * link
    matrix = incidence_matrix(link[0], reference=3)
    keep = [node for node in range(9) if node != 3]
    expected = matrix.T @ (weight[0][link[0]][:, None] * matrix)
    torch.testing.assert_close(laplacian(weight)[0][keep][:, keep], expected)
    assert laplacian(weight).sum(-1).abs().max() < 1e-12
