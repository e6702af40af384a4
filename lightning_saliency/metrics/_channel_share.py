"""Which channels the relevance comes from."""

from dataclasses import field

import torch
from torch import Tensor

from lightning_saliency._checks import check_integer
from lightning_saliency._exact import exact
from lightning_saliency.metrics._method_members import attribution_of
from lightning_saliency.metrics._metric import ExplanationMetric
from lightning_saliency.passes.trials import Measured, Shared, Trial


class ChannelShare(ExplanationMetric):
    """Share of the relevance that some channels of the image have, such as one band of a satellite image.

    The sum of magnitudes of the method's signed attribution in these channels, relative to that in all: from 0 to 1,
    where each of n channels with equal parts has 1/n. Lower counts as better, for a channel that should not matter.
    Methods without a signed attribution of the input (`attribute`), such as class activation maps, score NaN: the
    metric leaves the images out and counts them. Maps play no part.

    Cost: once that of `method`, whatever the number of channels that are listed.

    Args:
        channels: A channel, or several whose shares are added.
        name: Key in results and logs; the usual one has the numbers of the channels, as in `channel_share_0_2`, except
            for channel 0 alone.
        kwargs: Passed on to `torchmetrics.Metric`.

    Raises:
        TypeError: If channels are no whole numbers.
        ValueError: If there are none or one is negative; when updated, if the images have no such channel.

    Example:
        >>> import torch
        >>> from lightning_saliency.methods import InputXGradient
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3, 2, bias=False))
        >>> _ = model[1].weight.data.copy_(torch.tensor([[1.0, -2.0, 1.0], [0.0, 0.0, 0.0]]))
        >>> images, targets = torch.ones(1, 3, 1, 1), torch.tensor([0])
        >>> ChannelShare(1).scores(model, images, images[:, 0], targets, method=InputXGradient())
        tensor([0.5000])
        >>> ChannelShare((0, 2)).name
        'channel_share_0_2'
    """

    higher_is_better = False
    name = "channel_share"
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    needs = ("methods",)

    channels: int | tuple[int, ...] = field(default=0)

    def check(self) -> None:
        """Refuse what are no channels."""
        super().check()
        if not self._listed:
            raise ValueError("`channels` must be a channel or several, but got none.")
        for channel in self._listed:
            check_integer("channels", channel, minimum=0)

    @property
    def usual_name(self) -> str:
        """The name with the channels, unless it is the first one."""
        return "_".join(["channel_share", *map(str, self._listed if self.channels else ())])

    def measure(self, trial: Trial) -> Measured:
        """Score one batch of attributions."""
        count = trial.images.shape[1]
        if max(self._listed) >= count:
            raise ValueError(
                f"`channels` must lie below {count}, the number of the images', but got {self.channels!r}."
            )
        shares = trial.once(_Shares(trial.name))
        if shares is None:
            return Measured(trial.maps.new_full((len(trial.images),), torch.nan))
        chosen = torch.stack([shares[:, channel] for channel in dict.fromkeys(self._listed)])
        return Measured(chosen.sum(dim=0).to(trial.maps.dtype))

    @property
    def _listed(self) -> tuple[int, ...]:
        return self.channels if isinstance(self.channels, tuple) else (self.channels,)


class _Shares(Shared):
    """The shares of all channels for one method, (B, C)."""

    method: str

    def make(self, trial: Trial) -> Tensor | None:
        """Explain once for all channels; an attribution to a layer says nothing of channels."""
        # A chunk of images is as large as a pass may be.
        attribution = attribution_of(trial, max_batch_size=trial.predict.max_batch_size)
        if attribution is None or attribution.shape != trial.images.shape:
            return None
        sums = exact(attribution).abs().flatten(2).sum(dim=2)
        total = sums.sum(dim=1, keepdim=True)
        # Without any relevance all channels are alike.
        return torch.where(total > 0, sums / torch.where(total > 0, total, 1.0), 1 / sums.shape[1])
