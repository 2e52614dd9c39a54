"""Blocks of RTP ports: whole, apart, and held against other processes."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import pytest

from gateway.errors import NoCapacity
from gateway.media.rtp_ports import CELL, PortBlocks

RANGE = (61_000, 61_999)
"""No other test takes blocks there."""


def test_blocks_do_not_overlap_whatever_their_sizes() -> None:
    two = [PortBlocks(*RANGE), PortBlocks(RANGE[0] + 7, RANGE[1])]
    blocks = [two[n % 2].take(count) for n, count in enumerate((32, 100, 32, 8, 64, 33))]
    try:
        spans = sorted((b.first, b.last) for b in blocks)
        assert all(a[1] < b[0] for a, b in pairwise(spans))
        assert all(first % 2 == 0 for first, _ in spans)
        assert spans[0][0] >= RANGE[0] and spans[-1][1] <= RANGE[1]
        for block, count in zip(blocks, (32, 100, 32, 8, 64, 33), strict=True):
            assert count <= block.last - block.first + 1 < count + CELL
    finally:
        for block in blocks:
            block.release()


def test_all_are_taken_once_and_come_back() -> None:
    blocks = PortBlocks(*RANGE)
    taken = []
    with pytest.raises(NoCapacity, match="no free block of 32 RTP ports"):
        while True:
            taken.append(blocks.take(32))
    assert len(taken) == 30, "whole cells alone: at either end of the range is a piece of one"
    first = taken[0]
    with pytest.raises(NoCapacity):
        PortBlocks(*RANGE).take(2)
    first.release()
    first.release()
    again = blocks.take(2)
    assert again.first == first.first
    with pytest.raises(NoCapacity):
        blocks.take(CELL + 1)
    for block in (again, *taken):
        block.release()


def test_more_than_there_are() -> None:
    blocks = PortBlocks(*RANGE)
    with pytest.raises(NoCapacity):
        blocks.take(1001)
    blocks.take(900).release()


def test_another_process_holds_its_block_until_it_dies() -> None:
    program = (
        "from gateway.media.rtp_ports import PortBlocks\n"
        f"b = PortBlocks{RANGE}.take(32)\nprint(b.first, flush=True)\ninput()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        try:
            assert other.stdout is not None
            theirs = int(other.stdout.readline())
            ours = PortBlocks(*RANGE).take(32)
            assert ours.first != theirs
            ours.release()
        finally:
            other.kill()
        other.wait()
        again = PortBlocks(*RANGE).take(32)
        assert again.first == theirs
        again.release()
