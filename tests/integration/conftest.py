import pytest

from cluster import BINARY, Cluster


def pytest_configure(config):
    config.addinivalue_line("markers", "llama: minutes of the llama engine's time; sanitized builds run the others")
    config.addinivalue_line("markers", "slow: more than a minute; sanitized builds run the others")
    config.addinivalue_line("markers", "figure: judges a figure; meaningless in a sanitized build")
    if not BINARY.exists():
        raise pytest.UsageError(f"no binary at {BINARY}: run `make build`, or set MOONCAKE_BINARY")


@pytest.fixture(scope="session")
def simulated(tmp_path_factory):
    """A quiet simulated cluster shared by tests that leave it as they found it."""
    with Cluster(tmp_path_factory.mktemp("up") / "simulated", "--engine", "simulated") as cluster:
        yield cluster


@pytest.fixture(scope="session")
def llama(tmp_path_factory):
    """A quiet llama cluster, two prefill workers and one decode worker, shared likewise."""
    with Cluster(tmp_path_factory.mktemp("up") / "llama", "--engine", "llama") as cluster:
        yield cluster
