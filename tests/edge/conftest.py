"""The scene of the edge's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred


@pytest.fixture
def scene() -> Iterator[object]:
    # the scene knows the reactor, which has to be installed first
    from twisted.internet import reactor

    from gateway.edge.edge import Edge
    from tests.edge.scene import PASSWORDS, SETTINGS, Outside, Scene

    outside = Outside()
    edge = Edge(SETTINGS, PASSWORDS, reactor, outside)
    edge.wills = outside
    pytest_twisted.blockon(Deferred.fromCoroutine(edge.start()))
    edge.serve(outside)
    made = Scene(edge, outside)
    yield made
    for peer in made.peers:
        pytest_twisted.blockon(Deferred.fromCoroutine(peer.close()))
    pytest_twisted.blockon(Deferred.fromCoroutine(edge.stop()))
