"""An encoder and a pretrained, foreground-aware network answer with one change of colour.

The paper's thesis (section 3.2: a network that was pretrained on ImageNet, made aware of the
foreground, beside an iDIH) with another answer than a picture: the nearly global change of colour
that pasting asks for, as one quadratic map for the whole foreground. A map has no seams, keeps
every detail, and can be applied at any size.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from harmonizer.errors import InputError
from harmonizer.lifting.color_transform import PRODUCTS, TERMS
from harmonizer.lifting.strength import LUMA
from harmonizer.networks.backbone import StartsFromImageNet
from harmonizer.networks.efficientnet import STAGES, EfficientNetLite0
from harmonizer.networks.encoder_decoder import EncoderBlock
from harmonizer.networks.layers import full_precision
from harmonizer.networks.network import InputSizes, Network

_BINS = 16
_STATISTICS = 3 + len(PRODUCTS) + 6 * _BINS  # mean, second moments, histograms
_INPUT = 256
_LOOK = 128  # the side that the backbone looks at
_ENCODER = (16, 32, 64, 128, 256)  # channels of the encoder's blocks, each of half the resolution
_ENCODED = 2  # from this block on, its features are averaged
_EPSILON = 1e-5  # keeps averages over nothing at zero
# The mask joins after the third stage, at an eighth of the size; features are averaged there, and
# after two later ones.
_JOIN = 3
_KEPT = (_JOIN, 5, 7)
_CELL = 8  # the side of the cells whose colours are compared by kind, and along the border
_SEEN = 2e-2  # the share of a side below which a kind of thing hardly counts
_BORDER = 2 * (3 + len(PRODUCTS))  # mean and second moments of both sides
_BY_KIND = 2 + 2 * 3 + 3  # shares and mean colours of both sides, and how these differ
_FAINT = (8 * 2 / 255) ** 2  # a squared chroma, of eight grey levels, that is hardly one
_SLIGHT = 4 * 2 / 255  # a change of lightness, of four grey levels, that lays hardly a veil
_STEEPEST = 0.4  # the strongest bend: at white, a fifth of all differences is left


@dataclass(frozen=True)
class ColorMapConfig:
    """The size of what lies between the backbone and its answer.

    Attributes:
        width: Channels of each of the averaged features.
        hidden: Width of the two hidden layers that answer.
        kinds: How many kinds of things the network tells apart, to compare the colours that each
            has in the foreground and in the background.
        least_chroma: The share of its chroma, in (0, 1), that the foreground's mean colour keeps in
            its own hue, however much the network asks for: a change of colours is weakened as a
            whole, but for that of lightness, the more it takes. 0 lets every change be.
        kept_ends: The share, in [0, 1], of a change to lighter colours that leaves black black and
            white white, and so lays no veil over the foreground. 0 lets every change be.
    """

    width: int = 96
    hidden: int = 256
    kinds: int = 16
    least_chroma: float = 0.0
    kept_ends: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        if not 0 <= self.least_chroma < 1:
            raise InputError(f"least_chroma is from 0 to below 1; got {self.least_chroma}")
        if not 0 <= self.kept_ends <= 1:
            raise InputError(f"kept_ends is from 0 to 1; got {self.kept_ends}")
        sizes = {"width": self.width, "hidden": self.hidden, "kinds": self.kinds}
        for name, size in sizes.items():
            if size < 1:
                raise InputError(f"{name} is at least 1; got {size}")

    @property
    def initial_gain(self) -> float:
        """Gain of the initialisation."""
        return 2.0

    def build(self) -> "ColorMapNetwork":
        """Build the network."""
        return ColorMapNetwork(self)

    def released_name(self, name: str) -> str:
        """Return the tensor's own name: this network was first released here."""
        return name


class ColorMapNetwork(Network, StartsFromImageNet):
    """EfficientNet-Lite0, shown the mask, answers with a quadratic map of the foreground's colours.

    What decides are averages over the foreground and over the background: of features of three
    resolutions, of colours (mean, second moments, histograms), of the colours that each kind of
    thing has on either side (skin here and skin there), and of the colours along the border. It
    knows what it looks at, and sees half of the input's resolution. Beside it an iDIH's encoder
    (section 3.1) sees the whole of it: texture, whose contrast a change of colours raises or lowers
    together with the colours.
    """

    def __init__(self, config: ColorMapConfig) -> None:
        """Build backbone, encoder and head."""
        super().__init__()
        self.backbone = EfficientNetLite0()
        joined = STAGES[_JOIN - 1][-1]
        self.mask_features = nn.Conv2d(7, joined, 3, padding=1)
        self.mask_scale = nn.Parameter(torch.full((1,), 0.1))
        self.features = nn.ModuleList(
            nn.Conv2d(STAGES[after - 1][-1], config.width, 1) for after in _KEPT
        )
        self.kinds = nn.Conv2d(joined, config.kinds, 1)
        self.kinds_in_context = nn.Conv2d(STAGES[_KEPT[1] - 1][-1], config.kinds, 1, bias=False)
        self.encoder = nn.ModuleList(
            EncoderBlock(before, after, padding=1, norm=False)
            for before, after in zip((4, *_ENCODER), _ENCODER, strict=False)
        )
        averaged = 3 * config.width + sum(_ENCODER[_ENCODED:])
        known = 2 * (averaged + _STATISTICS) + 1 + _BY_KIND * config.kinds + _BORDER
        self.hidden = nn.Sequential(
            nn.Linear(known, config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, config.hidden),
            nn.ReLU(),
        )
        self.answer = nn.Linear(config.hidden, 3 * TERMS)
        self.answer_scale = nn.Parameter(torch.full((3 * TERMS,), 0.1))
        self.least_chroma = config.least_chroma
        self.kept_ends = config.kept_ends
        self.input_sizes = InputSizes(multiple=_INPUT, minimum=_INPUT)

    @property
    def pretrained(self) -> nn.Module:
        """The part that starts from ImageNet weights."""
        return self.backbone

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Harmonize a batch.

        Args:
            image: (N, 3, H, W), from -1 to 1 ((x - 127) / 128 of 0 to 255); H and W as in
                `input_sizes`.
            mask: (N, 1, H, W) in [0, 1], 1 = foreground.

        Returns:
            (N, 3, H, W) in the space of `image`, which it equals where the mask is 0.
        """
        color_map = self.color_map(image, mask)
        with full_precision(image.device):  # the picture keeps its own
            changed = apply_color_map(color_map.to(image.dtype), image)
        return image + mask * (changed - image)

    def color_map(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Answer with the map alone.

        Args:
            image: As for `forward`.
            mask: As for `forward`.

        Returns:
            (N, 3, 10): for each channel of the answer the coefficients of 1, r, g, b, rr, gg, bb,
            rg, rb, gb, of colours from -1 to 1.
        """
        self.input_sizes.check(image, mask)
        factor = image.shape[2] // _INPUT, image.shape[3] // _INPUT
        if factor != (1, 1):
            image, mask = F.avg_pool2d(image, factor), F.avg_pool2d(mask, factor)
        mask = mask.clamp(0, 1)  # averages of 1 may be a little more
        seen = torch.cat([image, mask], dim=1)
        textures = self._encode(seen)
        seen = F.avg_pool2d(seen, _INPUT // _LOOK)
        image, mask = seen[:, :3], seen[:, 3:]
        sides = torch.cat([mask, 1 - mask], dim=1)
        statistics, means, moments = self._statistics(image, sides)
        kept = self._features(image, mask, means)
        area = mask.mean(dim=(2, 3))
        known = torch.cat(
            [
                self._averages(kept, mask),
                statistics,
                area,
                self._by_kind(kept, image, sides, means),
                _along_border(image, sides, means),
                *(_masked_means(texture, mask) for texture in textures),
            ],
            dim=1,
        )
        terms = self.answer(self.hidden(known)) * self.answer_scale
        terms = terms.reshape(-1, 3, TERMS)
        mean, spread = means[:, :1], moments[:, :1]
        if self.least_chroma or self.kept_ends:
            light = torch.matmul(_luma(terms), terms)  # (N, 1, 10)
            colour = terms - light
            if self.least_chroma:
                colour = _keep_chroma(colour, mean, self.least_chroma)
            if self.kept_ends:
                light = _keep_ends(light, mean, spread, self.kept_ends)
            terms = light + colour
        return _expand(terms, mean, spread)

    def _statistics(
        self, image: torch.Tensor, sides: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """All statistics (N, C); means (N, 2, 3) and second moments (N, 2, 6) of both sides."""
        colours, weights = _masked_cells(image, sides, 2)
        means = (colours * weights).sum(dim=3)  # (N, 2, 3)
        centred = colours - means[..., None]
        products = torch.cat(
            [centred[:, :, i : i + 1] * centred[:, :, j : j + 1] for i, j in PRODUCTS], dim=2
        )
        moments = (products * weights).sum(dim=3)  # (N, 2, 6)
        colours, weights = _masked_cells(image, sides, 4)
        red, green, blue = (colours[:, :, i : i + 1] for i in range(3))
        # Brightness (BT.601, with which the weights have learned) and two opponent colours.
        opponent = torch.cat(
            [
                red * 0.299 + green * 0.587 + blue * 0.114,
                (red - green) * 1.5,
                (red + green - 2 * blue) * 0.75,
            ],
            dim=2,
        )
        values = torch.cat([colours, opponent], dim=2).flatten(1, 2)[:, :, None]  # (N, 12, 1, P)
        centres = torch.linspace(-1, 1, _BINS, dtype=values.dtype, device=values.device)
        near = F.relu(1 - (values - centres[:, None]).abs() * ((_BINS - 1) / 2))
        shares = (near * weights.repeat_interleave(6, dim=1)).sum(dim=3)  # (N, 12, bins)
        statistics = [means.flatten(1), moments.flatten(1) * 4, shares.flatten(1) * 3]
        return torch.cat(statistics, dim=1), means, moments

    def _features(
        self, image: torch.Tensor, mask: torch.Tensor, means: torch.Tensor
    ) -> list[torch.Tensor]:
        x = self.backbone.stem(image)
        for stage in self.backbone.blocks[:_JOIN]:
            x = stage(x)
        small, small_mask = F.avg_pool2d(image, 8), F.avg_pool2d(mask, 8)
        inside = (small - means[:, :1].reshape(-1, 3, 1, 1)) * small_mask
        outside = (small - means[:, 1:].reshape(-1, 3, 1, 1)) * (1 - small_mask)
        joined = self.mask_features(torch.cat([small_mask, inside, outside], dim=1))
        x = x + joined * self.mask_scale
        kept = [x]
        for number, stage in enumerate(self.backbone.blocks[_JOIN:], start=_JOIN + 1):
            x = stage(x)
            if number in _KEPT:
                kept.append(x)
        return kept

    def _averages(self, kept: list[torch.Tensor], mask: torch.Tensor) -> torch.Tensor:
        averages = [
            _masked_means(F.relu6(layer(here)), mask)
            for layer, here in zip(self.features, kept, strict=True)
        ]
        return torch.cat(averages, dim=1)

    def _encode(self, seen: torch.Tensor) -> list[torch.Tensor]:
        """Features of the encoder's later blocks, of image and mask (N, 4, H, W)."""
        kept: list[torch.Tensor] = []
        for number, block in enumerate(self.encoder):
            seen = block(seen)
            if number >= _ENCODED:
                kept.append(seen)
        return kept

    def _by_kind(
        self,
        kept: list[torch.Tensor],
        image: torch.Tensor,
        sides: torch.Tensor,
        means: torch.Tensor,
    ) -> torch.Tensor:
        """Share and mean colour of each kind of thing, on both sides, and how they differ."""
        context = F.interpolate(self.kinds_in_context(kept[1]), scale_factor=2.0, mode="nearest")
        kinds = torch.softmax(self.kinds(kept[0]) + context, dim=1).flatten(2)
        colours, weights = _masked_cells(image, sides, _CELL)
        weights = kinds[:, None] * weights  # (N, 2, kinds, P)
        shares = weights.sum(dim=3, keepdim=True)
        centred = colours - means[:, :1, :, None]  # around the foreground's mean
        held = torch.matmul(weights, centred.transpose(2, 3))  # (N, 2, kinds, 3)
        met = (shares[:, :1] * shares[:, 1:] + _EPSILON**2).sqrt()
        pairs = held / (shares + _EPSILON)
        differences = (pairs[:, :1] - pairs[:, 1:]) * (met / (met + _SEEN))
        pieces = [shares, held / (shares + _SEEN), differences]
        return torch.cat([piece.flatten(1) for piece in pieces], dim=1)


class ColorMapAnswer(nn.Module):
    """A `ColorMapNetwork` whose answer is the map alone: what is run where pixels are mapped later.

    A map weighs nothing beside a picture, and is applied exactly at any size.
    """

    def __init__(self, network: ColorMapNetwork) -> None:
        """Wrap the network."""
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Map (N, 3, H, W) and (N, 1, H, W) to (N, 3, 10), as `ColorMapNetwork.color_map` does."""
        return self.network.color_map(image, mask)


def _masked_means(features: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Means of features (N, C, h, w) over both sides of a mask (N, 1, H, W): (N, 2 C)."""
    area = F.avg_pool2d(mask, mask.shape[2] // features.shape[2])
    sides = torch.cat([area, 1 - area], dim=1).flatten(2)  # (N, 2, P)
    sides = sides / (sides.sum(dim=2, keepdim=True) + _EPSILON)
    return torch.matmul(sides, features.flatten(2).transpose(1, 2)).flatten(1)


def _masked_cells(
    image: torch.Tensor, sides: torch.Tensor, size: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Colours of each side in cells of `size` pixels: (N, 2, 3, P), and weights (N, 2, 1, P)."""
    area = F.avg_pool2d(sides, size).flatten(2)[:, :, None]
    held = torch.cat([image * sides[:, :1], image * sides[:, 1:]], dim=1)
    colours = F.avg_pool2d(held, size).reshape(-1, 2, 3, area.shape[3]) / (area + _EPSILON)
    return colours, area / (area.sum(dim=3, keepdim=True) + _EPSILON)


def _along_border(image: torch.Tensor, sides: torch.Tensor, means: torch.Tensor) -> torch.Tensor:
    """Mean and second moments (N, 18) of the colours along the mask's border, on both sides."""
    colours, _ = _masked_cells(image, sides, _CELL)
    area = F.avg_pool2d(sides, _CELL)
    near = F.avg_pool2d(area, 5, stride=1, padding=2, count_include_pad=False)
    other = torch.cat([near[:, 1:], near[:, :1]], dim=1)  # how much of the other side is near
    weights = (area * other).flatten(2)[:, :, None]
    weights = weights / (weights.sum(dim=3, keepdim=True) + _EPSILON)
    centred = colours - means[:, :1, :, None]
    products = torch.cat(
        [centred[:, :, i : i + 1] * centred[:, :, j : j + 1] for i, j in PRODUCTS], dim=2
    )
    values = torch.cat([centred, products * 4], dim=2)
    return (values * weights).sum(dim=3).flatten(1)


def _luma(like: torch.Tensor) -> torch.Tensor:
    """How much each channel of a colour counts in its lightness, (1, 3)."""
    return torch.from_numpy(LUMA).to(like)[None]


def _keep_chroma(colour: torch.Tensor, mean: torch.Tensor, least: float) -> torch.Tensor:
    """Weaken a change of colours by how much of its chroma it takes from a mean colour.

    What a network has learned from composites that were made is too bold for what people paste,
    where an object is more colourful than its surroundings for being what it is.

    Args:
        colour: (N, 3, 10), a change around the mean, as `_expand` takes it, without that of
            lightness.
        mean: (N, 1, 3).
        least: The share of the mean's chroma, in its own hue, that is always left. Of a share l
            that is to be taken, l / sqrt(1 + (l / (1 - least))^2) is.

    Returns:
        (N, 3, 10).
    """
    chroma = mean - torch.matmul(mean, _luma(mean).T)
    taken = F.relu(-torch.matmul(chroma, colour[:, :, :1]))  # (N, 1, 1)
    taken = taken / ((chroma * chroma).sum(dim=2, keepdim=True) + _FAINT)  # as a share of it
    taken = taken / (1 - least)
    return colour / (1 + taken * taken).sqrt()


def _keep_ends(
    light: torch.Tensor, mean: torch.Tensor, moments: torch.Tensor, share: float
) -> torch.Tensor:
    """Make a change that lightens bend the tones between black and white in place of lifting them.

    What networks learn from transfers lifts dark objects as a whole, which looks like a veil.

    Args:
        light: (N, 1, 10), the change of lightness around the mean, of all channels alike.
        mean: (N, 1, 3).
        moments: (N, 1, 6).
        share: Of a change by which the mean becomes lighter. Up to a bend beyond which highlights
            would be lost, it becomes a multiple of 1 - y^2, which is 0 at black and at white
            (y = -1 and 1), as large in the mean.

    Returns:
        (N, 1, 10), which change the mean as `light` does.
    """
    lighter = F.relu(light[:, :, :1])  # (N, 1, 1)
    # 1 - y^2 around the mean, y being the luma of a colour.
    luma = _luma(light)
    first, second = (luma[0, [pair[side] for pair in PRODUCTS]] for side in (0, 1))
    twice = luma.new_tensor([1.0 if i == j else 2.0 for i, j in PRODUCTS])
    squares = -first * second * twice  # (6,)
    middle = (mean * luma).sum(dim=2, keepdim=True)  # (N, 1, 1)
    room = 1 - middle * middle + (squares * moments).sum(dim=2, keepdim=True)
    room = F.relu(room - _EPSILON) + _EPSILON  # its mean over the foreground
    # Each part by itself: OpenCV 4.10 cannot read a constant that is joined to others.
    bend = torch.cat([room / room, -2 * middle * luma / room, squares / room], dim=2)
    most = _STEEPEST * room
    bent = lighter - F.relu(lighter - most)  # the smaller of the two
    bent = share * bent / (lighter + _SLIGHT)  # as a share of the change
    return light + bent * (lighter * bend - light)


def _expand(terms: torch.Tensor, mean: torch.Tensor, moments: torch.Tensor) -> torch.Tensor:
    """A change around the foreground's mean colour as coefficients of the colours themselves.

    With z = x - mean, the map is x + a + B z + C (zz - moments), zz being the six products: `a` is
    what the foreground's mean colour changes by.

    Args:
        terms: (N, 3, 10): a, B and C.
        mean: (N, 1, 3).
        moments: (N, 1, 6).
    """
    shift, linear, quadratic = terms[:, :, :1], terms[:, :, 1:4], terms[:, :, 4:]
    first, second = (
        torch.eye(3, dtype=terms.dtype, device=terms.device)[[pair[side] for pair in PRODUCTS]]
        for side in (0, 1)
    )  # (6, 3) each: which two channels are multiplied
    means = torch.matmul(mean, first.T), torch.matmul(mean, second.T)  # (N, 1, 6) each
    constant = shift - torch.matmul(linear, mean.transpose(1, 2))
    constant = constant + torch.matmul(quadratic, (means[0] * means[1] - moments).transpose(1, 2))
    # The product of z_i and z_j has the linear terms -mean_j x_i and -mean_i x_j.
    mixed = first * means[1].transpose(1, 2) + second * means[0].transpose(1, 2)  # (N, 6, 3)
    identity = torch.eye(3, dtype=terms.dtype, device=terms.device)
    linear = linear + identity - torch.matmul(quadratic, mixed)
    return torch.cat([constant, linear, quadratic], dim=2)


def apply_color_map(color_map: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """Map every pixel of a batch.

    Args:
        color_map: (N, 3, 10), as `ColorMapNetwork.color_map` gives it.
        image: (N, 3, H, W), from -1 to 1.

    Returns:
        (N, 3, H, W).
    """
    products = [image[:, i : i + 1] * image[:, j : j + 1] for i, j in PRODUCTS]
    terms = torch.cat([image, *products], dim=1).flatten(2)
    mapped = torch.matmul(color_map[:, :, 1:], terms) + color_map[:, :, :1]
    return mapped.reshape(image.shape)
