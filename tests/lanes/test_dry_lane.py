"""The lane that computes next to nothing."""

import pytest
from running import here

from thunder.ground.errors import ThunderError


def test_a_value_whose_square_is_no_number_is_refused_before_anything_runs() -> None:
    with pytest.raises(ThunderError, match=r"dry\.value: 1e\+200 is more than the maximum"):
        here("+profile=dry", "dry.value=1e200", "dry_run=true")
