"""The network that answers with a map of colours: what its answer is, and what decides it."""

import cv2
import numpy as np
import pytest
import torch
from bundle_model import scale_answer
from skimage import data

from harmonizer.errors import InputError
from harmonizer.lifting.strength import LUMA, Strength
from harmonizer.networks import build_network, color_map
from harmonizer.networks.color_map import ColorMapNetwork, apply_color_map


def random_network(seed: int = 0) -> ColorMapNetwork:
    torch.manual_seed(seed)
    network = build_network("colormap-lite0").eval()
    assert isinstance(network, ColorMapNetwork)
    return network


def picture(size: int, interpolation: int = cv2.INTER_AREA) -> tuple[torch.Tensor, torch.Tensor]:
    whole = data.astronaut()
    mask = np.zeros(whole.shape[:2], np.float32)
    cv2.ellipse(mask, (230, 260), (130, 200), 0, 0, 360, 1.0, -1)
    image = cv2.resize(whole, (size, size), interpolation=interpolation)
    mask = cv2.resize(mask, (size, size), interpolation=interpolation)
    normalised = (image.astype(np.float32) - 127) / 128
    return torch.from_numpy(normalised).permute(2, 0, 1)[None], torch.from_numpy(mask)[None, None]


@torch.inference_mode()
def test_the_answer_is_the_map_applied_under_the_mask() -> None:
    network = random_network()
    image, mask = picture(256)
    answer = network(image, mask)
    red, green, blue = image[0]
    terms = [torch.ones_like(red), red, green, blue, red * red, green * green, blue * blue]
    terms = torch.stack([*terms, red * green, red * blue, green * blue])
    mapped = torch.einsum("ck,khw->chw", network.color_map(image, mask)[0], terms)
    expected = image[0] + mask[0] * (mapped - image[0])
    assert (answer[0] - expected).abs().max() < 1e-5
    assert torch.equal(answer[:, :, mask[0, 0] == 0], image[:, :, mask[0, 0] == 0])
    assert (answer - image).abs().max() > 0.01, "this test needs a network that changes something"


@torch.inference_mode()
@pytest.mark.parametrize("least", [0.3, 0.6, 0.9])
def test_the_foreground_keeps_a_share_of_its_chroma(least: float) -> None:
    """Changes of the mean towards grey go so far at most, all others as far as they would."""
    network = random_network()
    image, mask = picture(256)
    luma = torch.from_numpy(LUMA)

    def changed(change: torch.Tensor, least: float) -> tuple[torch.Tensor, torch.Tensor]:
        """The foreground's mean chroma afterwards, and its lightness."""
        network.answer.weight.zero_()
        terms = torch.zeros(3, 10)
        terms[:, 0] = change
        network.answer.bias.copy_(terms.flatten() / network.answer_scale)
        network.least_chroma = least
        mapped = apply_color_map(network.color_map(image, mask), image)
        mean = (mapped * mask).sum(dim=(0, 2, 3)) / mask.sum()
        return mean - luma @ mean, luma @ mean

    before, lightness = changed(torch.zeros(3), 0)
    length = before.norm()
    assert length > 0.05, "this test needs a foreground that is not grey"
    for share in (0.01, 0.4, 1.4, 9):  # of the chroma, to be taken away
        after, light = changed(-share * before + 0.1, least)
        taken = 1 - float(after @ before / length**2)
        assert taken == pytest.approx(share / (1 + (share / (1 - least)) ** 2) ** 0.5, abs=0.03)
        assert taken < 1.1 * (1 - least)
        assert float(light - lightness) == pytest.approx(0.1, abs=1e-3)
    brighter = changed(0.5 * before, least)[0]
    assert torch.allclose(brighter, 1.5 * before, atol=1e-3)
    without = changed(-1.4 * before, 0)[0]
    assert torch.allclose(without, -0.4 * before, atol=1e-3)


@torch.inference_mode()
@pytest.mark.parametrize("lift", [-0.3, 0.0, 0.02, 0.15, 0.3, 1.5])
def test_black_and_white_stay_where_a_foreground_becomes_lighter(lift: float) -> None:
    """To lift all tones alike is to lay a veil; what becomes darker is as a network asks."""
    network = random_network()
    image, mask = picture(256)
    terms = torch.zeros(3, 10)
    terms[:, 0] = lift
    network.answer.weight.zero_()
    network.answer.bias.copy_(terms.flatten() / network.answer_scale)
    greys = torch.linspace(-1, 1, 65).expand(1, 3, 65)[:, :, None]

    def answer(share: float) -> tuple[torch.Tensor, torch.Tensor]:
        """The foreground's mean afterwards, and what becomes of greys from black to white."""
        network.kept_ends = share
        change = network.color_map(image, mask)
        mean = (apply_color_map(change, image) * mask).sum(dim=(0, 2, 3)) / mask.sum()
        return mean, apply_color_map(change, greys)[0, 0, 0]

    (before, lifted), (after, bent) = answer(0), answer(1)
    assert torch.allclose(lifted - greys[0, 0, 0], torch.full((65,), lift), atol=1e-4)
    assert torch.allclose(after, before, atol=2e-2)  # two grey levels: spreads are of small cells
    if lift <= 0:
        assert torch.allclose(bent, lifted, atol=1e-5)
        return
    assert (bent.diff() > 0).all()  # no tone overtakes another
    share = 0.65 if lift < 0.1 else 0.25 if lift < 0.2 else 0.95
    ends = bent[[0, -1]] - greys[0, 0, 0, [0, -1]]
    assert (ends >= -1e-4).all()
    assert (ends < share * lift).all()
    middle = answer(0.5)[1]
    assert torch.allclose(middle, (lifted + bent) / 2, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "value"),
    [("least_chroma", 1.0), ("least_chroma", -0.1), ("kept_ends", 1.1), ("kept_ends", -0.1)],
)
def test_shares_that_are_kept_are_shares(name: str, value: float) -> None:
    with pytest.raises(InputError, match=name):
        build_network("colormap-lite0", **{name: value})


@torch.inference_mode()
def test_a_grey_foreground_may_be_tinted_as_a_network_asks() -> None:
    terms = torch.randn(2, 3, 10, generator=torch.Generator().manual_seed(0))
    grey = torch.full((2, 1, 3), 0.2)
    assert torch.allclose(color_map._keep_chroma(terms, grey, 0.9), terms, atol=1e-5)


@torch.inference_mode()
def test_the_backbone_is_shown_the_mask_after_its_third_stage() -> None:
    network = random_network()
    image, mask = picture(256)
    seen: dict[int, list[torch.Tensor]] = {0: [], 3: []}
    for number in seen:

        def keep(_: torch.nn.Module, given: tuple[torch.Tensor], number: int = number) -> None:
            seen[number].append(given[0])

        network.backbone.blocks[number].register_forward_pre_hook(keep)
    for plane in (mask, mask.flip(2), 1 - mask):
        network(image, plane)
    assert all(torch.equal(one, seen[0][0]) for one in seen[0])
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert (seen[3][first] - seen[3][second]).abs().max() > 1e-3


@torch.inference_mode()
def test_foreground_and_background_are_told_apart() -> None:
    """The same picture with its sides swapped asks for another change."""
    network = random_network()
    image, mask = picture(256)
    maps = [network.color_map(image, plane) for plane in (mask, 1 - mask)]
    assert (maps[0] - maps[1]).abs().max() > 1e-3
    sides = torch.cat([mask, 1 - mask], dim=1)
    _, means, _ = network._statistics(image, sides)
    for side, plane in enumerate((mask, 1 - mask)):
        expected = (image * plane).sum(dim=(2, 3)) / plane.sum(dim=(2, 3))
        assert torch.allclose(means[0, side], expected[0], atol=5e-3)


@torch.inference_mode()
def test_averaged_features_are_those_of_each_side() -> None:
    """With a flat foreground, what the background holds does not reach the foreground's part."""
    network = random_network()
    generator = torch.Generator().manual_seed(0)
    features: list[torch.Tensor] = []
    network.features[0].register_forward_hook(lambda *call: features.append(call[2]))
    image, mask = torch.randn(1, 3, 128, 128, generator=generator), torch.zeros(1, 1, 128, 128)
    mask[..., :64, :] = 1
    means = network._statistics(image, torch.cat([mask, 1 - mask], dim=1))[1]
    averages = network._averages(network._features(image, mask, means), mask)[0]
    expected = torch.nn.functional.relu6(features[0])[0]
    width = len(expected)
    assert torch.allclose(averages[:width], expected[:, :8].mean(dim=(1, 2)), atol=1e-4)
    assert torch.allclose(averages[width : 2 * width], expected[:, 8:].mean(dim=(1, 2)), atol=1e-4)
    assert not torch.allclose(averages[:width], averages[width : 2 * width], atol=1e-3)


@torch.inference_mode()
@pytest.mark.parametrize("interpolation", [cv2.INTER_LINEAR, cv2.INTER_NEAREST])
def test_how_a_picture_was_reduced_hardly_matters(interpolation: int) -> None:
    network = random_network()
    image, mask = picture(256)
    other = network.color_map(*picture(256, interpolation))
    colours = apply_color_map(network.color_map(image, mask), image)
    difference = (apply_color_map(other, image) - colours).square().mean().sqrt()
    change = (colours - image).square().mean().sqrt()
    assert difference < 0.05 * change


@torch.inference_mode()
def test_a_larger_input_is_averaged_down_to_the_same_look() -> None:
    network = random_network()
    image, mask = picture(512)
    halved = torch.nn.functional.avg_pool2d(image, 2), torch.nn.functional.avg_pool2d(mask, 2)
    assert torch.allclose(network.color_map(image, mask), network.color_map(*halved), atol=1e-5)


@torch.inference_mode()
def test_averages_of_the_encoder_are_those_of_each_side() -> None:
    network = random_network()
    generator = torch.Generator().manual_seed(0)
    image, mask = torch.randn(1, 3, 256, 256, generator=generator), torch.zeros(1, 1, 256, 256)
    mask[..., :128, :] = 1
    x, expected = torch.cat([image, mask], dim=1), list[torch.Tensor]()
    for number, block in enumerate(network.encoder):
        x = block(x)
        half = x.shape[2] // 2
        if number >= 2:
            expected += [x[0, :, :half].mean(dim=(1, 2)), x[0, :, half:].mean(dim=(1, 2))]
    textures = network._encode(torch.cat([image, mask], dim=1))
    found = torch.cat([color_map._masked_means(texture, mask)[0] for texture in textures])
    torch.testing.assert_close(found, torch.cat(expected), rtol=1e-3, atol=1e-4)
    assert not torch.allclose(expected[0], expected[1], atol=1e-3)


@torch.inference_mode()
def test_texture_that_the_backbone_cannot_see_counts() -> None:
    network = random_network()
    image, mask = picture(256)
    board = torch.ones(256, 256)
    board[::2, 1::2] = board[1::2, ::2] = -1
    whole = torch.nn.functional.avg_pool2d(mask, 2) == 1
    rough = image + 0.1 * board * torch.nn.functional.interpolate(whole.float(), scale_factor=2)
    halves = [torch.nn.functional.avg_pool2d(one, 2) for one in (image, rough)]
    assert torch.allclose(*halves, atol=1e-5)
    assert (network.color_map(rough, mask) - network.color_map(image, mask)).abs().max() > 1e-3


@torch.inference_mode()
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_mask_without_an_edge_gives_numbers(value: float) -> None:
    image, mask = picture(256)
    assert random_network()(image, torch.full_like(mask, value)).isfinite().all()


@torch.inference_mode()
def test_the_first_term_moves_the_mean_of_the_foreground() -> None:
    """The map is written around the foreground's mean, so that its parts do not get in each
    other's way: with the first term alone the mean moves by just that."""
    network = random_network()
    network.answer.weight.zero_()
    network.answer.bias.zero_()
    network.answer.bias[[0, 10, 20]] = torch.tensor([1.0, -2.0, 0.5])
    network.answer.bias[[4, 15, 26]] = 3.0  # quadratic terms, which leave the mean alone
    network.answer.bias[[1, 12, 23]] = 2.0  # and linear ones
    image, mask = picture(256)
    cells = [torch.nn.functional.avg_pool2d(x, 4) for x in (image * mask, mask)]
    colours = cells[0] / cells[1].clamp(min=1e-5)
    changed = apply_color_map(network.color_map(image, mask), colours) - colours
    mean = (changed * cells[1]).sum(dim=(2, 3)) / cells[1].sum(dim=(2, 3))
    assert torch.allclose(mean[0], torch.tensor([0.1, -0.2, 0.05]), atol=2e-3)


@torch.inference_mode()
def test_a_mask_that_rounding_took_beyond_white_gives_numbers() -> None:
    image, _ = picture(256)
    mask = torch.ones(1, 1, 256, 256)
    mask[..., :8, :8] += 5e-6
    found = random_network().color_map(image, mask)
    assert torch.equal(found, random_network().color_map(image, torch.ones(1, 1, 256, 256)))


@torch.inference_mode()
def test_colours_are_compared_by_kind() -> None:
    """A kind of thing is compared with itself, and one that a side lacks counts for nothing."""
    network = random_network()
    for layer in (network.kinds, network.kinds_in_context):
        layer.weight.zero_()
    bias = network.kinds.bias
    assert bias is not None
    bias.fill_(-50.0)
    bias[0] = 50.0  # all is of one kind
    image, mask = picture(128)
    sides = torch.cat([mask, 1 - mask], dim=1)
    means = network._statistics(image, sides)[1]
    found = network._by_kind(network._features(image, mask, means), image, sides, means)[0]
    kinds = len(bias)
    shares, colours, differences = found.split([2 * kinds, 6 * kinds, 3 * kinds])
    assert torch.allclose(shares.reshape(2, kinds)[:, 0], torch.ones(2), atol=1e-3)
    assert shares.reshape(2, kinds)[:, 1:].abs().max() < 1e-6
    expected = (means[0] - means[0, :1]) / 1.02
    assert torch.allclose(colours.reshape(2, kinds, 3)[:, 0], expected, atol=0.02)
    assert torch.allclose(
        differences.reshape(kinds, 3)[0], (means[0, 0] - means[0, 1]) / 1.02, atol=0.02
    )
    assert differences.reshape(kinds, 3)[1:].abs().max() < 1e-6


def test_the_border_is_what_is_near_the_other_side() -> None:
    """Colours far from the mask's edge do not reach what is known of the border."""
    image = torch.zeros(1, 3, 128, 128)
    image[..., 64:, :] = 0.5
    mask = torch.zeros(1, 1, 128, 128)
    mask[..., :64, :] = 1
    sides, means = torch.cat([mask, 1 - mask], dim=1), torch.zeros(1, 2, 3)
    before = color_map._along_border(image, sides, means)
    assert torch.allclose(before[0, :3], torch.zeros(3), atol=1e-3)
    assert torch.allclose(before[0, 9:12], torch.full((3,), 0.5), atol=1e-3)
    far, near = image.clone(), image.clone()
    far[..., :32, :], far[..., 96:, :] = 1, -1
    near[..., 56:64, :] = 1
    assert torch.allclose(color_map._along_border(far, sides, means), before, atol=1e-6)
    assert (color_map._along_border(near, sides, means) - before).abs().max() > 0.1


@torch.inference_mode()
def test_all_that_is_measured_reaches_the_layers_that_answer() -> None:
    network = random_network()
    image, mask = picture(256)
    given: list[torch.Tensor] = []
    network.hidden.register_forward_pre_hook(lambda *call: given.append(call[1][0]))
    network.color_map(image, mask)
    small, small_mask = (torch.nn.functional.avg_pool2d(one, 2) for one in (image, mask))
    sides = torch.cat([small_mask, 1 - small_mask], dim=1)
    statistics, means, _ = network._statistics(small, sides)
    kept = network._features(small, small_mask, means)
    measured = [
        network._averages(kept, small_mask),
        statistics,
        mask.mean().reshape(1, 1),
        network._by_kind(kept, small, sides, means),
        color_map._along_border(small, sides, means),
        *(
            color_map._masked_means(texture, small_mask)
            for texture in network._encode(torch.cat([image, mask], dim=1))
        ),
    ]
    assert all(part.abs().max() > 1e-3 for part in measured)
    torch.testing.assert_close(given[0], torch.cat(measured, dim=1))


def test_shares_of_a_change_can_be_put_into_the_last_layer() -> None:
    network = random_network()
    image, mask = torch.rand(1, 3, 256, 256) * 2 - 1, torch.zeros(1, 1, 256, 256)
    mask[..., 60:190, 40:160] = 1
    with torch.no_grad():
        network.answer.weight.normal_(std=0.3)
        full = network(image, mask) - image
        scale_answer(network, Strength(light=0.9, color=0.5))
        shares = network(image, mask) - image
    luma = torch.from_numpy(LUMA)[:, None, None]
    before, after = ((luma * change[0]).sum(0) for change in (full, shares))
    assert before.abs().max() > 0.05
    torch.testing.assert_close(after, 0.9 * before, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(shares[0] - after, 0.5 * (full[0] - before), atol=1e-5, rtol=1e-4)
