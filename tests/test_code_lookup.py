"""Rows looked up and added: the sums of one-hot products, where it pays."""

import keras
import numpy as np
import pytest
from gradients import gradients
from keras import ops

from vqlib import code_lookup
from vqlib.code_lookup import segment_sum_rows, sparse_sums_pay

OUTPUTS = {
    "each": [0, 1, 2, 3, 4, 5],
    "several": [0, 0, 0, 1, 2, 2, 3, 3, 4, 5, 5],
    "gaps": [1, 1, 4],
    "only the first": [0, 0],
    "only the last": [5],
    "none": [],
}


@pytest.mark.parametrize("parts", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("outputs", OUTPUTS.values(), ids=OUTPUTS)
def test_sums_of_rows_and_their_gradient_are_numpys(outputs, parts, rng, monkeypatch):
    monkeypatch.setattr(code_lookup, "PARTS", parts)
    outputs = np.array(outputs, "int32")
    table = rng.normal(size=(9, 4)).astype("float32")
    for batch in (1, 2, 3, 4, 5):
        rows = rng.integers(9, size=(batch, len(outputs))).astype("int32")
        weights = rng.normal(size=(batch, 6, 4)).astype("float32")
        expected, slope = np.zeros((batch, 6, 4)), np.zeros((9, 4))
        for b in range(batch):
            np.add.at(expected[b], outputs, table[rows[b]])
            np.add.at(slope, rows[b], weights[b, outputs])

        def total(table, rows=rows, weights=weights):
            return ops.sum(segment_sum_rows(table, ops.convert_to_tensor(rows), outputs, 6) * weights)

        found = segment_sum_rows(ops.convert_to_tensor(table), ops.convert_to_tensor(rows), outputs, 6)
        assert tuple(found.shape) == (batch, 6, 4)
        np.testing.assert_allclose(found, expected, atol=1e-5)
        np.testing.assert_allclose(*gradients(total, [table]), slope, atol=1e-5)


@pytest.mark.parametrize("num_outputs", [1, 2, 3])
def test_fewer_outputs_than_parts_are_summed(num_outputs, rng):
    assert num_outputs < code_lookup.PARTS
    table = rng.normal(size=(3, 2)).astype("float32")
    outputs = np.repeat(np.arange(num_outputs, dtype="int32"), 2)
    rows = rng.integers(3, size=(4, len(outputs))).astype("int32")
    found = segment_sum_rows(ops.convert_to_tensor(table), ops.convert_to_tensor(rows), outputs, num_outputs)
    np.testing.assert_allclose(found, table[rows].reshape(4, num_outputs, 2, 2).sum(axis=2), atol=1e-6)


def test_first_layer_looks_rows_up_where_xla_does_not_compile(tiny_prior, monkeypatch):
    monkeypatch.setattr(code_lookup, "sparse_sums_pay", lambda: True)
    prior = tiny_prior()
    first = prior.network.get_layer("codes_masked")
    assert first.look_up
    for jit_compile, looks_up in [(True, False), (False, True), (True, False)]:
        prior.compile("adam", jit_compile=jit_compile)
        assert first.look_up == looks_up
    prior.compile("adam", None, None, None, None, False, 1, False)  # by position, as keras.Model.compile takes them
    assert first.look_up
    prior.compile("adam")
    assert first.look_up == (not prior.jit_compile)
    monkeypatch.setattr(code_lookup, "sparse_sums_pay", lambda: False)
    prior.compile("adam", jit_compile=False)
    assert not first.look_up


@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")  # Keras says so of any untrained model
@pytest.mark.parametrize("how", [{"jit_compile": True}, {"run_eagerly": True}], ids=str)
def test_how_a_prior_was_compiled_survives_saving(tiny_prior, rng, tmp_path, how):
    prior = tiny_prior()
    prior.compile(keras.optimizers.Adam(0.02), **how)
    prior.save(tmp_path / "prior.keras")
    twin = keras.saving.load_model(tmp_path / "prior.keras")
    assert (twin.compiled, twin.jit_compile, twin.run_eagerly) == (True, prior.jit_compile, prior.run_eagerly)
    assert prior.jit_compile == ("jit_compile" in how)
    looks_up = [model.network.get_layer("codes_masked").look_up for model in (prior, twin)]
    assert looks_up == [sparse_sums_pay() and not prior.jit_compile] * 2
