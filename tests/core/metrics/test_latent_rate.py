import numpy as np
import pytest

from medgan_core.errors import InputError
from medgan_core.metrics.latent_rate import LatentCodec, bits_per_voxel

SCALES = np.array([0.2, 1.0, 5.0])


def latents(seed, count, *spatial):
    noise = np.random.default_rng(seed).normal(size=(count, 3, *spatial))
    return (noise * SCALES.reshape(3, *(1 for _ in spatial)) + 0.7).astype(np.float32)


@pytest.mark.parametrize("spatial", [(), (6, 5), (4, 5, 3)])
def test_round_trip_is_exact_in_2d_3d_and_for_vectors(spatial):
    codec = LatentCodec.fit(latents(0, 40, *spatial), step=0.25)
    for one in latents(1, 5, *spatial):
        values = codec.quantise(one)
        stream = codec.encode(values)
        np.testing.assert_array_equal(codec.decode(stream, values.shape), values)


def test_the_error_is_half_a_step_at_most_and_uniform():
    one = latents(2, 1, 40, 40)[0]
    codec = LatentCodec.fit(one[None], step=0.1)
    error = codec.dequantise(codec.quantise(one)) - one
    assert np.abs(error).max() <= 0.05 + 1e-6
    assert error.std() == pytest.approx(0.1 / np.sqrt(12), rel=0.03)


def test_unseen_images_cost_about_their_entropy():
    step = 0.25
    codec = LatentCodec.fit(latents(3, 100, 10, 10), step=step)
    test = latents(4, 40, 10, 10)
    size = sum(len(codec.encode(codec.quantise(one))) for one in test)
    # Entropy of a normal quantised finely: log2(sigma sqrt(2 pi e) / step); the first channel is counted.
    fine = np.log2(SCALES[1:] * np.sqrt(2 * np.pi * np.e) / step).sum()
    share = np.unique(np.rint(latents(5, 400, 10, 10)[:, 0] / step), return_counts=True)[1] / 40_000
    expected = 40 * 100 * (fine - (share * np.log2(share)).sum()) / 8
    assert size == pytest.approx(expected, rel=0.02)


def test_few_training_vectors_still_give_a_usable_table():
    """Fifty values over a hundred cells: the histogram alone would price most cells as never seen."""
    wide = np.random.default_rng(6).normal(size=(450, 1)) * 20
    codec = LatentCodec.fit(wide[:50], step=1.0)
    bits = [8 * len(codec.encode(codec.quantise(one))) for one in wide[50:].reshape(4, 1, 100)]
    assert np.mean(bits) / 100 < 1.1 * np.log2(20 * np.sqrt(2 * np.pi * np.e))


def test_values_that_training_never_saw_come_back_too():
    codec = LatentCodec.fit(latents(7, 20), step=0.5)
    values = np.array([-(10**9), 12_345_678, 0])
    stream = codec.encode(values)
    np.testing.assert_array_equal(codec.decode(stream, (3,)), values)
    assert len(stream) > len(codec.encode(codec.quantise(latents(7, 1)[0])))


def test_training_values_of_any_width_make_a_codec():
    extreme = np.array([[0.0], [1.0], [2e6], [-3e8], [1.0]])
    codec = LatentCodec.fit(extreme, step=1.0)
    for one in extreme:
        values = codec.quantise(one)
        np.testing.assert_array_equal(codec.decode(codec.encode(values), (1,)), values)


def test_a_constant_channel_is_nearly_free():
    codec = LatentCodec.fit(np.full((500, 1, 10, 10), 3.0), step=1.0)
    assert len(codec.encode(np.full((1, 10, 10), 3))) <= 3


def test_a_finer_step_costs_about_a_bit_per_halving():
    train, one = latents(8, 50, 12, 12), latents(9, 1, 12, 12)[0]
    codecs = [LatentCodec.fit(train, step=s) for s in (0.1, 0.05)]
    coarse, fine = (8 * len(c.encode(c.quantise(one))) / one.size for c in codecs)
    assert fine - coarse == pytest.approx(1.0, abs=0.06)


def test_bits_per_voxel_count_the_whole_stream():
    assert bits_per_voxel(b"123", (4, 3, 2)) == 1.0


def test_a_cut_stream_and_wrong_shapes_are_refused():
    codec = LatentCodec.fit(latents(10, 20, 4, 4), step=0.5)
    values = codec.quantise(latents(11, 1, 4, 4)[0])
    stream = codec.encode(values)
    with pytest.raises(InputError, match="does not end"):
        codec.decode(stream[:-2], values.shape)
    with pytest.raises(InputError, match="does not end"):
        codec.decode(stream, (3, 4, 3))
    with pytest.raises(ValueError, match="3 channels"):
        codec.encode(values[:2])


def test_what_cannot_be_quantised_is_refused():
    with pytest.raises(InputError, match="1 values not finite"):
        LatentCodec.fit(np.array([[1.0], [np.nan]]), step=1.0)
    with pytest.raises(ValueError, match="make no codec"):
        LatentCodec.fit(np.zeros((2, 1)), step=0.0)
