"""The networks and scenes of the goldens."""
import os

import numpy as np
import torch
from PIL import Image

import anchor_free
import formula
import gridmask
import torchvision_models
from backbone import BasicBlock, Bottleneck, Conv, FrozenBatchNorm
from record import Golden, named_calls, watch

R50 = dict(preset="r50", block="bottleneck", blocks=[3, 4, 6, 3], channels=[256, 512, 1024, 2048], stem_channels=64,
           groups=1, width_per_group=64, stride_in="1x1", norm="frozen_bn", freeze_at=2)
NARROW = dict(preset="r50", block="bottleneck", blocks=[1, 2, 1, 1], channels=[32, 64, 96, 128], stem_channels=32,
              groups=4, width_per_group=4, stride_in="3x3", norm="frozen_bn", freeze_at=2)
BASIC = dict(preset="basic", block="basic", blocks=[1, 1, 1], channels=[32, 40, 64], stem_channels=32, groups=1,
             width_per_group=64, stride_in="3x3", norm="gn", freeze_at=0)

# At 25 times this rate a ReLU that lies on the other side of zero by rounding alone moves the gradient of the tenth step
# by 1 %.
TEN_STEPS = dict(steps=10, learning_rate=2e-4, momentum=0.9, weight_decay=1e-4, clip_norm=10.0)


def scene(height, width, pictures):
    """Overlapping ellipses of several sizes, all edges at quarters of a pixel."""
    layouts = [[(0, .03, .06, .33, .55), (1, .25, .2, .98, .95), (2, .55, .03, .66, .2), (0, .78, .6, .95, .98)],
               [(2, .15, .08, .5, .6), (1, .5, .1, .56, .17), (0, .4, .35, .85, .8)]]
    result = []
    for picture in range(pictures):
        objects = []
        for label, *share in layouts[picture % 2]:
            box = [round(4 * s * side) / 4 for s, side in zip(share, (width, height, width, height))]
            objects.append((label, box, torch.from_numpy(formula.ellipse(box, height, width))))
        result.append(objects)
    return result


def filled(model, dtype):
    """Parameters and buffers by the formula."""
    model = model.to(dtype)
    formula.fill(list(model.named_parameters()) + list(model.named_buffers()))
    return model


def reported(model):
    """Names of the modules whose outputs the engine reports: convolutions with a bias and norms behind others, blocks,
    layers of cells and attentions. A frozen norm in front of a sum is part of it."""
    outputs = (Bottleneck, BasicBlock, torch.nn.GroupNorm, anchor_free.CellLinear, anchor_free.CellNorm,
               anchor_free.ChannelSpatialAttention, anchor_free.HybridReZero)
    names = set()
    for name, module in model.named_modules():
        if isinstance(module, Conv):
            names.add(name if module.norm is None else name + ".norm")
        elif isinstance(module, (torch.nn.Conv2d, *outputs)):
            names.add(name)
    for name, module in model.named_modules():
        if isinstance(module, (Bottleneck, BasicBlock)):
            last = "conv3" if isinstance(module, Bottleneck) else "conv2"
            if isinstance(getattr(module, last).norm, FrozenBatchNorm):
                names.discard(f"{name}.{last}.norm")
    return names


def record_activations(golden, model, images, names):
    """names: of modules; with other names for the file, a dict."""
    calls, handles = watch(model, names)
    with torch.no_grad():
        output = model(images)
    for handle in handles:
        handle.remove()
    if isinstance(names, dict):
        calls = {names[name]: outputs for name, outputs in calls.items()}
    for name, value in named_calls({name: calls[name] for name in sorted(calls)}):
        golden.add_digest("activation", name, value)
    return output


def record_training(golden, model, losses, steps):
    """Gradients of the first step, losses of all, parameters after the last."""
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    norms = {f"{name}.{part}" for name, module in model.named_modules() for part in ("weight", "bias")
             if isinstance(module, (torch.nn.GroupNorm, torch.nn.LayerNorm))}
    groups = [dict(params=[p for n, p in trained.items() if n not in norms], weight_decay=steps["weight_decay"]),
              dict(params=[p for n, p in trained.items() if n in norms], weight_decay=0.0)]
    optimizer = torch.optim.SGD(groups, lr=steps["learning_rate"], momentum=steps["momentum"])
    history, norm_history = [], []
    for step in range(steps["steps"]):
        optimizer.zero_grad()
        parts = losses()
        parts.sum().backward()
        history.append(parts.detach().tolist())
        if step == 0:
            for name, parameter in trained.items():
                gradient = parameter.grad if parameter.grad is not None else torch.zeros_like(parameter)
                golden.add_digest("gradient", name, gradient)
        norm_history.append(float(torch.nn.utils.clip_grad_norm_(trained.values(), steps["clip_norm"])))
        optimizer.step()
    golden.add("losses", torch.tensor(history).float().numpy())
    golden.add("gradient_norms", torch.tensor(norm_history).float().numpy())
    if steps["steps"] > 1:
        for name, parameter in trained.items():
            golden.add_digest("trained", name, parameter)
    golden.facts["training"] = steps


def record_geometry(golden, pictures, height, width):
    """Original sizes, and sizes before padding: one picture is enlarged on its way in, one reduced."""
    shapes = [[height * 3 // 5, width * 4 // 5, height * 3 // 4, width],
              [height * 5 // 4, width * 7 // 8, height, width * 7 // 8]]
    golden.facts["geometry"] = [shapes[picture % 2] for picture in range(pictures)]


def gridmask_config(backbone, **changes):
    config = dict(system="gridmask_fcos", classes=3, norm_groups=8, backbone=backbone,
                  fpn=dict(channels=32, first_level=3),
                  fcos=dict(tower_convs=2, range_scale=0.5, max_detections=30),
                  gridmask=dict(k=3, dim=8, alpha=5.0, train_stride=4, pixel=dict(channels=32),
                                object=dict(hidden_convs=1)))
    for key, value in changes.items():
        config[key] = {**config[key], **value} if isinstance(value, dict) else value
    if config["system"] == "fcos":
        del config["gridmask"]
    return config


def anchor_free_config(backbone, **changes):
    config = dict(system="anchor_free_yolactr", classes=3, norm_groups=8, backbone=backbone, fpn=dict(channels=32),
                  anchor_free=dict(grids=[10, 8, 6, 4, 3], ranges=[1, 24, 12, 48, 24, 96, 48, 192, 96, 9999], layers=2,
                                   block="hybrid_rezero", t5="native", mask_head="paper", cs_position="after",
                                   mask_channels=32, kernel_channels=32, coord_conv=False, class_loss="focal",
                                   mask_loss="dice", score_threshold=0.1, least_areas=[8, 8, 16, 32, 32],
                                   candidates=500, nms_sigma=2.0, keep_threshold=0.05, max_detections=30))
    for key, value in changes.items():
        config[key] = {**config[key], **value} if isinstance(value, dict) else value
    return config


def gridmask_r50():
    return gridmask_config(R50, classes=80, norm_groups=32, fpn=dict(channels=256), fcos=dict(tower_convs=4),
                           gridmask=dict(dim=16, train_stride=8, pixel=dict(channels=128),
                                         object=dict(hidden_convs=3)))


def fcos_r50():
    return gridmask_config(R50, system="fcos", classes=80, norm_groups=32, fpn=dict(channels=256), fcos=dict(tower_convs=4))


def anchor_free_r50():
    return anchor_free_config({**R50, "stride_in": "3x3"}, classes=80, norm_groups=32, fpn=dict(channels=256),
                              anchor_free=dict(layers=6, mask_channels=128, kernel_channels=256))


def anchor_free_photo():
    """Of a photograph random weights make thousands of candidates: all are measured, as the definition has it."""
    config = anchor_free_r50()
    config["anchor_free"]["measured"] = 1 << 15
    return config


def reference(config, dtype):
    """Its module and a network of it, filled."""
    module = anchor_free if config["system"] == "anchor_free_yolactr" else gridmask
    return module, filled(module.Network(config), dtype)


def network_case(config, height, width, pictures, steps, dtype):
    """Everything about one of our systems."""
    golden = Golden(config)
    golden.facts.update(pictures=pictures, height=height, width=width)
    module, model = reference(config, dtype)
    images = formula.pictures(pictures, height, width, dtype)
    objects = scene(height, width, pictures)
    golden.add_scene(objects)
    output = record_activations(golden, model, images, reported(model))
    record_geometry(golden, pictures, height, width)
    for picture, (h, w, *resized) in enumerate(golden.facts["geometry"]):
        golden.add_detections(f"detections/{picture}/", *module.detections(model, output, picture, resized, (h, w)))
    record_training(golden, model, lambda: module.losses(model, images, objects), steps)
    return golden


def torchvision_backbone_case(name, height, width, dtype, **backbone):
    golden = Golden(dict(system="fcos", backbone=dict(stride_in="3x3", **backbone)))
    golden.facts.update(pictures=1, height=height, width=width)
    model = torchvision_models.classifier(name).to(dtype)
    formula.fill(torchvision_models.state(model))
    record_activations(golden, model, formula.pictures(1, height, width, dtype),
                       torchvision_models.reported_modules(model))
    return golden


def torchvision_fcos_case(height, width, dtype):
    """Its whole inference; the picture is smaller than what it is padded to."""
    golden = Golden(dict(system="fcos", classes=91, backbone=dict(preset="r50", stride_in="3x3"),
                         fcos=dict(variant="torchvision")))
    padded = [(side + 31) // 32 * 32 for side in (height, width)]
    golden.facts.update(pictures=1, height=padded[0], width=padded[1], geometry=[[height, width, height, width]])
    model = torchvision_models.fcos(height, width).to(dtype)
    formula.fill(torchvision_models.state(model))
    picture = formula.pictures(1, *padded, dtype)[0, :, :height, :width]
    found = record_activations(golden, model, [picture], torchvision_models.reported_modules(model))[0]
    golden.add_detections("detections/0/", found["boxes"], found["scores"], found["labels"])
    return golden


def photo_case(config, path, dtype=torch.float64):
    """Detections of one photograph, enlarged or reduced to a short side of 192 pixels: of the picture its name alone."""
    golden = Golden(config)
    with Image.open(path) as file:
        picture = file.convert("RGB")
    original = [picture.height, picture.width]
    resized = [max(1, round(192 * side / min(original))) for side in original]
    padded = [(side + 31) // 32 * 32 for side in resized]
    golden.facts.update(pictures=1, height=padded[0], width=padded[1], geometry=[[*original, *resized]],
                        photo=os.path.basename(path))
    pixels = np.asarray(picture.resize(resized[::-1], Image.Resampling.BILINEAR), dtype=np.float32)
    values = np.zeros((1, *padded, 3), dtype=np.float32)
    values[0, :resized[0], :resized[1]] = (pixels - np.float32(115)) / np.float32(58)
    module, model = reference(config, dtype)
    with torch.no_grad():
        output = model(torch.from_numpy(values).permute(0, 3, 1, 2).to(dtype))
        golden.add_detections("detections/0/", *module.detections(model, output, 0, resized, original), runs=True)
    return golden


def narrow_anchor_free(**changes):
    return anchor_free_config(NARROW, anchor_free=changes)


ONE_STEP = {**TEN_STEPS, "steps": 1}
# PNG: two decoders of JPEG need not give the same pixels.
PHOTOS = ["chelsea.png", "coffee.png"]
PHOTO_CONFIGS = {"gridmask_r50": gridmask_r50, "anchor_free_r50": anchor_free_photo}
NETWORKS = {
    "gridmask_narrow": (lambda: gridmask_config(NARROW), 2, TEN_STEPS),
    "gridmask_basic": (lambda: gridmask_config(BASIC, fpn=dict(first_level=2),
                                               gridmask=dict(k=2, dim=6, train_stride=2, alpha=3.0)), 2, TEN_STEPS),
    "gridmask_r50": (gridmask_r50, 1, ONE_STEP),
    "fcos_r50": (fcos_r50, 1, ONE_STEP),
    "fcos_narrow": (lambda: gridmask_config(NARROW, system="fcos"), 2, TEN_STEPS),
    "anchor_free_narrow": (lambda: narrow_anchor_free(mask_channels=48), 2, TEN_STEPS),
    "anchor_free_variants": (lambda: narrow_anchor_free(block="preln_mlp", t5="grid", mask_head="sotr", coord_conv=True,
                                                        class_loss="ce", mask_loss="bce"), 2, TEN_STEPS),
    "anchor_free_r50": (anchor_free_r50, 1, ONE_STEP),
}
TORCHVISION = {
    "torchvision_resnet50": lambda dtype: torchvision_backbone_case("resnet50", 96, 128, dtype, preset="r50"),
    "torchvision_resnext101_32x8d": lambda dtype: torchvision_backbone_case("resnext101_32x8d", 64, 64, dtype,
                                                                            preset="x101_32x8d"),
    "torchvision_fcos": lambda dtype: torchvision_fcos_case(90, 120, dtype),
}
CASES = [*NETWORKS, *TORCHVISION]


def make_case(name, dtype=torch.float64):
    if name in TORCHVISION:
        return TORCHVISION[name](dtype)
    config, pictures, steps = NETWORKS[name]
    return network_case(config(), 96, 128, pictures, steps, dtype)
