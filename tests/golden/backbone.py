"""ResNet and feature pyramid of the references, written from the specification (gridmask.md 1.1, 1.3, 1.4)."""
import torch
from torch import nn
from torch.nn import functional as F


class FrozenBatchNorm(nn.Module):
    def __init__(self, channels, epsilon=1e-5):
        super().__init__()
        self.epsilon = epsilon
        for name in ("weight", "bias", "running_mean", "running_var"):
            self.register_buffer(name, torch.ones(channels))

    def forward(self, x):
        scale = self.weight / torch.sqrt(self.running_var + self.epsilon)
        shift = self.bias - self.running_mean * scale
        return x * scale[:, None, None] + shift[:, None, None]


class Conv(nn.Conv2d):
    """"Same" padding, and a norm behind it or a bias: its module is called `norm`, as in detectron2."""

    def __init__(self, inputs, outputs, window, stride=1, groups=1, norm=None):
        super().__init__(inputs, outputs, window, stride, window // 2, groups=groups, bias=norm is None)
        self.norm = norm(outputs) if norm else None

    def forward(self, x):
        x = super().forward(x)
        return self.norm(x) if self.norm is not None else x


def norm_maker(kind, groups):
    return FrozenBatchNorm if kind == "frozen_bn" else lambda channels: nn.GroupNorm(groups, channels)


class Bottleneck(nn.Module):
    def __init__(self, inputs, middle, outputs, stride, config, norm):
        super().__init__()
        early = config["stride_in"] == "1x1"
        self.conv1 = Conv(inputs, middle, 1, stride if early else 1, norm=norm)
        self.conv2 = Conv(middle, middle, 3, 1 if early else stride, config["groups"], norm=norm)
        self.conv3 = Conv(middle, outputs, 1, norm=norm)
        self.shortcut = Conv(inputs, outputs, 1, stride, norm=norm) if inputs != outputs or stride != 1 else None

    def forward(self, x):
        y = F.relu(self.conv2(F.relu(self.conv1(x))))
        return F.relu(self.conv3(y) + (x if self.shortcut is None else self.shortcut(x)))


class BasicBlock(nn.Module):
    def __init__(self, inputs, middle, outputs, stride, config, norm):
        super().__init__()
        self.conv1 = Conv(inputs, outputs, 3, stride, norm=norm)
        self.conv2 = Conv(outputs, outputs, 3, norm=norm)
        self.shortcut = Conv(inputs, outputs, 1, stride, norm=norm) if inputs != outputs or stride != 1 else None

    def forward(self, x):
        return F.relu(self.conv2(F.relu(self.conv1(x))) + (x if self.shortcut is None else self.shortcut(x)))


class Stem(nn.Module):
    def __init__(self, channels, norm):
        super().__init__()
        self.conv1 = Conv(3, channels, 7, 2, norm=norm)

    def forward(self, x):
        return F.max_pool2d(F.relu(self.conv1(x)), 3, 2, 1)


class ResNet(nn.Module):
    """config: blocks, channels, stem_channels, block, groups, width_per_group, stride_in, norm, freeze_at."""

    def __init__(self, config, norm_groups):
        super().__init__()
        norm = norm_maker(config["norm"], norm_groups)
        self.stem = Stem(config["stem_channels"], norm)
        inputs, middle = config["stem_channels"], config["groups"] * config["width_per_group"]
        block = {"bottleneck": Bottleneck, "basic": BasicBlock}[config["block"]]
        self.stages = []
        for stage, (count, outputs) in enumerate(zip(config["blocks"], config["channels"])):
            blocks = []
            for i in range(count):
                blocks.append(block(inputs, middle << stage, outputs, 2 if i == 0 and stage > 0 else 1, config, norm))
                inputs = outputs
            self.stages.append(f"res{stage + 2}")
            self.add_module(self.stages[-1], nn.Sequential(*blocks))
        for name in ("stem", "res2")[: config["freeze_at"]]:
            getattr(self, name).requires_grad_(False)

    def forward(self, x):
        """C2, C3, ..."""
        x, maps = self.stem(x), []
        for stage in self.stages:
            x = getattr(self, stage)(x)
            maps.append(x)
        return maps


class FeaturePyramid(nn.Module):
    """P_first .. P_(first+4). On top of the last stage: convolutions with stride 2, or every second cell."""

    def __init__(self, bottom_up, stage_channels, channels, first, convolutions):
        super().__init__()
        self.bottom_up = bottom_up
        self.first, self.last, self.top = first, 1 + len(stage_channels), first + 4
        for level in range(first, self.last + 1):
            self.add_module(f"fpn_lateral{level}", Conv(stage_channels[level - 2], channels, 1))
            self.add_module(f"fpn_output{level}", Conv(channels, channels, 3))
        self.top_block = nn.Module() if convolutions else None
        for level in range(self.last + 1, self.top + 1) if convolutions else ():
            self.top_block.add_module(f"p{level}", Conv(channels, channels, 3, 2))

    def forward(self, images):
        stages = self.bottom_up(images)
        maps, above = {}, None
        for level in range(self.last, self.first - 1, -1):
            merged = getattr(self, f"fpn_lateral{level}")(stages[level - 2])
            if above is not None:
                merged = merged + F.interpolate(above, size=merged.shape[-2:], mode="nearest")
            maps[level] = getattr(self, f"fpn_output{level}")(merged)
            above = merged
        for level in range(self.last + 1, self.top + 1):
            below = maps[level - 1]
            if self.top_block is None:
                maps[level] = below[:, :, ::2, ::2]
            else:
                conv = getattr(self.top_block, f"p{level}")
                maps[level] = conv(below if level == self.last + 1 else F.relu(below))
        return [maps[level] for level in range(self.first, self.top + 1)]
