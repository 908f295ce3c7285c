import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medgan_core.errors import InputError
from medgan_core.metrics.entropy_coding import TOTAL, Decoder, FrequencyTable, encode


def decoded(stream, tables):
    decoder = Decoder(stream)
    symbols = [decoder.take(table) for table in tables]
    decoder.finish()
    return symbols


def test_tables_give_every_symbol_a_count_and_sum_to_the_total():
    table = FrequencyTable.from_probabilities(np.array([0.0, 1e-9, 0.3, 0.7]))
    assert sum(table.counts) == TOTAL
    assert min(table.counts) == 1
    assert table.starts == (0, *np.cumsum(table.counts)[:-1])
    assert table.counts[3] / TOTAL == pytest.approx(0.7, abs=1e-4)
    np.testing.assert_array_equal(np.bincount(table.lookup), table.counts)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_round_trip_of_any_symbols_by_any_tables(data):
    weights = st.lists(st.floats(0, 1), min_size=1, max_size=40).filter(lambda w: sum(w) > 1e-6)
    tables = [
        FrequencyTable.from_probabilities(np.array(w)) for w in data.draw(st.lists(weights, max_size=3))
    ]
    pairs = []
    for table in tables:
        symbols = st.lists(st.integers(0, len(table.counts) - 1), max_size=40)
        pairs += [(s, table) for s in data.draw(symbols)]
    stream = encode(pairs)
    assert decoded(stream, [table for _, table in pairs]) == [symbol for symbol, _ in pairs]
    assert len(stream) <= sum(table.bits(s) for s, table in pairs) / 8 + 3 + 1e-3


@pytest.mark.parametrize("weights", [np.geomspace(1, 1e-3, 30), np.array([0.99, 0.01]), np.ones(256)])
def test_long_streams_are_as_short_as_the_entropy(weights):
    probabilities = weights / weights.sum()
    symbols = np.random.default_rng(0).choice(len(weights), size=10_000, p=probabilities)
    table = FrequencyTable.from_probabilities(probabilities)
    stream = encode((int(s), table) for s in symbols)
    empirical = np.bincount(symbols, minlength=len(weights)) / symbols.size
    seen = empirical[empirical > 0]
    floor = -(seen * np.log2(seen)).sum() * symbols.size / 8
    assert floor <= len(stream) < 1.005 * floor + 8
    assert decoded(stream, [table] * symbols.size) == symbols.tolist()


def test_a_certain_symbol_costs_nothing():
    sure = FrequencyTable.from_probabilities(np.array([1.0]))
    assert encode([(0, sure)] * 1000) == b""
    assert decoded(b"", [sure] * 1000) == [0] * 1000


def test_streams_that_are_cut_or_longer_or_read_by_other_tables_are_noticed():
    table = FrequencyTable.from_probabilities(np.array([0.7, 0.2, 0.1]))
    symbols = np.random.default_rng(1).choice(3, size=200, p=[0.7, 0.2, 0.1]).tolist()
    stream = encode((s, table) for s in symbols)
    other = FrequencyTable.from_probabilities(np.array([0.1, 0.2, 0.7]))
    for wrong, tables in (
        (stream[:-1], [table] * 200),
        (stream + b"\0", [table] * 200),
        (stream, [other] * 200),
    ):
        with pytest.raises(InputError, match="does not end"):
            decoded(wrong, tables)


def test_no_table_without_probabilities():
    for bad in (np.zeros(3), np.array([]), np.array([1.0, -0.5]), np.ones(TOTAL)):
        with pytest.raises(ValueError, match="make no table"):
            FrequencyTable.from_probabilities(bad)
