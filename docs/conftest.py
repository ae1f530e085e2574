"""What the examples of the pages may name: a tiny model, so that they run without a download."""

import pytest
from tests.toy_causal import write_progen2
from tests.toys import write_esm2


@pytest.fixture(autouse=True)
def models(doctest_namespace, tmp_path_factory):
    doctest_namespace["esm2_directory"] = str(write_esm2(tmp_path_factory.mktemp("esm2")))
    doctest_namespace["progen2_directory"] = str(write_progen2(tmp_path_factory.mktemp("progen2")))
