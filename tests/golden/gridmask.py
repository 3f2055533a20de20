"""FCOS in AdelaiDet's form and GridMask on it, written from the specification (gridmask.md, sections 2 and 3).

Plain PyTorch, any floating dtype. Modules carry the engine's names.
"""
import math

import torch
from torch import nn
from torch.nn import functional as F

from backbone import Conv, FeaturePyramid, ResNet, norm_maker


def tower(channels, count, groups):
    layers = []
    for _ in range(count):
        layers += [nn.Conv2d(channels, channels, 3, padding=1), nn.GroupNorm(groups, channels), nn.ReLU()]
    return nn.Sequential(*layers)


class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return x * self.scale


class FcosHead(nn.Module):
    def __init__(self, channels, classes, convs, groups):
        super().__init__()
        self.cls_tower = tower(channels, convs, groups)
        self.bbox_tower = tower(channels, convs, groups)
        self.cls_logits = nn.Conv2d(channels, classes, 3, padding=1)
        self.bbox_pred = nn.Conv2d(channels, 4, 3, padding=1)
        self.ctrness = nn.Conv2d(channels, 1, 3, padding=1)
        self.scales = nn.ModuleList(Scale() for _ in range(5))

    def forward(self, maps):
        logits, distances, centerness = [], [], []
        for scale, x in zip(self.scales, maps):
            logits.append(self.cls_logits(self.cls_tower(x)))
            boxes = self.bbox_tower(x)
            distances.append(F.relu(scale(self.bbox_pred(boxes))))
            centerness.append(self.ctrness(boxes))
        return logits, distances, centerness


class PixelBranch(nn.Module):
    def __init__(self, first, channels, width, dim, groups):
        super().__init__()
        norm = norm_maker("gn", groups)
        self.levels = [f"reduce{level}" for level in range(first, first + 4)]
        for name in self.levels:
            self.add_module(name, Conv(channels, width, 1, norm=norm))
        self.fuse = Conv(4 * width, width, 3, norm=norm)
        self.embed = Conv(width, dim, 1)

    def forward(self, maps):
        parts = [F.relu(getattr(self, name)(x)) for name, x in zip(self.levels, maps)]
        size = parts[0].shape[-2:]
        parts = [parts[0]] + [F.interpolate(x, size=size, mode="bilinear", align_corners=False) for x in parts[1:]]
        return self.embed(F.relu(self.fuse(torch.cat(parts, 1))))


class ObjectBranch(nn.Module):
    """Channel ((i * 2 + f) * dim + c): grid cell i, f = 0 foreground, 1 background."""

    def __init__(self, channels, hidden, outputs, groups):
        super().__init__()
        self.tower = tower(channels, hidden, groups)
        self.pred = nn.Conv2d(channels, outputs, 3, padding=1)

    def forward(self, maps):
        return [self.pred(self.tower(x)) for x in maps]


class Network(nn.Module):
    """config: the keys of a model's config (docs/formats.md), all that occur below set."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        groups, fpn, fcos = config["norm_groups"], config["fpn"], config["fcos"]
        bottom_up = ResNet(config["backbone"], groups)
        channels, first = fpn["channels"], fpn["first_level"]
        self.backbone = FeaturePyramid(bottom_up, config["backbone"]["channels"], channels, first, True)
        self.proposal_generator = nn.Module()
        self.proposal_generator.fcos_head = FcosHead(channels, config["classes"], fcos["tower_convs"], groups)
        self.gridmask = None
        if config["system"] == "gridmask_fcos":
            grid = config["gridmask"]
            self.gridmask = nn.Module()
            self.gridmask.pixel = PixelBranch(first, channels, grid["pixel"]["channels"], grid["dim"], groups)
            outputs = 2 * grid["k"] ** 2 * grid["dim"]
            self.gridmask.object = ObjectBranch(channels, grid["object"]["hidden_convs"], outputs, groups)

    def strides(self):
        first = self.config["fpn"]["first_level"]
        return [2**level for level in range(first, first + 5)]

    def forward(self, images):
        maps = self.backbone(images)
        output = list(self.proposal_generator.fcos_head(maps))
        if self.gridmask is not None:
            output += [self.gridmask.pixel(maps), self.gridmask.object(maps)]
        return output


def cell_centres(height, width, stride, like):
    """x and y of the cells of a map, [H * W] each, row after row."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return [(v.reshape(-1).to(like) * stride + stride // 2) for v in (x, y)]


def rows(maps):
    """[N, cells of all levels, C]."""
    return torch.cat([x.flatten(2).transpose(1, 2) for x in maps], 1)


def assign(maps, strides, objects, fcos, like):
    """Section 2.2, one picture. objects: (label, box, mask). Object of every cell (-1 = none) and its distances to the
    four sides in strides."""
    owners, distances = [], []
    low = -1.0
    for level, (x, stride) in enumerate(zip(maps, strides)):
        high = 64 * fcos["range_scale"] * 2**level if level < 4 else 1e8
        px, py = cell_centres(*x.shape[-2:], stride, like)
        owner = torch.full(px.shape, -1)
        smallest = torch.full_like(px, math.inf)
        sides = torch.zeros(len(px), 4).to(like)
        for index, (_, box, _) in enumerate(objects):
            x1, y1, x2, y2 = box
            to_sides = torch.stack([px - x1, py - y1, x2 - px, y2 - py], 1)
            radius = 1.5 * stride
            cx, cy = (x1 + x2) / 2, (y1 + y2) / 2
            inside = torch.stack([px - max(cx - radius, x1), py - max(cy - radius, y1),
                                  min(cx + radius, x2) - px, min(cy + radius, y2) - py], 1).amin(1) > 0
            longest = to_sides.amax(1)
            area = (x2 - x1) * (y2 - y1)
            wins = inside & (longest >= low) & (longest <= high) & (area < smallest)
            owner[wins], smallest[wins] = index, area
            sides[wins] = to_sides[wins] / stride
        owners.append(owner)
        distances.append(sides)
        low = high
    return torch.cat(owners), torch.cat(distances)


def focal(logits, target):
    """Section 2.3: the sum over all elements, alpha 0.25, gamma 2."""
    p = torch.sigmoid(logits)
    positive = 0.25 * (1 - p) ** 2 * F.softplus(-logits)
    negative = 0.75 * p**2 * F.softplus(logits)
    return torch.where(target, positive, negative).sum()


def generalised_iou_loss(a, b):
    """1 - GIoU of boxes given by distances from one point, with AdelaiDet's "+ 1"."""
    area = lambda d: (d[:, 0] + d[:, 2]) * (d[:, 1] + d[:, 3])
    inner, outer = area(torch.minimum(a, b)), area(torch.maximum(a, b))
    union = area(a) + area(b) - inner
    return 1 - (inner + 1) / (union + 1) + (outer - union) / outer


def cosine(a, b):
    return (a * b).sum(-1) / torch.clamp(a.norm(dim=-1) * b.norm(dim=-1), min=1e-8)


def grid_cells(centres, low, high, k):
    """Which of the points along one axis lie in [low, high), and in which of the k cells."""
    inside = (centres >= low) & (centres < high)
    return inside, torch.clamp((k * (centres - low) / (high - low)).floor().long(), 0, k - 1)


def segmentation_loss(pixels, embeddings, samples, grid):
    """Section 3.5. pixels [N, C, h, w] at the stride of training; embeddings [J, 2 k k C]; samples: (picture, box,
    mask)."""
    k, stride, alpha = grid["k"], grid["train_stride"], grid["alpha"]
    total = 0
    xs = (torch.arange(pixels.shape[3]).to(pixels) + 0.5) * stride
    ys = (torch.arange(pixels.shape[2]).to(pixels) + 0.5) * stride
    for (picture, box, mask), embedding in zip(samples, embeddings):
        in_x, column = grid_cells(xs, box[0], box[2], k)
        in_y, row = grid_cells(ys, box[1], box[3], k)
        if not (in_x.any() and in_y.any()):
            continue
        cell = (row[in_y][:, None] * k + column[in_x][None, :]).reshape(-1)
        inside = pixels[picture][:, in_y][:, :, in_x].flatten(1).t()
        label = mask[stride // 2::stride, stride // 2::stride][in_y][:, in_x].reshape(-1).to(pixels)
        foreground, background = embedding.view(k * k, 2, -1)[cell].unbind(1)
        z = alpha * cosine(inside, foreground)
        loss = F.binary_cross_entropy_with_logits(z, label, reduction="none")
        z = alpha * cosine(inside, background)
        loss = loss + F.binary_cross_entropy_with_logits(z, 1 - label, reduction="none")
        count = torch.bincount(cell, minlength=k * k)
        total = total + (loss / count[cell]).sum() / int((count > 0).sum())
    return total / len(samples)


def losses(model, images, scene):
    """cls, box, ctr and, with masks, seg. scene: per picture a list of (label, box, mask)."""
    output = model(images)
    logits, distances, centerness = output[:3]
    fcos, classes, strides = model.config["fcos"], model.config["classes"], model.strides()
    owners, sides = zip(*(assign(logits, strides, objects, fcos, images) for objects in scene))
    owner, side = torch.stack(owners), torch.stack(sides)
    positive = owner >= 0
    labels = torch.full(owner.shape, classes)
    for picture, objects in enumerate(scene):
        of_object = torch.tensor([label for label, _, _ in objects])
        labels[picture][positive[picture]] = of_object[owner[picture][positive[picture]]]
    count = max(int(positive.sum()), 1)
    result = [focal(rows(logits), F.one_hot(labels, classes + 1)[..., :classes].bool()) / count]
    target = side[positive]
    left, top, right, bottom = target.unbind(1)
    quality = torch.sqrt(torch.minimum(left, right) / torch.maximum(left, right) *
                         torch.minimum(top, bottom) / torch.maximum(top, bottom))
    result.append((generalised_iou_loss(rows(distances)[positive], target) * quality).sum() / quality.sum())
    score = rows(centerness)[positive][:, 0]
    result.append(F.binary_cross_entropy_with_logits(score, quality, reduction="sum") / count)
    if model.gridmask is not None:
        grid = model.config["gridmask"]
        pixels = output[3]
        if grid["train_stride"] != strides[0]:
            size = [v // grid["train_stride"] for v in images.shape[-2:]]
            pixels = F.interpolate(pixels, size=size, mode="bilinear", align_corners=False)
        samples = []
        for picture, cell in positive.nonzero().tolist():
            _, box, mask = scene[picture][owner[picture, cell]]
            samples.append((picture, box, mask))
        result.append(segmentation_loss(pixels, rows(output[4])[positive], samples, grid))
    return torch.stack(result)


def overlaps(box, others):
    corner = torch.minimum(box[2:], others[:, 2:]) - torch.maximum(box[:2], others[:, :2])
    inner = corner.clamp(min=0).prod(1)
    area = lambda b: (b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1])
    return inner / (area(box) + area(others) - inner)


def found_boxes(model, output, picture, resized, original):
    """Section 2.4: boxes in original pixels, scores, labels, and the index of each one's cell in rows()."""
    fcos = model.config["fcos"]
    found, first = [], 0
    for logits, distances, centerness, stride in zip(*output[:3], model.strides()):
        probability = torch.sigmoid(logits[picture]).flatten(1).t()
        joint = probability * torch.sigmoid(centerness[picture]).reshape(-1, 1)
        cell, label = (probability > 0.05).nonzero(as_tuple=True)
        best = torch.argsort(joint[cell, label], descending=True, stable=True)[:1000]
        cell, label = cell[best], label[best]
        x, y = (v[cell] for v in cell_centres(*logits.shape[-2:], stride, logits))
        side = distances[picture].flatten(1).t()[cell] * stride
        boxes = torch.stack([x - side[:, 0], y - side[:, 1], x + side[:, 2], y + side[:, 3]], 1)
        found.append((boxes, joint[cell, label].sqrt(), label, cell + first))
        first += logits.shape[-2] * logits.shape[-1]
    boxes, scores, labels, cells = (torch.cat(v) for v in zip(*found))
    order = torch.argsort(scores, descending=True, stable=True)
    kept = []
    while len(order) > 0 and len(kept) < fcos["max_detections"]:
        best, order = order[0], order[1:]
        kept.append(best)
        same = labels[order] == labels[best]
        order = order[~(same & (overlaps(boxes[best], boxes[order]) > 0.6))]
    kept = torch.stack(kept)
    scale = torch.tensor([original[1] / resized[1], original[0] / resized[0]] * 2).to(boxes)
    limit = torch.tensor([original[1], original[0]] * 2).to(boxes)
    boxes = torch.minimum((boxes[kept] * scale).clamp(min=0), limit)
    whole = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    return boxes[whole], scores[kept][whole], labels[kept][whole], cells[kept][whole]


def sample_weights(outputs, inputs, step, like):
    """[outputs, inputs]: bilinear weights at u = (o + 0.5) * step - 0.5, clamped to the map."""
    u = ((torch.arange(outputs).to(like) + 0.5) * step - 0.5).clamp(0, inputs - 1)
    return (1 - (u[:, None] - torch.arange(inputs).to(like)[None, :]).abs()).clamp(min=0)


def masks(model, output, picture, found, resized, original):
    """Section 3.7, by the definition: two cosines at every pixel of the original picture. bool [D, H, W]."""
    boxes, _, _, cells = found
    k, stride = model.config["gridmask"]["k"], model.strides()[0]
    pixels = output[3][picture]
    down = sample_weights(original[0], pixels.shape[1], resized[0] / original[0] / stride, pixels)
    across = sample_weights(original[1], pixels.shape[2], resized[1] / original[1] / stride, pixels)
    enlarged = (down @ pixels @ across.t()).permute(1, 2, 0)
    embeddings = rows(output[4])[picture][cells]
    result = torch.zeros(len(boxes), *original, dtype=torch.bool)
    xs, ys = (torch.arange(n).to(pixels) + 0.5 for n in (original[1], original[0]))
    for mask, box, embedding in zip(result, boxes, embeddings):
        in_x, column = grid_cells(xs, box[0], box[2], k)
        in_y, row = grid_cells(ys, box[1], box[3], k)
        if not (in_x.any() and in_y.any()):
            continue
        cell = row[in_y][:, None] * k + column[in_x][None, :]
        inside = enlarged[in_y][:, in_x]
        foreground, background = embedding.view(k * k, 2, -1)[cell].unbind(2)
        bit = cosine(inside, foreground) > cosine(inside, background)
        mask[in_y.nonzero()[0]:in_y.nonzero()[-1] + 1, in_x.nonzero()[0]:in_x.nonzero()[-1] + 1] = bit
    return result


def detections(model, output, picture, resized, original):
    """Boxes in original pixels, scores, labels, masks bool [D, H, W] or None."""
    found = found_boxes(model, output, picture, resized, original)
    bits = masks(model, output, picture, found, resized, original) if model.gridmask is not None else None
    return *found[:3], bits
