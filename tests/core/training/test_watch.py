from __future__ import annotations

from medgan_core.training.watch import Watch


def test_sound_numbers_are_no_trouble() -> None:
    watch = Watch()
    assert watch.trouble({"loss": 1.0, "diversity": 0.3, "diversity_real": 0.3, "right": 0.8}) == ""
    assert watch.trouble({}) == ""


def test_a_number_that_is_not_finite_is_named() -> None:
    assert "swd" in Watch().trouble({"swd": float("nan"), "loss": 1.0})


def test_samples_that_become_all_alike_are_a_collapse() -> None:
    watch = Watch()
    assert watch.trouble({"diversity": 0.5, "diversity_real": 0.4}) == ""
    assert "collapse" in watch.trouble({"diversity": 0.9, "diversity_real": 0.4})
    assert watch.trouble({"diversity": 0.9, "diversity_real": 0.85}) == ""


def test_samples_that_were_never_varied_have_not_collapsed() -> None:
    watch = Watch()
    assert watch.trouble({"diversity": 0.95, "diversity_real": 0.4}) == ""
    assert watch.trouble({"diversity": 0.9, "diversity_real": 0.4}) == ""


def test_a_discriminator_that_is_always_right_twice_in_a_row_is_saturated() -> None:
    watch = Watch()
    assert watch.trouble({"right": 1.0}) == ""
    assert "saturated" in watch.trouble({"right": 1.0})
    assert watch.trouble({"right": 1.0}) == ""
    assert watch.trouble({"right": 0.7}) == ""
    assert watch.trouble({"right": 1.0}) == ""
