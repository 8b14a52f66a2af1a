import pytest
import weightless


@pytest.fixture(scope="package", autouse=True)
def forget_weightless_nets():
    """The tests that come after those of this folder need not carry them along."""
    yield
    weightless.build.cache_clear()
