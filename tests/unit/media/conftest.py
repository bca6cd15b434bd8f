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
