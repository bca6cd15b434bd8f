import struct
from pathlib import Path

import pytest

from mmrl.types import MediaRef

DATA = Path(__file__).parents[2] / "data" / "media"


@pytest.fixture(scope="session")
def data() -> Path:
    return DATA


@pytest.fixture(scope="session")
def clip():
    """A reference to a clip of the test data, by file name."""

    def make(name: str, **fields) -> MediaRef:
        return MediaRef(kind="video", path=DATA / name, **fields)

    return make


@pytest.fixture(scope="session")
def picture():
    def make(name: str, **fields) -> MediaRef:
        return MediaRef(kind="image", path=DATA / name, **fields)

    return make


@pytest.fixture(scope="session")
def trim():
    """bikes.mp4 with an edit list that shows only a part; decord counts frames outside it too."""
    bikes = (DATA / "bikes.mp4").read_bytes()
    at = bikes.index(b"elst") + 12  # behind version, flags and the number of edits
    duration_ms, begin = struct.unpack(">II", bikes[at : at + 8])
    assert (duration_ms, begin) == (10000, 1024)

    def make(start_s: float, length_s: float) -> bytes:
        edit = struct.pack(">II", int(length_s * 1000), begin + int(start_s * 12800))
        return bikes[:at] + edit + bikes[at + 8 :]

    return make
