import os

import pytest


def test_runs_in_its_own_folder():
    assert os.path.exists("pytest.ini")


@pytest.mark.parametrize("number", [1, 2])
def test_numbers(number):
    assert number


@pytest.mark.skip(reason="not today")
def test_is_skipped():
    pass
