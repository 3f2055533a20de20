"""The anchor-free YOLACTR, written from the specification (yolactr.md, sections 1 to 5).

Plain PyTorch, any floating dtype. Modules carry the engine's names; maps are [N, C, H, W] throughout.
"""
import torch
from torch import nn
from torch.nn import functional as F

from backbone import Conv, FeaturePyramid, ResNet, norm_maker

HEAD_WIDTH = 32


def resize(x, height, width):
    return F.interpolate(x, size=(height, width), mode="bilinear", align_corners=False)


def doubled(x):
    return resize(x, 2 * x.shape[2], 2 * x.shape[3])


class CellLinear(nn.Linear):
    """A linear layer on the channels of a map."""

    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class CellNorm(nn.LayerNorm):
    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Attention(nn.Module):
    """Along the lines of one axis of the map: 2 = columns, 3 = rows."""

    def __init__(self, channels, axis):
        super().__init__()
        self.axis = axis
        self.query = CellLinear(channels, channels, bias=False)
        self.key_value = CellLinear(channels, 2 * channels, bias=False)
        self.output = CellLinear(channels, channels)

    def lines(self, x):
        """[N, heads, lines, length, HEAD_WIDTH]"""
        x = x.unflatten(1, (-1, HEAD_WIDTH))                            # N, heads, 32, H, W
        return x.permute(0, 1, 4, 3, 2) if self.axis == 2 else x.permute(0, 1, 3, 4, 2)

    def forward(self, x):
        key, value = self.key_value(x).chunk(2, 1)
        q, k, v = self.lines(self.query(x)), self.lines(key), self.lines(value)
        probability = torch.softmax(q @ k.transpose(-1, -2) * HEAD_WIDTH**-0.5, -1)
        y = probability @ v
        y = y.permute(0, 1, 4, 3, 2) if self.axis == 2 else y.permute(0, 1, 4, 2, 3)
        return self.output(y.flatten(1, 2))


class FeedForward(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return self.conv2(F.leaky_relu(self.conv1(x), 0.01))


class HybridReZero(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.column, self.row = Attention(channels, 2), Attention(channels, 3)
        self.feed_forward = nn.ModuleList([FeedForward(channels), FeedForward(channels)])
        self.gate = nn.ParameterDict({name: torch.zeros(()) for name in
                                      ("column", "row", "feed_forward0", "feed_forward1")})

    def forward(self, x):
        x = x + self.gate["column"] * self.column(x) + self.gate["row"] * self.row(x)
        return (x + self.gate["feed_forward0"] * self.feed_forward[0](x) +
                self.gate["feed_forward1"] * self.feed_forward[1](x))


class PreNormMlp(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm_column, self.norm_row, self.norm_mlp = (CellNorm(channels) for _ in range(3))
        self.column, self.row = Attention(channels, 2), Attention(channels, 3)
        self.mlp = nn.Module()
        self.mlp.expand, self.mlp.contract = CellLinear(channels, 4 * channels), CellLinear(4 * channels, channels)

    def forward(self, x):
        x = x + self.column(self.norm_column(x))
        x = x + self.row(self.norm_row(x))
        return x + self.mlp.contract(F.gelu(self.mlp.expand(self.norm_mlp(x))))


class Position(nn.Module):
    def __init__(self, cells, channels):
        super().__init__()
        self.row, self.column = (nn.Parameter(torch.zeros(cells, channels)) for _ in range(2))

    def forward(self, x):
        def line(table, length):                                        # [1, C, length, 1]
            table = table.t()[None, :, :, None]
            return table if table.shape[2] == length else resize(table, length, 1)
        return x + line(self.row, x.shape[2]) + line(self.column, x.shape[3]).transpose(2, 3)


class Prediction(nn.Module):
    def __init__(self, config, channels, classes):
        super().__init__()
        self.grids, self.token = config["grids"], config["t5"]
        self.position = nn.ModuleList(Position(cells, channels) for cells in self.grids)
        layer = {"hybrid_rezero": HybridReZero, "preln_mlp": PreNormMlp}[config["block"]]
        self.transformer = nn.ModuleList(layer(channels) for _ in range(config["layers"]))
        self.class_logits = CellLinear(channels, classes + (config["class_loss"] == "ce"))
        self.kernel = CellLinear(channels, config["kernel_channels"])

    def transform(self, x, level):
        x = self.position[level](x)
        for layer in self.transformer:
            x = layer(x)
        return x

    def forward(self, maps):
        """P2..P6 -> class logits and kernels of the grids, T5."""
        p2, p5 = maps[0], maps[3]
        levels = [resize(p2, p2.shape[2] // 2, p2.shape[3] // 2), *maps[1:4], resize(maps[4], *p5.shape[2:])]
        levels = [self.transform(resize(x, n, n), i) for i, (x, n) in enumerate(zip(levels, self.grids))]
        t5 = resize(levels[3], *p5.shape[2:]) if self.token == "grid" else self.transform(p5, 3)
        return [self.class_logits(x) for x in levels], [self.kernel(x) for x in levels], t5


class ChannelSpatialAttention(nn.Module):
    """CBAM's two gates, channels first; a bias instead of CBAM's batch norm."""

    def __init__(self, channels):
        super().__init__()
        hidden = max(1, channels // 16)
        self.reduce, self.expand = nn.Linear(channels, hidden), nn.Linear(hidden, channels)
        self.spatial = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, x):
        pooled = [x.mean((2, 3)), x.flatten(2).max(2).values]
        x = x * torch.sigmoid(sum(self.expand(F.relu(self.reduce(p))) for p in pooled))[:, :, None, None]
        both = torch.cat([x.max(1, keepdim=True).values, x.mean(1, keepdim=True)], 1)
        return x * torch.sigmoid(self.spatial(both))


class MaskFeatures(nn.Module):
    def __init__(self, config, channels, groups):
        super().__init__()
        norm, width = norm_maker("gn", groups), config["mask_channels"]
        extra = 2 if config["coord_conv"] else 0
        self.coordinates, self.before = extra > 0, config["cs_position"] == "before"
        self.levels = None
        if config["mask_head"] == "sotr":
            self.levels = nn.ModuleList(
                nn.ModuleList(Conv(width if j else channels + (extra if i == 3 else 0), width, 3, norm=norm)
                              for j in range(max(i, 1))) for i in range(4))
        else:
            for name in ("reduce2", "reduce3", "reduce4"):
                self.add_module(name, Conv(channels, width, 3, norm=norm))
            self.reduce5 = Conv(channels + extra, width, 3, norm=norm)
            for name in ("refine5", "refine34", "upsample2"):
                self.add_module(name, Conv(width, width, 3, norm=norm))
            self.downsample2 = Conv(width, width, 3, 2, norm=norm)
            for name in ("attention2", "attention4", "attention5", "attention_output"):
                self.add_module(name, ChannelSpatialAttention(width))
        self.output = Conv(width, config["kernel_channels"], 1, norm=norm)

    def paper(self, p2, p3, p4, t5):
        cgr = lambda conv, x: F.relu(conv(x))
        p21, p31, p41 = cgr(self.reduce2, p2), cgr(self.reduce3, p3), cgr(self.reduce4, p4)
        p51 = cgr(self.refine5, doubled(cgr(self.reduce5, t5)))
        if self.before:
            p32 = p31 + doubled(self.attention4(p41))
            p33 = p32 + doubled(self.attention5(p51))
            p34 = p33 + cgr(self.downsample2, self.attention2(p21))
        else:
            p32 = p31 + self.attention4(doubled(p41))
            p33 = p32 + self.attention5(doubled(p51))
            p34 = p33 + self.attention2(cgr(self.downsample2, p21))
        return self.attention_output(p21 + cgr(self.upsample2, doubled(cgr(self.refine34, p34))))

    def forward(self, p2, p3, p4, t5):
        if self.coordinates:
            axes = [torch.linspace(-1, 1, n, device=t5.device).to(t5) for n in t5.shape[2:]]
            y, x = torch.meshgrid(*axes, indexing="ij")
            t5 = torch.cat([t5, torch.stack([x, y]).expand(len(t5), -1, -1, -1)], 1)
        if self.levels is None:
            return F.relu(self.output(self.paper(p2, p3, p4, t5)))
        total = 0
        for i, (convs, x) in enumerate(zip(self.levels, (p2, p3, p4, t5))):
            for conv in convs:
                x = F.relu(conv(x))
                x = doubled(x) if i else x
            total = total + x
        return F.relu(self.output(total))


class Network(nn.Module):
    """config: the keys of a model's config (docs/formats.md), all that occur here set."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        groups, channels, classes = config["norm_groups"], config["fpn"]["channels"], config["classes"]
        stages = config["backbone"]["channels"]
        self.backbone = FeaturePyramid(ResNet(config["backbone"], groups), stages, channels, 2, False)
        self.prediction = Prediction(config["anchor_free"], channels, classes)
        self.mask = MaskFeatures(config["anchor_free"], channels, groups)
        self.semantic = nn.Conv2d(channels, classes, 1)

    def forward(self, images):
        """Class logits and kernels per level, mask features at stride 4, semantic logits at stride 8."""
        maps = self.backbone(images)
        logits, kernels, t5 = self.prediction(maps)
        return logits, kernels, self.mask(*maps[:3], t5), self.semantic(maps[1])


def cells_of(box, mask, height, width, config):
    """Section 4.2: (level, top, bottom, left, right) of every level that takes the object, ends included."""
    x1, y1, x2, y2 = box
    rows, columns = mask.nonzero(as_tuple=True)
    if len(rows) == 0:
        return
    centre = float(rows.double().mean()), float(columns.double().mean())
    half = 0.1 * (y2 - y1), 0.1 * (x2 - x1)
    scale = ((x2 - x1) * (y2 - y1)) ** 0.5
    for level, (low, high) in enumerate(zip(config["ranges"][::2], config["ranges"][1::2])):
        if not low <= scale <= high:
            continue
        n, ends = config["grids"][level], []
        for middle, reach, side in zip(centre, half, (height, width)):
            cell = lambda value: int(value * n // side)
            ends += [max(cell(middle - reach), 0, cell(middle) - 1), min(cell(middle + reach), n - 1, cell(middle) + 1)]
        yield (level, *ends)


def reduced(mask, stride, least):
    """1 where at least `least` of the centre 2x2 pixels of a stride x stride block are set."""
    at = stride // 2 - 1
    corners = [mask[at + dy::stride, at + dx::stride].long() for dy in (0, 1) for dx in (0, 1)]
    return sum(corners) >= least


def losses(model, images, scene):
    """Weighted: class, mask, semantic. scene: per picture a list of (label, box, mask)."""
    config, classes = model.config["anchor_free"], model.config["classes"]
    logits, kernels, features, semantic = model(images)
    height, width = images.shape[2:]
    labels = [torch.full((len(images), n, n), classes) for n in config["grids"]]
    mask_losses = []
    for picture, objects in enumerate(scene):
        for label, box, mask in objects:
            target = reduced(mask, 4, 2).to(images)
            for level, top, bottom, left, right in cells_of(box, mask, height, width, config):
                labels[level][picture, top:bottom + 1, left:right + 1] = label
                kernel = kernels[level][picture, :, top:bottom + 1, left:right + 1].flatten(1).t()
                z = torch.einsum("nc,chw->nhw", kernel, features[picture])
                if config["mask_loss"] == "bce":
                    part = F.binary_cross_entropy_with_logits(z, target.expand_as(z), reduction="none").mean((1, 2))
                else:
                    p = torch.sigmoid(z)
                    both, ours, theirs = ((v).sum((1, 2)) for v in (p * target, p * p, (target * target).expand_as(z)))
                    part = 1 - 2 * both / (ours + 0.001 + theirs + 0.001)
                mask_losses.append(part)
    flat = torch.cat([x.flatten(2).transpose(1, 2).reshape(-1, x.shape[1]) for x in logits])
    label = torch.cat([x.reshape(-1) for x in labels])
    if config["class_loss"] == "ce":
        class_loss = F.cross_entropy(flat, label)
    else:
        target = F.one_hot(label, classes + 1)[:, :classes].bool()
        p = torch.sigmoid(flat)
        loss = torch.where(target, 0.25 * (1 - p) ** 2 * F.softplus(-flat), 0.75 * p**2 * F.softplus(flat))
        class_loss = loss.sum() / (int((label < classes).sum()) + 1)
    wanted = torch.zeros_like(semantic)
    for picture, objects in enumerate(scene):
        for index in range(classes):
            of_class = [mask for label, _, mask in objects if label == index]
            if of_class:
                wanted[picture, index] = reduced(torch.stack(of_class).any(0), 8, 3).to(images)
    loss = F.binary_cross_entropy_with_logits(semantic, wanted, reduction="sum")
    semantic_loss = loss / (len(images) * semantic.shape[2] * semantic.shape[3])
    return torch.stack([class_loss, 3 * torch.cat(mask_losses).mean(), 0.8 * semantic_loss])


def matrix_nms(overlap, scores, sigma):
    """Gaussian. overlap [n, n]: IoU of masks of one class, above the diagonal."""
    greatest = overlap.amax(0)                                          # of each with those better than it
    decay = torch.exp(-sigma * (overlap**2 - greatest[:, None] ** 2))
    return scores * decay.amin(0)


def detections(model, output, picture, resized, original):
    """Section 5: no boxes, scores, labels, masks bool [D, H, W] of the original picture."""
    config = model.config["anchor_free"]
    logits, kernels, features, _ = output
    found = []
    for level, (x, kernel, least) in enumerate(zip(logits, kernels, config["least_areas"])):
        if config["class_loss"] == "ce":
            score = torch.softmax(x[picture], 0)[:-1]
        else:
            score = torch.sigmoid(x[picture])
        neighbours = F.pad(score, (1, 0, 1, 0), value=-1)
        best = torch.stack([neighbours[:, 1:, 1:], neighbours[:, :-1, 1:], neighbours[:, 1:, :-1],
                            neighbours[:, :-1, :-1]]).amax(0)
        kept = torch.where(score >= best, score, torch.zeros_like(score)).flatten(1).t()
        cell, label = (kept > config["score_threshold"]).nonzero(as_tuple=True)
        found.append((kept[cell, label], label, kernel[picture].flatten(1).t()[cell], torch.full_like(label, least)))
    scores, labels, kernel, least = (torch.cat(v) for v in zip(*found))
    probability = torch.sigmoid(torch.einsum("nc,chw->nhw", kernel, features[picture]))
    bits = probability > 0.5
    area = bits.sum((1, 2))
    scores = scores * (probability * bits).sum((1, 2)) / area.clamp(min=1)
    large = area > least
    order = torch.argsort(scores[large], descending=True, stable=True)[:config["candidates"]]
    scores, labels, probability, bits = (v[large][order] for v in (scores, labels, probability, bits))
    flat = bits.flatten(1).to(scores)
    inner = flat @ flat.t()
    sizes = flat.sum(1)
    overlap = inner / (sizes[:, None] + sizes[None, :] - inner)
    overlap = torch.triu(overlap * (labels[:, None] == labels[None, :]), 1)
    scores = matrix_nms(overlap, scores, config["nms_sigma"])
    kept = (scores >= config["keep_threshold"]).nonzero()[:, 0]
    kept = kept[torch.argsort(scores[kept], descending=True, stable=True)][:config["max_detections"]]
    large = F.interpolate(probability[kept][None], scale_factor=4, mode="bilinear", align_corners=False)
    large = large[:, :, :resized[0], :resized[1]]
    masks = resize(large, *original)[0] > 0.5
    there = masks.any(2).any(1)
    return None, scores[kept][there], labels[kept][there], masks[there]
