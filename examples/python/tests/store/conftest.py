import os
from pathlib import Path

import pytest

from shop.store import Store


@pytest.fixture
def store():
    path = Path(os.environ["SHOP_DATABASE"])
    path.unlink(missing_ok=True)  # left by the test before this one, of the same job
    return Store(path)
